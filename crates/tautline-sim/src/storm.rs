//! One random history: phones that talk through a storm, and the reckoning when it is over.
//!
//! There are four kinds, by what keeps the logs; every fourth seed is of the same kind. Start at [`run_storm`].

mod checker;
mod fault_injector;
mod history;
mod host_mutator;
mod idle;
mod logins;
mod plan;
mod rosters;
mod starts;
mod workload;

use tautline_protocol::client::{Input, State};

use self::{fault_injector::FaultInjector, host_mutator::HostMutator, plan::Plan, workload::Workload};
use crate::{device::SurvivingState, engine::EngineKind, event_log::EventSink, world::World};

/// Within this time every client with a network is online again: the longest back-off, a dial that hangs, another one.
const RECOVERY_MS: u64 = 30_000 + 10_000 + 10_000;
/// Long enough for a publication to be appended and to reach everybody.
const DELIVERY_MS: u64 = 5_000;
const CHANNELS: [&str; 3] = ["room:1", "room:2", "room:3"];

/// What a history contained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Histories.
    pub histories: u64,
    /// Phones.
    pub phones: u64,
    /// Virtual milliseconds.
    pub virtual_ms: u64,
    /// Faults of the network that hit a phone.
    pub faults: u64,
    /// Faults of the server, its engine or its clock.
    pub server_faults: u64,
    /// Apps that were destroyed.
    pub destroyed: u64,
    /// Connections that were lost.
    pub drops: u64,
    /// Publications in all logs.
    pub publications: u64,
    /// Publications that were taken back, by an engine that may.
    pub taken_back: u64,
    /// Publications handed to apps.
    pub deliveries: u64,
    /// Of these, marked as perhaps handed over before.
    pub redelivered: u64,
    /// Gaps told.
    pub gaps: u64,
    /// Requests settled.
    pub settled: u64,
    /// Of these, with an outcome that nobody can know.
    pub unknown: u64,
    /// Subscriptions that began with what was published from then on.
    pub starts: u64,
    /// Pages of the past.
    pub pages: u64,
    /// Lines that ended with their login.
    pub expired: u64,
    /// Lines that had nothing to do, and ended.
    pub hung_up: u64,
    /// Messages that arrived on a socket which its client had closed.
    pub late: u64,
}

impl Summary {
    /// Both together.
    pub fn add(&mut self, other: &Self) {
        self.histories += other.histories;
        self.phones += other.phones;
        self.virtual_ms += other.virtual_ms;
        self.faults += other.faults;
        self.server_faults += other.server_faults;
        self.destroyed += other.destroyed;
        self.drops += other.drops;
        self.publications += other.publications;
        self.taken_back += other.taken_back;
        self.deliveries += other.deliveries;
        self.redelivered += other.redelivered;
        self.gaps += other.gaps;
        self.settled += other.settled;
        self.unknown += other.unknown;
        self.starts += other.starts;
        self.pages += other.pages;
        self.expired += other.expired;
        self.hung_up += other.hung_up;
        self.late += other.late;
    }
}

impl std::fmt::Display for Summary {
    /// What one history contained, on average.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let each = |sum: u64| sum as f64 / self.histories.max(1) as f64;
        write!(
            f,
            "one history on average: {:.1} phones, {:.0} virtual seconds, {:.1} faults of the network and {:.1} of the server, \
             {:.1} apps destroyed, {:.1} connections lost, {:.0} publications ({:.1} taken back), {:.0} deliveries ({:.1} marked), \
             {:.1} gaps, {:.0} requests ({:.1} in doubt), {:.1} subscriptions from now on, {:.1} pages of the past, {:.1} logins expired, {:.1} idle lines ended, {:.1} messages on closed sockets",
            each(self.phones),
            each(self.virtual_ms) / 1000.0,
            each(self.faults),
            each(self.server_faults),
            each(self.destroyed),
            each(self.drops),
            each(self.publications),
            each(self.taken_back),
            each(self.deliveries),
            each(self.redelivered),
            each(self.gaps),
            each(self.settled),
            each(self.unknown),
            each(self.starts),
            each(self.pages),
            each(self.expired),
            each(self.hung_up),
            each(self.late),
        )
    }
}

