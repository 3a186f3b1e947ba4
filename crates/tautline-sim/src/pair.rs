//! A world with one phone, moved by hand, for tests that read as sentences.

use tautline_hub::NodeLimits;
use tautline_netem::{Fault, Rules};
use tautline_protocol::{
    ReadFrom,
    client::{DropCause, Input, Options, RequestVerb, State},
};

use crate::{
    app::Outcome,
    event_log::Event,
    phone::{Ask, Phone},
    world::{DialBehavior, World, WorldConfig},
};

/// The channel that tests talk in.
const ROOM: &str = "room:7";

/// A client and a server on one virtual clock, 20 ms from each other: a dial takes 40 ms, a welcome 40 more. Methods
/// answer at once.
pub struct Pair {
    /// The world that they live in.
    pub world: World,
}

impl Pair {
    /// A pair that has not met yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self::new_with(options, WorldConfig::default())
    }

    /// The same, with ceilings of the server's or a seed; the rules of the link and the channels are the pair's own.
    #[must_use]
    pub fn new_with(options: Options, config: WorldConfig) -> Self {
        let rules = Rules { latency_ms: 20, ..Rules::default() };
        let method_ms = Some(config.method_ms.unwrap_or(0));
        let mut world = World::new(WorldConfig { rules, method_ms, ..config });
        world.add_phone(options);
        Self { world }
    }

    /// A pair whose client was welcomed.
    ///
    /// # Panics
    /// When it was not.
    #[must_use]
    pub fn connected() -> Self {
        Self::connected_with(Options::default())
    }

    /// The same, with options.
    ///
    /// # Panics
    /// When it was not.
    #[must_use]
    pub fn connected_with(options: Options) -> Self {
        Self::new(options).connect()
    }

    /// The same, with ceilings of the server's.
    ///
    /// # Panics
    /// When it was not.
    #[must_use]
    pub fn connected_within(limits: impl Into<NodeLimits>) -> Self {
        let limits = limits.into();
        Self::new_with(Options::default(), WorldConfig { limits, ..WorldConfig::default() }).connect()
    }

    /// A pair whose client was welcomed and is subscribed to the room.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    pub fn subscribed() -> Self {
        let mut pair = Self::connected();
        pair.subscribe(ROOM);
        pair.advance(1_000);
        assert!(pair.phone().app.standing.contains_key(ROOM), "the subscription was not confirmed");
        pair.forget();
        pair
    }

    /// Connects, waits a second, and forgets how it went.
    ///
    /// # Panics
    /// When the client is not online then.
    #[must_use]
    pub fn connect(mut self) -> Self {
        self.tell(Input::Connect);
        self.advance(1_000);
        assert_eq!(self.state(), State::Online);
        self.forget();
        self
    }

    /// The client.
    #[must_use]
    pub fn phone(&self) -> &Phone {
        &self.world.phones[0]
    }

    /// The client.
    pub fn phone_mut(&mut self) -> &mut Phone {
        &mut self.world.phones[0]
    }

    /// Tells the client something.
    pub fn tell(&mut self, input: Input<'_>) {
        self.world.tell(0, input);
    }

    /// Lets time pass.
    pub fn advance(&mut self, ms: u64) {
        self.world.advance(ms);
    }

    /// Something happens to the client's connection.
    pub fn fault(&mut self, fault: Fault) {
        self.world.fault(0, fault);
    }

    /// What dials meet from now on.
    pub fn set_dial_behavior(&mut self, dial_behavior: DialBehavior) {
        self.world.dial_behavior[0] = dial_behavior;
    }

    /// Forgets the events so far: assertions see what happens from here on.
    pub fn forget(&mut self) {
        let phone = self.phone_mut();
        // The state is told once, and asked about for as long as it holds.
        let state = phone.state();
        phone.events = vec![Event::State(state)];
        phone.dialled_at_ms.clear();
    }

    /// The client subscribes, from now on.
    pub fn subscribe(&mut self, channel: &str) {
        self.tell(Input::Subscribe { channel: channel.to_owned(), from: ReadFrom::Now });
    }

    /// The client publishes in the room. Returns the request's number.
    pub fn publish(&mut self, payload: &str) -> u64 {
        let body = format!(r#"{{"channel":"{ROOM}","data":"{payload}"}}"#);
        self.ask(RequestVerb::Publish, &body, payload)
    }

    /// The client calls a method. Returns the request's number.
    pub fn call(&mut self, payload: &str) -> u64 {
        let body = format!(r#"{{"method":"echo","data":"{payload}"}}"#);
        self.ask(RequestVerb::Call, &body, payload)
    }

    /// The client asks for something. Returns the request's number.
    pub fn ask(&mut self, verb: RequestVerb, body: &str, payload: &str) -> u64 {
        self.world.ask(0, Ask { verb, body, payload, ttl_ms: None, idempotent: false, volatile: false })
    }

    /// How a request was settled: `ok`, its error's code, or nothing yet.
    ///
    /// # Panics
    /// When there is no such request.
    #[must_use]
    pub fn outcome(&self, request: u64) -> Option<&str> {
        self.phone().app.asked[&request].outcome.as_ref().map(|outcome| match outcome {
            Outcome::Ok => "ok",
            Outcome::Failed(code) => code,
            Outcome::Forgotten => "forgotten",
        })
    }

    /// How often the server executed what carries this payload.
    #[must_use]
    pub fn executed(&self, payload: &str) -> usize {
        let published = self.world.logs().values().flatten().filter(|found| *found == payload).count();
        published + self.world.executed().get(payload).map_or(0, |count| *count as usize)
    }

    /// Somebody else publishes in the room.
    pub fn hear(&mut self, payload: &str) {
        self.world.publish(ROOM, payload);
    }

    /// What the app was handed, in order.
    #[must_use]
    pub fn heard(&self) -> Vec<&str> {
        self.phone().app.received.iter().map(|received| received.payload.as_str()).collect()
    }

    /// Where the line stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.phone().state()
    }

    /// The time, in monotonic milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.world.now().mono_ms
    }

    /// The causes of every drop so far.
    #[must_use]
    pub fn drops(&self) -> Vec<DropCause> {
        let cause = |event: &Event| match event {
            Event::Drop(cause) => Some(*cause),
            _ => None,
        };
        self.phone().events.iter().filter_map(cause).collect()
    }

    /// Whether the session went on, for every welcome so far.
    #[must_use]
    pub fn welcomes(&self) -> Vec<bool> {
        let resumed = |event: &Event| match event {
            Event::Welcome(resumed) => Some(*resumed),
            _ => None,
        };
        self.phone().events.iter().filter_map(resumed).collect()
    }

    /// How many sockets were dialled.
    #[must_use]
    pub fn dials(&self) -> usize {
        self.phone().dialled_at_ms.len()
    }

    /// How often the app was asked for a login.
    #[must_use]
    pub fn logins(&self) -> usize {
        self.phone().events.iter().filter(|event| matches!(event, Event::FetchAuth(_))).count()
    }

    /// Every packet sent so far.
    #[must_use]
    pub fn sent_packets(&self) -> Vec<&str> {
        let mut packets = Vec::new();
        for event in &self.phone().events {
            if let Event::Sent(text) = event {
                packets.extend(text.lines());
            }
        }
        packets
    }

    /// Every packet that came so far.
    #[must_use]
    pub fn received_packets(&self) -> Vec<&str> {
        let mut packets = Vec::new();
        for event in &self.phone().events {
            if let Event::Received(text) = event {
                packets.extend(text.lines());
            }
        }
        packets
    }

    /// Every packet sent so far that carries this verb.
    #[must_use]
    pub fn sent(&self, verb: &str) -> Vec<&str> {
        with_verb(self.sent_packets(), verb)
    }

    /// Every packet that came so far and carries this verb.
    #[must_use]
    pub fn received(&self, verb: &str) -> Vec<&str> {
        with_verb(self.received_packets(), verb)
    }
}

fn with_verb<'a>(packets: Vec<&'a str>, verb: &str) -> Vec<&'a str> {
    let key = format!("\"{verb}\":");
    packets.into_iter().filter(|packet| packet.contains(&key)).collect()
}
