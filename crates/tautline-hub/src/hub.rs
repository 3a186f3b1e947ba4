//! The hub: state that all connections of a node share.
//!
//! Start at [`Hub::new`]. [`Hub::peer`] and [`Hub::publish`] are beside what they begin.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
    task::Waker,
};

use tautline_engine::{
    Answer, Engine, Job, Retention, Revocation, Revoke,
    budget::{Claimant, Holder},
};
use tautline_protocol::{
    ByeCode, ChannelName, ErrorCode, Limits, Now,
    packet::server::{Bye, ErrorBody},
};

use crate::{
    ChannelRule, IdempotentMethods, Identity, LoginRefused, Rules,
    acks::Acks,
    admission::{AdmissionQueue, HelloKind},
    aging::Aging,
    bans::{BANNED, Bans},
    budgets::Budgets,
    channel::registry::Channels,
    channel::{Channel, FanOut},
    counters::Counters,
    events::Events,
    last_seen::LastSeen,
    limits::{HubLimits, NodeLimits},
    mailbox::PeerMailbox,
    measured_engine::MeasuredEngine,
    pages::Pages,
    random::Random,
    rates::{Charge, Charged, RateLimiter, Rates},
    session::Login,
    session::id::SessionId,
    session::registry::Sessions,
    software::SoftwareNames,
    story::StoryLog,
    sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, Ordering, RwLock, Swap, lock, read, write},
    ticket::{Claims, DetailsClaims, TicketKeys},
    user_connections::UserConnections,
};

/// Median retry delay for clients rejected for lack of room, in milliseconds.
const OVERLOAD_RETRY_MS: u64 = 4_000;
/// When a client may come with a new login code whose login was revoked, in milliseconds.
const NEW_CODE_MS: u64 = 1_000;

/// Configuration of a hub.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// All limits.
    pub limits: NodeLimits,
    /// Channel permissions; the first rule that matches a channel applies. A channel without a rule admits
    /// publications of the back end only and no subscribers.
    pub rules: Vec<ChannelRule>,
    /// This node's name, shown in `welcome`.
    pub node: String,
    /// Ticket keys: the first seals, all open. At least one.
    pub ticket_keys: Vec<[u8; 32]>,
    /// Login sources ([`Identity::source`]) whose tickets remain valid. An application with a single source
    /// uses 0 in both places.
    pub login_sources: Vec<u64>,
    /// Methods that may run again under the same key ([`crate::CallRequest::key`]): their calls are never in
    /// doubt.
    pub idempotent_methods: IdempotentMethods,
}

/// The shared state of a node. Cheap to clone; every clone is the same hub.
#[derive(Clone)]
pub struct Hub(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) limits: NodeLimits,
    rules: Swap<Rules>,
    login_sources: Swap<Vec<u64>>,
    /// All guests share the identity of the first one.
    guest: OnceLock<Arc<Identity>>,
    idempotent_methods: IdempotentMethods,
    node: String,
    keys: RwLock<Arc<TicketKeys>>,
    random: Random,
    pub(crate) engine: MeasuredEngine,
    pub(crate) channels: Channels,
    pub(crate) pages: Pages,
    sessions: Sessions,
    bans: Bans,
    software_names: SoftwareNames,
    last_seen: LastSeen,
    /// Subscriptions of all connections.
    pub(crate) subscriptions: AtomicUsize,
    /// Users that have a connection.
    pub(crate) users_online: AtomicUsize,
    pub(crate) acks: Acks,
    pub(crate) admission: AdmissionQueue,
    /// `None` if no rate is limited.
    pub(crate) rates: Swap<Option<RateLimiter>>,
    /// Refusals of limiters that were replaced.
    pub(crate) earlier_refusals: AtomicU64,
    pub(crate) counters: Counters,
    /// `None` without a ceiling for them.
    pub(crate) user_connections: Swap<Option<UserConnections>>,
    pump: Mutex<Pump>,
    /// Empty where no events are recorded, and so with stories.
    pub(crate) events: OnceLock<Events>,
    pub(crate) stories: OnceLock<StoryLog>,
    pub(crate) next_connection: AtomicU64,
    next_question: AtomicU64,
    pub(crate) connections: AtomicUsize,
    pub(crate) budgets: Arc<Budgets>,
    pub(crate) publications: AtomicU64,
    /// The time of the last input, for engine callbacks between inputs.
    now: [AtomicU64; 2],
    aging: Aging,
    draining: AtomicBool,
    drain_spread_ms: AtomicU64,
}

