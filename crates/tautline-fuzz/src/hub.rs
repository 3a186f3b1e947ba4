//! The server's end under a client that says anything, and under tickets that nobody, or a thief of the key, has sealed.

use std::{sync::Arc, task::Waker};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use serde_json::{json, value::RawValue};
use tautline_hub::{
    Access, Authorization, ChannelRule, Hub, HubConfig, Identity, MemoryEngine, NodeLimits, Output, Peer,
    Permission, PresenceMode, RulePattern,
};
use tautline_protocol::{
    Format, Now, UserId,
    json::{packets, parse_server},
    msgpack,
    packet::{Auth, ServerPacket},
};

const TICKET_KEY: [u8; 32] = [1; 32];
const NONCE: [u8; 24] = [9; 24];
/// Outputs of one input, at most.
const ROUNDS_MAX: usize = 10_000;

/// Messages of a client with a 0xff byte between them, which neither json nor msgpack needs; an empty one lets ten seconds
/// pass. A line of json is said in msgpack, too, by a client of the same kind.
pub fn hub_peer(data: &[u8]) {
    let mut node = Node::new();
    let mut peers = Format::ALL.map(|format| node.dial(format));
    for message in data.split(|byte| *byte == 0xff) {
        if message.is_empty() {
            node.pass(10_000);
        }
        for peer in &mut peers {
            match (peer.format(), std::str::from_utf8(message)) {
                _ if message.is_empty() => peer.handle_timeout(node.now),
                (Format::Json, Ok(text)) => peer.handle_message(node.now, text),
                (Format::Json, Err(_)) => {}
                (Format::Msgpack, Ok(text)) if text.starts_with('{') => {
                    peer.handle_binary(node.now, &msgpack::from_json(message));
                }
                (Format::Msgpack, _) => peer.handle_binary(node.now, message),
            }
            node.drain(peer);
        }
    }
    // Whoever comes next finds a node that works.
    let mut guest = node.dial(Format::Json);
    guest.handle_message(node.now, r#"{"hello":{"v":1,"auth":{"guest":true}}}"#);
    assert!(node.drain(&mut guest).contains("\"welcome\""), "a guest is welcome");
}

/// The first byte says whether the rest is a ticket as it stands, or the claims of one that bears the right seal.
pub fn tickets(data: &[u8]) {
    let [how, rest @ ..] = data else { return };
    let is_sealed = how & 1 == 1;
    let ticket = if is_sealed {
        sealed(rest)
    } else {
        let Ok(text) = std::str::from_utf8(rest) else { return };
        text.to_owned()
    };
    let node = Node::new();
    let mut peer = node.dial(Format::Json);
    let resume = json!({"ticket": ticket, "attempt": 1, "cursors": {"a": {"epoch": "e", "offset": 3}}});
    peer.handle_message(node.now, &json!({"hello": {"v": 1, "resume": resume}}).to_string());
    let said = node.drain(&mut peer);
    if !is_sealed {
        // Seals cannot be guessed, and the corpus holds none under this key.
        assert!(!said.contains("\"welcome\""), "a ticket without a seal opened a session: {said}");
    }
}

fn sealed(claims: &[u8]) -> String {
    let cipher = XChaCha20Poly1305::new((&TICKET_KEY).into());
    let payload = Payload { msg: claims, aad: b"tautline ticket 1" };
    let sealed = cipher.encrypt(&XNonce::from(NONCE), payload).expect("claims are short");
    BASE64_URL_SAFE_NO_PAD.encode([&NONCE[..], &sealed].concat())
}

struct Node {
    hub: Hub,
    now: Now,
}

impl Node {
    fn new() -> Self {
        let rule = |pattern: &str, access, presence| ChannelRule {
            subscribe: access,
            publish: access,
            presence,
            ack: pattern.starts_with("ack:"),
            ..ChannelRule::closed(RulePattern::parse(pattern).expect("valid"))
        };
        let rules = vec![
            rule("secret:*", Access::Token, PresenceMode::Off),
            rule("party:*", Access::Any, PresenceMode::Events),
            rule("asks:*", Access::Backend, PresenceMode::Events),
            rule("ack:*", Access::Any, PresenceMode::Off),
            rule("*", Access::Any, PresenceMode::Off),
        ];
        let limits = NodeLimits::default();
        let engine = MemoryEngine::new(1, &limits.engine, limits.protocol.ticket_ms);
        let config = HubConfig {
            limits,
            rules,
            node: "n1".into(),
            ticket_keys: vec![TICKET_KEY],
            login_sources: vec![0],
            idempotent_methods: ["count".to_owned()].into(),
        };
        let hub = Hub::new(config, Arc::new(engine), [7; 32]);
        Self { hub, now: Now::new(1_000_000, 1_763_666_000_000) }
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.hub.tick(self.now);
    }

    fn dial(&self, format: Format) -> Peer {
        self.hub.peer_in(format, self.now, Waker::noop().clone())
    }

    /// All that the peer is told; each line of it is a packet that a client knows.
    fn drain(&self, peer: &mut Peer) -> String {
        let mut said = String::new();
        for round in 0.. {
            assert!(round < ROUNDS_MAX, "outputs without an end");
            while self.hub.pump() {}
            match peer.poll_output(self.now) {
                None => break,
                Some(Output::Message(bytes)) => {
                    said.push_str(&match peer.format() {
                        Format::Json => String::from_utf8(bytes.into()).expect("messages are text"),
                        Format::Msgpack => msgpack::to_json(&bytes),
                    });
                }
                Some(Output::Authenticate(question, reply)) => reply.answer(Ok(identity(&question.auth))),
                Some(Output::Authorize(question, reply)) => {
                    reply.answer(match question.permission {
                        Permission::Presence => Authorization::deny("no"),
                        _ => Authorization::ALLOW,
                    });
                }
                Some(Output::Call(call)) => {
                    let data = RawValue::from_string("null".to_owned()).expect("json");
                    self.hub.answer(call.reply_to, Ok(&data));
                }
                Some(Output::Close { .. }) => break,
            }
        }
        check_said(&said);
        said
    }
}

fn identity(auth: &Auth) -> Identity {
    let is_guest = matches!(auth, Auth::Guest { .. });
    let user = (!is_guest).then(|| UserId::parse("u1").expect("valid"));
    Identity { user, ..Identity::default() }
}

fn check_said(said: &str) {
    for line in packets(said) {
        match parse_server(line) {
            Ok(ServerPacket::Unknown(verb)) => panic!("said: {line}: {verb} is no verb"),
            Ok(_) => {}
            Err(error) => panic!("said: {line}: {error}"),
        }
    }
}
