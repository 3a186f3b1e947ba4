//! Operations on a session that only its own connection may perform for its client.
//!
//! Start at [`OwnedSession::receive`].

use std::{net::IpAddr, sync::Arc};

use tautline_engine::{Revocation, RevokedLogins};
use tautline_protocol::{
    Now, RequestId,
    packet::{client::ClientInfo, server::MemberState},
    server::{Ledger, REPLY_ROOM, Verdict},
};

use super::{LiveSession, Login, grants::Grants, live::record_seen};
use crate::{
    Hub,
    channel::Channel,
    events::{AwayCause, EndCause},
    mailbox::PeerMailbox,
    reply::write_too_large,
    story::StoryKind,
};

/// A session, locked, for the connection that owns it and for no other.
///
/// Client packets take effect only through this type, so a superseded connection can change nothing. Rosters
/// change under the same lock as the session.
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

    /// Records an idempotent request. False if the client has settled it already: drop it.
    pub(crate) fn receive_repeatable(&mut self, id: RequestId) -> bool {
        self.0.state_mut().ledger.receive_repeatable(id)
    }

    /// Records a `publish` or `call`.
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

    /// Settles a request within the input that brought it; its connection sends the reply itself, the end of
    /// `out`.
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

    /// Keeps what the connection tells of its client.
    pub(crate) fn set_client(&mut self, hub: &Hub, client: Option<&ClientInfo>, address: Option<IpAddr>) {
        let state = self.0.state_mut();
        let before = std::mem::replace(&mut state.software, hub.software_names().acquire(client));
        hub.software_names().release(before);
        state.rare.set_address(address);
    }

    /// The connection is subscribed to so many channels.
    pub(crate) fn set_channels(&mut self, count: usize) {
        self.0.state_mut().channels = u16::try_from(count).unwrap_or(u16::MAX);
    }

    pub(crate) fn change_grants(&mut self, change: impl FnOnce(&mut Grants)) {
        self.0.state_mut().rare.change_grants(change);
    }

    /// Records that the channel's roster contains the session. Call under the lock under which it was added
    /// there.
    pub(crate) fn add_roster(&mut self, channel: &Arc<Channel>) {
        self.0.state_mut().rare.add_roster(channel);
    }

    /// Leaves the rosters of the channels that `keep` rejects.
    pub(crate) fn leave_rosters(&mut self, hub: &Hub, keep: impl Fn(&Arc<Channel>) -> bool) {
        let id = self.id();
        self.0.state_mut().rare.retain_rosters(|channel| {
            let keeps = keep(channel);
            if !keeps {
                let fan_out = channel.with_presence(|presence, name| presence.remove_member(name, id));
                hub.pump_if(fan_out, channel);
            }
            keeps
        });
    }

    /// The client announced that it goes away; the connection stays open.
    pub(crate) fn pause(&self, hub: &Hub, now: Now) {
        self.set_presence(hub, now.wall_ms, MemberState::Away);
        if let Some(events) = hub.events_at(now) {
            events.session_away(self.id(), AwayCause::Paused);
        }
        self.tell(hub, now, StoryKind::Hidden);
    }

    /// The client is back.
    pub(crate) fn unpause(&self, hub: &Hub, now: Now) {
        self.set_presence(hub, now.wall_ms, MemberState::Online);
        if let Some(events) = hub.events_at(now) {
            events.session_unpaused(self.id());
        }
        self.tell(hub, now, StoryKind::Shown);
    }

    /// The connection is gone: the session waits for another one.
    pub(crate) fn park(mut self, hub: &Hub, now: Now) {
        let state = self.0.state_mut();
        state.mailbox = None;
        state.channels = 0;
        state.rare.set_since_ms(Some(now.mono_ms));
        state.parks = state.parks.wrapping_add(1);
        let (parks, holds_replies) = (state.parks, state.ledger.held_bytes() > 0);
        if holds_replies {
            hub.sessions().add_parked_replies(self.id());
        }
        record_seen(hub, self.login());
        self.set_presence(hub, now.wall_ms, MemberState::Away);
        hub.sessions().park(now, self.id(), parks);
        if let Some(events) = hub.events_at(now) {
            events.session_away(self.id(), AwayCause::Disconnected);
        }
        self.tell(hub, now, StoryKind::Away);
    }

    fn tell(&self, hub: &Hub, now: Now, kind: StoryKind) {
        hub.tell(now, Some(self.id()), &self.login().identity, kind, || serde_json::json!({}));
    }

    /// The client has said goodbye: the session ends, and no ticket opens it again on this node. What is returned is for the
    /// engine to keep; nothing, where its holder has its share of what is remembered.
    pub(crate) fn end_by_bye(mut self, hub: &Hub, now: Now) -> Option<Revocation> {
        // Tickets that were given out before live no longer than one that would be given out now.
        let until = now.wall_ms + hub.limits().ticket_ms;
        let id = self.id();
        hub.observe_time(now);
        let is_kept = hub.sessions().revocations().insert(id, until, self.holder());
        record_seen(hub, self.login());
        self.0.state_mut().mailbox = None;
        self.0.end_session(hub, EndCause::Bye);
        is_kept.then_some(Revocation { subject: RevokedLogins::Session(id.0), until })
    }
}
