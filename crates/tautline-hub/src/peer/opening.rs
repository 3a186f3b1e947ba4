//! From `hello` to the session that it opens: admission, tickets, logins, lookups (protocol, section 3).
//!
//! Start at [`Peer::handle_opening_packet`].

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use tautline_engine::{EngineError, StatResult, budget::Holder};
use tautline_protocol::{
    ByeCode, ChannelName, Now, Pattern, ReadFrom, UserId, json,
    packet::{
        Auth, Hello,
        client::{ClientInfo, ClientPacket},
        server::{Bye, Challenge},
    },
    server::Step,
};

use super::{
    Peer,
    lookup::PendingLookups,
    output::Output,
    stage::{Authenticated, Authenticating, LoadingChannels, Ownership, Queued, Stage},
};
use crate::{
    CallKey, Client, Decision, Hub, Identity, LoginRefused, Permission,
    admission::HelloKind,
    bans::bye_banned_address,
    counters::NEW_SESSION,
    questions::{AuthenticateQuestion, LoginResult, QuestionAnswer, Reply},
    session::{Login, id::SessionId},
    ticket::{Claims, DetailsClaims},
};

impl Peer {
    pub(super) fn handle_opening_packet(&mut self, now: Now, packet: ClientPacket<'_>) {
        let Stage::Opening(opening) = &mut self.stage else { return };
        match opening.handle_packet(packet, self.hub.limits()) {
            Step::Hello(hello) => self.handle_hello(now, *hello),
            Step::Ignore => {}
            Step::Bye(bye) => self.close_with_bye(now, None, bye),
        }
    }

