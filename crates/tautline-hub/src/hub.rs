//! The hub: what all connections of a node share.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
};

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tautline_protocol::{
    ByeCode, ChannelName, ErrorCode, InvalidName, Limits, Now, ReadFrom, RequestId, UserId,
    packet::server::{Bye, ErrorBody, Published},
    server::Ledger,
};

use crate::{
    ChannelRule, Identity, Peer, ReplyTo, Retention,
    acks::Acks,
    bell::Bell,
    channel::{Appended, Channel, Joined, Joining, Publish, Ring},
    channels::Channels,
    log::Origin,
    random::Random,
    reply,
    rules::{Access, PresenceMode},
    session::{Login, Session, SessionState},
    sessions::Sessions,
    sync::lock,
    ticket::{Claims, TicketKeys},
};

/// The middle of the time after which those who found no room come again, in milliseconds.
const OVERLOAD_RETRY_MS: u64 = 4_000;

/// What a hub is made with.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// Every ceiling.
    pub limits: Limits,
    /// Who may do what where; the first rule that matches a channel counts. None means that only the back end may
    /// publish and nobody may subscribe.
    pub rules: Vec<ChannelRule>,
    /// This node's name, shown in `welcome`.
    pub node: String,
    /// Keys of tickets: the first seals, all open. At least one.
    pub ticket_keys: Vec<[u8; 32]>,
}

/// What a back end may say beside a publication's data.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublishOptions<'a> {
    /// Labels that travel with the publication; a JSON object.
    pub tags: Option<&'a RawValue>,
    /// Makes repeating harmless: for as long as the log keeps the publication, the same key in the same channel is the
    /// same publication.
    pub idempotency_key: Option<&'a str>,
}

/// What became of what was pushed to a user: sent is not delivered, and delivered is not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Inbox {
    /// The log's life.
    pub epoch: String,
    /// The last offset pushed; 0 before the first.
    pub sent: u64,
    /// When that was, in wall milliseconds.
    pub at: u64,
    /// How many are kept, the last ones.
    pub kept: u64,
    /// The last offset that was handed to a connection of the user's. It may have been lost with that connection.
    pub delivered: u64,
    /// The last offset that an app of the user's has handled.
    pub acknowledged: u64,
    /// Connections of the user's on this node.
    pub connections: usize,
}

/// Figures of the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubStats {
    /// Connections, those included that are not welcome yet.
    pub connections: usize,
    /// Sessions, parked ones included.
    pub sessions: usize,
    /// Channels that somebody reads or that have something to read.
    pub channels: usize,
    /// Bytes of publications in all logs.
    pub log_bytes: usize,
    /// Bytes of replies that clients have not seen yet.
    pub reply_bytes: usize,
    /// Publications since the start.
    pub publications: u64,
}

/// The shared heart of a node. Cheap to clone; every clone is the same hub.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    limits: Limits,
    rules: Vec<Arc<ChannelRule>>,
    /// Rules of inboxes: what they keep.
    inboxes: Vec<Arc<ChannelRule>>,
    closed: Arc<ChannelRule>,
    guest: Arc<Identity>,
    node: String,
    epoch: String,
    keys: TicketKeys,
    random: Random,
    channels: Channels,
    sessions: Sessions,
    acks: Acks,
    pump: Mutex<Pump>,
    next_connection: AtomicU64,
    connections: AtomicUsize,
    log_bytes: AtomicUsize,
    reply_bytes: AtomicUsize,
    publications: AtomicU64,
    draining: AtomicBool,
    drain_spread_ms: AtomicU64,
}

#[derive(Default)]
struct Pump {
    queue: VecDeque<Arc<Channel>>,
    waker: Option<Waker>,
}

