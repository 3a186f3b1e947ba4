//! Test rig for the hub: phones without sockets, time moved by hand.
#![allow(dead_code, reason = "each test file uses its own part of the rig")]

pub mod acts;
pub mod cluster;
pub mod slow;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

use serde_json::{Value, json, value::RawValue};
use tautline_engine::{Engine, MemoryEngine, Retention};
use tautline_hub::{
    Access, Authorization, AuthorizeQuestion, CallRequest, ChannelRule, Hub, HubConfig, Identity,
    LoginRefused, NodeLimits, Output, Peer, PresenceMode, PublishOptions, Reply, RulePattern, SessionFilter,
    Target, client_network,
};
use tautline_protocol::{
    ChannelName, Format, Limits, Now, Pattern, UserId, json as codec, msgpack,
    packet::{ErrorBody, server::Published},
};

/// The wall time at which every test begins.
pub const BEGIN_WALL_MS: u64 = 1_763_666_000_000;

/// A hub and its clock.
pub struct Node {
    pub hub: Hub,
    pub now: Now,
}

impl Node {
    pub fn new() -> Self {
        Self::with(Limits::default(), Retention::default())
    }

    pub fn with(limits: impl Into<NodeLimits>, retention: Retention) -> Self {
        Self::seeded(limits, retention, 7)
    }

    pub fn seeded(limits: impl Into<NodeLimits>, retention: Retention, seed: u8) -> Self {
        let limits = limits.into();
        let ticket_ms = limits.protocol.ticket_ms;
        let engine = Arc::new(MemoryEngine::new(u32::from(seed), &limits.engine, ticket_ms));
        Self::on(engine, limits, retention, seed)
    }

    pub fn on(
        engine: Arc<dyn Engine>,
        limits: impl Into<NodeLimits>,
        retention: Retention,
        seed: u8,
    ) -> Self {
        let rule = |pattern: &str, access, presence| ChannelRule {
            subscribe: access,
            publish: access,
            presence,
            retention,
            ack: pattern.starts_with("ack:"),
            ..ChannelRule::closed(RulePattern::parse(pattern).expect("valid"))
        };
        let rules = vec![
            rule("secret:*", Access::Token, PresenceMode::Off),
            rule("closed:*", Access::None, PresenceMode::Off),
            ChannelRule {
                history_access: Some(Access::Backend),
                presence_access: Some(Access::Backend),
                ..rule("each:*", Access::Backend, PresenceMode::Events)
            },
            rule("asks:*", Access::Backend, PresenceMode::Events),
            rule("party:*", Access::Any, PresenceMode::Events),
            rule("ack:*", Access::Any, PresenceMode::Off),
            rule("*", Access::Any, PresenceMode::Off),
        ];
        Self::ruled_on(engine, limits, rules, seed)
    }

    /// A node with these rules.
    pub fn ruled(rules: Vec<ChannelRule>) -> Self {
        let limits = NodeLimits::default();
        let engine = MemoryEngine::new(7, &limits.engine, limits.protocol.ticket_ms);
        Self::ruled_on(Arc::new(engine), limits, rules, 7)
    }

    fn ruled_on(
        engine: Arc<dyn Engine>,
        limits: impl Into<NodeLimits>,
        rules: Vec<ChannelRule>,
        seed: u8,
    ) -> Self {
        let config = HubConfig {
            limits: limits.into(),
            rules,
            node: "n1".into(),
            ticket_keys: vec![[1; 32]],
            login_sources: vec![0],
            idempotent_methods: ["count".to_owned()].into(),
        };
        Self { hub: Hub::new(config, engine, [seed; 32]), now: Now::new(1_000_000, BEGIN_WALL_MS) }
    }

    pub fn advance(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.hub.tick(self.now);
    }

    pub fn publish(&self, channel: &str, data: &Value) {
        let raw = RawValue::from_string(data.to_string()).expect("valid");
        let name = ChannelName::parse(channel).expect("valid");
        self.try_publish(&name, &raw, PublishOptions::default()).expect("published");
        while self.hub.pump() {}
    }

