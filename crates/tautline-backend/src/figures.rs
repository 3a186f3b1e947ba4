//! What a back end counts, for operators.
//!
//! Start at [`BackendFigures`].

use tautline_hub::latency::LatencyFigures;

/// Figures of a back end, and of those that it asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackendFigures {
    /// Hooks in the order in which they are asked.
    pub hooks: Vec<HookFigures>,
}

/// Figures of one hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookFigures {
    /// Its name.
    pub name: String,
    /// Questions that run, and how many may.
    pub running: (usize, usize),
    /// Questions that wait for their turn, and how many may.
    pub waiting: (usize, usize),
    /// Questions by their kind and by what came of them; those that never happened are left out.
    pub answers: Vec<HookAnswers>,
    /// Its URLs, without their queries, and how many of the breakers of each are open: of a kind of question, or of a
    /// method.
    pub open_breakers: Vec<(String, usize)>,
}

/// Questions of one kind with one outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookAnswers {
    /// The question.
    pub kind: &'static str,
    /// What came of it: an answer, or why there is none.
    pub outcome: &'static str,
    /// How long it took, retries and the wait for a turn included.
    pub latency: LatencyFigures,
}
