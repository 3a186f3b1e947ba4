//! Mutates what a phone receives: packets of later versions, unknown packets, other welcomes, other closes. Only for recorded storms in which no promise is checked.
//!
//! Bodies keep the types that the protocol gives them: a client may leave those unchecked. Start at [`InputMutator::mutate`].

use serde_json::{Value, json};
use tautline_netem::Rng;
use tautline_protocol::client::{DropCause, SocketClosed};

use crate::socket::HostEvent;

/// The stream of a seed from which the mutations of its first phone are drawn.
const STREAM: u64 = 100;
/// Of two welcomes one is another than the server said; of everything else much less.
const WELCOME: f64 = 0.3;
const MESSAGE: f64 = 0.03;
const CLOSED: f64 = 0.3;
/// Codes of `bye`, known and unknown ones.
const BYES: [&str; 18] = [
    "server_restart",
    "overloaded",
    "rate_limited",
    "hello_timeout",
    "peer_silent",
    "slow_peer",
    "challenge_failed",
    "token_expired",
    "unauthorized",
    "kicked",
    "banned",
    "taken_over",
    "bad_packet",
    "too_large",
    "unsupported_version",
    "constructor",
    "full_moon",
    "",
];
/// Close codes, also of later versions and of nobody.
const CLOSE_CODES: [i64; 26] = [
    -1, 0, 1000, 1001, 1002, 1003, 1006, 1007, 1009, 1011, 3000, 4000, 4001, 4002, 4003, 4010, 4013, 4050,
    4101, 4105, 4150, 4202, 4299, 4300, 4999, 69_637,
];
/// What is no packet, or one with nothing to say.
const ODD_LINES: [&str; 18] = [
    "",
    " \t\r",
    "nonsense",
    "[]",
    "[1]",
    "{}",
    "null",
    "12",
    r#""text""#,
    r#"{"pong":{}"#,
    r#"{"pong":{}}}"#,
    r#"{"id":1}"#,
    r#"{"one":1,"two":2}"#,
    r#"{"later":{"deep":[{"x":null}]}}"#,
    r#"{"later":null,"id":3,"seen":2,"again":true}"#,
    r#"{"length":1}"#,
    r#"{"constructor":{}}"#,
    r#"{"__proto__":{}}"#,
];

/// The mutations of one phone.
pub(crate) struct InputMutator {
    rng: Rng,
}

impl InputMutator {
    pub(crate) fn new(seed: u64, phone: usize) -> Self {
        Self { rng: Rng::stream(seed, STREAM + phone as u64) }
    }

    /// Makes of what a host tells something that it did not.
    pub(crate) fn mutate(&mut self, event: HostEvent) -> HostEvent {
        match event {
            HostEvent::Message(socket, text) if text.starts_with(r#"{"welcome""#) => {
                let other = self.rng.chance(WELCOME);
                HostEvent::Message(socket, if other { self.welcome(&text) } else { text })
            }
            HostEvent::Message(socket, text) if self.rng.chance(MESSAGE) => {
                HostEvent::Message(socket, self.message(&text))
            }
            HostEvent::Closed(closed) if self.rng.chance(CLOSED) => HostEvent::Closed(self.closed(closed)),
            event => event,
        }
    }

    fn message(&mut self, text: &str) -> String {
        let stray = self.packet();
        match self.rng.below(8) {
            0 => text.chars().take(text.chars().count() / 2).collect(),
            1 => format!("{text}{text}"),
            2 => text.replace('\n', "\r\n\n"),
            3 => format!("{text}{}\n", ODD_LINES[self.index(ODD_LINES.len())]),
            4 => String::new(),
            5 => format!("{stray}\n{text}"),
            _ => format!("{text}{stray}"),
        }
    }

