//! A world with one phone, moved by hand, for tests that read as sentences.

use tautline_netem::{Fault, Rules};
use tautline_protocol::client::{DropCause, Input, Options, State};

use crate::{
    phone::{Event, Phone},
    world::{World, WorldConfig},
};

/// A client and a server on one virtual clock.
pub struct Pair {
    /// The world that they live in.
    pub world: World,
}

impl Pair {
    /// A pair that has not met yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let rules = Rules { latency_ms: 20, ..Rules::default() };
        let channels = vec!["room:7".to_owned()];
        let mut world = World::new(WorldConfig { seed: 1, rules, channels, ..WorldConfig::default() });
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
        let mut pair = Self::new(options);
        pair.tell(Input::Connect);
        pair.advance(1_000);
        assert_eq!(pair.state(), State::Online);
        pair.phone_mut().events.clear();
        pair
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

    /// Where the line stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.phone().state()
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

    /// How many sockets were dialled.
    #[must_use]
    pub fn dials(&self) -> usize {
        self.phone().events.iter().filter(|event| matches!(event, Event::Dial)).count()
    }

    /// Every packet sent so far that carries this verb.
    #[must_use]
    pub fn sent(&self, verb: &str) -> Vec<String> {
        let key = format!("\"{verb}\":");
        let lines = self.phone().events.iter().filter_map(|event| match event {
            Event::Sent(text) => Some(text),
            _ => None,
        });
        lines.flat_map(|text| text.lines()).filter(|line| line.contains(&key)).map(str::to_owned).collect()
    }
}
