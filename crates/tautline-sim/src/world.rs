//! The world: one virtual clock that everything shares, and the wires between phones and server.

use std::collections::BTreeMap;

use tautline_engine::Retention;
use tautline_hub::HubStats;
use tautline_hub::NodeLimits;
use tautline_netem::{Fault, Rng, Rules};
use tautline_protocol::{
    Now, ReadFrom,
    client::{Input, Options},
};

use crate::{
    clock::BEGIN_WALL_MS,
    engine::{EnginePlan, GroundTruth, Logs},
    event_log::EventSink,
    input_mutator::InputMutator,
    phone::{Ask, Phone},
    server::{Pushed, Server, ServerConfig},
};

/// Steps that may be taken at one moment: more means that a timer is due for ever.
const STEPS_AT_ONCE_MAX: u32 = 1_000;

/// What a world is made with.
#[derive(Clone, Debug, Default)]
pub struct WorldConfig {
    /// Everything random follows from it.
    pub seed: u64,
    /// The server's ceilings.
    pub limits: NodeLimits,
    /// What channels keep.
    pub retention: Retention,
    /// How bad the links are all the time.
    pub rules: Rules,
    /// How long methods run, in milliseconds; none leaves it to chance, which also gives one up now and then.
    pub method_ms: Option<u64>,
    /// What keeps the logs.
    pub engine: EnginePlan,
    /// What is due at one moment happens in any order.
    pub shuffle: bool,
    /// Who is told what happens.
    pub event_sink: Option<EventSink>,
    /// What happens to the session of each phone is written down.
    pub recorded: bool,
    /// Everybody is strange: phones, and what they are told.
    pub mutated: bool,
    /// Channels tell who is there.
    pub presence: bool,
    /// The back end is asked for every permission, and is unreliable.
    pub asks: bool,
}

/// What a dial meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DialBehavior {
    /// The server.
    #[default]
    Clear,
    /// A refusal.
    Refusing,
    /// Nothing, ever.
    Dead,
}

/// What a host does with a socket that its app closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Closing {
    /// Chance decides: it reports the end soon, late or never.
    #[default]
    ByChance,
    /// It reports the end after so many milliseconds.
    After(u64),
    /// It never says a word.
    Never,
}

/// Phones, links and a server.
pub struct World {
    /// The phones, by number.
    pub phones: Vec<Phone>,
    /// What each phone's dials meet.
    pub dial_behavior: Vec<DialBehavior>,
    /// What hosts do with sockets that were closed.
    pub closing: Closing,
    pub(crate) server: Server,
    pub(crate) rng: Rng,
    pub(crate) now_ms: u64,
    pub(crate) rules: Rules,
    pub(crate) seed: u64,
    pub(crate) sockets_made: u64,
    pub(crate) shuffle: bool,
    pub(crate) event_sink: Option<EventSink>,
    /// Lost on its way, and the line with it, without a word: the next packet of this kind to this phone.
    pub(crate) trap: Option<(usize, &'static str)>,
    /// What the back end was told of its publications.
    pub(crate) pushed: BTreeMap<String, Pushed>,
    /// How far the server's wall clock is off, in milliseconds.
    pub(crate) clock_off_ms: i64,
    pub(crate) largest_down: usize,
    /// What a client said on a socket that it closed arrives long after that.
    pub(crate) arrives_late: bool,
    /// Messages that arrived on a socket which its client had closed.
    pub(crate) late: u64,
    /// From where apps subscribe in a storm.
    pub(crate) from: ReadFrom,
    recorded: bool,
    mutated: bool,
    steps_at_once: u32,
}

impl World {
    /// A world without phones.
    #[must_use]
    pub fn new(config: WorldConfig) -> Self {
        let WorldConfig {
            seed,
            limits,
            retention,
            rules,
            method_ms,
            engine,
            shuffle,
            event_sink,
            recorded,
            mutated,
            presence,
            asks,
        } = config;
        let now = Now::new(0, BEGIN_WALL_MS);
        let config = ServerConfig { limits, retention, presence: presence || mutated, ack: mutated, asks };
        let server = Server::new(now, seed, config, method_ms, (engine, event_sink));
        let rng = Rng::stream(seed, 1);
        Self {
            phones: Vec::new(),
            dial_behavior: Vec::new(),
            closing: Closing::default(),
            server,
            rng,
            now_ms: 0,
            rules,
            seed,
            sockets_made: 0,
            shuffle,
            event_sink,
            trap: None,
            pushed: BTreeMap::new(),
            clock_off_ms: 0,
            largest_down: 0,
            arrives_late: false,
            late: 0,
            from: ReadFrom::Start,
            recorded,
            mutated,
            steps_at_once: 0,
        }
    }

