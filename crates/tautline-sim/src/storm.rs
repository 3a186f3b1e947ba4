//! One random history: phones that talk through a storm, and the reckoning when it is over.

use std::collections::BTreeMap;

use tautline_hub::Retention;
use tautline_netem::{Fault, Reach, Rng, Rules, Storm, StormPlan};
use tautline_protocol::{
    Limits, ReadFrom,
    client::{Input, Options, RequestVerb, State},
    packet::Auth,
};

use crate::{
    app::{Outcome, Received},
    phone::{Ask, Event},
    world::{Air, World, WorldConfig},
};

/// How long the storm lasts, in virtual milliseconds.
const STORM_MS: u64 = 60_000;
/// Within this time every client with a network is online again: the longest back-off, a dial that hangs, another one.
const RECOVERY_MS: u64 = 30_000 + 10_000 + 10_000;
/// How a client asks again for what it missed, without a gap that told it.
const MENDING: &str = r#""from":{"epoch""#;
const CHANNELS: [&str; 3] = ["room:1", "room:2", "room:3"];

/// What a history contained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Faults that hit somebody.
    pub faults: u64,
    /// Connections that were lost.
    pub drops: u64,
    /// Publications in all logs.
    pub publications: u64,
    /// Publications handed to apps.
    pub deliveries: u64,
    /// Gaps told.
    pub gaps: u64,
    /// Requests settled.
    pub settled: u64,
    /// Of these, with an outcome that nobody can know.
    pub unknown: u64,
}

/// Runs the history of `seed`.
///
/// # Panics
/// When a promise is broken; the message says which.
#[must_use]
pub fn run_storm(seed: u64) -> Summary {
    let mut rng = Rng::stream(seed, 9);
    let mut world = make_world(seed, &mut rng);
    let phones = 2 + usize::try_from(rng.below(3)).expect("small");
    for phone in 0..phones {
        let slots = if rng.chance(0.2) { 1 } else { 2 };
        world.add_phone(Options { slots, outbox_count_max: 40, ..Options::default() });
        for channel in CHANNELS.iter().take(1 + usize::try_from(rng.below(3)).expect("small")) {
            world.tell(phone, Input::Subscribe { channel: (*channel).to_owned(), from: ReadFrom::Start });
        }
        if rng.chance(0.3) {
            world.phones[phone].auth = Some(Auth::Token { token: format!("user:{}", user_of(phone)) });
        }
        world.tell(phone, Input::Connect);
    }
    let mut summary = Summary::default();
    let mut writer = Writer { rng: Rng::stream(seed, 10), asked: 0 };
    blow(&mut world, &mut rng, &mut writer, seed, &mut summary);
    for phone in 0..phones {
        world.heal(phone);
        world.tell(phone, Input::Network { online: true, kind: Some("wifi".into()) });
        world.show(phone);
    }
    world.advance(RECOVERY_MS);
    for (number, phone) in world.phones.iter().enumerate() {
        assert_eq!(
            phone.state(),
            State::Online,
            "phone {number} is not online {RECOVERY_MS} ms after the storm"
        );
    }
    reckon(&world, &mut summary);
    summary
}

fn make_world(seed: u64, rng: &mut Rng) -> World {
    let rules = [Rules::default(), Rules::wifi(), Rules::cellular(), Rules::subway()];
    let rules = rules[usize::try_from(rng.below(4)).expect("small")].clone();
    // A short log makes slow readers lose publications, which they must be told of.
    let count = if rng.chance(0.3) { 60 } else { 10_000 };
    let park_ms = if rng.chance(0.3) { 5_000 } else { 120_000 };
    // Short tickets make sessions end where the phone was away for a while.
    let ticket_ms = if rng.chance(0.2) { rng.between(5_000, 30_000) } else { Limits::default().ticket_ms };
    // Small batches leave a reader standing in the middle of what there is.
    let batch_bytes_max = if rng.chance(0.3) { 500 } else { Limits::default().batch_bytes_max };
    World::new(WorldConfig {
        seed,
        limits: Limits { park_ms, ticket_ms, batch_bytes_max, ..Limits::default() },
        retention: Retention { count, ..Retention::default() },
        rules,
        method_ms: None,
        channels: CHANNELS.map(str::to_owned).to_vec(),
    })
}

