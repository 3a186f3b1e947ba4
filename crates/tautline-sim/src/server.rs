//! The server's side of a world: the hub, its methods, and a witness that remembers every log.

use std::{collections::BTreeMap, sync::Arc, task::Waker};

use serde_json::value::RawValue;
use tautline_hub::{
    Access, CallRequest, ChannelRule, Hub, HubConfig, Identity, LoginRefused, MemoryEngine, Output, Peer,
    PresenceMode, PublishOptions, Retention,
};
use tautline_netem::Rng;
use tautline_protocol::{
    ChannelName, Limits, Now, Pattern, UserId, json,
    packet::{
        Auth, ServerPacket,
        server::{Published, Subscribed},
    },
};

use crate::{app::payload_of, socket::Woken};

/// The hub and what surrounds it.
pub(crate) struct Server {
    pub(crate) hub: Hub,
    pub(crate) witness: Witness,
    /// How often each call was executed, by its payload.
    pub(crate) executed: BTreeMap<String, u32>,
    config: HubConfig,
    seed: u64,
    /// How often the process was started.
    pub(crate) lives: u64,
    method_ms: Option<u64>,
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
        method_ms: Option<u64>,
    ) -> Self {
        let rule = ChannelRule {
            pattern: Pattern::parse("*").expect("valid"),
            subscribe: Access::Any,
            publish: Access::Any,
            presence: PresenceMode::Off,
            retention,
            ack: false,
        };
        let config = HubConfig {
            limits,
            rules: vec![rule],
            node: "sim".into(),
            ticket_keys: vec![[7; 32]],
            idempotent_methods: Default::default(),
        };
        let hub = make_hub(config.clone(), seed, 0);
        let witness = Witness::new(&hub, now, channels);
        let next_tick = now.mono_ms + 1000;
        Self {
            hub,
            witness,
            executed: BTreeMap::new(),
            config,
            seed,
            lives: 0,
            method_ms,
            calls: Vec::new(),
            next_tick,
            rng: Rng::stream(seed, 77),
        }
    }

    pub(crate) fn next_timeout(&self) -> u64 {
        self.calls.iter().map(|(due, _)| *due).min().unwrap_or(u64::MAX).min(self.next_tick)
    }

    /// A new process takes the place of this one: the keys of tickets and the house rules are all that it inherits.
    pub(crate) fn restart(&mut self, now: Now) {
        self.lives += 1;
        self.calls.clear();
        self.hub = make_hub(self.config.clone(), self.seed, self.lives);
        self.witness.move_to(&self.hub, now);
    }

    /// The back end publishes.
    pub(crate) fn publish(&mut self, now: Now, channel: &str, payload: &str) {
        let name = ChannelName::parse(channel).expect("a valid name");
        let data = RawValue::from_string(format!("\"{payload}\"")).expect("payloads need no escapes");
        let (done, outcome) = std::sync::mpsc::channel();
        let options = PublishOptions::default();
        self.hub.publish(now, &name, &data, options, move |result| drop(done.send(result)));
        let published = outcome.try_recv().expect("this engine answers at once").expect("the hub has room");
        self.witness.note(channel, published, payload);
    }

    /// A method begins to run.
    pub(crate) fn run_call(&mut self, now: Now, call: CallRequest) {
        *self.executed.entry(payload_of(&call.data)).or_default() += 1;
        let by_chance_ms = if self.rng.chance(0.7) { 0 } else { self.rng.between(1, 3000) };
        let takes_ms = self.method_ms.unwrap_or(by_chance_ms);
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
            if self.method_ms.is_none() && self.rng.chance(0.02) {
                drop(call.reply_to);
                continue;
            }
            self.hub.answer(call.reply_to, Ok(&call.data));
        }
        while self.hub.pump() {}
        self.witness.drain(now);
    }

    /// Checks a login: guests come in, the token `good`, and whoever says `user:` and a name.
    pub(crate) fn check(auth: &Auth) -> Result<Identity, LoginRefused> {
        match auth {
            Auth::Guest { guest: true } => Ok(Identity::default()),
            Auth::Token { token } if token == "expired" => Err(LoginRefused::Expired),
            Auth::Token { token } if token == "good" => Ok(Identity::default()),
            Auth::Token { token } => match token.strip_prefix("user:").map(UserId::parse) {
                Some(Ok(user)) => Ok(Identity { user: Some(user), ..Identity::default() }),
                _ => Err(LoginRefused::Unauthorized("no".into())),
            },
            _ => Err(LoginRefused::Unauthorized("no".into())),
        }
    }
}

