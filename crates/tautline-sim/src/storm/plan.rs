//! What a storm is made of, drawn from its seed before it begins.

use tautline_engine::Retention;
use tautline_hub::{HubLimits, NodeLimits};
use tautline_netem::{Rng, Rules};
use tautline_protocol::{
    Limits, ReadFrom,
    client::{Input, Options},
    packet::Auth,
};

use super::{
    common::{CHANNELS, pick, user_of},
    host_mutator, logins,
};
use crate::{
    engine::{EngineKind, EnginePlan},
    event_log::EventSink,
    world::{World, WorldConfig},
};

/// In one storm of so many every hello has to wait for its turn.
const HELLOS_QUEUE_UP_EVERY: u64 = 5;
/// In storms whose seed leaves this rest channels tell who is there. Not drawn: what other seeds stand for stays as it was.
const ROSTERS_EVERY: u64 = 6;
const ROSTERS_REST: u64 = 2;
/// Others are told apart by this rest. It has nothing in common with the kinds of engines, and no storm with a name leaves
/// one of these.
const OTHERS_EVERY: u64 = 17;
/// Apps subscribe from now on.
const FROM_NOW_REST: u64 = 10;
/// Apps read the past.
const HISTORY_REST: u64 = 11;
/// Logins expire soon.
const LOGINS_REST: u64 = 12;
/// Nobody subscribes, and clients hang up soon where there is nothing to do.
const IDLE_REST: u64 = 13;
/// In storms whose seed leaves this rest, which no storm with a name does, an unreliable back end is asked for every
/// permission.
const ASKS_EVERY: u64 = 23;
const ASKS_REST: u64 = 9;
/// In storms whose seed leaves this rest, which no storm with a name does, old connections drain late.
const LATE_EVERY: u64 = 19;
const LATE_REST: u64 = 4;
/// How long a storm lasts at least and at most, in virtual milliseconds.
const STORM_MS: (u64, u64) = (15_000, 60_000);
/// How long logins are good where they expire soon, in milliseconds.
const LOGIN_MS: (u64, u64) = (2_000, 20_000);
/// After how long a client hangs up, in milliseconds.
const IDLE_MS: (u64, u64) = (200, 3_000);
/// Requests of a phone that wait at once.
pub(super) const OUTBOX_COUNT_MAX: usize = 40;

/// How a storm is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// As it is.
    Plain,
    /// With what storms have none of: weak networks, second thoughts, odd options, storage that fails, servers of later
    /// versions, and messages that no server sends. No promise holds there, and nothing is checked.
    WithMutations,
}

