//! From `hello` to `welcome`: tickets, logins, take-over and restored subscriptions (protocol, section 3).
//!
//! Start at [`Peer::handle_opening_packet`].

use std::{borrow::Cow, sync::Arc};

use tautline_engine::{
    EngineError, StatResult,
    budget::{Claimant, Holder},
};
use tautline_protocol::{
    ByeCode, ChannelName, Cursor, ErrorCode, Now, Pattern, ReadFrom, UserId, json,
    packet::{
        Auth, ErrorBody, Hello,
        client::{ClientPacket, Resume},
        server::{Bye, Challenge, ChannelWelcome, Gap, Subscribed, Welcome},
    },
    server::{Ledger, Step},
};

use super::{
    ActiveSession, Output, Peer, Stage,
    lookup::{ChannelRequest, PendingLookups},
    requests::Requester,
};
use crate::{
    Identity, LoginRefused,
    admission::HelloKind,
    session::id::SessionId,
    session::registry::NoSession,
    session::{Claim, LiveSession, Login, Session},
    ticket::Claims,
};

/// How a hello was authenticated.
pub(super) enum Authenticated {
    /// By a ticket, optionally with a login beside it.
    Resume { claims: Claims, fresh: Option<Login> },
    /// By a login.
    New { login: Login },
}

/// The session that a hello opens.
struct Opened<'a> {
    session: &'a Arc<Session>,
    living: LiveSession<'a>,
    /// True for an existing session, false for a new one.
    resumed: bool,
}

impl Peer {
    pub(super) fn handle_opening_packet(&mut self, now: Now, packet: ClientPacket<'_>) {
        let Stage::Opening(opening) = &mut self.stage else { return };
        match opening.handle_packet(packet, self.hub.limits()) {
            Step::Hello(hello) => self.handle_hello(now, *hello),
            Step::Ignore => {}
            Step::Bye(bye) => self.close_with_bye(now, None, bye),
        }
    }

    /// Processes a hello at once, or queues it for admission.
    fn handle_hello(&mut self, now: Now, hello: Hello) {
        let kind = if hello.resume.is_some() { HelloKind::Resume } else { HelloKind::New };
        if self.hub.try_admit(now, kind, self.holder, &self.mailbox) {
            return self.identify(now, hello);
        }
        let until_ms = match kind {
            HelloKind::Resume => u64::MAX,
            HelloKind::New => now.mono_ms.saturating_add(self.hub.limits().admission_wait_ms),
        };
        if let Stage::Opening(opening) = std::mem::replace(&mut self.stage, Stage::Closed) {
            self.stage = Stage::Queued(Box::new((opening, hello, until_ms)));
        }
    }