    /// Publishes for the back end; the engine answers later.
    pub fn publish_later(&self, channel: &str, data: &Value) {
        let raw = RawValue::from_string(data.to_string()).expect("valid");
        let name = ChannelName::parse(channel).expect("valid");
        self.hub.publish(self.now, &name, &raw, PublishOptions::default(), |result| {
            drop(result.expect("published"))
        });
    }

    /// Publishes for the back end; the engine answers at once.
    pub fn try_publish(
        &self,
        channel: &ChannelName,
        data: &RawValue,
        options: PublishOptions<'_>,
    ) -> Result<Published, ErrorBody> {
        let (done, outcome) = std::sync::mpsc::channel();
        self.hub.publish(self.now, channel, data, options, move |result| drop(done.send(result)));
        outcome.try_recv().expect("answered at once")
    }

    pub fn dial(&self) -> Phone {
        self.dial_in(Format::Json)
    }

    pub fn dial_in(&self, format: Format) -> Phone {
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let peer = self.hub.peer_in(format, self.now, Waker::from(Arc::clone(&woken)));
        Phone::new(peer, woken)
    }

    /// A phone at this client's own address.
    pub fn dial_own(&self, address: &str) -> Phone {
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&woken));
        let address = client_network(address.parse().expect("valid"));
        Phone::new(self.hub.peer_from(address, Format::Json, self.now, waker), woken)
    }

    /// A phone at this address.
    pub fn dial_from(&self, address: &str) -> Phone {
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&woken));
        let holder = self.hub.holder(address.as_bytes());
        Phone::new(self.hub.peer_of(holder, Format::Json, self.now, waker), woken)
    }

    /// A guest at this address that received its welcome.
    pub fn guest_at(&self, address: &str) -> Phone {
        let mut phone = self.dial_from(address);
        phone.enter(self, json!({"hello": {"v": 1, "auth": {"guest": true}}}));
        phone
    }

    /// A guest that received its welcome.
    pub fn guest(&self) -> Phone {
        let mut phone = self.dial();
        phone.enter(self, json!({"hello": {"v": 1, "auth": {"guest": true}}}));
        phone
    }

    /// A client with this login that received its welcome.
    pub fn log_in(&self, login: Identity) -> Phone {
        let mut phone = self.dial();
        phone.login = Ok(login);
        phone.enter(self, json!({"hello": {"v": 1, "auth": {"token": "…"}}}));
        phone
    }

    /// A user that received its welcome.
    pub fn user(&self, user: &str, channels: &[&str]) -> Phone {
        let mut phone = self.dial();
        phone.login = Ok(identity(user, channels));
        phone.enter(self, json!({"hello": {"v": 1, "auth": {"token": "…"}}}));
        phone
    }
}

/// No session is left, not even a parked one.
pub fn assert_no_session(node: &Node) {
    let all = Target::Matching(SessionFilter::default());
    assert_eq!(node.hub.control().find(node.now, &all, None, 10).sessions, []);
}

/// A rule that closes its channels to all clients.
pub fn closed(pattern: &str) -> ChannelRule {
    ChannelRule::closed(RulePattern::parse(pattern).expect("valid"))
}