#[derive(Default)]
struct Pump {
    queue: VecDeque<Arc<Channel>>,
    waker: Option<Waker>,
}

impl Hub {
    /// A hub on `engine`'s logs, without channels and sessions. The seed makes session ids unguessable: it
    /// must be random outside tests.
    ///
    /// # Panics
    ///
    /// When there is no ticket key.
    #[must_use]
    pub fn new(config: HubConfig, engine: Arc<dyn Engine>, seed: [u8; 32]) -> Self {
        let random = Random::new(seed);
        let seed_of_shards = random.id_of(&[b"shards of channels"]);
        let (limits, budgets) = (&config.limits, Arc::new(Budgets::new(&config.limits.hub)));
        let channels = Channels::new(seed_of_shards, limits.engine.channel_count_max, Arc::clone(&budgets));
        let sessions = Sessions::new(limits.hub.sessions_max, limits.engine.revocations_max);
        for revocation in engine.revocations() {
            // An engine keeps no more of them than there is room for, unless the limit was lowered.
            sessions.revocations().add(revocation).ok();
        }
        let bans = Bans::new(limits.engine.bans_max);
        for ban in engine.bans() {
            // As above.
            bans.set(ban).ok();
        }
        let rules = Rules::new(config.rules);
        let aging = Aging::new(engine.last_run_ms());
        Self(Arc::new(Inner {
            keys: RwLock::new(Arc::new(TicketKeys::new(&config.ticket_keys))),
            rates: Swap::new(RateLimiter::new(&limits.rates)),
            earlier_refusals: AtomicU64::new(0),
            counters: Counters::default(),
            user_connections: Swap::new(UserConnections::new(
                limits.rates.connections_per_user_max,
                limits.rates.connections_per_user_beyond,
            )),
            admission: AdmissionQueue::new(limits.hub.new_sessions_per_ms_max),
            acks: Acks::new(limits.engine.acks_max),
            pages: Pages::new(limits.hub.pages_max, limits.hub.pages_connection_max),
            sessions,
            bans,
            software_names: SoftwareNames::default(),
            last_seen: LastSeen::new(config.limits.hub.last_seen_max),
            subscriptions: AtomicUsize::new(0),
            users_online: AtomicUsize::new(0),
            budgets,
            limits: config.limits,
            rules: Swap::new(rules),
            login_sources: Swap::new(config.login_sources),
            guest: OnceLock::new(),
            idempotent_methods: config.idempotent_methods,
            node: config.node,
            random,
            engine: MeasuredEngine::new(engine),
            channels,
            pump: Mutex::default(),
            events: OnceLock::new(),
            stories: OnceLock::new(),
            next_connection: AtomicU64::new(1),
            next_question: AtomicU64::new(1),
            connections: AtomicUsize::new(0),
            publications: AtomicU64::new(0),
            now: [AtomicU64::new(0), AtomicU64::new(0)],
            aging,
            draining: AtomicBool::new(false),
            drain_spread_ms: AtomicU64::new(0),
        }))
    }

