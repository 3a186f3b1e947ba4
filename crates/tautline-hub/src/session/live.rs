//! Operations on a session that has not ended, open to every caller on the node.
//!
//! Start at [`Session::live`] and [`LiveSession::take_over`].

use std::{net::IpAddr, sync::Arc};

use tautline_engine::{Revocation, RevokedLogins, budget::Holder};
use tautline_protocol::{
    ByeCode, ChannelName, Now, RequestId,
    packet::{
        client::ClientInfo,
        server::{Bye, MemberState},
    },
    server::{Ledger, REPLY_ROOM},
};

use super::{Login, OwnedSession, Session, State, grants::Grants};
use crate::{
    Client, Decision, Hub, LoginDetails, Permission,
    events::EndCause,
    mailbox::PeerMailbox,
    reply::write_too_large,
    rules::Rules,
    session::handed::{HANDED_BYTES_MAX, HandedSession},
    session::id::SessionId,
    sync::{MutexGuard, lock},
};

/// A session that has not ended, locked.
pub(crate) struct LiveSession<'a> {
    id: SessionId,
    state: MutexGuard<'a, Option<State>>,
}

/// The parameters of a take-over.
pub(crate) struct Claim {
    /// The attempt number; `None` if the session was found by its key.
    pub(crate) attempt: Option<u64>,
    /// A login presented with the hello.
    pub(crate) login: Option<Login>,
    /// The client has settled everything up to this request.
    pub(crate) seen: Option<RequestId>,
}

impl Session {
    /// The session, locked, unless it has ended.
    pub(crate) fn live(&self) -> Option<LiveSession<'_>> {
        LiveSession::new(self.id, lock(&self.state))
    }

    /// The session, locked, for the connection that owns it. `None` if another connection owns it or it has
    /// ended: this client's packets no longer count.
    pub(crate) fn owned_by(&self, mailbox: &Arc<PeerMailbox>) -> Option<OwnedSession<'_>> {
        self.live()?.owned_by(mailbox)
    }
}

impl<'a> LiveSession<'a> {
    pub(super) fn new(id: SessionId, state: MutexGuard<'a, Option<State>>) -> Option<Self> {
        state.is_some().then_some(Self { id, state })
    }