impl Hub {
    /// A hub without channels and sessions. Whoever knows `seed` can guess session ids: it must be random outside tests.
    ///
    /// # Panics
    /// When there is no ticket key.
    #[must_use]
    pub fn new(config: HubConfig, seed: [u8; 32]) -> Self {
        let random = Random::new(seed);
        let channel_count_max = config.limits.channel_count_max;
        let closed = ChannelRule {
            pattern: tautline_protocol::Pattern::parse("*").expect("a valid pattern"),
            subscribe: Access::None,
            publish: Access::None,
            presence: PresenceMode::Off,
            retention: Retention::default(),
            ack: true,
        };
        let inbox = |rule: &ChannelRule| rule.pattern.as_str().starts_with(ChannelName::USER_PREFIX);
        let (inboxes, rules): (Vec<_>, Vec<_>) = config.rules.into_iter().partition(inbox);
        let locked = |rule: ChannelRule| ChannelRule {
            pattern: rule.pattern,
            retention: rule.retention,
            ..closed.clone()
        };
        Self(Arc::new(Inner {
            keys: TicketKeys::new(&config.ticket_keys),
            acks: Acks::new(config.limits.acks_max),
            limits: config.limits,
            rules: rules.into_iter().map(Arc::new).collect(),
            inboxes: inboxes.into_iter().map(|rule| Arc::new(locked(rule))).collect(),
            closed: Arc::new(closed),
            guest: Arc::default(),
            node: config.node,
            // All logs of a node in memory are lost together, so one epoch serves them all.
            epoch: format!("{:x}", random.id() >> 80),
            random,
            channels: Channels::new(channel_count_max),
            sessions: Sessions::new(),
            pump: Mutex::default(),
            next_connection: AtomicU64::new(1),
            connections: AtomicUsize::new(0),
            log_bytes: AtomicUsize::new(0),
            reply_bytes: AtomicUsize::new(0),
            publications: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            drain_spread_ms: AtomicU64::new(0),
        }))
    }

    /// Every ceiling.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The server's end of a new connection; `waker` is woken when [`Peer::poll_output`] has something new.
    #[must_use]
    pub fn peer(&self, now: Now, waker: Waker) -> Peer {
        let connection = self.0.next_connection.fetch_add(1, Ordering::Relaxed);
        self.0.connections.fetch_add(1, Ordering::Relaxed);
        Peer::new(self.clone(), Bell::new(connection, waker), now)
    }

    /// Appends for the back end: no rule is asked. A key that the log still knows changes nothing and is answered as it was
    /// the first time.
    ///
    /// # Errors
    /// `overloaded` or `limit` when the node is full.
    pub fn publish(
        &self,
        now: Now,
        channel: &ChannelName,
        data: &RawValue,
        options: PublishOptions<'_>,
    ) -> Result<Published, ErrorBody> {
        let origin = options.idempotency_key.map(|key| Origin::Key(digest(key)));
        let new = Publish { from: None, tags: options.tags.map(RawValue::get), origin };
        self.append(now, channel, data.get(), new)
    }

    /// What became of what was pushed to a user.
    ///
    /// # Errors
    /// [`InvalidName`] where the user's id cannot have an inbox.
    pub fn inbox(&self, user: &UserId) -> Result<Inbox, InvalidName> {
        let channel = ChannelName::of_user(user)?;
        let standing = self.0.channels.standing(&channel);
        Ok(Inbox {
            epoch: self.0.epoch.clone(),
            sent: standing.head,
            at: standing.head_at,
            kept: standing.head - standing.base,
            delivered: standing.delivered,
            acknowledged: self.0.acks.get(user, &channel).unwrap_or(0),
            connections: standing.subscribers,
        })
    }

    /// Settles a call that [`crate::Output::Call`] handed out.
    pub fn answer(&self, to: ReplyTo, result: Result<&RawValue, ErrorBody>) {
        to.settle(result);
    }

    /// Rings the next chunk of subscribers. True: there is more; let others run and call again.
    pub fn pump(&self) -> bool {
        let Some(channel) = lock(&self.0.pump).queue.pop_front() else { return false };
        let more_of_channel = channel.ring_chunk();
        let mut pump = lock(&self.0.pump);
        if more_of_channel {
            // Behind the others: one large channel must not hold them up.
            pump.queue.push_back(channel);
        }
        !pump.queue.is_empty()
    }

    /// Who is woken when there is something to [`Hub::pump`].
    pub fn set_pump_waker(&self, waker: Waker) {
        lock(&self.0.pump).waker = Some(waker);
    }

    /// Housekeeping: sessions parked for too long, publications too old, channels nobody needs. Call about once a second.
    pub fn tick(&self, now: Now) {
        let parked_since = now.mono_ms.checked_sub(self.0.limits.park_ms);
        for parked in parked_since.map(|until| self.0.sessions.parked_until(until)).unwrap_or_default() {
            let Some(session) = self.0.sessions.get(parked.id) else { continue };
            let expired = {
                let state = session.lock();
                state.bell.is_none() && state.parks == parked.parks
            };
            if expired {
                self.end(&session);
            }
        }
        self.0.sessions.forget_revoked(now.wall_ms);
        let given_back = self.0.channels.tidy_some(now.wall_ms, self.0.limits.ticket_ms);
        self.0.log_bytes.fetch_sub(given_back, Ordering::Relaxed);
    }