    /// The limits on each peer.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits.protocol
    }

    /// The limits on all clients together.
    #[must_use]
    pub fn hub_limits(&self) -> &HubLimits {
        &self.0.limits.hub
    }

    /// The budget holder with this name: an address or a user id.
    #[must_use]
    pub fn holder(&self, name: &[u8]) -> Holder {
        let id = self.0.random.id_of(&[b"holder", name]);
        Holder::of_hash(u32::try_from(id >> 96).expect("32 of 128 bits"))
    }

    /// Charges a request of the HTTP API to its key, with the bytes of its body where it publishes.
    ///
    /// # Errors
    /// `rate_limited`, with the time after which the same may succeed.
    pub fn charge_api_key(&self, now: Now, key: &str, publish_bytes: Option<usize>) -> Result<(), ErrorBody> {
        let bytes = publish_bytes.unwrap_or_default() as u64;
        let charges = [Charge::Request, Charge::Bytes(bytes)];
        let charges = if publish_bytes.is_some() { &charges[..] } else { &charges[..1] };
        self.charge_key(now, key, charges)
    }

    /// Charges all publications of a request to its key.
    ///
    /// # Errors
    /// As [`Hub::charge_api_key`].
    pub fn charge_publications(&self, now: Now, key: &str, count: usize) -> Result<(), ErrorBody> {
        match count {
            0 => Ok(()),
            _ => self.charge_key(now, key, &[Charge::Publishes(count as u64)]),
        }
    }

    fn charge_key(&self, now: Now, key: &str, charges: &[Charge]) -> Result<(), ErrorBody> {
        let who = || {
            let id = self.0.random.id_of(&[b"key of the HTTP API", key.as_bytes()]);
            Charged { api_key: Some(id), ..Charged::default() }
        };
        self.charge(now, who, charges).map_err(|wait_ms| ErrorBody {
            retry_after_ms: Some(wait_ms),
            ..ErrorBody::new(ErrorCode::RateLimited, "too many requests with this key in too short a time")
        })
    }

    /// Admits the next few queued hellos, notifies the next chunk of subscribers and hands the next events to the
    /// engine. Returns true if more are waiting: yield to other tasks and call again.
    pub fn pump(&self) -> bool {
        let more_hellos = self.0.admission.admit_next();
        let more_events = self.submit_events();
        self.notify_next() || more_hellos || more_events
    }

    fn notify_next(&self) -> bool {
        let Some(channel) = lock(&self.0.pump).queue.pop_front() else { return false };
        let more_of_channel = channel.notify_chunk();
        let mut pump = lock(&self.0.pump);
        if more_of_channel {
            // At the back of the queue: one large channel must not delay the others.
            pump.queue.push_back(channel);
        }
        !pump.queue.is_empty()
    }

    /// Sets the waker for [`Hub::pump`]: it is woken when there is work.
    pub fn set_pump_waker(&self, waker: Waker) {
        self.set_events_waker(&waker);
        lock(&self.0.pump).waker = Some(waker);
    }

    pub(crate) fn pump_waker(&self) -> Option<Waker> {
        lock(&self.0.pump).waker.clone()
    }

    /// Maintenance: ends sessions parked for too long, drops old publications and unused channels. Call about
    /// once a second.
    pub fn tick(&self, now: Now) {
        self.observe_time(now);
        let kept_ms = self.rules().age_ms_max().max(self.limits().ticket_ms).max(self.internal_age_ms_max());
        self.0.aging.observe(now, kept_ms);
        let parked_since = now.mono_ms.checked_sub(self.0.limits.protocol.park_ms);
        for parked in parked_since.map(|until| self.0.sessions.parked_until(until)).unwrap_or_default() {
            let Some(session) = self.0.sessions.get(parked.id) else { continue };
            if let Some(living) = session.live() {
                living.end_if_parked_since(self, parked.parks);
            }
        }
        self.tick_events(now);
        // A clock that is ahead for a moment must not bring sessions back.
        let counted_ms = now.wall_ms.saturating_sub(self.clock_lead_ms(now));
        self.0.sessions.revocations().forget_expired(counted_ms);
        self.0.bans.forget_expired(counted_ms);
        self.tidy_logs(now);
        self.0.rates.load().iter().for_each(|limiter| limiter.tidy_some(now.mono_ms));
        self.0.user_connections.load().iter().for_each(UserConnections::tidy_some);
    }

    /// Sends every connection `bye{server_restart}` with its `retry_after_ms` spread over `spread_ms`.
    /// Connections without a `welcome` receive it through [`crate::Peer::handle_timeout`], which is due at once,
    /// until [`Hub::reopen`].
    pub fn drain(&self, spread_ms: u64) {
        self.0.drain_spread_ms.store(spread_ms, Ordering::Relaxed);
        // First: a connection that the loop below misses checks this flag under its session's lock, and is
        // refused.
        self.0.draining.store(true, Ordering::Release);
        for session in self.0.sessions.all() {
            if let Some(living) = session.live() {
                living.close_with(|| self.drain_bye());
            }
        }
    }

    /// Cancels [`Hub::drain`]: clients may connect again.
    pub fn reopen(&self) {
        self.0.draining.store(false, Ordering::Release);
    }

    /// Replaces the ticket keys: the first seals, all open. At least one.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn set_ticket_keys(&self, keys: &[[u8; 32]]) {
        let keys = Arc::new(TicketKeys::new(keys));
        *write(&self.0.keys) = keys;
    }

    /// Replaces the channel rules. They hold for the next request and the next publication; subscriptions that
    /// they no longer permit end with `unsubscribed`. What a channel tells of its members
    /// ([`ChannelRule::presence`]) changes once it has no subscribers.
    pub fn set_rules(&self, rules: Vec<ChannelRule>) {
        self.0.rules.store(Rules::new(rules));
        let rules = self.rules();
        // A connection that takes its session later checks its channels against the new rules.
        for session in self.sessions().all() {
            if let Some(living) = session.live() {
                living.review_permissions(&rules);
            }
        }
    }

    /// Replaces the rate limits, from the next request on: all buckets are full again, once. A new ceiling of a user's
    /// connections counts those that are open, and holds from the user's next connection on.
    pub fn set_rates(&self, rates: &Rates) {
        let replaced = self.0.rates.load().as_ref().as_ref().map_or(0, RateLimiter::refusals);
        self.0.earlier_refusals.fetch_add(replaced, Ordering::Relaxed);
        self.0.rates.store(RateLimiter::new(rates));
        let (max, beyond) = (rates.connections_per_user_max, rates.connections_per_user_beyond);
        let ceiling = |connections: &UserConnections| (connections.max(), connections.beyond());
        if self.0.user_connections.load().as_ref().as_ref().map(ceiling) == max.map(|max| (max.get(), beyond))
        {
            return;
        }
        self.0.user_connections.store(UserConnections::new(max, beyond));
        // What connects from here on counts itself; what is connected is counted now, and nothing twice.
        for session in self.sessions().all() {
            if let Some(living) = session.live() {
                living.count_connection(self);
            }
        }
    }

    /// Replaces the sources whose logins are accepted ([`HubConfig::login_sources`]): tickets of others are
    /// challenged from the next resume on. Connections stay.
    pub fn set_login_sources(&self, sources: Vec<u64>) {
        self.0.login_sources.store(sources);
    }
}