    fn welcome(&mut self, text: &str) -> String {
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let mut packet: Value = serde_json::from_str(first).expect("a server says what is json");
        // Round the border to what is not believed.
        let high = (1_u64 << 52) - 30;
        let (small, error) = (self.rng.below(60), self.error());
        let welcome = &mut packet["welcome"];
        match self.rng.below(12) {
            0 => welcome["requests_seen"] = json!(small),
            1 => welcome["requests_seen"] = json!(high + small),
            2 => welcome["requests_seen"] = json!(u64::MAX),
            3 => drop(welcome.as_object_mut().and_then(|it| it.remove("requests_seen"))),
            4 => welcome["ping_ms"] = json!(500 + 100 * small),
            5 => welcome["pong_ms"] = json!(200 + 100 * small),
            6 => welcome["max_message_bytes"] = json!([150, 400, 2_000, 1_000_000][self.index(4)]),
            7 => welcome["user"] = json!(["u0", "mallory", ""][self.index(3)]),
            8 => drop(welcome.as_object_mut().and_then(|it| it.remove("user"))),
            9 => welcome["resumed"] = json!(welcome["resumed"] != true),
            what => {
                let channels = welcome["channels"].as_object_mut();
                let name = channels.as_ref().and_then(|all| all.keys().next().cloned());
                let (Some(channels), Some(name)) = (channels, name) else { return text.to_owned() };
                match self.rng.below(3) {
                    0 => drop(channels.remove(&name)),
                    1 => channels[&name] = json!({"error": error}),
                    _ => channels[&name]["recovering"] = json!(small % 4),
                }
                if what == 10 {
                    let odd = ["room:9", "constructor", "user:u0", "a"][self.index(4)];
                    channels
                        .insert(odd.to_owned(), json!({"epoch": "e", "offset": 9, "at": 5, "recovering": 0}));
                }
            }
        }
        format!("{packet}\n{rest}")
    }

    fn packet(&mut self) -> Value {
        let (id, small, error) = (1 + self.rng.below(40), self.rng.below(30), self.error());
        let channel = ["room:1", "room:2", "room:9", "user:u0", "constructor"][self.index(5)];
        let cursor = json!({"epoch": "e", "offset": small});
        match self.rng.below(13) {
            0 => json!({"ok": {"epoch": "e", "offset": 5, "at": 7, "recovering": small % 4}, "id": id}),
            1 => json!({"error": error, "id": id}),
            2 => json!({"ok": null}),
            3 => {
                json!({"pub": {"channel": channel, "offset": small, "at": 5, "data": [null, 0.5, "\u{2028}😀"], "from": "u1"}})
            }
            4 => json!({"gap": {"channel": channel, "reason": "retention", "after": 1, "cursor": cursor}}),
            5 => json!({"unsubscribed": {"channel": channel, "code": "permission_denied", "message": "no"}}),
            6 => json!({"unsubscribed": {"channel": channel, "code": "a_new_word"}}),
            7 => json!({"ticket": {"ticket": format!("t{small}"), "expires_at": 1}}),
            8 => {
                let kind = ["join", "away", "back", "leave"][self.index(4)];
                json!({kind: {"channel": channel, "session": "s", "user": "u5"}})
            }
            9 => json!({"challenge": {"code": "expired"}}),
            10 => json!({"later": {"id": id}}),
            _ => self.bye(id, small),
        }
    }

    fn bye(&mut self, id: u64, small: u64) -> Value {
        let reconnect = ["now", "later", "later", "never"][self.index(4)];
        let mut bye = json!({"code": BYES[self.index(BYES.len())], "reconnect": reconnect});
        for (name, value) in
            [("message", json!("why")), ("retry_after_ms", json!(100 * small)), ("attempt", json!(small))]
        {
            if self.rng.chance(0.4) {
                bye[name] = value;
            }
        }
        if self.rng.chance(0.5) { json!({"bye": bye, "id": id}) } else { json!({"bye": bye}) }
    }

    fn error(&mut self) -> Value {
        match self.rng.below(3) {
            0 => json!({"code": "rate_limited", "message": "later", "retry_after_ms": 100}),
            1 => json!({"code": "a_new_word", "message": "说"}),
            _ => json!({"code": "unavailable"}),
        }
    }

    fn closed(&mut self, mut closed: SocketClosed) -> SocketClosed {
        closed.code = self.rng.chance(0.8).then(|| CLOSE_CODES[self.index(CLOSE_CODES.len())]);
        closed.reason = self.rng.chance(0.5).then(|| "a reason".to_owned());
        closed.message = self.rng.chance(0.5).then(|| "a message".to_owned());
        closed.cause = self.rng.chance(0.5).then(|| DropCause::ALL[self.index(DropCause::ALL.len())]);
        closed.held = self.rng.chance(0.2);
        closed
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.rng.below(length as u64)).expect("small")
    }
}
