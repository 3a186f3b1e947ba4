//! A session in the hands of its connection: everything that a client may change.

use std::sync::Arc;

use tautline_engine::Revocation;
use tautline_protocol::{
    Now, RequestId,
    packet::server::MemberState,
    server::{Ledger, REPLY_ROOM, Verdict},
};

use super::{LiveSession, Login};
use crate::{Hub, channel::Channel, hub::write_too_large, mailbox::PeerMailbox};

/// A session, locked, for the connection that has it and for no other.
///
/// What a client says takes effect through this alone, so a connection that was superseded can do nothing. What is told of
/// the session to others (rosters) changes under the same lock as the session itself.
pub(crate) struct OwnedSession<'a>(LiveSession<'a>);

impl<'a> std::ops::Deref for OwnedSession<'a> {
    type Target = LiveSession<'a>;

    fn deref(&self) -> &LiveSession<'a> {
        &self.0
    }
}

impl<'a> OwnedSession<'a> {
    pub(super) const fn new(live: LiveSession<'a>) -> Self {
        Self(live)
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.state().ledger
    }

    /// The client has settled everything up to `id`.
    pub(crate) fn handle_seen(&mut self, hub: &Hub, id: RequestId) {
        self.0.with_ledger(hub, |ledger| ledger.handle_seen(id));
    }

    /// A request came whose repetition is harmless. False: the client has settled it already, drop it.
    pub(crate) fn receive_repeatable(&mut self, id: RequestId) -> bool {
        self.0.state_mut().ledger.receive_harmless(id)
    }

    /// A `publish` or a `call` came.
    pub(crate) fn receive(
        &mut self,
        hub: &Hub,
        mailbox: &PeerMailbox,
        id: RequestId,
        again: bool,
    ) -> Verdict {
        let held = self.ledger().held_bytes();
        let has_room = held == 0 || hub.has_reply_room(self.holder(), held, held + REPLY_ROOM);
        if !has_room && !self.ledger().knows(id) {
            return Verdict::SlowPeer;
        }
        self.0.with_ledger(hub, |ledger| ledger.receive(id, again, mailbox.connection, hub.limits()))
    }

    /// A request has ended within the call that brought it, and its connection sends this reply itself, the end of `out`.
    pub(crate) fn settle_here(&mut self, hub: &Hub, id: RequestId, (out, from): (&mut Vec<u8>, usize)) {
        if !self.may_keep(hub, out.len() - from) {
            out.truncate(from);
            write_too_large(out, id);
        }
        self.0.with_ledger(hub, |ledger| ledger.settle(id, &out[from..]));
    }

    pub(crate) fn set_login(&mut self, login: Login) {
        self.0.state_mut().login = login;
    }

    /// The session stands in the channel's roster from now on. To be called under the lock under which it was seated there.
    pub(crate) fn add_roster(&mut self, channel: &Arc<Channel>) {
        self.0.state_mut().present_in.insert(channel);
    }

    /// Leaves the rosters of the channels that are not to be kept.
    pub(crate) fn leave_rosters(&mut self, hub: &Hub, keep: impl Fn(&Arc<Channel>) -> bool) {
        let id = self.id();
        self.0.state_mut().present_in.retain(|channel| {
            let keeps = keep(channel);
            if !keeps {
                let fan_out = channel.with_presence(|presence, name| presence.remove_member(name, id));
                hub.pump_if(fan_out, channel);
            }
            keeps
        });
    }

    /// The client goes away on purpose, and keeps its connection.
    pub(crate) fn pause(&self, hub: &Hub, now: Now) {
        self.set_presence(hub, now.wall_ms, MemberState::Away);
    }

    /// The client is back.
    pub(crate) fn unpause(&self, hub: &Hub, now: Now) {
        self.set_presence(hub, now.wall_ms, MemberState::Online);
    }

    /// The connection is gone: the session waits for the next.
    pub(crate) fn park(mut self, hub: &Hub, now: Now) {
        let state = self.0.state_mut();
        state.mailbox = None;
        state.parks = state.parks.wrapping_add(1);
        let (parks, holds_replies) = (state.parks, state.ledger.held_bytes() > 0);
        if holds_replies {
            hub.sessions().add_parked_replies(self.id());
        }
        self.set_presence(hub, now.wall_ms, MemberState::Away);
        hub.sessions().park(now, self.id(), parks);
    }

    /// The client has said goodbye: the session ends, and no ticket opens it again on this node. What is returned is for the
    /// engine to keep.
    pub(crate) fn end_by_bye(mut self, hub: &Hub, now: Now) -> Revocation {
        // Tickets that were given out before live no longer than one that would be given out now.
        let until = now.wall_ms + hub.limits().ticket_ms;
        let id = self.id();
        hub.sessions().revoke(id, until);
        self.0.state_mut().mailbox = None;
        self.0.end_session(hub);
        Revocation { session: id.0, until }
    }
}