/// The plan of one storm.
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) rng: Rng,
    pub(super) engine: EnginePlan,
    pub(super) lasts_ms: u64,
    /// Channels keep less than a storm writes: slow readers are overtaken.
    pub(super) short: bool,
    /// Channels tell who is there.
    pub(super) presence: bool,
    /// Apps subscribe from now on, not from the start.
    pub(super) from_now: bool,
    /// Apps read the past.
    pub(super) history: bool,
    /// Logins expire soon.
    pub(super) logins: bool,
    /// Clients hang up where there is nothing to do.
    pub(super) idle: bool,
    /// An unreliable back end is asked for every permission.
    pub(super) asks: bool,
    retention: Retention,
    limits: NodeLimits,
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        let mut rng = Rng::stream(seed, 9);
        let kinds = [EngineKind::Memory, EngineKind::Disk, EngineKind::Relaxed, EngineKind::Remote];
        let kind = pick(&mut rng, [kinds[usize::try_from(seed % 4).expect("below 4")]; 1]);
        let slow_ms = match kind {
            EngineKind::Memory => 0,
            _ => pick(&mut rng, [0, 20, 300, 3_000]),
        };
        let drops = if kind != EngineKind::Memory && rng.chance(0.2) { 0.01 } else { 0.0 };
        let short = rng.chance(0.3);
        let retention = if short {
            short_retention(&mut rng)
        } else {
            Retention { count: 10_000, ..Retention::default() }
        };
        let mut limits = limits(&mut rng);
        if matches!(kind, EngineKind::Relaxed | EngineKind::Remote) {
            // Else a log may be forgotten, begin anew, and be taken back to what it was before: no record tells that.
            limits.protocol.ticket_ms = Limits::default().ticket_ms;
        }
        if seed.is_multiple_of(HELLOS_QUEUE_UP_EVERY) {
            // Not drawn: what else a seed stands for stays as it was.
            limits.hub.new_sessions_per_ms_max = 0;
        }
        let lasts_ms = rng.between(STORM_MS.0, STORM_MS.1);
        let presence = seed % ROSTERS_EVERY == ROSTERS_REST;
        let from_now = seed % OTHERS_EVERY == FROM_NOW_REST;
        let history = seed % OTHERS_EVERY == HISTORY_REST;
        let logins = seed % OTHERS_EVERY == LOGINS_REST;
        let idle = seed % OTHERS_EVERY == IDLE_REST;
        let asks = seed % ASKS_EVERY == ASKS_REST && !(from_now || history || logins || idle);
        let engine = EnginePlan { kind, slow_ms, drops };
        Self {
            seed,
            engine,
            lasts_ms,
            short,
            presence,
            from_now,
            history,
            logins,
            idle,
            asks,
            retention,
            limits,
            rng,
        }
    }

    pub(super) fn make_world(
        &mut self,
        event_sink: Option<EventSink>,
        recording: Option<Recording>,
    ) -> World {
        let rng = &mut self.rng;
        let mutated = recording == Some(Recording::WithMutations);
        let mut world = World::new(WorldConfig {
            seed: self.seed,
            limits: self.limits.clone(),
            retention: self.retention,
            rules: pick(rng, [Rules::default(), Rules::wifi(), Rules::cellular(), Rules::subway()]),
            method_ms: None,
            engine: self.engine,
            shuffle: true,
            event_sink,
            recorded: recording.is_some(),
            mutated,
            presence: self.presence,
            asks: self.asks,
        });
        world.arrives_late = self.seed % LATE_EVERY == LATE_REST;
        if self.from_now {
            world.from = ReadFrom::Now;
        }
        world.log_event(|| format!("a storm over {:?}, {:?}", self.engine, self.retention));
        for phone in 0..2 + usize::try_from(rng.below(3)).expect("small") {
            let slots = if rng.chance(0.2) { 1 } else { 2 };
            let mut options = Options { slots, outbox_count_max: OUTBOX_COUNT_MAX, ..Options::default() };
            if self.idle {
                options.idle_ms = rng.between(IDLE_MS.0, IDLE_MS.1);
            }
            world.add_phone(if mutated { host_mutator::options(rng, options) } else { options });
            if rng.chance(0.7) {
                world.give_storage(phone);
            }
            if rng.chance(0.3) {
                world.phones[phone].auth = Some(Auth::Token { token: format!("user:{}", user_of(phone)) });
            }
            if self.logins {
                let life_ms = rng.between(LOGIN_MS.0, LOGIN_MS.1);
                world.phones[phone].auth = Some(logins::token(&user_of(phone), Some(life_ms)));
                world.phones[phone].refreshes_nothing = rng.chance(0.5);
            }
            let channels = if self.idle { 0 } else { 1 + usize::try_from(rng.below(3)).expect("small") };
            for channel in CHANNELS.iter().take(channels) {
                world.subscribe(phone, channel, world.from.clone());
            }
            world.tell(phone, Input::Connect);
        }
        world
    }
}

/// A log that overtakes slow readers: by count, by bytes or by age.
fn short_retention(rng: &mut Rng) -> Retention {
    let long = Retention { count: 10_000, ..Retention::default() };
    let short = [
        Retention { count: 60, ..long },
        Retention { count: 5, ..long },
        Retention { bytes: 2_000, ..long },
        Retention { age_ms: 8_000, ..long },
    ];
    pick(rng, short)
}

fn limits(rng: &mut Rng) -> NodeLimits {
    let usual = Limits::default();
    let protocol = Limits {
        park_ms: if rng.chance(0.3) { 5_000 } else { 120_000 },
        // Short tickets make sessions end where the phone was away for a while.
        ticket_ms: if rng.chance(0.2) { rng.between(5_000, 30_000) } else { usual.ticket_ms },
        // Small batches leave a reader standing in the middle of what there is.
        batch_bytes_max: if rng.chance(0.3) { 500 } else { usual.batch_bytes_max },
        ..usual
    };
    let hub = HubLimits {
        // A short tail makes everybody read pages, and few pages make them wait for one another.
        tail_entries_max: pick(rng, [1, 8, 256]),
        pages_max: pick(rng, [1, 2, 256]),
        ..HubLimits::default()
    };
    NodeLimits { protocol, hub, ..NodeLimits::default() }
}
