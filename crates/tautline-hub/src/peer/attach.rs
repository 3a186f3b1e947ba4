//! The session that a hello opens, and its `welcome` (protocol, section 3).
//!
//! Start at [`Peer::resume`] and [`Peer::begin`].

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use tautline_engine::budget::Claimant;
use tautline_protocol::{
    ByeCode, ChannelName, Cursor, Now, UserId, json,
    packet::{
        ErrorBody, Hello,
        client::Resume,
        server::{Bye, ChannelWelcome, Gap, Subscribed, Ticket, Welcome},
    },
    server::Ledger,
};

use super::{
    Peer, bye_expired,
    lookup::ChannelRequest,
    opening::{identity_of, own_channel, revoked},
    stage::{ActiveSession, Ownership, Requester, Stage},
    subscriptions::{denied, parse_channel, too_many_channels},
};
use crate::{
    Decision, Identity, Permission,
    bans::{bye_banned, bye_banned_address},
    counters::RESUMED,
    revoke::bye_revoked,
    session::id::SessionId,
    session::registry::NoSession,
    session::{Claim, LiveSession, Login, Session},
    ticket::Claims,
};

/// The session that a hello opens.
struct Opened<'a> {
    session: &'a Arc<Session>,
    living: LiveSession<'a>,
    /// True for an existing session, false for a new one.
    resumed: bool,
    /// Where a session that a ticket names was found.
    from: Option<&'static str>,
}

impl Peer {
    /// Resumes the session that a ticket names.
    pub(super) fn resume(
        &mut self,
        now: Now,
        hello: &Hello,
        claims: &Claims,
        (fresh, ownership): (Option<&Login>, Ownership),
        requests: &[ChannelRequest],
    ) {
        let id = SessionId(claims.session);
        let login = || fresh.cloned().unwrap_or_else(|| self.hub.login(now, identity_of(claims)));
        // By its user's id, or a guest's address.
        let who = (id, self.holder_of(&login().identity));
        let attempt = ownership.attempt().or(hello.resume.as_ref().map(|resume| resume.attempt));
        let mut handed = ownership.into_ledger();
        let made_from = if handed.is_some() { "from_node" } else { "from_ticket" };
        loop {
            let make = || {
                let ledger = handed.take().unwrap_or_else(Ledger::incomplete);
                self.hub.count_replies(who.1, 0, ledger.held_bytes());
                Session::new(who, login(), ledger, claims.incarnation, now)
            };
            let (session, made) = match self.hub.sessions().get_or_create(who, Claimant::Preferred, make) {
                Ok(found) => found,
                Err(NoSession::Full) => return self.close_for_room(now),
                // Revoked after the ticket was checked.
                Err(NoSession::Revoked) => return self.challenge(now, &revoked()),
            };
            let claim = Claim {
                attempt,
                login: fresh.cloned(),
                seen: hello.resume.as_ref().and_then(|resume| resume.seen),
            };
            // If the session has just expired, the loop recreates it from the ticket.
            if let Some(living) = session.live() {
                let from = Some(if made { made_from } else { "in_memory" });
                let opened = Opened { session: &session, living, resumed: true, from };
                return self.attach(now, hello, opened, claim, requests);
            }
        }
    }

    /// Opens a new session, or the one that the same key opened a moment ago.
    pub(super) fn begin(&mut self, now: Now, hello: &Hello, login: &Login, requests: &[ChannelRequest]) {
        let key_ids = hello.key.as_ref().map(|key| self.key_ids(now, key, &login.identity));
        let claim = || Claim { attempt: None, login: Some(login.clone()), seen: None };
        let mut used = None;
        for id in key_ids.into_iter().flatten() {
            let Some(session) = self.hub.sessions().get(id) else { continue };
            if let Some(living) = session.live()
                && now.mono_ms < living.opened_ms() + self.hub.limits().key_ms
            {
                let opened = Opened { session: &session, living, resumed: true, from: None };
                return self.attach(now, hello, opened, claim(), requests);
            }
            used = used.or(Some(id));
        }
        // Skip the id only if it was in use above: another hello with this key may be opening the session
        // concurrently.
        let key_id = key_ids.map(|[current, _]| current).filter(|id| used != Some(*id));
        let mut id = key_id.unwrap_or_else(|| SessionId(self.hub.random().id()));
        let (incarnation, holder) = (self.hub.engine().incarnation(), self.holder_of(&login.identity));
        loop {
            let make = || Session::new((id, holder), login.clone(), Ledger::new(), incarnation, now);
            match self.hub.sessions().get_or_create((id, holder), Claimant::Ordinary, make) {
                Ok((session, made)) => {
                    // Two concurrent hellos with one key: the second continues the session that the first
                    // created.
                    if let Some(living) = session.live() {
                        let opened = Opened { session: &session, living, resumed: !made, from: None };
                        return self.attach(now, hello, opened, claim(), requests);
                    }
                }
                Err(NoSession::Full) => return self.close_for_room(now),
                // The client of this key ended the session.
                Err(NoSession::Revoked) => id = SessionId(self.hub.random().id()),
            }
        }
    }

