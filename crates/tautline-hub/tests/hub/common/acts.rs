//! Random events for the connections of one session, including every way to end.

use std::sync::Mutex;

use serde_json::{Value, json, value::RawValue};
use tautline_hub::{CallRequest, LoginRefused};
use tautline_protocol::Now;

use super::{Node, Phone, identity, resume};

/// The number of acts; those that end by a panic come last.
pub const ACTS: u64 = 21;
/// The number of acts without a panic.
pub const CALM_ACTS: u64 = 20;

/// State shared by the connections of one session. Not locked during calls of the hub.
#[derive(Default)]
pub struct Shared(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    welcome: Option<Value>,
    attempt: u64,
    id: u64,
    calls: Vec<CallRequest>,
}

impl Shared {
    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.0.lock().expect("not poisoned"))
    }

    /// Drops all pending calls unanswered.
    pub fn give_up(&self) {
        drop(self.with(|inner| std::mem::take(&mut inner.calls)));
    }

    fn id(&self) -> u64 {
        self.with(|inner| {
            inner.id += 1;
            inner.id
        })
    }
}

/// Performs an act on a connection or the node.
pub fn act(node: &Node, shared: &Shared, phone: &mut Phone, acts: u64, chance: &mut dyn FnMut(u64) -> u64) {
    let ask =
        |phone: &mut Phone, verb: &str, body: Value| phone.say(node, json!({"id": shared.id(), verb: body}));
    match chance(acts) {
        0..=2 => come_back(node, shared, phone),
        3 => ask(phone, "publish", json!({"channel": "room:7", "data": "0123456789"})),
        4 => ask(phone, "publish", json!({"channel": "closed:1", "data": 1})),
        5 => ask(phone, "call", json!({"method": "m"})),
        6 => settle(node, shared),
        7 => drop(shared.with(|inner| inner.calls.pop())),
        8 => ask(phone, "subscribe", json!({"channel": "party:1", "from": "start"})),
        9 => ask(phone, "subscribe", json!({"channel": "room:7", "from": "start"})),
        10 => ask(phone, "unsubscribe", json!({"channel": "party:1"})),
        11 => ask(phone, "history", json!({"channel": "room:7", "limit": 5})),
        12 => {
            let refused = LoginRefused::Unauthorized("no".into());
            phone.login = if chance(2) == 0 { Err(refused) } else { Ok(identity("u1", &[])) };
            ask(phone, "auth", json!({"token": "…"}));
        }
        13 => phone.say(node, json!({"pause": {}})),
        14 => phone.say(node, json!({"ping": {}, "seen": shared.id()})),
        15 => phone.say(node, json!({"bye": {}})),
        16 => phone.peer.handle_lost(node.now),
        17 => {
            let silent =
                Now::new(phone.peer.poll_timeout().min(node.now.mono_ms + 600_000), node.now.wall_ms);
            phone.peer.handle_timeout(silent);
        }
        18 => {
            let mut stranger = node.dial();
            stranger.login = Err(LoginRefused::Expired);
            stranger.say(node, json!({"hello": {"v": 1, "auth": {"token": "…"}}}));
        }
        19 => {
            node.hub.drain(0);
            node.hub.reopen();
        }
        _ => {
            let dies = std::mem::replace(phone, node.dial());
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
                let _dies = dies;
                std::panic::resume_unwind(Box::new("a connection's task panics"));
            }));
            assert!(caught.is_err());
        }
    }
    if chance(2) == 0 {
        while node.hub.pump() {}
    }
    phone.drain(node);
    phone.inbox.clear();
    let calls = std::mem::take(&mut phone.calls);
    shared.with(|inner| inner.calls.extend(calls));
}

/// Replaces the connection by a new one.
fn come_back(node: &Node, shared: &Shared, phone: &mut Phone) {
    let (welcome, attempt) = shared.with(|inner| {
        inner.attempt += 1;
        (inner.welcome.clone(), inner.attempt)
    });
    let mut next = node.dial();
    next.login = Ok(identity("u1", &[]));
    let login = json!({"hello": {"v": 1, "auth": {"token": "…"}}});
    match welcome {
        Some(welcome) => {
            next.enter(node, resume(&welcome, attempt, json!({"party:1": {"epoch": "e", "offset": 1}})))
        }
        None => next.enter(node, login.clone()),
    }
    if next.inbox.iter().any(|packet| packet.get("challenge").is_some()) {
        next.enter(node, login);
    }
    let received = next.inbox.iter().find_map(|packet| packet.get("welcome").cloned());
    if let Some(welcome) = received {
        shared.with(|inner| inner.welcome = Some(welcome));
    }
    *phone = next;
}

fn settle(node: &Node, shared: &Shared) {
    if let Some(call) = shared.with(|inner| inner.calls.pop()) {
        node.hub.answer(call.reply_to, Ok(RawValue::NULL));
    }
}