    /// The admission queue admitted the waiting hello.
    pub(super) fn on_admitted(&mut self, now: Now) {
        match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Queued(waiting) => {
                let (opening, hello, _) = *waiting;
                self.stage = Stage::Opening(opening);
                self.identify(now, hello);
            }
            // The connection was closed in the meantime.
            stage => self.stage = stage,
        }
    }

    /// The admission queue did not admit the hello in time.
    pub(super) fn on_admission_timeout(&mut self, now: Now) {
        let words = "too many clients connect at the same time: retry in a moment";
        let retry_after_ms = Some(self.hub.retry_after_ms());
        self.close_with_bye(now, None, Bye { retry_after_ms, ..Bye::new(ByeCode::Overloaded, words) });
    }

    fn identify(&mut self, now: Now, hello: Hello) {
        if let Some(bye) = self.hub.draining() {
            return self.close_with_bye(now, None, bye);
        }
        let ticket = match hello.resume.as_ref().map(|resume| self.check_ticket(now, &resume.ticket)) {
            None => None,
            Some(Ok(claims)) => Some(claims),
            Some(Err(challenge)) if hello.auth.is_none() => return self.challenge(now, &challenge),
            Some(Err(_)) => None,
        };
        match (ticket, hello.auth.clone()) {
            // A token beside a valid ticket is checked: it may belong to another user. Any other login is not
            // needed.
            (Some(_), Some(auth @ Auth::Token { .. })) | (None, Some(auth)) => self.check_login(auth, hello),
            (Some(claims), _) => {
                self.load_channels(now, hello, Authenticated::Resume { claims, fresh: None })
            }
            (None, None) => {
                let words = "a first `hello` needs `auth`";
                self.close_with_bye(now, None, Bye::new(ByeCode::Unauthorized, words));
            }
        }
    }

    /// Continues a hello whose login was checked.
    pub(super) fn handle_hello_login(
        &mut self,
        now: Now,
        hello: Hello,
        result: Result<Identity, LoginRefused>,
    ) {
        let login = match result {
            Ok(identity) => self.hub.login(now, identity),
            Err(refused) => {
                let bye = refused.to_bye(|| self.hub.retry_after_ms());
                return self.close_with_bye(now, None, bye);
            }
        };
        let ticket = hello.resume.as_ref().and_then(|resume| self.check_ticket(now, &resume.ticket).ok());
        let authenticated = match ticket {
            Some(claims) if claims.user.as_deref() == login.identity.user.as_ref().map(UserId::as_str) => {
                Authenticated::Resume { claims, fresh: Some(login) }
            }
            _ => Authenticated::New { login },
        };
        if matches!(authenticated, Authenticated::New { .. }) && hello.resume.is_some() {
            // These packets assumed that the session resumes; the client sends them again under new ids.
            self.held = None;
        }
        self.load_channels(now, hello, authenticated);
    }

    /// Asks the engine about the logs of the hello's channels, and continues when it has answered.
    fn load_channels(&mut self, now: Now, hello: Hello, authenticated: Authenticated) {
        let identity = self.identity_of(&authenticated);
        let channels_max = self.hub.limits().channels_max;
        let requested: Vec<_> = requested_channels(&identity, &hello)
            .into_iter()
            .filter(|(name, _)| identity.may_read(name, self.hub.rule(name).subscribe))
            .take(channels_max)
            .collect();
        let who = (self.holder_of(&identity), identity.user.as_ref());
        let mut lookups = PendingLookups::begin(&self.hub, now, &self.mailbox, who, requested.into_iter());
        self.take_lookups(&mut lookups);
        if let Stage::Opening(opening) = std::mem::replace(&mut self.stage, Stage::Closed) {
            self.stage = Stage::LoadingChannels(Box::new((opening, hello, authenticated, lookups)));
        }
        self.finish_loading(now);
    }

    /// Applies a lookup result for a hello or a `subscribe`.
    pub(super) fn handle_lookup(&mut self, now: Now, number: usize, stat: Result<StatResult, EngineError>) {
        if let Stage::LoadingChannels(waiting) = &mut self.stage {
            waiting.3.take(number, stat);
            return self.finish_loading(now);
        }
        if let Some((_, lookups)) = self.rare.as_mut().and_then(|rare| rare.subscribing.as_mut()) {
            lookups.take(number, stat);
            self.finish_subscribe(now);
        }
    }

    fn finish_loading(&mut self, now: Now) {
        if !matches!(&self.stage, Stage::LoadingChannels(waiting) if waiting.3.is_over()) {
            return;
        }
        let Stage::LoadingChannels(waiting) = std::mem::replace(&mut self.stage, Stage::Closed) else {
            return;
        };
        let (opening, hello, authenticated, lookups) = *waiting;
        self.stage = Stage::Opening(opening);
        if let Some(bye) = self.hub.draining() {
            return self.close_with_bye(now, None, bye);
        }
        match (lookups.end(), authenticated) {
            (Err(error), _) => self.close_for_engine(now, &error),
            (Ok(requests), Authenticated::Resume { claims, fresh }) => {
                self.resume(now, &hello, &claims, fresh.as_ref(), &requests)
            }
            (Ok(requests), Authenticated::New { login }) => self.begin(now, &hello, &login, &requests),
        }
    }

    /// Closes with a retry delay: the engine cannot answer a required lookup.
    pub(super) fn close_for_engine(&mut self, now: Now, error: &EngineError) {
        let retry_after_ms = Some(self.hub.retry_after_ms());
        let bye = Bye::new(ByeCode::Overloaded, error.to_string());
        self.close_with_bye(now, None, Bye { retry_after_ms, ..bye });
    }

    /// The identity behind a hello: the session's own where the session is in memory.
    fn identity_of(&self, authenticated: &Authenticated) -> Arc<Identity> {
        match authenticated {
            Authenticated::New { login } | Authenticated::Resume { fresh: Some(login), .. } => {
                Arc::clone(&login.identity)
            }
            Authenticated::Resume { claims, fresh: None } => {
                let known = self.hub.sessions().get(SessionId(claims.session));
                let identity = known
                    .and_then(|session| session.live().map(|session| Arc::clone(&session.login().identity)));
                identity.unwrap_or_else(|| Arc::new(identity_of(claims)))
            }
        }
    }

    fn check_ticket(&self, now: Now, ticket: &str) -> Result<Claims, Challenge> {
        let claims = self.hub.open_ticket(ticket).ok_or_else(|| {
            challenge("ticket_invalid", "the ticket was not issued by this gateway: log in again")
        })?;
        if !claims.source.is_some_and(|source| self.hub.accepts_logins_of(source)) {
            let words = "the source of the login behind the ticket is no longer accepted: log in again";
            return Err(challenge("ticket_revoked", words));
        }
        if claims.expires_at <= now.wall_ms {
            return Err(challenge("ticket_expired", "the ticket has expired: log in again"));
        }
        if self.hub.sessions().revocations().contains(SessionId(claims.session)) {
            return Err(revoked());
        }
        Ok(claims)
    }

    fn challenge(&mut self, now: Now, challenge: &Challenge) {
        if let Stage::Opening(opening) = &mut self.stage {
            opening.challenge(now, self.hub.limits());
            json::write_server(&mut self.control, "challenge", challenge);
        }
    }

    fn check_login(&mut self, auth: Auth, hello: Hello) {
        if let Stage::Opening(opening) = std::mem::replace(&mut self.stage, Stage::Closed) {
            self.stage = Stage::Authenticating(Box::new((opening, hello)));
            self.queue_output(Output::Login(auth));
        }
    }

    /// Resumes the session that a ticket names.
    fn resume(
        &mut self,
        now: Now,
        hello: &Hello,
        claims: &Claims,
        fresh: Option<&Login>,
        requests: &[ChannelRequest],
    ) {
        let id = SessionId(claims.session);
        let login = || fresh.cloned().unwrap_or_else(|| self.hub.login(now, identity_of(claims)));
        // By its user's id, or a guest's address.
        let who = (id, self.holder_of(&login().identity));
        let make = || Session::new(who, login(), Ledger::incomplete(), claims.incarnation, now);
        loop {
            let session = match self.hub.sessions().get_or_create(who, Claimant::Preferred, make) {
                Ok((session, _)) => session,
                Err(NoSession::Full) => return self.close_for_room(now),
                // Revoked after the ticket was checked.
                Err(NoSession::Revoked) => return self.challenge(now, &revoked()),
            };
            let claim = Claim {
                attempt: hello.resume.as_ref().map(|resume| resume.attempt),
                login: fresh.cloned(),
                seen: hello.resume.as_ref().and_then(|resume| resume.seen),
            };
            // If the session has just expired, the loop recreates it from the ticket.
            if let Some(living) = session.live() {
                let opened = Opened { session: &session, living, resumed: true };
                return self.attach(now, hello, opened, claim, requests);
            }
        }
    }

    /// Opens a new session, or the one that the same key opened a moment ago.
    fn begin(&mut self, now: Now, hello: &Hello, login: &Login, requests: &[ChannelRequest]) {
        let key_ids = hello.key.as_ref().map(|key| self.key_ids(now, key, &login.identity));
        let claim = || Claim { attempt: None, login: Some(login.clone()), seen: None };
        let mut used = None;
        for id in key_ids.into_iter().flatten() {
            let Some(session) = self.hub.sessions().get(id) else { continue };
            if let Some(living) = session.live()
                && now.mono_ms < living.opened_ms() + self.hub.limits().key_ms
            {
                let opened = Opened { session: &session, living, resumed: true };
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
                        let opened = Opened { session: &session, living, resumed: !made };
                        return self.attach(now, hello, opened, claim(), requests);
                    }
                }
                Err(NoSession::Full) => return self.close_for_room(now),
                // The client of this key ended the session.
                Err(NoSession::Revoked) => id = SessionId(self.hub.random().id()),
            }
        }
    }

    /// The holder of a session with this login: its user, or a guest's address.
    fn holder_of(&self, identity: &Identity) -> Holder {
        identity.user.as_ref().map_or(self.holder, |user| self.hub.holder(user.as_str().as_bytes()))
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
        let Opened { session, living, resumed } = opened;
        let owned = match living.take_over(&self.hub, now, &self.mailbox, claim) {
            Ok(owned) => owned,
            Err(bye) => return self.close_with_bye(now, None, bye),
        };
        let (login, incarnation) = (owned.login().clone(), owned.incarnation());
        let requests_seen = owned.ledger().requests_seen();
        drop(owned);
        let (ticket, ticket_expires_at) = self.hub.seal_ticket(now, session.id, incarnation, &login);
        let identity = Arc::clone(&login.identity);
        self.stage = Stage::Active(ActiveSession {
            session: Arc::clone(session),
            subscriptions: Vec::new(),
            auth_until_ms: until(now, login.expires_at),
            ticket_due_ms: ticket_due_ms(now, ticket_expires_at, &login),
            refreshing: None,
            is_new: !resumed,
        });
        if login.expires_at <= now.wall_ms {
            // The login expired while the hello waited for admission or for the engine.
            return self.close_expired(now);
        }
        let mut gaps = Vec::new();
        let cursors = hello.resume.as_ref().map(|resume: &Resume| &resume.cursors);
        let limits = self.hub.limits();
        let mut welcome = Welcome {
            session: session.id.to_string(),
            ticket,
            ticket_expires_at,
            resumed,
            user: identity.user.as_ref().map(ToString::to_string),
            requests_seen: resumed.then_some(requests_seen),
            ping_ms: limits.ping_ms,
            pong_ms: limits.pong_ms,
            park_ms: limits.park_ms,
            max_message_bytes: limits.message_bytes_max,
            now: now.wall_ms,
            node: self.hub.node().to_owned(),
            channels: std::collections::BTreeMap::new(),
        };
        self.restore(now, &identity, cursors.into_iter().flatten(), requests, &mut welcome, &mut gaps);
        json::write_server(&mut self.control, "welcome", &welcome);
        for gap in gaps {
            json::write_server(&mut self.control, "gap", &gap);
        }
        self.leave_dropped_rosters();
    }

    /// Subscribes to the channels of the cursors and to the user's own channel.
    fn restore<'c>(
        &mut self,
        now: Now,
        identity: &Identity,
        cursors: impl Iterator<Item = (&'c String, &'c Cursor)>,
        requests: &[ChannelRequest],
        welcome: &mut Welcome,
        gaps: &mut Vec<Gap>,
    ) {
        // Names and epochs are short; escapes may double them. The client subscribes afterwards to channels
        // that do not fit.
        const CHANNEL_BYTES: usize = 160;
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
        let own = own_channel(identity);
        for (name, _) in cursors.filter(|(name, _)| own.as_ref().is_none_or(|own| own.as_str() != *name)) {
            let bytes = CHANNEL_BYTES + 2 * name.len();
            if room < bytes {
                continue;
            }
            room -= bytes;
            let subscribed =
                self.parse_readable(name).and_then(|channel| self.subscribe_to(now, &channel, requests));
            note(name.clone(), subscribed);
        }
        if let Some(own) = own {
            note(own.to_string(), self.subscribe_to(now, &own, requests));
        }
    }

    fn subscribe_to(
        &mut self,
        now: Now,
        name: &ChannelName,
        requests: &[ChannelRequest],
    ) -> Result<(Subscribed, Option<Gap>), ErrorBody> {
        match requests.iter().find(|request| request.name == *name) {
            Some(request) => self.subscribe(now, request),
            // The login changed while the engine was asked, or there are too many channels.
            None => Err(ErrorBody::new(
                ErrorCode::Limit,
                "the state of this channel was not loaded: subscribe to it",
            )),
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
        json::write_server(
            &mut self.control,
            "ticket",
            &tautline_protocol::packet::server::Ticket { ticket, expires_at },
        );
    }

    /// The channel of this name, if the client may read it.
    pub(super) fn parse_readable(&self, name: &str) -> Result<ChannelName, ErrorBody> {
        self.parse_readable_by(name).map(|(channel, _)| channel)
    }

    /// The channel of this name, if the client may read it, with its requester.
    pub(super) fn parse_readable_by(&self, name: &str) -> Result<(ChannelName, Requester), ErrorBody> {
        let channel = parse_channel(name)?;
        let Stage::Active(open) = &self.stage else { return Err(no_session()) };
        let asked_by = open.session.owned_by(&self.mailbox).map(|session| Requester::of(&session));
        let asked_by = asked_by.ok_or_else(no_session)?;
        match asked_by.identity.may_read(&channel, self.hub.rule(&channel).subscribe) {
            true => Ok((channel, asked_by)),
            false => Err(ErrorBody::new(ErrorCode::PermissionDenied, "you may not read this channel")),
        }
    }
}

