//! A hub for several threads, somebody who watches a channel, and the orders in which things happen.
#![allow(dead_code, reason = "each test file uses its own part of the rig")]

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use serde_json::{Value, json};
use shuttle::{
    Config, Runner,
    scheduler::{PctScheduler, RandomScheduler},
    sync::Mutex,
};
use tautline_engine::Retention;
use tautline_hub::NodeLimits;

use crate::common::{Node, Phone, resume};

/// The same orders each time.
const SEED: u64 = 14;
/// Orders that are tried of each test, and switches of threads at the worst moment that the second half of them has.
const ORDERS: usize = 400;
const SWITCHES: usize = 3;
/// A packet is parsed and a ticket sealed on the stack of a thread.
const STACK_BYTES: usize = 1 << 19;

/// Tells a story in many orders: half of them random, half with few switches at any moments.
pub fn in_many_orders(story: impl Fn() + Send + Sync + 'static) {
    let config = || {
        let mut config = Config::new();
        config.silence_warnings = true;
        config.stack_size = STACK_BYTES;
        config
    };
    let story = Arc::new(story);
    let again = Arc::clone(&story);
    Runner::new(RandomScheduler::new_from_seed(SEED, ORDERS / 2), config()).run(move || story());
    Runner::new(PctScheduler::new_from_seed(SEED, SWITCHES, ORDERS / 2), config()).run(move || again());
}

/// A node that threads share, and a guest that looks at the roster of `party:1`.
pub struct Story {
    node: Node,
    watcher: Arc<Mutex<Phone>>,
}

impl Story {
    pub fn new(limits: impl Into<NodeLimits>) -> Self {
        let node = Node::with(limits, Retention::default());
        let watcher = Arc::new(Mutex::new(node.guest()));
        Self { node, watcher }
    }

    /// A user that was welcomed and is in the channel, and what its next connection needs to know.
    pub fn member(&self) -> (Phone, Value) {
        let mut phone = self.user("u1", &[]);
        let mut welcome = phone.welcome(self);
        let reply = phone.ask(self, json!({"id": 1, "subscribe": {"channel": "party:1"}}));
        welcome["epoch"] = reply["ok"]["epoch"].clone();
        (phone, welcome)
    }

    /// Another connection of that user's session.
    pub fn come_back(&self, welcome: &Value, attempt: u64) -> Phone {
        let mut phone = self.dial();
        let cursor = json!({"epoch": welcome["epoch"], "offset": 0});
        phone.say(self, resume(welcome, attempt, json!({"party:1": cursor})));
        phone
    }

    /// How those who are in the channel stand there.
    pub fn roster(&self) -> Vec<String> {
        let mut watcher = self.watcher.lock().expect("no thread panics");
        let reply = watcher.ask(self, json!({"id": 1, "presence": {"channel": "party:1"}}));
        let members = reply["ok"]["members"].as_array().into_iter().flatten();
        members.map(|member| member["state"].as_str().expect("a state").to_owned()).collect()
    }
}

impl Clone for Story {
    fn clone(&self) -> Self {
        let node = Node { hub: self.node.hub.clone(), now: self.node.now };
        Self { node, watcher: Arc::clone(&self.watcher) }
    }
}

impl Deref for Story {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl DerefMut for Story {
    fn deref_mut(&mut self) -> &mut Node {
        &mut self.node
    }
}
