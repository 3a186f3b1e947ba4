//! Figures that an engine has of itself, for operators.
//!
//! Start at [`EngineFigures`].

use crate::latency::LatencyFigures;

/// What an engine that is shared by several nodes has counted since it was opened. Jobs of any engine are counted by a
/// [`Meter`](crate::meter::Meter).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineFigures {
    /// Requests to the server behind it, with the wait for a connection.
    pub round_trips: LatencyFigures,
    /// Connections to that server that were lost or refused, each made again.
    pub redials: u64,
    /// Hints of publications that were sent to other nodes.
    pub hints_sent: u64,
    /// Hints that could not be queued: other nodes find those publications by looking.
    pub hints_dropped: u64,
    /// Channels in hints of other nodes that are in use here.
    pub hints_taken: u64,
    /// Times that the way of hints was interrupted, and all channels were looked at.
    pub hint_interruptions: u64,
    /// Channels that were looked at without a hint.
    pub looks: u64,
    /// Looks that found something that no hint had told of.
    pub found_by_looks: u64,
    /// Logs that had lost publications and began a new epoch.
    pub healed: u64,
}