/// The channels that a hello reads, each with its start position: the cursors' channels and the user's own.
fn requested_channels(identity: &Identity, hello: &Hello) -> Vec<(ChannelName, ReadFrom)> {
    let own = own_channel(identity);
    let mut own_from = ReadFrom::Acked;
    let mut requested = Vec::new();
    for (name, cursor) in hello.resume.iter().flat_map(|resume| &resume.cursors) {
        let from = ReadFrom::Cursor(cursor.clone());
        match ChannelName::parse(name) {
            Ok(name) if own.as_ref() == Some(&name) => own_from = from,
            Ok(name) => requested.push((name, from)),
            Err(_) => {}
        }
    }
    // First, because the user's own channel must be included however many others are named.
    requested.splice(0..0, own.map(|own| (own, own_from)));
    requested
}

fn own_channel(identity: &Identity) -> Option<ChannelName> {
    identity.user.as_ref().and_then(|user| ChannelName::of_user(user).ok())
}

pub(super) fn parse_channel(name: &str) -> Result<ChannelName, ErrorBody> {
    ChannelName::parse(name).map_err(|invalid| ErrorBody::new(ErrorCode::BadRequest, invalid.to_string()))
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

fn challenge(code: &'static str, message: &str) -> Challenge {
    Challenge { code: Cow::Borrowed(code), message: message.to_owned() }
}

fn revoked() -> Challenge {
    challenge("ticket_revoked", "the session was ended: log in again")
}

/// Error for a request whose connection has lost its session.
pub(super) fn no_session() -> ErrorBody {
    ErrorBody::new(ErrorCode::Internal, "this connection no longer has a session")
}

fn identity_of(claims: &Claims) -> Identity {
    Identity {
        user: claims.user.as_deref().and_then(|user| UserId::parse(user).ok()),
        channels: claims.channels.iter().filter_map(|pattern| Pattern::parse(pattern).ok()).collect(),
        source: claims.source.unwrap_or_default(),
        expires_at: Some(claims.auth_expires_at),
    }
}