/// Used by peers.
impl Hub {
    /// Records the time for engine callbacks before the next input.
    pub(crate) fn observe_time(&self, now: Now) {
        self.0.now[0].fetch_max(now.mono_ms, Ordering::Relaxed);
        self.0.now[1].store(now.wall_ms, Ordering::Relaxed);
    }

    /// The time of the last input.
    pub(crate) fn last_now(&self) -> Now {
        Now::new(self.0.now[0].load(Ordering::Relaxed), self.0.now[1].load(Ordering::Relaxed))
    }

    /// A number for a question: no answer is ever taken for that of another one.
    pub(crate) fn next_question(&self) -> u64 {
        self.0.next_question.fetch_add(1, Ordering::Relaxed)
    }

    /// Charges a client, where any rate is limited: only then `who` is asked for. `Err`: the wait in milliseconds.
    pub(crate) fn charge(
        &self,
        now: Now,
        who: impl FnOnce() -> Charged,
        charges: &[Charge],
    ) -> Result<(), u64> {
        match self.0.rates.load().as_ref() {
            None => Ok(()),
            Some(limiter) => limiter.take(now.mono_ms, who(), charges),
        }
    }

    /// True if a method may run again under the same key.
    pub(crate) fn is_idempotent(&self, method: &str) -> bool {
        self.0.idempotent_methods.contains(method)
    }

    pub(crate) fn engine(&self) -> &MeasuredEngine {
        &self.0.engine
    }

    /// The channel's retention. A wall clock that jumped ahead ages nothing (see [`crate::aging`]).
    pub(crate) fn retention_of(&self, now: Now, channel: &ChannelName) -> Retention {
        let retention = match channel.is_internal() {
            true => self.internal_retention(channel),
            false => self.rules().of(channel).retention,
        };
        Retention { age_ms: retention.age_ms.saturating_add(self.clock_lead_ms(now)), ..retention }
    }

    /// True while the engine is expected to accept publications (see [`Engine::takes_appends`]).
    #[must_use]
    pub fn takes_appends(&self) -> bool {
        self.0.engine.takes_appends()
    }

    /// The lead of the wall clock over the monotonic clock, in milliseconds. It does not count as age for as
    /// long as anything may be kept.
    #[must_use]
    pub fn clock_lead_ms(&self, now: Now) -> u64 {
        self.0.aging.lead_ms(now)
    }

    /// The rules at this moment.
    pub(crate) fn rules(&self) -> impl std::ops::Deref<Target = Arc<Rules>> {
        self.0.rules.load()
    }