    /// The client's address, before the session has it.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.rare.as_ref().and_then(|rare| rare.address)
    }

    /// Processes a hello at once, or queues it for admission.
    fn handle_hello(&mut self, now: Now, hello: Hello) {
        if self.address().is_some_and(|address| self.hub.bans().has_address(address)) {
            return self.close_with_bye(now, None, bye_banned_address());
        }
        if !self.charge_hello(now) {
            return;
        }
        let kind = if hello.resume.is_some() { HelloKind::Resume } else { HelloKind::New };
        if self.hub.try_admit(now, kind, self.holder, &self.mailbox) {
            return self.identify(now, hello);
        }
        let until_ms = match kind {
            HelloKind::Resume => u64::MAX,
            HelloKind::New => now.mono_ms.saturating_add(self.hub.hub_limits().admission_wait_ms),
        };
        if let Stage::Opening(opening) = std::mem::replace(&mut self.stage, Stage::Closed) {
            self.stage = Stage::Queued(Box::new(Queued { opening, hello, until_ms }));
        }
    }

    /// The admission queue admitted the waiting hello.
    pub(super) fn on_admitted(&mut self, now: Now) {
        match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Queued(waiting) => {
                self.stage = Stage::Opening(waiting.opening);
                self.identify(now, waiting.hello);
            }
            // The connection was closed in the meantime.
            stage => self.stage = stage,
        }
    }

    /// The admission queue did not admit the hello in time.
    pub(super) fn on_admission_timeout(&mut self, now: Now) {
        self.hub.0.counters.count_admission_timeout();
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
            Some(Err(challenge)) if hello.auth.is_none() => {
                self.tell_challenge(now, &hello, &challenge);
                return self.challenge(now, &challenge);
            }
            Some(Err(_)) => None,
        };
        match (ticket, hello.auth.clone()) {
            // A token beside a valid ticket is checked: it may belong to another user. Any other login is not
            // needed.
            (Some(_), Some(auth @ Auth::Token { .. })) | (None, Some(auth)) => self.check_login(auth, hello),
            (Some(claims), _) => self.load_channels(
                now,
                hello,
                Authenticated::Resume { claims: Box::new(claims), fresh: None },
            ),
            (None, None) => {
                let words = "a first `hello` needs `auth`";
                self.close_with_bye(now, None, Bye::new(ByeCode::Unauthorized, words));
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
        let is_ended = self.hub.sessions().revocations().contains(SessionId(claims.session));
        let identity = identity_of(&claims);
        if is_ended || self.hub.is_revoked(&identity) || self.hub.is_banned(&identity) {
            return Err(revoked());
        }
        Ok(claims)
    }

    pub(super) fn challenge(&mut self, now: Now, challenge: &Challenge) {
        if let Stage::Opening(opening) = &mut self.stage {
            opening.challenge(now, self.hub.limits());
            json::write_server(&mut self.control, "challenge", challenge);
            self.hub.0.counters.count_challenge(&challenge.code);
        }
    }

    fn check_login(&mut self, auth: Auth, hello: Hello) {
        let is_code = matches!(auth, Auth::Code { .. });
        let question = self.authenticate(auth, hello.client.clone().map(Arc::new), None);
        if let Stage::Opening(opening) = std::mem::replace(&mut self.stage, Stage::Closed) {
            self.stage =
                Stage::Authenticating(Box::new(Authenticating { opening, hello, question, is_code }));
        }
    }

    /// Has a login checked. Returns the number of the question.
    pub(super) fn authenticate(
        &mut self,
        auth: Auth,
        client: Option<Arc<ClientInfo>>,
        refreshes: Option<(CallKey, Arc<Identity>)>,
    ) -> u64 {
        let (number, mailbox) = (self.hub.next_question(), Arc::clone(&self.mailbox));
        let deliver = move |login| mailbox.deliver_answer(number, QuestionAnswer::Login(login));
        let question = AuthenticateQuestion { auth, client, refreshes, holder: self.holder };
        self.queue_output(Output::Authenticate(question, Reply::to_login(deliver)));
        number
    }

    /// Takes the result of a checked login. One that is no longer awaited is ignored.
    pub(super) fn take_login(&mut self, now: Now, number: u64, result: LoginResult) {
        match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Authenticating(waiting) if waiting.question == number => {
                let Authenticating { opening, hello, is_code, .. } = *waiting;
                self.stage = Stage::Opening(opening);
                // Of a login that is refused, for its story.
                let identity = result.as_ref().ok().filter(|_| self.hub.keeps_stories()).cloned();
                let login = self.hub.accept_login(now, result, is_code);
                self.handle_hello_login(now, hello, login, identity);
            }
            stage => {
                self.stage = stage;
                let refreshing = self
                    .rare
                    .as_mut()
                    .and_then(|rare| rare.refreshing.take_if(|asked| asked.question == number));
                self.rare.take_if(|rare| rare.is_empty());
                if let Some(asked) = refreshing {
                    self.finish_refresh(now, &asked, result);
                }
            }
        }
    }

    /// Continues a hello whose login was checked.
    fn handle_hello_login(
        &mut self,
        now: Now,
        hello: Hello,
        login: Result<Login, LoginRefused>,
        identity: Option<Identity>,
    ) {
        let login = match login {
            Ok(login) => login,
            Err(refused) => {
                let bye = refused.to_bye(|| self.hub.retry_after_ms());
                return self.refuse_hello(now, identity.as_ref().map(|identity| (None, identity)), bye);
            }
        };
        let ticket = hello.resume.as_ref().map(|resume| self.check_ticket(now, &resume.ticket));
        let why_new = match &ticket {
            Some(Err(challenge)) => Some(challenge.code.clone()),
            Some(Ok(_)) => Some("other_user".into()),
            None => None,
        };
        let authenticated = match ticket.and_then(Result::ok) {
            Some(claims) if claims.user.as_deref() == login.identity.user.as_ref().map(UserId::as_str) => {
                Authenticated::Resume { claims: Box::new(claims), fresh: Some(login) }
            }
            _ => {
                why_new.iter().for_each(|reason| self.hub.0.counters.count_resume(NEW_SESSION, reason));
                Authenticated::New { login }
            }
        };
        if matches!(authenticated, Authenticated::New { .. }) && hello.resume.is_some() {
            // These packets assumed that the session resumes; the client sends them again under new ids.
            self.held = None;
        }
        self.load_channels(now, hello, authenticated);
    }

    /// Asks the engine about the logs of the hello's channels, and continues when it has answered.
    fn load_channels(&mut self, now: Now, hello: Hello, authenticated: Authenticated) {
        if self.charge_hello_of(now, &self.identity_of(&authenticated)) {
            let ownership = self.claim(now, &hello, &authenticated);
            self.look_up(now, hello, authenticated, ownership);
        }
    }

    fn look_up(&mut self, now: Now, hello: Hello, authenticated: Authenticated, ownership: Ownership) {
        let (identity, requested) = self.permitted_channels(now, &hello, &authenticated);
        let who = (self.holder_of(&identity), identity.user.as_ref());
        let mut lookups = PendingLookups::begin(&self.hub, now, &self.mailbox, who, requested.into_iter());
        self.take_lookups(&mut lookups);
        if let Stage::Opening(opening) = std::mem::replace(&mut self.stage, Stage::Closed) {
            let loading = LoadingChannels { opening, hello, authenticated, lookups, ownership };
            self.stage = Stage::LoadingChannels(Box::new(loading));
        }
        match self.mailbox.take_claim() {
            Some(claim) => self.handle_claim(now, claim),
            None => self.finish_loading(now, false),
        }
    }

    /// Who says hello, and the channels to which it is to be subscribed.
    fn permitted_channels(
        &self,
        now: Now,
        hello: &Hello,
        authenticated: &Authenticated,
    ) -> (Arc<Identity>, Vec<(ChannelName, ReadFrom)>) {
        let identity = self.identity_of(authenticated);
        let client = match authenticated {
            Authenticated::Resume { claims, .. } => Client::in_session(&identity, SessionId(claims.session)),
            Authenticated::New { .. } => Client::new(&identity),
        };
        let channels_max = self.hub.limits().channels_max;
        let session = match authenticated {
            Authenticated::Resume { claims, .. } => self.hub.sessions().get(SessionId(claims.session)),
            Authenticated::New { .. } => None,
        };
        let was_granted = |name: &ChannelName| {
            let live = session.as_ref().and_then(|session| session.live());
            live.is_some_and(|live| live.grants().allows(now.mono_ms, name, Permission::Subscribe))
        };
        let requested = requested_channels(&self.hub, &identity, hello)
            .into_iter()
            .filter(|(name, _)| match client.decide(self.hub.rules().of(name), name, Permission::Subscribe) {
                Decision::Allow => true,
                Decision::Deny => false,
                Decision::Ask => was_granted(name),
            })
            .take(channels_max)
            .collect();
        (identity, requested)
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

    /// The holder of a session with this login: its user, or a guest's address.
    pub(super) fn holder_of(&self, identity: &Identity) -> Holder {
        identity.user.as_ref().map_or(self.holder, |user| self.hub.holder(user.as_str().as_bytes()))
    }

    /// Applies a lookup result for a hello or a `subscribe`.
    pub(super) fn handle_lookup(&mut self, now: Now, number: usize, stat: Result<StatResult, EngineError>) {
        if let Stage::LoadingChannels(waiting) = &mut self.stage {
            waiting.lookups.take(number, stat);
            return self.finish_loading(now, true);
        }
        if let Some(pending) = self.rare.as_mut().and_then(|rare| rare.subscribing.as_mut()) {
            pending.lookups.take(number, stat);
            self.finish_subscribe(now);
        }
    }

    /// Applies the lookup results received so far.
    pub(super) fn take_lookups(&mut self, lookups: &mut PendingLookups) {
        for (number, stat) in self.mailbox.take_lookups() {
            lookups.take(number, stat);
        }
    }

    /// Goes on once all is looked up. `has_waited`: the login may have changed since the engine was asked.
    pub(super) fn finish_loading(&mut self, now: Now, has_waited: bool) {
        let is_over = |waiting: &LoadingChannels| waiting.lookups.is_over() && waiting.ownership.is_known();
        if !matches!(&self.stage, Stage::LoadingChannels(waiting) if is_over(waiting)) {
            return;
        }
        let Stage::LoadingChannels(waiting) = std::mem::replace(&mut self.stage, Stage::Closed) else {
            return;
        };
        let LoadingChannels { opening, hello, authenticated, lookups, ownership } = *waiting;
        self.stage = Stage::Opening(opening);
        if let Some(bye) = self.hub.draining() {
            return self.close_with_bye(now, None, bye);
        }
        if has_waited && matches!(authenticated, Authenticated::Resume { .. }) {
            let (_, permitted) = self.permitted_channels(now, &hello, &authenticated);
            if permitted.iter().any(|(channel, _)| !lookups.includes(channel)) {
                return self.look_up(now, hello, authenticated, ownership);
            }
        }
        match (lookups.end(), authenticated) {
            (Err(error), _) => self.close_for_engine(now, &error),
            (Ok(requests), Authenticated::Resume { claims, fresh }) => {
                self.resume(now, &hello, &claims, (fresh.as_ref(), ownership), &requests)
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
}

/// The channels that a hello reads, each with its start position: the cursors' channels, those to which the
/// login subscribes, and the user's own.
fn requested_channels(hub: &Hub, identity: &Identity, hello: &Hello) -> Vec<(ChannelName, ReadFrom)> {
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
    let is_named =
        |name: &ChannelName| own.as_ref() == Some(name) || requested.iter().any(|(it, _)| it == name);
    let unnamed: Vec<_> = identity.subs().iter().filter(|name| !is_named(name)).cloned().collect();
    let from = |name: &ChannelName| match hub.rules().of(name).ack && identity.user.is_some() {
        true => ReadFrom::Acked,
        false => ReadFrom::Now,
    };
    // First, because these must be included however many others are named.
    requested.splice(0..0, unnamed.into_iter().map(|name| (name.clone(), from(&name))));
    requested.splice(0..0, own.map(|own| (own, own_from)));
    requested
}

pub(super) fn own_channel(identity: &Identity) -> Option<ChannelName> {
    identity.user.as_ref().and_then(|user| ChannelName::of_user(user).ok())
}

fn challenge(code: &'static str, message: &str) -> Challenge {
    Challenge { code: Cow::Borrowed(code), message: message.to_owned() }
}

pub(super) fn revoked() -> Challenge {
    challenge("ticket_revoked", "the session was ended: log in again")
}

pub(super) fn identity_of(claims: &Claims) -> Identity {
    Identity {
        user: claims.user.as_deref().and_then(|user| UserId::parse(user).ok()),
        channels: claims.channels.iter().filter_map(|pattern| Pattern::parse(pattern).ok()).collect(),
        source: claims.source.unwrap_or_default(),
        expires_at: Some(claims.auth_expires_at),
        // Tickets from before this field existed: each revocation of the user ends them.
        issued_at_ms: Some(claims.issued_at_ms.unwrap_or(0)),
        details: claims.details.as_ref().and_then(DetailsClaims::to_details),
    }
}