    /// Derives session ids from the key and the user, for the current key period and the one before: the same
    /// key and user give the same session within a period, without a table of keys. A key that is used again
    /// much later gives a new session, which has no earlier publishes or calls.
    fn key_ids(&self, now: Now, key: &str, identity: &Identity) -> [SessionId; 2] {
        let user = identity.user.as_ref().map_or("", UserId::as_str);
        let incarnation = now.mono_ms / self.hub.limits().key_ms.max(1);
        [incarnation, incarnation.wrapping_sub(1)].map(|incarnation| {
            let parts = [key.as_bytes(), user.as_bytes(), &incarnation.to_le_bytes()];
            SessionId(self.hub.random().id_of(&parts))
        })
    }

    fn close_for_room(&mut self, now: Now) {
        let words = "this node has reached its limit of sessions";
        let retry_after_ms = Some(self.hub.retry_after_ms());
        self.close_with_bye(now, None, Bye { retry_after_ms, ..Bye::new(ByeCode::Overloaded, words) });
    }

    /// Makes this connection the owner of the session and sends the welcome.
    fn attach(
        &mut self,
        now: Now,
        hello: &Hello,
        opened: Opened<'_>,
        claim: Claim,
        requests: &[ChannelRequest],
    ) {
        let Opened { session, living, resumed, from } = opened;
        let identity = self.hub.keeps_stories().then(|| Arc::clone(&living.login().identity));
        let address = self.address();
        let refusal_of = |login: &Login| self.refusal_of(now, login, address);
        let mut owned = match living.take_over(&self.hub, now, &self.mailbox, claim, refusal_of) {
            Ok(owned) => owned,
            Err(bye) => {
                let who = identity.as_ref().map(|identity| (Some(session.id), &**identity));
                return self.refuse_hello(now, who, bye);
            }
        };
        let address = self.rare.as_mut().and_then(|rare| rare.address.take());
        self.rare.take_if(|rare| rare.is_empty());
        owned.set_client(&self.hub, hello.client.as_ref(), address);
        let (login, asked_by) = (owned.login().clone(), Requester::of(&owned));
        let requests_seen = owned.ledger().requests_seen();
        drop(owned);
        let (ticket, ticket_expires_at) = self.hub.seal_ticket(now, session.id, asked_by.incarnation, &login);
        let user = login.identity.user.as_ref().map(ToString::to_string);
        self.stage = Stage::Active(ActiveSession {
            session: Arc::clone(session),
            subscriptions: Vec::new(),
            auth_until_ms: until(now, login.expires_at),
            ticket_due_ms: ticket_due_ms(now, ticket_expires_at, &login),
            is_new: !resumed,
        });
        let mut gaps = Vec::new();
        let cursors = hello.resume.as_ref().map(|resume: &Resume| &resume.cursors);
        let limits = self.hub.limits();
        let mut welcome = Welcome {
            session: session.id.to_string(),
            ticket,
            ticket_expires_at,
            resumed,
            auth_expires_at: user.is_some().then_some(login.expires_at),
            user,
            requests_seen: resumed.then_some(requests_seen),
            ping_ms: limits.ping_ms,
            pong_ms: limits.pong_ms,
            park_ms: limits.park_ms,
            max_message_bytes: limits.message_bytes_max,
            now: now.wall_ms,
            node: self.hub.node().to_owned(),
            channels: BTreeMap::new(),
            subs: Vec::new(),
        };
        self.restore(now, &asked_by, cursors.into_iter().flatten(), requests, &mut welcome, &mut gaps);
        json::write_server(&mut self.control, "welcome", &welcome);
        self.hub.0.counters.count_hello(hello, &welcome, &gaps);
        from.iter().for_each(|from| self.hub.0.counters.count_resume(RESUMED, from));
        let whose = (session.id, address);
        self.hub.tell_welcome(now, whose, &login.identity, hello, (&welcome, &gaps));
        for gap in gaps {
            json::write_server(&mut self.control, "gap", &gap);
        }
        self.leave_dropped_rosters();
    }

    /// What has changed since the login or the ticket was checked: the hello may have waited for admission or for the
    /// engine. Call under the session's lock: a ban or a revocation either holds before this check, or finds the session
    /// in the registry and ends it.
    fn refusal_of(&self, now: Now, login: &Login, address: Option<IpAddr>) -> Option<Bye> {
        if login.expires_at <= now.wall_ms {
            return Some(bye_expired());
        }
        if self.hub.is_banned(&login.identity) {
            return Some(bye_banned());
        }
        if address.is_some_and(|address| self.hub.bans().has_address(address)) {
            return Some(bye_banned_address());
        }
        self.hub.is_revoked(&login.identity).then(bye_revoked)
    }