    /// Tells every connection `bye{server_restart}`, its `retry_after_ms` spread over `spread_ms`; a `hello` gets the
    /// same answer until [`Hub::reopen`].
    pub fn drain(&self, spread_ms: u64) {
        self.0.drain_spread_ms.store(spread_ms, Ordering::Relaxed);
        self.0.draining.store(true, Ordering::Release);
        for session in self.0.sessions.all() {
            let bell = session.lock().bell.clone();
            if let Some(bell) = bell {
                bell.dismiss(self.drain_bye());
            }
        }
    }

    /// Takes [`Hub::drain`] back: clients may come again.
    pub fn reopen(&self) {
        self.0.draining.store(false, Ordering::Release);
    }

    /// Figures of the moment.
    #[must_use]
    pub fn stats(&self) -> HubStats {
        HubStats {
            connections: self.0.connections.load(Ordering::Relaxed),
            sessions: self.0.sessions.len(),
            channels: self.0.channels.len(),
            log_bytes: self.0.log_bytes.load(Ordering::Relaxed),
            reply_bytes: self.0.reply_bytes.load(Ordering::Relaxed),
            publications: self.0.publications.load(Ordering::Relaxed),
        }
    }
}

/// What connections ask of the hub.
impl Hub {
    pub(crate) fn epoch(&self) -> &str {
        &self.0.epoch
    }

    /// A checked login; one without an expiry of its own gets the longest life that a login may have.
    pub(crate) fn login(&self, now: Now, mut identity: Identity) -> Login {
        let latest = now.wall_ms + self.0.limits.auth_age_ms;
        let expires_at = identity.expires_at.take().unwrap_or(latest);
        let is_guest = identity == Identity::default();
        let identity = if is_guest { Arc::clone(&self.0.guest) } else { Arc::new(identity) };
        Login { identity, expires_at }
    }

    pub(crate) fn node(&self) -> &str {
        &self.0.node
    }

