//! State that few connections have at a time, boxed to keep idle connections small.

use std::{collections::VecDeque, net::IpAddr};

use tautline_protocol::{RequestId, packet::server::Bye};

use super::{action::HeldAction, lookup::PendingLookups, output::Output, stage::Refreshing};

/// State that few connections have at a time.
#[derive(Default)]
pub(super) struct RareState {
    /// Questions and calls for the shell.
    pub(super) pending_outputs: VecDeque<Output>,
    /// Publishes and `history` requests that the engine has not completed.
    pub(super) engine_jobs: u32,
    /// A `subscribe` that waits for the engine.
    pub(super) subscribing: Option<PendingSubscribe>,
    /// The `auth` request whose login is being checked.
    pub(super) refreshing: Option<Refreshing>,
    /// Requests that wait for the back end, in the order of arrival.
    pub(super) held: Vec<HeldAction>,
    /// The `bye` of a draining node, deferred until the running requests are answered.
    pub(super) deferred_bye: Option<Bye>,
    /// The client's address, until its session keeps it.
    pub(super) address: Option<IpAddr>,
}

/// A `subscribe` that waits for the engine.
pub(super) struct PendingSubscribe {
    pub(super) id: RequestId,
    pub(super) lookups: PendingLookups,
    /// The back end has permitted this very request, and nothing has taken that back since.
    pub(super) is_granted: bool,
}

impl RareState {
    pub(super) fn is_empty(&self) -> bool {
        self.pending_outputs.is_empty()
            && self.engine_jobs == 0
            && self.subscribing.is_none()
            && self.refreshing.is_none()
            && self.held.is_empty()
            && self.deferred_bye.is_none()
            && self.address.is_none()
    }
}