    /// Subscribes to the channels of the cursors and of the login, and to the user's own channel.
    fn restore<'c>(
        &mut self,
        now: Now,
        asked_by: &Requester,
        cursors: impl Iterator<Item = (&'c String, &'c Cursor)>,
        requests: &[ChannelRequest],
        welcome: &mut Welcome,
        gaps: &mut Vec<Gap>,
    ) {
        // Names and epochs are short; escapes may double them. The client subscribes afterwards to channels
        // that do not fit.
        const CHANNEL_BYTES: usize = 160;
        let mut subs = Vec::new();
        let mut room = self.hub.limits().welcome_bytes_max.saturating_sub(4096);
        let mut note = |name, subscribed: Result<(Subscribed, Option<Gap>), ErrorBody>| {
            let entry = match subscribed {
                Ok((subscribed, gap)) => {
                    gaps.extend(gap);
                    ChannelWelcome::Subscribed(subscribed)
                }
                Err(error) => ChannelWelcome::Refused { error },
            };
            welcome.channels.insert(name, entry);
        };
        let own = own_channel(&asked_by.identity);
        // At most [`LoginDetails::SUBS_MAX`](crate::LoginDetails::SUBS_MAX), so there is room for all of them.
        for name in asked_by.identity.subs().iter().filter(|name| own.as_ref() != Some(name)) {
            let Some(subscribed) = self.restore_one(now, name.as_str(), asked_by, requests) else { continue };
            if subscribed.is_ok() {
                subs.push(name.to_string());
            }
            note(name.to_string(), subscribed);
        }
        let is_left = |name: &str| {
            !subs.iter().any(|sub| sub == name) && own.as_ref().is_none_or(|own| own.as_str() != name)
        };
        for (name, _) in cursors.filter(|(name, _)| is_left(name)) {
            let bytes = CHANNEL_BYTES + 2 * name.len();
            if room < bytes {
                continue;
            }
            room -= bytes;
            if let Some(subscribed) = self.restore_one(now, name, asked_by, requests) {
                note(name.clone(), subscribed);
            }
        }
        if let Some(own) = own
            && let Some(subscribed) = self.subscribe_to(now, &own, requests)
        {
            note(own.to_string(), subscribed);
        }
        welcome.subs = subs;
    }

    /// Subscribes to one channel, if that is permitted. `None`: the welcome does not wait for the back end, and the
    /// client subscribes afterwards.
    fn restore_one(
        &mut self,
        now: Now,
        name: &str,
        asked_by: &Requester,
        requests: &[ChannelRequest],
    ) -> Option<Result<(Subscribed, Option<Gap>), ErrorBody>> {
        let channel = match parse_channel(name) {
            Ok(channel) => channel,
            Err(error) => return Some(Err(error)),
        };
        match self.decide(now, &channel, Permission::Subscribe, asked_by) {
            Decision::Deny => Some(Err(denied(Permission::Subscribe))),
            Decision::Ask => None,
            Decision::Allow => self.subscribe_to(now, &channel, requests),
        }
    }

    /// `None`: it was permitted a moment ago, and the engine was not asked about it. The client subscribes afterwards.
    fn subscribe_to(
        &mut self,
        now: Now,
        name: &ChannelName,
        requests: &[ChannelRequest],
    ) -> Option<Result<(Subscribed, Option<Gap>), ErrorBody>> {
        let request = requests.iter().find(|request| request.name == *name);
        let channels_max = self.hub.limits().channels_max;
        match request {
            Some(request) => Some(self.subscribe(now, request)),
            None if requests.len() >= channels_max => Some(Err(too_many_channels(channels_max))),
            None => None,
        }
    }

    /// Leaves the rosters of channels that the client did not resubscribe to.
    fn leave_dropped_rosters(&self) {
        let Stage::Active(open) = &self.stage else { return };
        let Some(mut session) = open.session.owned_by(&self.mailbox) else { return };
        session.leave_rosters(&self.hub, |channel| {
            open.subscriptions.iter().flatten().any(|found| Arc::ptr_eq(&found.channel, channel))
        });
    }

    /// Sends a fresh ticket, once half the lifetime of the last one has passed.
    pub(super) fn send_fresh_ticket(&mut self, now: Now) {
        let Stage::Active(open) = &mut self.stage else { return };
        let Some(session) = open.session.owned_by(&self.mailbox) else { return self.close_superseded(now) };
        let (login, incarnation) = (session.login().clone(), session.incarnation());
        drop(session);
        let (ticket, expires_at) = self.hub.seal_ticket(now, open.session.id, incarnation, &login);
        open.ticket_due_ms = ticket_due_ms(now, expires_at, &login);
        json::write_server(&mut self.control, "ticket", &Ticket { ticket, expires_at });
    }
}

/// When to send a fresh ticket: at half its lifetime, unless the authentication behind it ends no later.
pub(super) fn ticket_due_ms(now: Now, expires_at: u64, login: &Login) -> u64 {
    match login.expires_at <= expires_at {
        true => u64::MAX,
        false => now.mono_ms + expires_at.saturating_sub(now.wall_ms) / 2,
    }
}

/// Converts a wall time to a monotonic one.
pub(super) fn until(now: Now, wall_ms: u64) -> u64 {
    now.mono_ms.saturating_add(wall_ms.saturating_sub(now.wall_ms))
}
