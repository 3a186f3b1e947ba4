//! One random history: phones that talk through a storm, and the check when it is over.
//!
//! There are four kinds, by what keeps the logs; every fourth seed is of the same kind. Start at [`run_storm`].

mod checker;
mod common;
mod fault_injector;
mod history;
mod host_mutator;
mod idle;
mod logins;
mod plan;
mod rosters;
mod starts;
mod summary;
mod workload;

use tautline_protocol::client::{Input, State};

use self::{
    common::{CHANNELS, DELIVERY_MS, inbox_of, user_of},
    fault_injector::FaultInjector,
    host_mutator::HostMutator,
    plan::Plan,
    workload::Workload,
};
pub use self::{plan::Recording, summary::Summary};
use crate::{device::SurvivingState, engine::EngineKind, event_log::EventSink, world::World};

/// Within this time every client with a network is online again: the longest back-off, a dial that hangs, another one.
const RECOVERY_MS: u64 = 30_000 + 10_000 + 10_000;

/// Runs the history of `seed`.
///
/// # Panics
/// When a promise is broken; the message says which.
#[must_use]
pub fn run_storm(seed: u64) -> Summary {
    storm(seed, None, None).1
}

/// The same, and logs every event.
///
/// # Panics
/// As [`run_storm`].
#[must_use]
pub fn log_storm(seed: u64, event_sink: EventSink) -> Summary {
    storm(seed, Some(event_sink), None).1
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
    summary.questions = world.server.back_end.questions;
    let injected = injector.injected(&plan);
    checker::check(&world, &injected, &workload, &mut summary);
    summary.starts = starts::check(&world);
    summary.pages = history::check(&world, &injected);
    if plan.logins {
        (summary.expired, summary.refreshed) = logins::check(&mut world, seed);
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
    world.server.back_end.heal();
    for phone in 0..world.phones.len() {
        if world.phones[phone].device.is_doomed() {
            world.launch(phone, SurvivingState::All);
        }
        world.heal(phone);
        if plan.logins {
            // The next one is good for long: to be online at a certain moment says something.
            world.phones[phone].auth = Some(logins::token(&user_of(phone), None));
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
            world.publish(&inbox_of(phone), &format!("last of {phone}"));
        }
        world.advance(DELIVERY_MS);
    }
    if plan.idle { idle::check(world) } else { 0 }
}