    /// A checked login; one without an expiry of its own gets the longest lifetime that a login may have.
    pub(crate) fn login(&self, now: Now, mut identity: Identity) -> Login {
        let latest = now.wall_ms + self.0.limits.protocol.auth_age_ms;
        let expires_at = identity.expires_at.take().unwrap_or(latest);
        let is_guest = identity.user.is_none();
        // No login is issued after it was accepted, whatever a clock that is ahead says. No revocation by user ends
        // a guest, and equal guests share one identity.
        let issued_at_ms = identity.issued_at_ms.map_or(now.wall_ms, |at_ms| at_ms.min(now.wall_ms));
        identity.issued_at_ms = (!is_guest).then_some(issued_at_ms);
        let guest = is_guest.then(|| self.0.guest.get_or_init(|| Arc::new(identity.clone())));
        let identity = match guest.filter(|guest| ***guest == identity) {
            Some(guest) => Arc::clone(guest),
            None => Arc::new(identity),
        };
        Login { identity, expires_at }
    }

    /// The login that an authenticator accepted, if it keeps to the bounds of a login. `is_code`: it is by a login
    /// code, and a new code may be good.
    pub(crate) fn accept_login(
        &self,
        now: Now,
        result: Result<Identity, LoginRefused>,
        is_code: bool,
    ) -> Result<Login, LoginRefused> {
        let accepted = result.and_then(|identity| self.check_login(now, identity, is_code));
        accepted.inspect_err(|refused| self.0.counters.count_login_refused(refused))
    }

    fn check_login(&self, now: Now, identity: Identity, is_code: bool) -> Result<Login, LoginRefused> {
        identity.check_bounds().map_err(|over| LoginRefused::Unauthorized(over.to_string()))?;
        let login = self.login(now, identity);
        if self.is_banned(&login.identity) {
            return Err(LoginRefused::Banned(BANNED.to_owned()));
        }
        match self.is_revoked(&login.identity) {
            true if is_code => Err(LoginRefused::Code { retry_after_ms: NEW_CODE_MS }),
            true => Err(LoginRefused::Unauthorized("the login was revoked: log in again".to_owned())),
            false => Ok(login),
        }
    }

    /// True if logins from this source are still accepted.
    pub(crate) fn accepts_logins_of(&self, source: u64) -> bool {
        self.0.login_sources.load().contains(&source)
    }

