//! What apps and the back end ask for in a storm: each payload once in the whole history.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tautline_netem::Rng;
use tautline_protocol::{ReadFrom, client::RequestVerb};

use super::{
    common::{CHANNELS, inbox_of},
    plan::Plan,
};
use crate::{phone::Ask, world::World};

/// How often the back end tries at most, once the storm is over.
const TRIES_MAX: u32 = 20;

pub(super) struct Workload {
    rng: Rng,
    asked: u64,
    /// Apps ask for pages of the past.
    looks_back: bool,
    subscribes_never: bool,
    /// What the back end published: its channel, its key, and which life of the server was asked last.
    pub(super) pushed: BTreeMap<String, Push>,
}

pub(super) struct Push {
    pub(super) channel: String,
    pub(super) keyed: bool,
    /// The server that was asked last.
    incarnation: u64,
}

impl Workload {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            rng: Rng::stream(plan.seed, 10),
            asked: 0,
            looks_back: plan.history || plan.asks,
            subscribes_never: plan.idle,
            pushed: BTreeMap::new(),
        }
    }

    /// Somebody asks for something.
    pub(super) fn issue(&mut self, world: &mut World, phone: usize) {
        if self.rng.chance(0.1) {
            return self.push(world, phone);
        }
        if world.phones[phone].hidden_since.is_some() || !world.is_alive(phone) {
            return;
        }
        if self.looks_back && self.rng.chance(0.2) {
            return self.look_back(world, phone);
        }
        let often = if world.from == ReadFrom::Now { 0.1 } else { 0.02 };
        if !self.subscribes_never && self.rng.chance(often) {
            return self.change_mind(world, phone);
        }
        let payload = self.payload();
        let ttl_ms = if self.rng.chance(0.2) { Some(self.rng.between(500, 5_000)) } else { Some(120_000) };
        if self.rng.chance(0.3) {
            let body = format!(r#"{{"method":"echo","data":"{payload}"}}"#);
            world.ask(phone, ask(RequestVerb::Call, &body, &payload, ttl_ms));
        } else {
            let channel = self.channel();
            let body = format!(r#"{{"channel":"{channel}","data":"{payload}"}}"#);
            world.ask(phone, ask(RequestVerb::Publish, &body, &payload, ttl_ms));
        }
    }

    /// The back end publishes, once or for as long as it takes.
    fn push(&mut self, world: &mut World, phone: usize) {
        let payload = self.payload();
        let channel = if self.rng.chance(0.5) { inbox_of(phone) } else { self.channel().to_owned() };
        let keyed = self.rng.chance(0.5);
        let incarnation = world.server.incarnations;
        world.push(&channel, &payload, keyed.then_some(payload.as_str()));
        self.pushed.insert(payload, Push { channel, keyed, incarnation });
        self.try_again(world);
    }

    /// The back end repeats what has a key and was not stored, as far as it was told. True: there was something.
    fn try_again(&mut self, world: &mut World) -> bool {
        let mut busy = false;
        for (payload, push) in self.pushed.iter_mut().filter(|(_, push)| push.keyed) {
            let again = match world.pushed().get(payload) {
                Some(told) => told.is_err(),
                None => push.incarnation != world.server.incarnations,
            };
            if again {
                busy = true;
                push.incarnation = world.server.incarnations;
                world.pushed.remove(payload);
                world.push(&push.channel, payload, Some(payload));
            }
        }
        busy
    }

    /// The storm is over: everything that has a key gets through.
    pub(super) fn settle(&mut self, world: &mut World) {
        for _ in 0..TRIES_MAX {
            let busy = self.try_again(world);
            world.advance(1_000);
            if !busy {
                return;
            }
        }
        panic!("the back end was refused {TRIES_MAX} times after the storm: {:?}", world.pushed());
    }

    /// Leaves a channel and comes back to it from its start, perhaps at once.
    fn change_mind(&mut self, world: &mut World, phone: usize) {
        let channel = self.channel();
        world.unsubscribe(phone, channel);
        world.advance(self.rng.below(3) * 50);
        world.subscribe(phone, channel, world.from.clone());
    }

    /// Asks for a page: the newest, the oldest, or one beside a publication that the app has.
    fn look_back(&mut self, world: &mut World, phone: usize) {
        let (channel, payload) = (self.channel(), self.payload());
        let limit = if self.rng.chance(0.3) { 1_000 } else { self.rng.between(1, 8) };
        let mut body = json!({"channel": channel, "limit": limit});
        let received = world.phones[phone].app.received.iter().filter(|it| it.channel == channel);
        let places: Vec<Value> =
            received.map(|it| json!({"epoch": it.epoch, "offset": it.offset, "at": it.at})).collect();
        let place = places.get(usize::try_from(self.rng.below(places.len().max(1) as u64)).expect("few"));
        match (self.rng.below(4), place) {
            (0, _) => body["after"] = "start".into(),
            (1, Some(place)) => body["after"] = place.clone(),
            (2, Some(place)) => body["before"] = place.clone(),
            _ => {}
        }
        let ttl_ms = self.rng.chance(0.2).then(|| self.rng.between(500, 5_000));
        world.ask(phone, ask(RequestVerb::History, &body.to_string(), &payload, ttl_ms));
    }

    fn payload(&mut self) -> String {
        self.asked += 1;
        format!("p{}", self.asked)
    }

    fn channel(&mut self) -> &'static str {
        CHANNELS[usize::try_from(self.rng.below(3)).expect("small")]
    }
}

fn ask<'a>(verb: RequestVerb, body: &'a str, payload: &'a str, ttl_ms: Option<u64>) -> Ask<'a> {
    Ask { verb, body, payload, ttl_ms, idempotent: false, volatile: false }
}