/// The identity in a token of `user`.
pub fn identity(user: &str, channels: &[&str]) -> Identity {
    Identity {
        user: Some(UserId::parse(user).expect("valid")),
        channels: channels.iter().map(|pattern| Pattern::parse(pattern).expect("valid")).collect(),
        ..Identity::default()
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A client that exchanges packets and records those it receives.
pub struct Phone {
    pub peer: Peer,
    woken: Arc<Woken>,
    /// Every packet received and not yet taken.
    pub inbox: Vec<Value>,
    /// Calls not yet answered.
    pub calls: Vec<CallRequest>,
    /// Questions to the back end, not yet answered.
    pub questions: Vec<(AuthorizeQuestion, Reply<Authorization>)>,
    /// The close frame.
    pub close: Option<u16>,
    /// The result of its next login.
    pub login: Result<Identity, LoginRefused>,
}

impl Phone {
    fn new(peer: Peer, woken: Arc<Woken>) -> Self {
        let (inbox, calls, login) = (Vec::new(), Vec::new(), Ok(Identity::default()));
        Self { peer, woken, inbox, calls, questions: Vec::new(), close: None, login }
    }

    pub fn say(&mut self, node: &Node, packet: Value) {
        self.say_text(node, &packet.to_string());
    }

    pub fn say_text(&mut self, node: &Node, message: &str) {
        match self.peer.format() {
            Format::Json => self.peer.handle_message(node.now, message),
            Format::Msgpack => self.peer.handle_binary(node.now, &msgpack::from_json(message.as_bytes())),
        }
        self.drain(node);
    }

    /// Sends a hello, and waits for admission where many do so within the same millisecond.
    pub fn enter(&mut self, node: &Node, hello: Value) {
        self.say(node, hello);
        while !self.peer.wants_input() && node.hub.pump() {}
        self.drain(node);
    }

    /// Drains the server's outputs.
    pub fn drain(&mut self, node: &Node) {
        while let Some(output) = self.peer.poll_output(node.now) {
            match output {
                Output::Message(bytes) => {
                    let text = match self.peer.format() {
                        Format::Json => String::from_utf8(bytes.to_vec()).expect("text"),
                        Format::Msgpack => msgpack::to_json(&bytes),
                    };
                    let text = &text;
                    self.inbox
                        .extend(codec::packets(text).map(|line| serde_json::from_str(line).expect("json")));
                }
                Output::Authenticate(_, reply) => reply.answer(self.login.clone()),
                Output::Authorize(question, reply) => self.questions.push((question, reply)),
                Output::Call(call) => self.calls.push(call),
                Output::Close { code, .. } => self.close = Some(code),
            }
        }
    }

    pub fn was_woken(&self) -> bool {
        self.woken.0.swap(false, Ordering::SeqCst)
    }

    /// All packets received since the last call.
    pub fn hear(&mut self, node: &Node) -> Vec<Value> {
        self.drain(node);
        std::mem::take(&mut self.inbox)
    }

    /// The bodies of all packets with this verb since the last call.
    pub fn hear_only(&mut self, node: &Node, verb: &str) -> Vec<Value> {
        self.hear(node).into_iter().filter_map(|packet| packet.get(verb).cloned()).collect()
    }

    /// Sends a request and returns its reply; everything else stays in the inbox.
    pub fn ask(&mut self, node: &Node, packet: Value) -> Value {
        let id = packet["id"].clone();
        self.say(node, packet);
        // A reply may wait for an event.
        while node.hub.pump() {}
        self.drain(node);
        let at = self.inbox.iter().position(|packet| packet["id"] == id).expect("a reply");
        self.inbox.remove(at)
    }

    /// The offsets of all publications received since the last call.
    pub fn offsets(&mut self, node: &Node) -> Vec<u64> {
        self.hear_only(node, "pub").iter().map(|body| body["offset"].as_u64().expect("an offset")).collect()
    }

    pub fn welcome(&mut self, node: &Node) -> Value {
        self.hear_only(node, "welcome").pop().expect("a welcome")
    }

    /// The id of its session.
    pub fn welcome_session(&mut self, node: &Node) -> String {
        self.drain(node);
        let mut welcomes = self.inbox.iter().filter_map(|packet| packet.get("welcome"));
        welcomes.next_back().expect("a welcome")["session"].as_str().expect("a text").to_owned()
    }

    pub fn bye(&mut self, node: &Node) -> Value {
        self.hear_only(node, "bye").pop().expect("a bye")
    }

    /// Answers the oldest question to the back end.
    pub fn decide(&mut self, node: &Node, decision: Authorization) -> AuthorizeQuestion {
        let (question, reply) = self.questions.remove(0);
        reply.answer(decision);
        self.drain(node);
        question
    }

    pub fn settle_calls(&mut self, node: &Node, data: &Value) {
        for call in self.calls.drain(..) {
            let raw = RawValue::from_string(data.to_string()).expect("valid");
            node.hub.answer(call.reply_to, Ok(&raw));
        }
        self.drain(node);
    }
}

/// A hello that resumes a session.
pub fn resume(welcome: &Value, attempt: u64, cursors: Value) -> Value {
    json!({"hello": {"v": 1, "resume": {"ticket": welcome["ticket"], "attempt": attempt, "cursors": cursors}}})
}