    /// Adds a phone and returns its number.
    pub fn add_phone(&mut self, mut options: Options) -> usize {
        let number = self.phones.len();
        options.instance = format!("phone{number}-");
        let seed = u32::try_from(self.rng.below(1 << 32)).expect("32 bits");
        let mut phone = Phone::new(number, options, seed);
        phone.event_sink = self.event_sink;
        if self.recorded {
            phone.record(seed);
        }
        phone.input_mutator = self.mutated.then(|| InputMutator::new(self.seed, number));
        self.phones.push(phone);
        self.dial_behavior.push(DialBehavior::Clear);
        number
    }

    /// The time, as the server sees it.
    #[must_use]
    pub fn now(&self) -> Now {
        self.clock(self.clock_off_ms)
    }

    pub(crate) fn phone_now(&self, phone: usize) -> Now {
        self.clock(self.phones[phone].clock_off_ms)
    }

    fn clock(&self, off_ms: i64) -> Now {
        Now::new(self.now_ms, (BEGIN_WALL_MS + self.now_ms).saturating_add_signed(off_ms))
    }

    /// Every log as the engine had it, by channel and epoch; offsets begin at 1.
    #[must_use]
    pub fn logs(&self) -> Logs {
        self.ground_truth(GroundTruth::logs)
    }

    /// Asks what really happened.
    pub fn ground_truth<T>(&self, ask: impl FnOnce(&GroundTruth) -> T) -> T {
        ask(&self.server.engine.lock().ground_truth)
    }

    /// True where no session can have been lost by one who was away for `away_ms`.
    pub(crate) fn sessions_outlast(&self, away_ms: u64) -> bool {
        let limits = self.server.hub.limits();
        self.server.incarnations == 0 && limits.park_ms > away_ms && limits.ticket_ms > 2 * away_ms
    }

    /// Logs one event.
    pub(crate) fn log_event(&self, what: impl FnOnce() -> String) {
        if let Some(event_sink) = self.event_sink {
            event_sink(&format!("{:>7} ms {}", self.now_ms, what()));
        }
    }

    /// Figures of the server.
    #[must_use]
    pub fn stats(&self) -> HubStats {
        self.server.hub.stats()
    }

    /// The largest message that the server has sent, in bytes.
    #[must_use]
    pub const fn largest_message(&self) -> usize {
        self.largest_down
    }

    /// Connections that the server's end of a link still has.
    pub(crate) fn peers(&self) -> usize {
        let sockets = self.phones.iter().flat_map(|phone| phone.sockets.values());
        sockets.filter(|socket| socket.peer.is_some()).count()
    }

    /// How often each call was executed, by its payload.
    #[must_use]
    pub fn executed(&self) -> &BTreeMap<String, u32> {
        &self.server.executed
    }

    /// Tells a phone's session something.
    pub fn tell(&mut self, phone: usize, input: Input<'_>) {
        let now = self.phone_now(phone);
        let sent = self.phones[phone].feed(now, input);
        self.after_phone(phone, sent);
    }

    /// The app of a phone wants a channel.
    pub fn subscribe(&mut self, phone: usize, channel: &str, from: ReadFrom) {
        self.phones[phone].wanted.insert(channel.to_owned());
        if from == ReadFrom::Now {
            self.phones[phone].app.subscribe_from_now(channel, self.now_ms);
        }
        self.tell(phone, Input::Subscribe { channel: channel.to_owned(), from });
    }