/// Runs the history of `seed`.
///
/// # Panics
/// When a promise is broken; the message says which.
#[must_use]
pub fn run_storm(seed: u64) -> Summary {
    storm(seed, None, None).1
}

/// The same, and tells it as a story, line by line.
///
/// # Panics
/// As [`run_storm`].
#[must_use]
pub fn log_storm(seed: u64, event_sink: EventSink) -> Summary {
    storm(seed, Some(event_sink), None).1
}

/// How a storm is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// As it is.
    Plain,
    /// With what storms have none of: weak networks, second thoughts, odd options, storage that fails, servers of later
    /// versions, and messages that no server sends. No promise holds there, and nothing is reckoned.
    WithMutations,
}

/// Runs the history of `seed`, and gives a trace for each app that ran on any of its phones: a vector, as json.
///
/// # Panics
/// As [`run_storm`]; and when a session that is told the same does anything else.
#[must_use]
pub fn record_storm(seed: u64, recording: Recording) -> Vec<serde_json::Value> {
    let (world, _) = storm(seed, None, Some(recording));
    let mut traces = Vec::new();
    for (number, phone) in world.phones.iter().enumerate() {
        let lives = phone.recorder.iter().flat_map(|recorder| &recorder.lives);
        for (index, life) in lives.enumerate() {
            traces
                .push(life.replayed(&format!("storm {seed} ({recording:?}), phone {number}, life {index}")));
        }
    }
    traces
}

fn storm(seed: u64, event_sink: Option<EventSink>, recording: Option<Recording>) -> (World, Summary) {
    let mut plan = Plan::of(seed);
    let mut world = plan.make_world(event_sink, recording);
    let mut workload = Workload::new(&plan);
    let mut injector = FaultInjector::new(seed, &plan);
    if recording == Some(Recording::WithMutations) {
        let mut host_mutator = HostMutator::new(seed);
        injector.run(&mut world, &mut plan.rng, &mut workload, Some(&mut host_mutator));
        host_mutator.end(&mut world);
        return (world, injector.summary);
    }
    injector.run(&mut world, &mut plan.rng, &mut workload, None);
    let hung_up = quiesce(&mut world, &mut workload, &plan);
    let mut summary =
        Summary { histories: 1, hung_up, phones: world.phones.len() as u64, ..injector.summary };
    summary.virtual_ms = world.now().mono_ms;
    summary.late = world.late;
    let injected = injector.injected(&plan);
    checker::check(&world, &injected, &workload, &mut summary);
    summary.starts = starts::check(&world);
    summary.pages = history::check(&world, &injected);
    if plan.logins {
        summary.expired = logins::check(&mut world, seed);
    }
    if plan.presence {
        rosters::check(&mut world);
    }
    (world, summary)
}

/// Every fault ends, and everybody gets the time to come back. Gives how often a client hung up for want of work.
fn quiesce(world: &mut World, workload: &mut Workload, plan: &Plan) -> u64 {
    world.log_event(|| "the storm is over".to_owned());
    world.trap = None;
    world.heal_engine();
    for phone in 0..world.phones.len() {
        if world.phones[phone].device.is_doomed() {
            world.launch(phone, SurvivingState::All);
        }
        world.heal(phone);
        if plan.logins {
            // The next one is good for long: to be online at a certain moment says something.
            world.phones[phone].auth = Some(logins::token(&workload::user_of(phone), None));
        }
        world.tell(phone, Input::Network { online: true, kind: Some("wifi".into()), weak: false });
        world.show(phone);
    }
    world.advance(RECOVERY_MS);
    for (number, phone) in world.phones.iter().enumerate() {
        let state = phone.state();
        let expected = if plan.idle { State::Idle } else { State::Online };
        assert_eq!(state, expected, "phone {number} is not {expected:?} {RECOVERY_MS} ms after the storm");
    }
    workload.settle(world);
    // What nobody was told of is found with the next publication: an append in doubt, or a copy that took over.
    if plan.engine.drops > 0.0 || plan.engine.kind == EngineKind::Remote {
        for channel in CHANNELS {
            world.publish(channel, &format!("last of {channel}"));
        }
        for phone in 0..world.phones.len() {
            world.publish(&workload::inbox_of(phone), &format!("last of {phone}"));
        }
        world.advance(DELIVERY_MS);
    }
    if plan.idle { idle::check(world) } else { 0 }
}
