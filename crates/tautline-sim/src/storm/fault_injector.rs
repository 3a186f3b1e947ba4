//! What happens to a world while its apps talk.

use tautline_netem::{Fault, Reach, Rng, Storm, StormPlan};
use tautline_protocol::client::Input;

use super::{
    checker::InjectedFaults,
    common::pick,
    host_mutator::HostMutator,
    plan::{OUTBOX_COUNT_MAX, Plan},
    summary::Summary,
    workload::Workload,
};
use crate::{
    device::{CrashPoint, SurvivingState},
    engine::EngineKind,
    phone::Phone,
    world::{DialBehavior, World},
};

/// Packets that may be dropped on purpose: those whose loss leaves most in doubt.
const TRAPS: [&str; 4] = [r#"{"welcome""#, r#","ok":"#, r#"{"pub""#, r#"{"gap""#];

/// Faults of the server that are still to come, and what there was of everything.
pub(super) struct FaultInjector {
    storm: std::iter::Peekable<Storm>,
    lasts_ms: u64,
    kind: EngineKind,
    slow: bool,
    plans: Vec<(u64, ServerFault)>,
    pub(super) summary: Summary,
    crashes: u64,
    fail_overs: u64,
    jumps: u64,
    checked_s: u64,
}

/// What happens to the server, its engine, a clock or an app.
#[derive(Clone, Copy, Debug)]
enum ServerFault {
    Drain,
    Crash,
    Stall,
    Full,
    Away,
    Copy,
    FailOver,
    Jump,
    Trap,
    Destroy,
    Launch(usize, SurvivingState),
}

impl FaultInjector {
    pub(super) fn new(seed: u64, plan: &Plan) -> Self {
        let storm = StormPlan { lasts_ms: plan.lasts_ms, every_ms_most: 4_000, ..StormPlan::default() };
        let mut injector = Self {
            storm: Storm::new(seed, storm).expect("a valid plan").peekable(),
            lasts_ms: plan.lasts_ms,
            kind: plan.engine.kind,
            slow: plan.engine.slow_ms > 0,
            plans: Vec::new(),
            summary: Summary::default(),
            crashes: 0,
            fail_overs: 0,
            jumps: 0,
            checked_s: 0,
        };
        injector.draw(&mut Rng::stream(seed, 11));
        injector
    }

    /// Draws what is to come, and when.
    fn draw(&mut self, rng: &mut Rng) {
        let kind = self.kind;
        let stored = kind != EngineKind::Memory;
        let chances = [
            (ServerFault::Drain, 0.5),
            (ServerFault::Crash, if stored { 0.5 } else { 0.25 }),
            (ServerFault::Crash, if stored { 0.2 } else { 0.0 }),
            (ServerFault::Stall, if self.slow { 0.5 } else { 0.0 }),
            (ServerFault::Full, if stored { 0.3 } else { 0.0 }),
            (ServerFault::Away, if stored { 0.3 } else { 0.0 }),
            // Where the wall clock goes back, two publications may bear one offset and one time: no cursor tells them apart.
            (ServerFault::Jump, if kind == EngineKind::Remote { 0.0 } else { 0.3 }),
            (ServerFault::Trap, 0.5),
            (ServerFault::Trap, 0.3),
            (ServerFault::Destroy, 0.5),
            (ServerFault::Destroy, 0.5),
            (ServerFault::Destroy, 0.3),
        ];
        for (server_fault, chance) in chances {
            if rng.chance(chance) {
                self.plans.push((rng.between(1_000, self.lasts_ms), server_fault));
            }
        }
        if kind == EngineKind::Remote {
            let copied_at = rng.between(500, self.lasts_ms);
            self.plans.push((copied_at, ServerFault::Copy));
            self.plans.push((copied_at + rng.between(1, 5_000), ServerFault::FailOver));
        }
    }

    /// Injects faults while the apps talk; mutated hosts add theirs.
    pub(super) fn run(
        &mut self,
        world: &mut World,
        rng: &mut Rng,
        workload: &mut Workload,
        mut host_mutator: Option<&mut HostMutator>,
    ) {
        let phones: Vec<usize> = (0..world.phones.len()).collect();
        while world.now().mono_ms < self.lasts_ms {
            world.advance(rng.between(1, 250));
            let now_ms = world.now().mono_ms;
            while let Some(scheduled) =
                self.storm.next_if(|scheduled| scheduled.at.as_millis() <= u128::from(now_ms))
            {
                for phone in scheduled.reach.among(&phones) {
                    hit(world, rng, *phone, scheduled.fault);
                    self.summary.faults += 1;
                }
                // `Everybody` is a server that goes away for a moment.
                if scheduled.reach == Reach::Everybody && rng.chance(0.3) {
                    world.drain(2_000);
                }
            }
            while let Some(due) = self.plans.iter().position(|(at, _)| *at <= now_ms) {
                let (_, server_fault) = self.plans.swap_remove(due);
                self.inject(world, rng, server_fault);
            }
            for _ in 0..rng.between(0, 2) {
                workload
                    .issue(world, phones[usize::try_from(rng.below(phones.len() as u64)).expect("small")]);
            }
            if let Some(host_mutator) = &mut host_mutator {
                host_mutator.inject(world);
            } else if now_ms / 1000 > self.checked_s {
                self.checked_s = now_ms / 1000;
                check_bounds(world);
            }
        }
    }

    fn inject(&mut self, world: &mut World, rng: &mut Rng, server_fault: ServerFault) {
        let summary = &mut self.summary;
        summary.server_faults += u64::from(!matches!(
            server_fault,
            ServerFault::Destroy | ServerFault::Launch(..) | ServerFault::Copy
        ));
        let some_phone = usize::try_from(rng.below(world.phones.len() as u64)).expect("small");
        match server_fault {
            ServerFault::Drain => world.drain(3_000),
            ServerFault::Crash => {
                self.crashes += 1;
                let commits = rng.below(4);
                world.crash(commits);
            }
            ServerFault::Stall => world.stall_engine(rng.between(100, 6_000)),
            ServerFault::Full => world.fill_engine(rng.between(500, 8_000)),
            ServerFault::Away => world.miss_engine(rng.between(500, 8_000)),
            ServerFault::Copy => world.copy_engine(),
            ServerFault::FailOver => {
                self.fail_overs += 1;
                if rng.chance(0.3) {
                    world.fail_over_aloud();
                } else {
                    world.fail_over();
                }
            }
            ServerFault::Jump => {
                self.jumps += 1;
                let ms = i64::try_from(rng.between(0, 600_000)).expect("minutes") - 300_000;
                let whose = rng.chance(0.5).then_some(some_phone);
                world.jump(whose, ms);
                self.plans.push((world.now().mono_ms + rng.between(100, 10_000), ServerFault::Trap));
            }
            ServerFault::Trap => world.trap = Some((some_phone, pick(rng, TRAPS))),
            ServerFault::Destroy => {
                summary.destroyed += 1;
                let between = CrashPoint::Between(u32::try_from(rng.below(5)).expect("small"));
                world.destroy(
                    some_phone,
                    pick(rng, [CrashPoint::Now, CrashPoint::BeforeWrite, CrashPoint::AfterWrite, between]),
                );
                let surviving = pick(
                    rng,
                    [
                        SurvivingState::All,
                        SurvivingState::All,
                        SurvivingState::Nothing,
                        SurvivingState::Damaged,
                    ],
                );
                let at = world.now().mono_ms + rng.between(0, 8_000);
                self.plans.push((at, ServerFault::Launch(some_phone, surviving)));
            }
            ServerFault::Launch(phone, surviving) => world.launch(phone, surviving),
        }
    }

    pub(super) fn injected(&self, plan: &Plan) -> InjectedFaults {
        InjectedFaults {
            kind: self.kind,
            lasts_ms: self.lasts_ms,
            crashes: self.crashes,
            fail_overs: self.fail_overs,
            jumps: self.jumps,
            destroyed: self.summary.destroyed,
            short: plan.short,
            logins: plan.logins,
            asks: plan.asks,
        }
    }
}

/// Nothing grows beyond its ceiling, at any moment.
fn check_bounds(world: &World) {
    let stats = world.stats();
    let limits = world.server.hub.limits();
    // One publication always stays, however large.
    let tails_max =
        stats.channels * (world.server.hub.hub_limits().tail_bytes_max + limits.message_bytes_max);
    assert!(
        stats.log_bytes <= tails_max,
        "the tails of {} channels hold {} bytes",
        stats.channels,
        stats.log_bytes
    );
    assert!(stats.reply_bytes <= stats.sessions * limits.replies_unseen_bytes_max, "{stats:?}");
    assert_eq!(stats.connections, world.peers(), "the hub counts connections that are not there");
    // What a dead app's session would have said of its last request, it did not say.
    let alive = |(_, phone): &(usize, &Phone)| phone.device.is_alive();
    for (number, phone) in world.phones.iter().enumerate().filter(alive) {
        assert!(phone.app.waiting <= OUTBOX_COUNT_MAX, "phone {number} holds {} requests", phone.app.waiting);
    }
}

fn hit(world: &mut World, rng: &mut Rng, phone: usize, fault: Fault) {
    world.log_event(|| format!("phone {phone}: {fault:?}"));
    match fault {
        // A background trip: hidden for a while, and the host does what hosts do.
        Fault::BackgroundKill { .. } => match world.phones[phone].hidden_since {
            Some(_) => world.show(phone),
            None => world.hide(phone, Some(fault)),
        },
        Fault::Refuse { .. } => {
            world.dial_behavior[phone] =
                pick(rng, [DialBehavior::Refusing, DialBehavior::Dead, DialBehavior::Clear]);
            if rng.chance(0.3) {
                let online = rng.chance(0.5);
                world.tell(phone, Input::Network { online, kind: None, weak: false });
            }
        }
        other => {
            world.dial_behavior[phone] = DialBehavior::Clear;
            if rng.chance(0.1) {
                let kind = Some(format!("kind{}", rng.below(3)));
                world.tell(phone, Input::Network { online: true, kind, weak: false });
            }
            world.fault(phone, other);
        }
    }
}
