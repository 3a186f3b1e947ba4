//! Logins that expire: a line ends with its login, to the millisecond, and one that is refreshed in band goes on.
//!
//! Phones in the storm refresh their logins, or get a new one where one has expired, and lose nothing. In the calm behind it one
//! line is moved by hand, to the millisecond.

use std::task::Waker;

use serde_json::{Value, json};
use tautline_hub::{Output, Peer};
use tautline_netem::Rng;
use tautline_protocol::{Now, packet::Auth};

use super::common::{CHANNELS, DELIVERY_MS};
use crate::{event_log::Event, server::Server, world::World};

const USER: &str = "refreshes";
/// How long the logins of that line are good, in milliseconds.
const LIFE_MS: (u64, u64) = (1_000, 6_000);
/// How often it refreshes them at most.
const REFRESHES_MAX: u64 = 6;

/// A login that is good for so long; for as long as the server lets it, where nothing is said.
pub(super) fn token(user: &str, life_ms: Option<u64>) -> Auth {
    let life = life_ms.map(|ms| format!("~{ms}")).unwrap_or_default();
    Auth::Token { token: format!("user:{user}{life}") }
}

/// Refreshes a line at random, and lets it end. Gives how many lines of phones have ended with their login, and how often phones
/// have refreshed theirs.
///
/// # Panics
/// When a line ends before its login, or after it, or misses a publication.
pub(super) fn check(world: &mut World, seed: u64) -> (u64, u64) {
    let mut rng = Rng::stream(seed, 13);
    let mut line = Line::open(world, rng.between(LIFE_MS.0, LIFE_MS.1));
    let begins_at = line.subscribe(world);
    for round in 0..rng.between(1, REFRESHES_MAX) {
        let left_ms = line.until_ms - world.now().mono_ms;
        if left_ms > 1 {
            line.wait(world, rng.between(1, left_ms - 1));
        }
        world.publish(CHANNELS[0], &format!("refreshed {round}"));
        if rng.chance(0.6) {
            line.refresh(world, rng.between(LIFE_MS.0, LIFE_MS.1));
        } else {
            let refused = ["no", "expired", "user:somebody", "user:somebody~9000"];
            line.refresh_in_vain(world, refused[usize::try_from(rng.below(4)).expect("small")]);
        }
    }
    // Long enough for everything to be delivered.
    line.refresh(world, 2 * DELIVERY_MS);
    line.wait(world, DELIVERY_MS);
    let head = world.ground_truth(|ground_truth| ground_truth.head(CHANNELS[0]).0);
    assert!((begins_at + 1..=head).eq(line.heard()), "of {begins_at} to {head} came {:?}", line.told);
    line.wait(world, line.until_ms - world.now().mono_ms - 1);
    assert!(!line.is_over, "a line ended before its login: {:?}", line.told);
    line.wait(world, 1);
    let bye = line.told.last().map(|packet| &packet["bye"]["code"]);
    assert!(line.is_over && bye == Some(&json!("token_expired")), "a login expired: {:?}", line.told);
    let words = || world.phones.iter().flat_map(|phone| &phone.events);
    let expired = |event: &&Event| matches!(event, Event::Received(text) if text.contains("token_expired"));
    let refreshed = |event: &&Event| matches!(event, Event::Sent(text) if text.contains(r#""auth":{"token""#) && !text.contains(r#"{"hello""#));
    (words().filter(expired).count() as u64, words().filter(refreshed).count() as u64)
}

/// A connection that is moved by hand.
struct Line {
    peer: Peer,
    told: Vec<Value>,
    /// When its login expires, in monotonic milliseconds.
    until_ms: u64,
    is_over: bool,
    next_id: u64,
}

impl Line {
    fn open(world: &mut World, life_ms: u64) -> Self {
        let now = world.now();
        let peer = world.server.hub.peer(now, Waker::noop().clone());
        let (told, until_ms) = (Vec::new(), now.mono_ms + life_ms);
        let mut line = Self { peer, told, until_ms, is_over: false, next_id: 1 };
        line.say(now, &json!({"hello": {"v": 1, "auth": token(USER, Some(life_ms))}}));
        // An engine that is slow is asked about the inbox.
        line.wait(world, 500);
        assert!(line.told.iter().any(|packet| packet.get("welcome").is_some()), "{:?}", line.told);
        line
    }

    /// Subscribes from now on. Gives the offset where it begins.
    fn subscribe(&mut self, world: &mut World) -> u64 {
        let reply = self.ask(world, "subscribe", &json!({"channel": CHANNELS[0], "from": "now"}));
        reply["ok"]["offset"].as_u64().expect("an offset")
    }

    fn refresh(&mut self, world: &mut World, life_ms: u64) {
        let now = world.now();
        let reply = self.ask(world, "auth", &json!(token(USER, Some(life_ms))));
        assert_eq!(reply["ok"]["expires_at"], now.wall_ms + life_ms);
        self.until_ms = now.mono_ms + life_ms;
    }

    /// With what is refused: everything stays as it was.
    fn refresh_in_vain(&mut self, world: &mut World, token: &str) {
        let reply = self.ask(world, "auth", &json!({"token": token}));
        assert_eq!(reply["error"]["code"], "permission_denied");
    }

    /// A reply comes at once, or as soon as the engine has told.
    fn ask(&mut self, world: &mut World, verb: &str, body: &Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        self.say(world.now(), &json!({"id": id, verb: body}));
        let answers = |told: &[Value]| told.iter().find(|packet| packet["id"] == id).cloned();
        if answers(&self.told).is_none() {
            self.wait(world, 100);
        }
        answers(&self.told).unwrap_or_else(|| panic!("{verb} was not answered: {:?}", self.told))
    }

    fn say(&mut self, now: Now, packet: &Value) {
        self.peer.handle_message(now, &packet.to_string());
        self.hear(now);
    }

    /// Lets time pass, and hears what is said.
    fn wait(&mut self, world: &mut World, ms: u64) {
        let until = world.now().mono_ms + ms;
        loop {
            while world.server.hub.pump() {}
            self.peer.handle_timeout(world.now());
            self.hear(world.now());
            let left = until - world.now().mono_ms;
            if left == 0 {
                return;
            }
            let due_in = self.peer.poll_timeout().saturating_sub(world.now().mono_ms);
            world.advance(left.min(due_in.max(1)).min(20));
        }
    }

    fn hear(&mut self, now: Now) {
        while let Some(output) = self.peer.poll_output(now) {
            match output {
                Output::Message(bytes) => {
                    let text = String::from_utf8(bytes.to_vec()).expect("packets are text");
                    let packets =
                        text.lines().map(|line| serde_json::from_str(line).expect("packets are JSON"));
                    self.told.extend(packets);
                }
                Output::Authenticate(question, reply) => reply.answer(Server::check(now, &question.auth)),
                Output::Authorize(..) | Output::Call(_) => {}
                Output::Close { .. } => {
                    self.is_over = true;
                    self.peer.handle_lost(now);
                }
            }
        }
    }

    /// The offsets of what came in the channel.
    fn heard(&self) -> impl Iterator<Item = u64> {
        let pubs = self.told.iter().filter_map(|packet| packet.get("pub"));
        pubs.filter(|it| it["channel"] == CHANNELS[0]).filter_map(|it| it["offset"].as_u64())
    }
}
