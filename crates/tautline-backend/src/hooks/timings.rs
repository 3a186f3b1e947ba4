//! How long the questions of a hook took, by their kind and by what came of them.
//!
//! Start at [`Timings::record`].

use tautline_hub::latency::Latency;

use super::{
    answer::{Failure, Outcome},
    selector::HookKind,
};
use crate::figures::HookAnswers;

const KINDS: [HookKind; 7] = [
    HookKind::Connect,
    HookKind::Refresh,
    HookKind::Subscribe,
    HookKind::Publish,
    HookKind::History,
    HookKind::Presence,
    HookKind::Call,
];

/// What comes of a question.
const OUTCOMES: [&str; 11] = [
    "result",
    "error",
    "disconnect",
    "busy",
    "left_alone",
    "unreachable",
    "lost",
    "timeout",
    "unavailable",
    "status",
    "unusable",
];

/// Counts the questions of one hook.
#[derive(Debug, Default)]
pub(super) struct Timings([[Latency; OUTCOMES.len()]; KINDS.len()]);

impl Timings {
    /// A question has taken this long.
    pub(super) fn record(&self, kind: HookKind, us: u64, outcome: &Outcome) {
        let outcome = match outcome {
            Outcome::Result(_) | Outcome::Empty => 0,
            Outcome::Error(_) => 1,
            Outcome::Disconnect(_) => 2,
            Outcome::Failed(Failure::Busy) => 3,
            Outcome::Failed(Failure::Resting { .. }) => 4,
            Outcome::Failed(Failure::Unreachable) => 5,
            Outcome::Failed(Failure::Lost) => 6,
            Outcome::Failed(Failure::Timeout) => 7,
            Outcome::Failed(Failure::Unavailable { .. }) => 8,
            Outcome::Failed(Failure::Status(_)) => 9,
            Outcome::Failed(Failure::Unusable(_)) => 10,
        };
        self.0[kind as usize][outcome].record_us(us);
    }

    /// What has happened so far.
    pub(super) fn figures(&self) -> Vec<HookAnswers> {
        let of = |kind: HookKind| {
            OUTCOMES.iter().zip(&self.0[kind as usize]).map(move |(outcome, latency)| HookAnswers {
                kind: kind.as_str(),
                outcome,
                latency: latency.figures(),
            })
        };
        KINDS.into_iter().flat_map(of).filter(|answers| answers.latency.count() > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_count_by_kind_and_outcome() {
        let timings = Timings::default();
        timings.record(HookKind::Call, 1_500, &Outcome::Failed(Failure::Timeout));
        timings.record(HookKind::Call, 500, &Outcome::Failed(Failure::Timeout));
        timings.record(HookKind::Connect, 7, &Outcome::Failed(Failure::Status(500)));
        let counted: Vec<_> = timings
            .figures()
            .iter()
            .map(|of| (of.kind, of.outcome, of.latency.count(), of.latency.sum_us))
            .collect();
        assert_eq!(counted, [("connect", "status", 1, 7), ("call", "timeout", 2, 2_000)]);
        assert!(KINDS.iter().enumerate().all(|(index, kind)| *kind as usize == index), "in their order");
    }
}
