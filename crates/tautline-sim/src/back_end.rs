//! The app's back end, as the hub asks it: at once, or late, out of order, and now and then never.
//!
//! Start at [`BackEnd::authorize`]. An answer may come long after its connection or its server has ended.

use tautline_hub::{
    Authorization, AuthorizeQuestion, ControlMessage, Hub, LoginResult, Permission, Reply, Target,
};
use tautline_netem::Rng;
use tautline_protocol::{ChannelName, Now, UserId};

/// A shell gives up a question after this time, in milliseconds.
const DEADLINE_MS: u64 = 5_000;
/// How long an answer takes at most, in milliseconds.
const SLOW_MS: u64 = 3_000;

/// How long it leaves the hub alone at most, in milliseconds.
const MEDDLES_MS: u64 = 4_000;
/// Logs in storms are shorter: most hints name what is not there.
const HINTED_MAX: u64 = 300;

/// The back end.
pub(crate) struct BackEnd {
    rng: Rng,
    /// It answers late, differently each time, or never.
    unreliable: bool,
    pending: Vec<(u64, Box<dyn FnOnce()>)>,
    /// How often it was asked for a permission.
    pub(crate) questions: u64,
    /// When it meddles next, in monotonic milliseconds.
    meddles_at: u64,
}

impl BackEnd {
    pub(crate) fn new(seed: u64, unreliable: bool) -> Self {
        Self { rng: Rng::stream(seed, 78), unreliable, pending: Vec::new(), questions: 0, meddles_at: 0 }
    }

    pub(crate) fn authenticate(&mut self, now: Now, result: LoginResult, reply: Reply<LoginResult>) {
        self.answer(now, result, reply);
    }

    /// Publications are permitted, denied or neither. Everything else is permitted: a client does not come back by
    /// itself to a channel that it was refused.
    pub(crate) fn authorize(&mut self, now: Now, question: &AuthorizeQuestion, reply: Reply<Authorization>) {
        self.questions += 1;
        if question.permission == Permission::Publish && self.unreliable {
            let decision = match self.rng.below(10) {
                0 => Authorization::deny("not today"),
                1 => Authorization::unavailable("the database is away"),
                _ => self.allow(),
            };
            return self.answer(now, decision, reply);
        }
        let late_ms = if self.unreliable { self.rng.below(SLOW_MS) } else { 0 };
        let decision = self.allow();
        self.push(now.mono_ms + late_ms, move || reply.answer(decision));
    }

    /// Answers what is due.
    pub(crate) fn advance(&mut self, now: Now) {
        let (due, waiting) =
            std::mem::take(&mut self.pending).into_iter().partition(|(at, _)| *at <= now.mono_ms);
        self.pending = waiting;
        due.into_iter().for_each(|(_, answer): (u64, Box<dyn FnOnce()>)| answer());
    }

    /// Now and then it closes the connections of a user, and hints at a log, rightly or wrongly.
    pub(crate) fn meddle(&mut self, now: Now, hub: &Hub) {
        if !self.unreliable || now.mono_ms < self.meddles_at {
            return;
        }
        self.meddles_at = now.mono_ms + self.rng.between(200, MEDDLES_MS);
        let channel = ChannelName::parse(&format!("room:{}", self.rng.between(1, 3))).expect("valid");
        hub.on_hint(now, &channel, self.rng.below(HINTED_MAX));
        if self.rng.chance(0.2) {
            let user = UserId::parse(&format!("u{}", self.rng.below(4))).expect("valid");
            hub.on_control(now, &ControlMessage::Disconnect { target: Target::User(user) });
        }
    }

    pub(crate) fn next_timeout(&self) -> u64 {
        self.pending.iter().map(|(at, _)| *at).min().unwrap_or(u64::MAX)
    }

    /// From now on it answers at once, and permits everything; whoever waits is answered.
    pub(crate) fn heal(&mut self) {
        self.unreliable = false;
        std::mem::take(&mut self.pending).into_iter().for_each(|(_, answer)| answer());
    }

    fn allow(&mut self) -> Authorization {
        let valid_ms = (self.unreliable && self.rng.chance(0.5)).then(|| self.rng.below(SLOW_MS));
        Authorization::Allow { valid_ms }
    }

    fn answer<A: 'static>(&mut self, now: Now, answer: A, reply: Reply<A>) {
        if !self.unreliable || self.rng.chance(0.4) {
            return reply.answer(answer);
        }
        if self.rng.chance(0.1) {
            return self.push(now.mono_ms + DEADLINE_MS, move || drop(reply));
        }
        let late_ms = self.rng.between(1, SLOW_MS);
        self.push(now.mono_ms + late_ms, move || reply.answer(answer));
    }

    fn push(&mut self, at_ms: u64, answer: impl FnOnce() + 'static) {
        self.pending.push((at_ms, Box::new(answer)));
    }
}