    pub(crate) fn random(&self) -> &Random {
        &self.0.random
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    /// The last word while draining; `None` while open.
    pub(crate) fn draining(&self) -> Option<Bye> {
        self.0.draining.load(Ordering::Acquire).then(|| self.drain_bye())
    }

    /// When one of those who are sent away is to come again: spread, so that they do not come together.
    pub(crate) fn retry_after_ms(&self) -> u64 {
        OVERLOAD_RETRY_MS / 2 + self.0.random.below(OVERLOAD_RETRY_MS)
    }

    fn drain_bye(&self) -> Bye {
        let spread_ms = self.0.drain_spread_ms.load(Ordering::Relaxed);
        let retry_after_ms = Some(self.0.random.below(spread_ms + 1));
        Bye {
            retry_after_ms,
            ..Bye::new(ByeCode::ServerRestart, "the server restarts, come back in a moment")
        }
    }

    /// The rule that holds for a channel. Inboxes belong to the gateway: no rule opens them to clients.
    pub(crate) fn rule(&self, channel: &ChannelName) -> Arc<ChannelRule> {
        let rules = if channel.is_user() { &self.0.inboxes } else { &self.0.rules };
        let rule = rules.iter().find(|rule| rule.pattern.matches(channel.as_str()));
        Arc::clone(rule.unwrap_or(&self.0.closed))
    }

    pub(crate) fn acks(&self) -> &Acks {
        &self.0.acks
    }

    pub(crate) fn find_channel(&self, name: &ChannelName) -> Option<Arc<Channel>> {
        self.0.channels.get(name)
    }

    /// Subscribes; a channel that is being forgotten meanwhile is opened anew.
    pub(crate) fn join(
        &self,
        name: &ChannelName,
        who: &Joining<'_>,
        from: &ReadFrom,
    ) -> Result<(Arc<Channel>, Joined), ErrorBody> {
        loop {
            let channel = self.open_channel(name)?;
            if let Some(joined) = channel.join(who, from) {
                self.pump_if(joined.ring, &channel);
                return Ok((channel, joined));
            }
        }
    }

    /// Appends a publication and rings who reads the channel.
    pub(crate) fn append(
        &self,
        now: Now,
        name: &ChannelName,
        data: &str,
        new: Publish<'_>,
    ) -> Result<Published, ErrorBody> {
        if self.0.log_bytes.load(Ordering::Relaxed) >= self.0.limits.log_bytes_max {
            let full = ErrorBody::new(ErrorCode::Overloaded, "the logs of this node are full");
            return Err(ErrorBody { retry_after_ms: Some(1000), ..full });
        }
        let Publish { from, tags, origin } = new;
        loop {
            let channel = self.open_channel(name)?;
            let Some(appended) = channel.publish(now.wall_ms, data, Publish { from, tags, origin }) else {
                continue;
            };
            let Appended { offset, at, bytes_before, bytes_after, ring, repeated } = appended;
            self.0.log_bytes.fetch_add(bytes_after, Ordering::Relaxed);
            self.0.log_bytes.fetch_sub(bytes_before, Ordering::Relaxed);
            self.0.publications.fetch_add(u64::from(!repeated), Ordering::Relaxed);
            self.pump_if(ring, &channel);
            return Ok(Published { epoch: self.0.epoch.clone(), offset, at });
        }
    }

    /// Hands a channel to the pump if more of its subscribers wait to be rung.
    pub(crate) fn pump_if(&self, ring: Ring, channel: &Arc<Channel>) {
        if ring == Ring::Pump {
            let mut pump = lock(&self.0.pump);
            pump.queue.push_back(Arc::clone(channel));
            if let Some(waker) = &pump.waker {
                waker.wake_by_ref();
            }
        }
    }

    /// Works on a session's book and keeps the node's sum of reply bytes.
    pub(crate) fn book<T>(&self, state: &mut SessionState, work: impl FnOnce(&mut Ledger) -> T) -> T {
        let before = state.ledger.reply_bytes();
        let done = work(&mut state.ledger);
        self.0.reply_bytes.fetch_add(state.ledger.reply_bytes(), Ordering::Relaxed);
        self.0.reply_bytes.fetch_sub(before, Ordering::Relaxed);
        done
    }

    /// True while the unseen replies of all sessions are within their budget.
    pub(crate) fn has_room_for_replies(&self) -> bool {
        self.0.reply_bytes.load(Ordering::Relaxed) < self.0.limits.replies_bytes_max
    }

    /// Ends a session: leaves its rosters, drops its replies. Its tickets stay good unless they are revoked.
    pub(crate) fn end(&self, session: &Session) {
        let present_in = {
            let mut state = session.lock();
            state.ended = true;
            self.book(&mut state, |ledger| *ledger = Ledger::new());
            std::mem::take(&mut state.present_in)
        };
        self.0.sessions.remove(session.id);
        for channel in present_in.iter() {
            let ring = channel.with_presence(|presence, name| presence.leave(name, session.id));
            self.pump_if(ring, channel);
        }
    }

    /// A ticket for a session, and when it expires.
    pub(crate) fn seal_ticket(&self, now: Now, session: &Session, login: &Login) -> (String, u64) {
        let Login { identity, expires_at: auth_expires_at } = login;
        let auth_expires_at = *auth_expires_at;
        let expires_at = auth_expires_at.min(now.wall_ms + self.0.limits.ticket_ms);
        // A session older than these logs stays so for as long as it lives: another epoch in its tickets says it, also to a
        // node that has forgotten the session meanwhile.
        let epoch = if session.lock().logs_whole { self.0.epoch.clone() } else { String::new() };
        let claims = Claims {
            session: session.id.0,
            user: identity.user.as_ref().map(ToString::to_string),
            channels: identity.channels.iter().map(|pattern| pattern.as_str().to_owned()).collect(),
            auth_expires_at,
            expires_at,
            node: self.0.node.clone(),
            epoch,
        };
        (self.0.keys.seal(&claims, &self.0.random.bytes()), expires_at)
    }

    pub(crate) fn open_ticket(&self, ticket: &str) -> Option<Claims> {
        self.0.keys.open(ticket)
    }

    pub(crate) fn connection_ended(&self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }

    fn open_channel(&self, name: &ChannelName) -> Result<Arc<Channel>, ErrorBody> {
        if let Some(found) = self.0.channels.get(name) {
            return Ok(found);
        }
        if self.0.channels.len() >= self.0.limits.channel_count_max {
            return Err(ErrorBody::new(ErrorCode::Limit, "this node has as many channels as it may have"));
        }
        Ok(self.0.channels.get_or_open(name, || self.rule(name)))
    }
}

fn digest(key: &str) -> u128 {
    let digest = Sha256::digest(key);
    u128::from_le_bytes(digest[..16].try_into().expect("16 of 32 bytes"))
}

/// Settles one request of a session: keeps the reply and sends it to the connection that asked last.
pub(crate) fn settle(hub: &Hub, session: &Session, id: RequestId, result: Result<&str, &ErrorBody>) {
    let mut line = Vec::new();
    reply::write(&mut line, id, result);
    let mut state = session.lock();
    if state.ended {
        return;
    }
    let asked = hub.book(&mut state, |ledger| ledger.settle(id, &line));
    if let Some(bell) = &state.bell {
        // Even where the reply is not for it: one request less is running, so it may read on.
        let line = if asked == Some(bell.connection) { &line[..] } else { &[] };
        bell.post(line);
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("node", &self.0.node)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