/// Lets the storm blow while the apps talk.
fn blow(world: &mut World, rng: &mut Rng, writer: &mut Writer, seed: u64, summary: &mut Summary) {
    let phones: Vec<usize> = (0..world.phones.len()).collect();
    let plan = StormPlan { lasts_ms: STORM_MS, every_ms_most: 4_000, ..StormPlan::default() };
    let mut storm = Storm::new(seed, plan).expect("a valid plan").peekable();
    let mut drain_at = rng.chance(0.5).then(|| rng.between(1_000, STORM_MS));
    let mut restart_at = rng.chance(0.25).then(|| rng.between(1_000, STORM_MS));
    while world.now().mono_ms < STORM_MS {
        let pause = rng.between(1, 200);
        world.advance(pause);
        let now_ms = world.now().mono_ms;
        while let Some(gust) = storm.next_if(|gust| gust.at.as_millis() <= u128::from(now_ms)) {
            for phone in gust.reach.among(&phones) {
                hit(world, rng, *phone, gust.fault);
                summary.faults += 1;
            }
            // `Everybody` is a server that goes away for a moment.
            if gust.reach == Reach::Everybody && rng.chance(0.3) {
                world.drain(2_000);
            }
        }
        if drain_at.take_if(|at| *at <= now_ms).is_some() {
            world.drain(3_000);
        }
        if restart_at.take_if(|at| *at <= now_ms).is_some() {
            world.restart();
        }
        let phone = phones[usize::try_from(rng.below(phones.len() as u64)).expect("small")];
        writer.write(world, phone);
    }
}

fn hit(world: &mut World, rng: &mut Rng, phone: usize, fault: Fault) {
    match fault {
        // A background trip: hidden for a while, and the host does what hosts do.
        Fault::BackgroundKill { .. } => match world.phones[phone].hidden_since {
            Some(_) => world.show(phone),
            None => world.hide(phone, Some(fault)),
        },
        Fault::Refuse { .. } => {
            let airs = [Air::Refusing, Air::Dead, Air::Clear];
            world.air[phone] = airs[usize::try_from(rng.below(3)).expect("small")];
            if rng.chance(0.3) {
                let online = rng.chance(0.5);
                world.tell(phone, Input::Network { online, kind: None });
            }
        }
        other => {
            world.air[phone] = Air::Clear;
            if rng.chance(0.1) {
                world.tell(
                    phone,
                    Input::Network { online: true, kind: Some(format!("kind{}", rng.below(3))) },
                );
            }
            world.fault(phone, other);
        }
    }
}

/// What apps ask for: each payload once in the whole history.
struct Writer {
    rng: Rng,
    asked: u64,
}

