//! The budgets that all clients of a node share.

use std::sync::Arc;

use tautline_engine::budget::Budget;

use crate::limits::HubLimits;

/// Budgets shared by all holders of a node.
pub(crate) struct Budgets {
    /// Bytes of unseen replies.
    pub(crate) replies: Arc<Budget>,
    /// Bytes of publications that the engine has not completed.
    pub(crate) appends: Arc<Budget>,
    /// Bytes of running calls.
    pub(crate) calls: Arc<Budget>,
    /// Bytes of presence changes that some subscriber has not received.
    pub(crate) changes: Arc<Budget>,
    /// Members of rosters, one for each session and channel.
    pub(crate) members: Arc<Budget>,
}

impl Budgets {
    pub(crate) fn new(limits: &HubLimits) -> Self {
        Self {
            replies: Budget::new(limits.replies_bytes_max),
            appends: Budget::new(limits.appends_bytes_max),
            calls: Budget::without_reserve(limits.calls_bytes_max),
            changes: Budget::without_reserve(limits.presence_bytes_max),
            members: Budget::without_reserve(limits.presence_seats_max),
        }
    }
}
