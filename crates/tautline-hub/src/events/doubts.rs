//! Publications that may be in a log without an event: their event comes once the engine knows.
//!
//! Start at [`Doubts`]; `probes.rs` asks the engine.

use std::collections::{HashSet, VecDeque};

use tautline_engine::{Doubt, Origin};
use tautline_protocol::{ChannelName, Now, TraceId};

/// Appends in doubt that are remembered; beyond it the oldest is forgotten.
const DOUBTS_MAX: usize = 10_000;
/// How many of them one tick looks for.
const PROBES_A_TICK: usize = 100;
/// Repetitions of the process before that are told; beyond it none is, so that each is told at most once.
const REPEATED_MAX: usize = 10_000;

/// By this an append is known.
pub(super) type Key = (ChannelName, Origin);

/// Appends in doubt.
pub(super) struct Doubts {
    waiting: VecDeque<DoubtfulAppend>,
    /// All that are not settled: those that wait, and those that are being looked for.
    pub(super) open: HashSet<Key>,
    /// Repetitions of the process before.
    repeated: HashSet<Key>,
    /// Appends that were forgotten and not reported.
    pub(super) lost: u64,
    /// When this process began to record events, in wall milliseconds.
    pub(super) began_ms: u64,
}

/// An append that may have happened without an event.
pub(crate) struct DoubtfulAppend {
    pub(super) channel: ChannelName,
    pub(super) origin: Origin,
    pub(super) doubt: Option<Doubt>,
    pub(super) tries: u32,
    pub(super) trace: Option<TraceId>,
}

impl Doubts {
    pub(super) fn new(now: Now) -> Self {
        Self {
            waiting: VecDeque::new(),
            open: HashSet::new(),
            repeated: HashSet::new(),
            lost: 0,
            began_ms: now.wall_ms,
        }
    }

    /// Adds an append, unless it is in doubt already.
    pub(super) fn add(&mut self, append: DoubtfulAppend) {
        if self.open.insert(append.key()) {
            self.wait(append);
        }
    }

    /// Waits for the next look, unless the append was settled meanwhile.
    pub(super) fn put_back(&mut self, append: DoubtfulAppend) {
        if self.open.contains(&append.key()) {
            self.wait(append);
        }
    }

    fn wait(&mut self, append: DoubtfulAppend) {
        if self.waiting.len() >= DOUBTS_MAX
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.lost += u64::from(self.open.remove(&oldest.key()));
        }
        self.waiting.push_back(append);
    }

    /// True for a repetition that was not seen before.
    pub(super) fn begin_repeated(&mut self, key: Key) -> bool {
        let is_new = self.repeated.len() < REPEATED_MAX && self.repeated.insert(key.clone());
        is_new && self.open.insert(key)
    }

    /// Nothing more is to be told of an append. False: it was settled before.
    pub(super) fn settle(&mut self, key: &Key) -> bool {
        self.open.remove(key)
    }

    pub(super) fn take_some(&mut self) -> Vec<DoubtfulAppend> {
        let count = self.waiting.len().min(PROBES_A_TICK);
        let open = &self.open;
        self.waiting.drain(..count).filter(|append| open.contains(&append.key())).collect()
    }
}

impl DoubtfulAppend {
    pub(crate) fn new(channel: &ChannelName, origin: Origin, doubt: Option<Doubt>) -> Self {
        Self { channel: channel.clone(), origin, doubt, tries: 0, trace: None }
    }

    pub(crate) fn with_trace(self, trace: Option<TraceId>) -> Self {
        Self { trace, ..self }
    }

    pub(super) fn key(&self) -> Key {
        (self.channel.clone(), self.origin)
    }
}
