//! What the gateway counts of calls, questions and limits.
//!
//! Start at [`GatewayFigures`] and [`Timings::record`].

use tautline_hub::{
    LimitFigures,
    latency::{Latency, LatencyFigures},
};
use tautline_protocol::ErrorCode;

use crate::state::GatewayState;

/// What comes of calls and questions. A back end's own errors are `refused`.
const OUTCOMES: [&str; 7] = ["ok", "refused", "timeout", "unavailable", "overloaded", "in_doubt", "internal"];

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timing {
    /// A method.
    Call,
    /// Is this login good?
    Login,
    /// May this client do this?
    Permission,
}

const TIMINGS: [(Timing, &str); 3] =
    [(Timing::Call, "call"), (Timing::Login, "login"), (Timing::Permission, "permission")];

/// How long calls and questions took.
#[derive(Debug, Default)]
pub(crate) struct Timings([[Latency; OUTCOMES.len()]; TIMINGS.len()]);

/// How long some calls or questions took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedFigures {
    /// `call`, `login` or `permission`.
    pub kind: &'static str,
    /// What came of them.
    pub outcome: &'static str,
    /// How long they took.
    pub latency: LatencyFigures,
}

/// Figures beside [`GatewayStats`](crate::GatewayStats) that `/metrics` has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GatewayFigures {
    /// Calls and questions by what came of them.
    pub timed: Vec<TimedFigures>,
    /// How the limits stand, and how often each has refused something.
    pub limits: Vec<LimitFigures>,
    /// Connections that were closed before they said anything, by reason.
    pub connections_refused: Vec<(&'static str, u64)>,
}

impl Timings {
    /// Something has taken this long. `None` is a success.
    pub(crate) fn record(&self, timing: Timing, ms: u64, error: Option<&ErrorCode>) {
        let outcome = match error {
            None => 0,
            Some(ErrorCode::Timeout) => 2,
            Some(ErrorCode::Unavailable) => 3,
            Some(ErrorCode::Overloaded) => 4,
            Some(ErrorCode::InDoubt) => 5,
            Some(ErrorCode::Internal) => 6,
            Some(_) => 1,
        };
        self.0[timing as usize][outcome].record_us(ms.saturating_mul(1_000));
    }

    fn figures(&self) -> Vec<TimedFigures> {
        let of_kind = |(timing, kind): (Timing, &'static str)| {
            let figures = move |(outcome, latency): (&&'static str, &Latency)| TimedFigures {
                kind,
                outcome,
                latency: latency.figures(),
            };
            OUTCOMES.iter().zip(&self.0[timing as usize]).map(figures)
        };
        TIMINGS.into_iter().flat_map(of_kind).collect()
    }
}

/// All of them at this moment.
pub(crate) fn figures(state: &GatewayState) -> GatewayFigures {
    let (config, warnings) = (&state.config, &state.warnings);
    let (of_each, shared) = (LimitFigures::of_each, LimitFigures::shared);
    let questions_refused = state.questions.refused() + state.question_shares.refused();
    let mut limits = vec![
        shared(
            "connections_max",
            state.connections.in_use(),
            config.connections_max,
            warnings.connections.times(),
        ),
        shared(
            "http_connections_max",
            state.http_connections.in_use(),
            config.http_connections_max,
            warnings.http_connections.times(),
        ),
        shared("calls_running_max", state.calls.in_use(), config.calls_running_max, warnings.calls.times()),
        shared(
            "backend_questions_max",
            state.questions.in_use(),
            config.backend_questions_max,
            questions_refused,
        ),
        of_each("connections_per_address_max", warnings.address.times()),
        of_each("handshakes_per_address_max", warnings.handshakes.times()),
    ];
    limits.extend(state.hub.limit_figures());
    GatewayFigures {
        timed: state.timings.figures(),
        limits,
        connections_refused: vec![
            ("accept_failed", warnings.accept.times()),
            ("untrusted_proxy", warnings.untrusted_proxy.times()),
            ("proxy_header", warnings.proxy_header.times()),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_of_back_end_counts_as_refused() {
        let timings = Timings::default();
        timings.record(Timing::Call, 3, None);
        timings.record(Timing::Call, 0, Some(&ErrorCode::from("sold_out")));
        timings.record(Timing::Login, 5_000, Some(&ErrorCode::Unavailable));
        let counted: Vec<_> = timings
            .figures()
            .iter()
            .filter(|figures| figures.latency.count() > 0)
            .map(|figures| (figures.kind, figures.outcome, figures.latency.sum_us))
            .collect();
        assert_eq!(
            counted,
            [("call", "ok", 3_000), ("call", "refused", 0), ("login", "unavailable", 5_000_000)]
        );
    }
}