fn make_hub(config: HubConfig, seed: u64, lives: u64) -> Hub {
    let mut hub_seed = [0; 32];
    hub_seed[..8].copy_from_slice(&seed.to_le_bytes());
    hub_seed[8..16].copy_from_slice(&lives.to_le_bytes());
    let life = u32::try_from(lives + 1).expect("few");
    let engine = Arc::new(MemoryEngine::new(life, &config.limits));
    Hub::new(config, engine, hub_seed)
}

/// What every log held, by channel and epoch: offsets rise by one from 1.
pub type Logs = BTreeMap<(String, String), Vec<String>>;

/// A subscriber without a network, which therefore sees every log whole.
pub(crate) struct Witness {
    hub: Hub,
    peer: Peer,
    channels: Vec<String>,
    /// The server drains and lets nobody in.
    shut_out: bool,
    /// The epoch of this life of the server.
    pub(crate) epoch: String,
    pub(crate) logs: Logs,
}

impl Witness {
    fn new(hub: &Hub, now: Now, channels: &[String]) -> Self {
        let (hub, peer) = (hub.clone(), dial(hub, now));
        let mut witness = Self {
            hub,
            peer,
            channels: channels.to_vec(),
            shut_out: false,
            epoch: String::new(),
            logs: Logs::new(),
        };
        witness.watch(now);
        witness
    }

    /// The server began a new life.
    fn move_to(&mut self, hub: &Hub, now: Now) {
        self.hub = hub.clone();
        self.shut_out = true;
        self.come_back(now);
    }

    /// The server is open again.
    pub(crate) fn come_back(&mut self, now: Now) {
        if std::mem::take(&mut self.shut_out) {
            self.peer = dial(&self.hub, now);
            self.watch(now);
        }
    }

    /// Remembers what the back end published in a channel that nobody else writes to, and that may not be watched.
    fn note(&mut self, channel: &str, published: Published, payload: &str) {
        if self.channels.iter().any(|watched| watched == channel) {
            return;
        }
        let log = self.logs.entry((channel.to_owned(), published.epoch)).or_default();
        log.push(payload.to_owned());
        assert_eq!(log.len() as u64, published.offset, "{channel}: the log itself has a hole");
    }

    /// Subscribes to everything; what is known already is read over.
    fn watch(&mut self, now: Now) {
        self.peer.handle_message(now, r#"{"hello":{"v":1,"auth":{"guest":true}}}"#);
        self.drain(now);
        for (index, channel) in self.channels.iter().enumerate() {
            let id = index + 1;
            let line = format!(r#"{{"id":{id},"subscribe":{{"channel":"{channel}","from":"start"}}}}"#);
            self.peer.handle_message(now, &line);
        }
        self.drain(now);
    }

    /// Reads on, and stays alive.
    fn drain(&mut self, now: Now) {
        if self.shut_out {
            return;
        }
        if now.mono_ms + 5000 > self.peer.poll_timeout() {
            self.peer.handle_message(now, r#"{"ping":{}}"#);
        }
        while let Some(output) = self.peer.poll_output(now) {
            match output {
                Output::Message(message) => {
                    self.read(std::str::from_utf8(&message).expect("packets are text"))
                }
                Output::Login(auth) => self.peer.handle_login(now, Server::check(&auth)),
                // Drained, as everybody else: it comes back as soon as the server is open, and misses nothing.
                Output::Close { code: 4001, .. } => self.shut_out = true,
                other => panic!("the witness was told {other:?}"),
            }
        }
    }

    fn read(&mut self, message: &str) {
        for line in json::packets(message) {
            match json::parse_server(line).expect("the server speaks the protocol") {
                ServerPacket::Reply(id, Ok(body)) => {
                    let body = serde_json::from_str::<Subscribed>(body.get()).expect("a reply to subscribe");
                    let channel = self.channels[usize::try_from(id - 1).expect("an index")].clone();
                    self.logs.entry((channel, body.epoch.clone())).or_default();
                    self.epoch = body.epoch;
                }
                ServerPacket::Pub(publication) => {
                    let key = (publication.channel.to_string(), self.epoch.clone());
                    let log = self.logs.get_mut(&key).expect("a watched channel");
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
