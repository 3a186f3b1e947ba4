//! The server's side of a world: the hub, its methods, and a witness that remembers every log.

use std::{collections::BTreeMap, sync::Arc, task::Waker};

use serde_json::value::RawValue;
use tautline_hub::{
    Access, CallRequest, ChannelRule, Hub, HubConfig, Identity, LoginRefused, Output, Peer, PresenceMode,
    Retention,
};
use tautline_netem::Rng;
use tautline_protocol::{Limits, Now, Pattern, json, packet::Auth, packet::ServerPacket};

use crate::{app::payload_of, socket::Woken};

/// The hub and what surrounds it.
pub(crate) struct Server {
    pub(crate) hub: Hub,
    pub(crate) witness: Witness,
    /// How often each call was executed, by its payload.
    pub(crate) executed: BTreeMap<String, u32>,
    calls: Vec<(u64, CallRequest)>,
    next_tick: u64,
    rng: Rng,
}

impl Server {
    pub(crate) fn new(
        now: Now,
        seed: u64,
        limits: Limits,
        retention: Retention,
        channels: &[String],
    ) -> Self {
        let rule = ChannelRule {
            pattern: Pattern::parse("*").expect("valid"),
            subscribe: Access::Any,
            publish: Access::Any,
            presence: PresenceMode::Off,
            retention,
        };
        let config = HubConfig { limits, rules: vec![rule], node: "sim".into(), ticket_keys: vec![[7; 32]] };
        let mut hub_seed = [0; 32];
        hub_seed[..8].copy_from_slice(&seed.to_le_bytes());
        let hub = Hub::new(config, hub_seed);
        let witness = Witness::new(&hub, now, channels);
        let next_tick = now.mono_ms + 1000;
        Self {
            hub,
            witness,
            executed: BTreeMap::new(),
            calls: Vec::new(),
            next_tick,
            rng: Rng::stream(seed, 77),
        }
    }

    pub(crate) fn next_timeout(&self) -> u64 {
        self.calls.iter().map(|(due, _)| *due).min().unwrap_or(u64::MAX).min(self.next_tick)
    }

    /// A method begins to run.
    pub(crate) fn run_call(&mut self, now: Now, call: CallRequest) {
        *self.executed.entry(payload_of(&call.data)).or_default() += 1;
        let takes_ms = if self.rng.chance(0.7) { 0 } else { self.rng.between(1, 3000) };
        self.calls.push((now.mono_ms + takes_ms, call));
    }

    /// Does what is due: ends methods, keeps house, rings bells.
    pub(crate) fn advance(&mut self, now: Now) {
        if now.mono_ms >= self.next_tick {
            self.hub.tick(now);
            self.next_tick = now.mono_ms + 1000;
        }
        let (due, waiting) =
            std::mem::take(&mut self.calls).into_iter().partition(|(at, _)| *at <= now.mono_ms);
        self.calls = waiting;
        for (_, call) in due {
            // A method that gives up now and then: its reply is dropped, and must settle all the same.
            if self.rng.chance(0.02) {
                drop(call.reply_to);
                continue;
            }
            self.hub.answer(call.reply_to, Ok(&call.data));
        }
        while self.hub.pump() {}
        self.witness.drain(now);
    }

    /// Checks a login: guests and the token `good` come in.
    pub(crate) fn check(auth: &Auth) -> Result<Identity, LoginRefused> {
        match auth {
            Auth::Guest { guest: true } => Ok(Identity::default()),
            Auth::Token { token } if token == "expired" => Err(LoginRefused::Expired),
            Auth::Token { token } if token.starts_with("good") => Ok(Identity::default()),
            _ => Err(LoginRefused::Unauthorized("no".into())),
        }
    }
}

/// A subscriber without a network, which therefore sees every log whole.
pub(crate) struct Witness {
    hub: Hub,
    peer: Peer,
    /// Every publication of every channel, offsets rising by one from 1.
    pub(crate) logs: BTreeMap<String, Vec<String>>,
}

impl Witness {
    fn new(hub: &Hub, now: Now, channels: &[String]) -> Self {
        let logs = channels.iter().map(|channel| (channel.clone(), Vec::new())).collect();
        let mut witness = Self { hub: hub.clone(), peer: dial(hub, now), logs };
        witness.watch(now);
        witness
    }

    /// Subscribes to everything; what is known already is read over.
    fn watch(&mut self, now: Now) {
        self.peer.handle_message(now, r#"{"hello":{"v":1,"auth":{"guest":true}}}"#);
        self.drain(now);
        for (index, channel) in self.logs.keys().enumerate() {
            let id = index + 1;
            let line = format!(r#"{{"id":{id},"subscribe":{{"channel":"{channel}","from":"start"}}}}"#);
            self.peer.handle_message(now, &line);
        }
        self.drain(now);
    }

    /// Reads on, and stays alive.
    fn drain(&mut self, now: Now) {
        if now.mono_ms + 5000 > self.peer.poll_timeout() {
            self.peer.handle_message(now, r#"{"ping":{}}"#);
        }
        while let Some(output) = self.peer.poll_output(now) {
            match output {
                Output::Message(message) => {
                    self.read(std::str::from_utf8(&message).expect("packets are text"))
                }
                Output::Login(auth) => self.peer.handle_login(now, Server::check(&auth)),
                // Drained, as everybody else: it comes back at once and misses nothing.
                Output::Close { code: 4001, .. } => {
                    self.peer = dial(&self.hub, now);
                    return self.watch(now);
                }
                other => panic!("the witness was told {other:?}"),
            }
        }
    }

    fn read(&mut self, message: &str) {
        for line in json::packets(message) {
            match json::parse_server(line).expect("the server speaks the protocol") {
                ServerPacket::Pub(publication) => {
                    let log = self.logs.get_mut(&*publication.channel).expect("a watched channel");
                    let next = log.len() as u64 + 1;
                    if publication.offset < next {
                        continue;
                    }
                    assert_eq!(publication.offset, next, "the log itself has a hole");
                    let data: &RawValue = publication.data;
                    log.push(payload_of(data));
                }
                ServerPacket::Gap(gap) => panic!("the witness was overtaken: {gap:?}"),
                _ => {}
            }
        }
    }
}

fn dial(hub: &Hub, now: Now) -> Peer {
    hub.peer(now, Waker::from(Arc::new(Woken::default())))
}