    /// The name of this node.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.0.node
    }

    pub(crate) fn random(&self) -> &Random {
        &self.0.random
    }

    pub(crate) fn bans(&self) -> &Bans {
        &self.0.bans
    }

    pub(crate) fn last_seen(&self) -> &LastSeen {
        &self.0.last_seen
    }

    /// A connection was subscribed to a channel, as the first one if `is_first`.
    pub(crate) fn count_subscribed(&self, channel: &ChannelName, is_first: bool) {
        self.0.subscriptions.fetch_add(1, Ordering::Relaxed);
        if is_first && channel.is_user() {
            self.0.users_online.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A subscription has ended, the last one of the channel if `is_last`.
    pub(crate) fn count_unsubscribed(&self, channel: &ChannelName, is_last: bool) {
        self.0.subscriptions.fetch_sub(1, Ordering::Relaxed);
        if is_last && channel.is_user() {
            self.0.users_online.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn software_names(&self) -> &SoftwareNames {
        &self.0.software_names
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    /// Admits a hello, or queues it and notifies its mailbox later.
    pub(crate) fn try_admit(
        &self,
        now: Now,
        coming: HelloKind,
        address: Holder,
        mailbox: &Arc<PeerMailbox>,
    ) -> bool {
        let goes_ahead = self.0.admission.try_admit(now, coming, address, mailbox);
        if !goes_ahead && let Some(waker) = &lock(&self.0.pump).waker {
            waker.wake_by_ref();
        }
        goes_ahead
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    /// The `bye` to send while draining; `None` while open.
    pub(crate) fn draining(&self) -> Option<Bye> {
        self.is_draining().then(|| self.drain_bye())
    }

    /// A retry delay for one rejected client: spread, so that clients do not return at the same moment.
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

    pub(crate) fn acks(&self) -> &Acks {
        &self.0.acks
    }

    pub(crate) fn find_channel(&self, name: &ChannelName) -> Option<Arc<Channel>> {
        self.0.channels.get(name)
    }

    /// Queues a channel for the pump if more of its subscribers have to be notified.
    pub(crate) fn pump_if(&self, fan_out: FanOut, channel: &Arc<Channel>) {
        if fan_out == FanOut::Pending {
            let mut pump = lock(&self.0.pump);
            pump.queue.push_back(Arc::clone(channel));
            if let Some(waker) = &pump.waker {
                waker.wake_by_ref();
            }
        }
    }

    /// Updates the reply bytes of one session of a holder from `before` to `now`.
    pub(crate) fn count_replies(&self, holder: Holder, before: usize, now: usize) {
        let replies = &self.0.budgets.replies;
        match now.checked_sub(before) {
            Some(0) => {}
            Some(more) => replies.add(holder, more),
            None => replies.give(holder, before - now),
        }
    }

    /// Whether a session with `held` bytes of replies may hold `wanted`, within the share of its holder. Up to
    /// its floor it may use the reserve, too.
    pub(crate) fn has_reply_room(&self, holder: Holder, held: usize, wanted: usize) -> bool {
        let is_modest = wanted <= self.0.limits.hub.replies_floor_bytes;
        let claimant = if is_modest { Claimant::Preferred } else { Claimant::Ordinary };
        wanted <= held || self.0.budgets.replies.has_room(holder, wanted - held, claimant)
    }

    /// Frees the replies of parked sessions when all replies together take too much room; a repeated request
    /// is then in doubt. Locks one session at a time, so the caller must hold no session lock.
    pub(crate) fn reclaim_replies(&self) {
        while self.0.budgets.replies.is_crowded()
            && let Some(id) = self.0.sessions.next_parked_replies()
        {
            if let Some(session) = self.0.sessions.get(id)
                && let Some(mut living) = session.live()
            {
                living.drop_replies_if_parked(self);
            }
        }
    }

    /// Has the engine save that a session's tickets are void, for the next process; notifies the mailbox
    /// afterwards.
    pub(crate) fn keep_revocation(&self, revocation: Revocation, mailbox: &Arc<PeerMailbox>) {
        let mailbox = Arc::clone(mailbox);
        self.0.engine.submit(Job::Revoke(Revoke {
            revocation,
            // If the engine cannot save it, waiting helps nobody: the engine reports the cause to its
            // operator.
            answer: Answer::new(move |_: Result<(), _>| mailbox.confirm_revocation()),
        }));
    }

    /// Seals a ticket for a session. Returns it with its expiry.
    pub(crate) fn seal_ticket(
        &self,
        now: Now,
        id: SessionId,
        incarnation: u32,
        login: &Login,
    ) -> (String, u64) {
        let Login { identity, expires_at: auth_expires_at } = login;
        let auth_expires_at = *auth_expires_at;
        let expires_at = auth_expires_at.min(now.wall_ms + self.0.limits.protocol.ticket_ms);
        let claims = Claims {
            session: id.0,
            user: identity.user.as_ref().map(ToString::to_string),
            channels: identity.channels.iter().map(|pattern| pattern.as_str().to_owned()).collect(),
            source: Some(identity.source),
            issued_at_ms: identity.issued_at_ms,
            details: identity.details.as_deref().map(DetailsClaims::of),
            auth_expires_at,
            expires_at,
            sealed_at: Some(now.wall_ms),
            node: self.0.node.clone(),
            node_id: self.node_id().map(|node| node.0),
            // A session from an earlier incarnation of the logs stays one for its lifetime: the incarnation
            // in its tickets says so, also to a node that has forgotten the session meanwhile.
            incarnation,
        };
        (self.ticket_keys().seal(&claims, &self.0.random.bytes()), expires_at)
    }

    /// What a ticket says. It lives no longer than one that is sealed now would, because what was revoked is not
    /// remembered for longer: `ticket_ms` may have been longer when it was sealed.
    pub(crate) fn open_ticket(&self, ticket: &str) -> Option<Claims> {
        let mut claims = self.ticket_keys().open(ticket)?;
        if let Some(sealed_at) = claims.sealed_at {
            let latest = sealed_at.saturating_add(self.0.limits.protocol.ticket_ms);
            claims.expires_at = claims.expires_at.min(latest);
        }
        Some(claims)
    }

    pub(crate) fn connection_ended(&self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }

    fn ticket_keys(&self) -> Arc<TicketKeys> {
        Arc::clone(&read(&self.0.keys))
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
