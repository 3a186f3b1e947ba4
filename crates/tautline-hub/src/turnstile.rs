//! Who goes first when many come at once: connections that are being opened before hellos, and a few new sessions beside
//! many that go on.
//!
//! A hello costs more than anything else a connection does, and thousands arrive together after a tunnel or a restart. A few
//! within a millisecond go ahead; more queue up, and [`crate::Hub::pump`] lets the next few in each time others have had
//! their turn. So whoever is still to say who he is gets that far quickly, and a new client is not behind all who come back.
//! Addresses take turns: thousands of hellos from one delay another one's by one.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use tautline_protocol::Now;

use crate::{
    bell::Bell,
    budget::Holder,
    sync::{Mutex, lock},
};

/// For each new session so many that go on are let in.
const RESUMES_A_NEWCOMER: usize = 4;

/// What a hello wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coming {
    /// A session to go on.
    Back,
    /// A new one.
    New,
}

pub(crate) struct Turnstile {
    at_once: usize,
    lanes: Mutex<Lanes>,
}

#[derive(Default)]
struct Lanes {
    /// The millisecond that `passed` counts.
    ms: u64,
    back: Lane,
    new: Lane,
}

#[derive(Default)]
struct Lane {
    passed: usize,
    /// Never an empty queue.
    waiting: HashMap<Holder, VecDeque<Arc<Bell>>>,
    /// Whose turn it is next.
    order: VecDeque<Holder>,
}

impl Lane {
    fn push(&mut self, address: Holder, bell: &Arc<Bell>) {
        let queue = self.waiting.entry(address).or_default();
        if queue.is_empty() {
            self.order.push_back(address);
        }
        queue.push_back(Arc::clone(bell));
    }

    /// The next of the address whose turn it is.
    fn pop(&mut self) -> Option<Arc<Bell>> {
        let address = self.order.pop_front()?;
        let queue = self.waiting.get_mut(&address)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&address);
        } else {
            self.order.push_back(address);
        }
        next
    }

    /// Lets in so many at most. Returns how many there were.
    fn admit(&mut self, most: usize) -> usize {
        let admitted = std::iter::from_fn(|| self.pop()).take(most).map(|bell| bell.admit()).count();
        if self.order.is_empty() {
            // A storm does not keep its memory for the next one.
            (self.waiting, self.order) = (HashMap::new(), VecDeque::new());
        }
        admitted
    }
}

impl Turnstile {
    /// So many new sessions go ahead at once, and some times as many that go on.
    pub(crate) fn new(at_once: u32) -> Self {
        Self { at_once: at_once as usize, lanes: Mutex::default() }
    }

    /// How many wait for their turn.
    pub(crate) fn waiting(&self) -> usize {
        let lanes = lock(&self.lanes);
        [&lanes.back, &lanes.new].iter().flat_map(|lane| lane.waiting.values()).map(VecDeque::len).sum()
    }

    fn room(&self, coming: Coming) -> usize {
        match coming {
            Coming::Back => self.at_once.saturating_mul(RESUMES_A_NEWCOMER),
            Coming::New => self.at_once,
        }
    }

    /// False: the bell is rung when it is this connection's turn.
    pub(crate) fn enter(&self, now: Now, coming: Coming, address: Holder, bell: &Arc<Bell>) -> bool {
        let mut lanes = lock(&self.lanes);
        if lanes.ms != now.mono_ms {
            lanes.ms = now.mono_ms;
            lanes.back.passed = 0;
            lanes.new.passed = 0;
        }
        let lane = match coming {
            Coming::Back => &mut lanes.back,
            Coming::New => &mut lanes.new,
        };
        if lane.order.is_empty() && lane.passed < self.room(coming) {
            lane.passed += 1;
            return true;
        }
        lane.push(address, bell);
        false
    }

    /// Lets the next few in. True: more are waiting.
    pub(crate) fn turn(&self) -> bool {
        let mut lanes = lock(&self.lanes);
        let lanes = &mut *lanes;
        let back = lanes.back.admit(self.room(Coming::Back).max(1));
        // Where few come back, their room is for those who begin.
        lanes.new.admit((self.room(Coming::Back) + self.room(Coming::New)).saturating_sub(back).max(1));
        !lanes.back.order.is_empty() || !lanes.new.order.is_empty()
    }
}