    pub(super) fn owned_by(self, mailbox: &Arc<PeerMailbox>) -> Option<OwnedSession<'a>> {
        let is_owner = self.state().mailbox.as_ref().is_some_and(|owner| Arc::ptr_eq(owner, mailbox));
        is_owner.then(|| OwnedSession::new(self))
    }

    pub(super) fn state(&self) -> &State {
        self.state.as_ref().expect("new() checked the state, and discard() consumes self")
    }

    pub(super) fn state_mut(&mut self) -> &mut State {
        self.state.as_mut().expect("new() checked the state, and discard() consumes self")
    }

    pub(crate) const fn id(&self) -> SessionId {
        self.id
    }

    pub(crate) fn login(&self) -> &Login {
        &self.state().login
    }

    /// The answers of the back end that still hold.
    pub(crate) fn grants(&self) -> &Grants {
        self.state().rare.grants()
    }

    /// When the session was opened, in monotonic milliseconds; rounded up to a second.
    pub(crate) fn opened_ms(&self) -> u64 {
        u64::from(self.state().opened_s) * 1000
    }

    /// The holder whose budget shares the session uses.
    pub(crate) fn holder(&self) -> Holder {
        self.state().holder
    }

    /// The incarnation of the logs in which the session began; 0 if unknown.
    pub(crate) fn incarnation(&self) -> u32 {
        self.state().incarnation
    }

    /// Makes this connection the owner of the session, and closes the previous one. All checks run here, that of the
    /// login by `refusal_of` included, under the lock; a refused take-over changes nothing.
    pub(crate) fn take_over(
        mut self,
        hub: &Hub,
        now: Now,
        mailbox: &Arc<PeerMailbox>,
        claim: Claim,
        refusal_of: impl FnOnce(&Login) -> Option<Bye>,
    ) -> Result<OwnedSession<'a>, Bye> {
        let refusal = refusal_of(claim.login.as_ref().unwrap_or_else(|| self.login()));
        if let Some(bye) = refusal.or_else(|| self.refusal(hub, mailbox, claim.attempt)) {
            if self.is_unused() {
                // The session was created for this hello, and must not wait for a connection forever. No event tells of
                // it: one of the same id may be open since an earlier process.
                self.discard(hub);
            }
            return Err(bye);
        }
        let state = self.state_mut();
        if let Some(attempt) = claim.attempt {
            // An attempt number far ahead of our clock wins like any other, but a smaller one is stored: a
            // stolen ticket cannot lock the owner out of the session.
            let ceiling = now.wall_ms.saturating_add(hub.limits().attempt_ahead_ms);
            state.attempt = attempt.min(ceiling.max(u64::from(state.attempt) + 1)).into();
        }
        if let Some(login) = claim.login {
            state.login = login;
        }
        state.channels = 0;
        let before = state.mailbox.replace(Arc::clone(mailbox));
        let is_first = before.is_none() && state.parks == 0;
        state.rare.set_since_ms((!is_first).then_some(now.mono_ms));
        if let Some(before) = before {
            before.close_with(taken_over(claim.attempt.map(|_| state.attempt.into())));
        }
        hub.sessions().remove_parked_replies(self.id);
        if let Some(events) = hub.events_at(now) {
            events.session_attached(self.id, &self.login().identity, claim.attempt.is_some());
        }
        if let Some(seen) = claim.seen {
            self.with_ledger(hub, |ledger| ledger.handle_seen(seen));
        }
        Ok(OwnedSession::new(self))
    }

    fn refusal(&self, hub: &Hub, mailbox: &Arc<PeerMailbox>, attempt: Option<u64>) -> Option<Bye> {
        let state = self.state();
        // Under the session's lock: a drain either finds this connection here, or set its flag before this
        // check.
        if let Some(bye) = hub.draining() {
            return Some(bye);
        }
        let refusal = match attempt {
            Some(attempt) => {
                // Another node's claim is recorded before it looks for the session here: one finds the other.
                let newest = u64::from(state.attempt).max(hub.sessions().moved().attempt(self.id));
                (attempt <= newest).then(|| taken_over(Some(newest)))
            }
            // Hellos found by their key carry no attempt number. The client has already left the older
            // connection, even if the engine delayed that one for longer.
            None => {
                let newer = |owner: &Arc<PeerMailbox>| owner.connection > mailbox.connection;
                state.mailbox.as_ref().is_some_and(newer).then(|| taken_over(None))
            }
        };
        // Last: it may close another connection.
        refusal.or_else(|| self.refusal_by_user(hub, mailbox))
    }

    /// Refuses a connection that the session's user has no room for beside its others; its oldest one may give way.
    fn refusal_by_user(&self, hub: &Hub, mailbox: &Arc<PeerMailbox>) -> Option<Bye> {
        let connections = hub.0.user_connections.load();
        let connections = connections.as_ref().as_ref()?;
        let user = self.login().identity.user.as_ref();
        let is_admitted = user.is_none_or(|user| connections.admit(user, self.id, mailbox));
        (!is_admitted).then(|| {
            hub.0.counters.count_user_refusal();
            let words = "the user has as many connections as it may have: close another one";
            let retry_after_ms = Some(hub.retry_after_ms());
            Bye { retry_after_ms, ..Bye::new(ByeCode::RateLimited, words) }
        })
    }

    /// Counts the session's connection among those of its user, where they have a ceiling.
    pub(crate) fn count_connection(&self, hub: &Hub) {
        let connections = hub.0.user_connections.load();
        if let Some(connections) = connections.as_ref()
            && let (Some(user), Some(mailbox)) = (&self.login().identity.user, &self.state().mailbox)
        {
            connections.count(user, self.id, mailbox);
        }
    }

    fn is_unused(&self) -> bool {
        self.state().mailbox.is_none() && self.state().parks == 0
    }

    /// Ends the session if it has had no connection since its parking number `parks`.
    pub(crate) fn end_if_parked_since(self, hub: &Hub, parks: u16) {
        if self.state().mailbox.is_none() && self.state().parks == parks {
            self.end_session(hub, EndCause::Expired);
        }
    }

    /// Ends the session: leaves its rosters, drops its replies and closes its connection. Its tickets stay
    /// valid unless they are revoked.
    pub(crate) fn end_session(self, hub: &Hub, cause: EndCause) {
        if let Some(events) = hub.events() {
            events.session_ended(self.id, cause);
        }
        hub.tell_end(self.id, &self.login().identity, cause);
        self.discard(hub);
    }

    fn discard(mut self, hub: &Hub) {
        let ended = self.state.take().expect("new() checked the state, and discard() consumes self");
        hub.count_replies(ended.holder, ended.ledger.held_bytes(), 0);
        hub.software_names().release(ended.software);
        for channel in ended.rare.rosters() {
            let fan_out = channel.with_presence(|presence, name| presence.remove_member(name, self.id));
            hub.pump_if(fan_out, channel);
        }
        if let Some(mailbox) = &ended.mailbox {
            record_seen(hub, &ended.login);
            mailbox.close_with(Bye::new(ByeCode::Kicked, "the session was ended"));
        }
        // Still under the session's lock: a caller that finds the session ended does not find it in the
        // registry again.
        hub.sessions().remove(self.id, ended.holder);
    }

    /// Ends the session here, because another node has it by this attempt. Returns what that node needs; `None` if
    /// a later attempt has it here.
    pub(crate) fn hand_over(self, hub: &Hub, now: Now, attempt: u64) -> Option<HandedSession> {
        let State { login, ledger, incarnation, attempt: newest, .. } = self.state();
        if u64::from(*newest) >= attempt {
            return None;
        }
        let (ticket, _) = hub.seal_ticket(now, self.id, *incarnation, login);
        let handed = HandedSession { ticket, ledger: ledger.hand_over(HANDED_BYTES_MAX) };
        self.close_with(|| taken_over(Some(attempt)));
        // No event tells of an end: the session goes on elsewhere.
        if let Some(events) = hub.events_at(now) {
            events.session_moved(self.id);
        }
        self.discard(hub);
        Some(handed)
    }

    /// True while a connection owns the session.
    pub(crate) fn is_connected(&self) -> bool {
        self.state().mailbox.is_some()
    }

    /// Ends the session for the back end: its connection is told, and its tickets are void. What is returned is
    /// for the engine to keep.
    pub(crate) fn kick(self, hub: &Hub, now: Now, bye: Bye) -> Revocation {
        let (id, until) = (self.id, now.wall_ms + hub.limits().ticket_ms);
        hub.observe_time(now);
        hub.sessions().revocations().insert(id, until, Holder::BACK_END);
        let cause = if bye.code == ByeCode::Banned { EndCause::Banned } else { EndCause::Kicked };
        self.close_with(|| bye);
        self.end_session(hub, cause);
        Revocation { subject: RevokedLogins::Session(id.0), until }
    }

    /// True if the server subscribes the session to the channel, or can: a login has so many of them.
    pub(crate) fn has_room_for_sub(&self, channel: &ChannelName) -> bool {
        let subs = self.login().identity.subs();
        subs.len() < LoginDetails::SUBS_MAX || subs.contains(channel)
    }

    /// Has the server subscribe the session to a channel from its next connection on, as if its login said so.
    /// False: it does so already, or there is no room.
    pub(crate) fn add_sub(&mut self, now: Now, channel: &ChannelName, grants_max: usize) -> bool {
        if self.login().identity.subs().contains(channel) || !self.has_room_for_sub(channel) {
            return false;
        }
        self.change_subs(|subs| subs.push(channel.clone()));
        // The back end asks for it: where it decides, it need not be asked.
        let what = (channel, Permission::Subscribe);
        self.state_mut().rare.change_grants(|grants| grants.grant(now.mono_ms, what, u64::MAX, grants_max));
        true
    }

    fn change_subs(&mut self, change: impl FnOnce(&mut Vec<ChannelName>)) {
        let login = &mut self.state_mut().login;
        let identity = Arc::make_mut(&mut login.identity);
        let mut details = identity.details.take().map(Arc::unwrap_or_clone).unwrap_or_default();
        change(&mut details.subs);
        identity.details = details.shared();
    }

    /// Ends the subscription of the session's connection to a channel, and what the back end had permitted there. The
    /// server does not subscribe it again.
    pub(crate) fn unsubscribe(mut self, channel: &ChannelName, message: &str, channels_max: usize) {
        self.state_mut().rare.change_grants(|grants| grants.end_subscription(channel));
        let is_sub = self.login().identity.subs().contains(channel);
        if is_sub {
            self.change_subs(|subs| subs.retain(|sub| sub != channel));
        }
        if let Some(mailbox) = &self.state().mailbox {
            mailbox.end_subscription(channel, message, channels_max);
            if is_sub {
                mailbox.renew_ticket();
            }
        }
    }

    /// What is known of the client.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.state().rare.address()
    }

    /// The client's software; without its version.
    pub(crate) fn client(&self, hub: &Hub) -> Option<Arc<ClientInfo>> {
        hub.software_names().get(self.state().software)
    }

    /// Channels that the connection is subscribed to.
    pub(crate) fn channels(&self) -> u16 {
        self.state().channels
    }

    /// When its connection began, or ended, in monotonic milliseconds; rounded up to a second.
    pub(crate) fn since_ms(&self) -> u64 {
        self.state().rare.since_ms().unwrap_or_else(|| self.opened_ms())
    }

    /// Closes the session's connection, if any.
    pub(crate) fn close_with(&self, bye: impl FnOnce() -> Bye) {
        if let Some(mailbox) = &self.state().mailbox {
            mailbox.close_with(bye());
        }
    }

    /// The rules have changed: forgets what the back end permitted where they are now closed to the client, and has the
    /// session's connection, if any, check its subscriptions.
    pub(crate) fn review_permissions(mut self, rules: &Rules) {
        if !self.grants().is_empty() {
            let (id, identity) = (self.id, Arc::clone(&self.login().identity));
            let client = Client::in_session(&identity, id);
            let may_hold = |channel: &ChannelName, permission| {
                client.decide(rules.of(channel), channel, permission) != Decision::Deny
            };
            self.state_mut().rare.change_grants(|grants| grants.retain(may_hold));
        }
        if let Some(mailbox) = &self.state().mailbox {
            mailbox.review_permissions();
        }
    }

    /// Settles a request with this reply: keeps it, and sends it to the connection that asked last.
    pub(crate) fn settle(&mut self, hub: &Hub, id: RequestId, line: &[u8]) {
        let mut short = Vec::new();
        let line = match self.may_keep(hub, line.len()) {
            true => line,
            false => {
                write_too_large(&mut short, id);
                &short
            }
        };
        let asked = self.with_ledger(hub, |ledger| ledger.settle(id, line));
        if let Some(mailbox) = &self.state().mailbox {
            // Even a reply for another connection wakes this one: one request less is running, so it may read
            // on.
            mailbox.push_packets(if asked == Some(mailbox.connection) { line } else { &[] });
        }
    }

    /// Whether there is room to keep the reply to a running request; a short one, such as
    /// [`write_too_large`], always fits.
    pub(super) fn may_keep(&self, hub: &Hub, bytes: usize) -> bool {
        let State { ledger, holder, .. } = self.state();
        let held = ledger.held_bytes();
        let wanted = (held + bytes).saturating_sub(REPLY_ROOM);
        ledger.may_keep(bytes, hub.limits()) && hub.has_reply_room(*holder, held, wanted)
    }

    /// Drops the replies of a session without a connection.
    pub(crate) fn drop_replies_if_parked(&mut self, hub: &Hub) {
        if self.state().mailbox.is_none() {
            self.with_ledger(hub, Ledger::drop_replies);
        }
    }

    /// Returns a request that `connection` took but never started. False if another connection waits for it.
    pub(crate) fn take_back(&mut self, hub: &Hub, id: RequestId, connection: u64) -> bool {
        self.with_ledger(hub, |ledger| ledger.take_back(id, connection))
    }

    /// Changes the session's ledger and updates the node's count of reply bytes.
    pub(super) fn with_ledger<T>(&mut self, hub: &Hub, work: impl FnOnce(&mut Ledger) -> T) -> T {
        let State { ledger, holder, .. } = self.state_mut();
        let before = ledger.held_bytes();
        let done = work(ledger);
        hub.count_replies(*holder, before, ledger.held_bytes());
        done
    }

    /// Updates the session's state in its presence rosters.
    pub(super) fn set_presence(&self, hub: &Hub, wall_ms: u64, to: MemberState) {
        let (identity, who) = (&self.login().identity, (self.id, self.holder()));
        for channel in self.state().rare.rosters() {
            let fan_out = channel.with_presence(|presence, name| match to {
                MemberState::Away => presence.set_away(name, self.id),
                // It is a member already: there is no new one to refuse.
                MemberState::Online => presence.set_online(name, who, identity, wall_ms).unwrap_or(false),
            });
            hub.pump_if(fan_out, channel);
        }
    }
}

/// The user had a connection until now.
pub(super) fn record_seen(hub: &Hub, login: &Login) {
    if let Some(user) = &login.identity.user {
        hub.last_seen().record(user, hub.last_now().wall_ms);
    }
}

pub(crate) fn taken_over(attempt: Option<u64>) -> Bye {
    Bye { attempt, ..Bye::new(ByeCode::TakenOver, "the session has a newer connection") }
}