impl Writer {
    fn write(&mut self, world: &mut World, phone: usize) {
        if world.phones[phone].hidden_since.is_some() {
            return;
        }
        if self.rng.chance(0.02) {
            return self.change_mind(world, phone);
        }
        self.asked += 1;
        let payload = format!("p{}", self.asked);
        if self.rng.chance(0.05) {
            return world.publish(&format!("user:{}", user_of(phone)), &payload);
        }
        let ttl_ms = if self.rng.chance(0.2) { Some(self.rng.between(500, 5_000)) } else { Some(120_000) };
        if self.rng.chance(0.3) {
            let body = format!(r#"{{"method":"echo","data":"{payload}"}}"#);
            world.ask(phone, ask(RequestVerb::Call, &body, &payload, ttl_ms));
        } else {
            let channel = self.channel();
            let body = format!(r#"{{"channel":"{channel}","data":"{payload}"}}"#);
            world.ask(phone, ask(RequestVerb::Publish, &body, &payload, ttl_ms));
        }
    }

    /// Leaves a channel and comes back to it from its start, perhaps at once.
    fn change_mind(&mut self, world: &mut World, phone: usize) {
        let channel = self.channel();
        world.unsubscribe(phone, channel);
        world.advance(self.rng.below(3) * 50);
        world.tell(phone, Input::Subscribe { channel: channel.to_owned(), from: ReadFrom::Start });
    }

    fn channel(&mut self) -> &'static str {
        CHANNELS[usize::try_from(self.rng.below(3)).expect("small")]
    }
}

/// The user that a phone may belong to.
fn user_of(phone: usize) -> String {
    format!("u{phone}")
}

fn ask<'a>(verb: RequestVerb, body: &'a str, payload: &'a str, ttl_ms: Option<u64>) -> Ask<'a> {
    Ask { verb, body, payload, ttl_ms, idempotent: false, volatile: false }
}

/// What a log held; nothing, where nobody ever wrote to it.
fn log_of<'a>(world: &'a World, channel: &str, epoch: &str) -> &'a [String] {
    world.logs().get(&(channel.to_owned(), epoch.to_owned())).map_or(&[], Vec::as_slice)
}

/// Holds what the apps remember against what the server did.
fn reckon(world: &World, summary: &mut Summary) {
    let sessions_last = world.sessions_outlast(STORM_MS);
    let mut published: BTreeMap<&str, u32> = BTreeMap::new();
    for payload in world.logs().values().flatten() {
        *published.entry(payload).or_default() += 1;
    }
    summary.publications = published.len() as u64;
    for (number, phone) in world.phones.iter().enumerate() {
        for (channel, standing) in &phone.app.standing {
            let head = log_of(world, channel, world.epoch()).len() as u64;
            assert_eq!(
                (standing.epoch.as_str(), standing.offset),
                (world.epoch(), head),
                "phone {number} stands behind in {channel}"
            );
        }
        for Received { channel, epoch, offset, payload } in &phone.app.received {
            let at = usize::try_from(*offset - 1).expect("an index");
            assert_eq!(
                &log_of(world, channel, epoch)[at],
                payload,
                "phone {number} was given something else at {offset}"
            );
        }
        for sent in phone.events.iter().filter_map(Event::sent) {
            // Where a subscription goes on from a cursor while the line is up, the client had to mend a hole by itself: the
            // app lost nothing, but the server did.
            assert!(!sent.contains(MENDING), "phone {number} was served with a hole: {sent}");
        }
        for (request, asked) in &phone.app.asked {
            let done = match asked.verb {
                "publish" => published.get(asked.payload.as_str()).copied(),
                _ => world.executed().get(&asked.payload).copied(),
            };
            let done = done.unwrap_or(0);
            let outcome =
                asked.outcome.as_ref().unwrap_or_else(|| panic!("phone {number}: {request} never settled"));
            match outcome {
                Outcome::Ok => assert_eq!(done, 1, "phone {number}: {asked:?} was executed {done} times"),
                unknown if unknown.is_unknown() => {
                    assert!(done <= 1, "phone {number}: {asked:?} doubled");
                    // The client's own doubts are about time; the server's are about what it did.
                    let needless = sessions_last && done == 0 && unknown.is_in_doubt();
                    assert!(
                        !needless,
                        "phone {number}: {asked:?}, yet the server knew that it was not executed"
                    );
                }
                Outcome::Failed(_) => {
                    assert_eq!(done, 0, "phone {number}: {asked:?} failed, yet was executed")
                }
            }
            summary.settled += 1;
            summary.unknown += u64::from(outcome.is_unknown());
        }
        summary.deliveries += phone.app.received.len() as u64;
        summary.gaps += phone.app.gaps.len() as u64;
        summary.drops += phone.events.iter().filter(|event| matches!(event, Event::Drop(_))).count() as u64;
    }
}