    /// The app of a phone does not want a channel any more.
    pub fn unsubscribe(&mut self, phone: usize, channel: &str) {
        self.phones[phone].wanted.remove(channel);
        self.phones[phone].app.unsubscribe(channel);
        self.tell(phone, Input::Unsubscribe { channel: channel.to_owned() });
    }

    /// The phone's app goes to the background; its host kills the sockets after five seconds, and may tell nobody.
    pub fn hide(&mut self, phone: usize, kill: Option<Fault>) {
        let now = self.phone_now(phone);
        if let Some(kill) = kill {
            self.fault(phone, kill);
        }
        let sent = self.phones[phone].hide(now);
        self.after_phone(phone, sent);
    }

    /// The phone's app comes back.
    pub fn show(&mut self, phone: usize) {
        let (now, backlog_first) = (self.phone_now(phone), self.rng.chance(0.5));
        let sent = self.phones[phone].show(now, backlog_first);
        self.after_phone(phone, sent);
    }

    /// A request of a phone's app. Returns its number.
    pub fn ask(&mut self, phone: usize, ask: Ask<'_>) -> u64 {
        let now = self.phone_now(phone);
        let (request, sent) = self.phones[phone].ask(now, ask);
        self.after_phone(phone, sent);
        request
    }

    /// The back end publishes, by no session and no wire.
    ///
    /// # Panics
    /// When the hub refuses it at once.
    pub fn publish(&mut self, channel: &str, payload: &str) {
        self.push(channel, payload, None);
        let told = self.pushed.get(payload);
        assert!(told.is_none_or(Result::is_ok), "{payload}: {told:?}");
    }

    /// The back end publishes, perhaps once more under the same key; what it is told is in [`World::pushed`].
    pub fn push(&mut self, channel: &str, payload: &str, key: Option<&str>) {
        self.server.publish(self.now(), channel, payload, key);
        self.settle();
    }

    /// What the back end was told of each of its publications last.
    #[must_use]
    pub fn pushed(&self) -> &BTreeMap<String, Pushed> {
        &self.pushed
    }

    /// Something happens to every live link of a phone.
    pub fn fault(&mut self, phone: usize, fault: Fault) {
        let at = self.link_now();
        for socket in self.phones[phone].sockets.values_mut() {
            socket.link.apply(at, fault);
        }
        self.settle();
    }

    /// Every fault of a phone's links ends.
    pub fn heal(&mut self, phone: usize) {
        let at = self.link_now();
        self.dial_behavior[phone] = DialBehavior::Clear;
        for socket in self.phones[phone].sockets.values_mut() {
            socket.link.heal(at);
        }
        self.settle();
    }

    /// Sockets that a phone's host counts as existing.
    #[must_use]
    pub fn sockets(&self, phone: usize) -> usize {
        self.phones[phone].sockets.values().filter(|socket| socket.holds_slot(self.now_ms)).count()
    }

    /// Goes to the next moment at which something happens, but not past `until_ms`, and lets it happen. False: it is
    /// `until_ms`, and nothing happened.
    pub fn step(&mut self, until_ms: u64) -> bool {
        let next = self.next_moment();
        if next > until_ms {
            self.now_ms = until_ms;
            return false;
        }
        self.steps_at_once = if next > self.now_ms { 0 } else { self.steps_at_once + 1 };
        assert!(
            self.steps_at_once < STEPS_AT_ONCE_MAX,
            "time stands still at {} ms: something is due and not done: {}",
            self.now_ms,
            self.due()
        );
        self.now_ms = next.max(self.now_ms);
        self.settle();
        true
    }

    /// Lets time pass in one step: what was due in between is due at its end.
    pub fn leap(&mut self, ms: u64) {
        self.now_ms += ms;
        self.settle();
    }

    /// Lets time pass.
    pub fn advance(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        while self.step(until) {}
    }
}
