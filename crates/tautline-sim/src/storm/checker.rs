//! Holds what the apps remember against what the server really did.

use std::collections::BTreeMap;

use super::{summary::Summary, workload::Workload};
use crate::{
    app::{Asked, Outcome, Received},
    engine::{Count, EngineKind, GroundTruth, life_of},
    event_log::Event,
    phone::Phone,
    world::World,
};

/// How a client asks again for what it missed, without a gap that told it.
const MENDING: &str = r#""from":{"epoch""#;

/// What there was of everything that may cost something.
pub(super) struct InjectedFaults {
    pub(super) kind: EngineKind,
    pub(super) lasts_ms: u64,
    pub(super) crashes: u64,
    pub(super) fail_overs: u64,
    pub(super) jumps: u64,
    pub(super) destroyed: u64,
    /// Logs keep less than was written.
    pub(super) short: bool,
    /// Logins expire, and their sessions with them.
    pub(super) logins: bool,
    /// The back end is asked, so a welcome leaves channels out.
    pub(super) asks: bool,
}

impl InjectedFaults {
    /// True where a publication may have been taken back.
    pub(super) const fn may_lose(&self) -> bool {
        self.fail_overs > 0
            || self.crashes > 0 && matches!(self.kind, EngineKind::Memory | EngineKind::Relaxed)
    }

    /// True where the server must know what became of everything that it was asked.
    fn knows_all(&self, world: &World) -> bool {
        let calm = self.crashes + self.jumps + self.destroyed == 0;
        self.kind == EngineKind::Memory && calm && !self.logins && world.sessions_outlast(self.lasts_ms)
    }
}

pub(super) fn check(world: &World, injected: &InjectedFaults, workload: &Workload, summary: &mut Summary) {
    let knows_all = injected.knows_all(world);
    let heads = world.engine_heads();
    world.ground_truth(|ground_truth| {
        for (number, phone) in world.phones.iter().enumerate() {
            let checker = PhoneChecker { number, phone, ground_truth, heads: &heads };
            checker.check_final_cursors();
            checker.check_publications_match_log();
            if !injected.asks {
                checker.check_no_silent_recovery();
            }
            for (request, asked) in &phone.app.asked {
                let done = match asked.verb {
                    // Its pages are looked at, and reading twice does no harm.
                    "history" => {
                        Count { appended: u32::from(asked.outcome == Some(Outcome::Ok)), ..Count::default() }
                    }
                    "publish" => ground_truth.count(&asked.payload),
                    _ => Count {
                        appended: world.executed().get(&asked.payload).copied().unwrap_or(0),
                        ..Count::default()
                    },
                };
                checker.check_request(*request, asked, done, knows_all);
                summary.settled += 1;
                summary.unknown += u64::from(asked.outcome.as_ref().is_some_and(Outcome::is_unknown));
            }
            assert!(
                injected.may_lose() || injected.short || phone.app.gaps.is_empty(),
                "phone {number} was told of gaps where nothing can be missing: {:?}",
                phone.app.gaps
            );
            summary.deliveries += phone.app.received.len() as u64;
            summary.redelivered += phone.app.received.iter().filter(|it| it.redelivered).count() as u64;
            summary.gaps += phone.app.gaps.len() as u64;
            summary.drops +=
                phone.events.iter().filter(|event| matches!(event, Event::Drop(_))).count() as u64;
        }
        check_back_end(world, ground_truth, injected, workload);
        summary.publications = ground_truth.publications() as u64;
        summary.taken_back = ground_truth.publications_taken_back();
    });
}

/// What the back end was told is true, and what it repeated was done once.
fn check_back_end(world: &World, ground_truth: &GroundTruth, injected: &InjectedFaults, workload: &Workload) {
    for (payload, push) in &workload.pushed {
        let Count { appended, taken_back, forgotten } = ground_truth.count(payload);
        let stands = appended - taken_back - forgotten;
        match world.pushed().get(payload) {
            Some(Ok(published)) => {
                let mut ever = ground_truth.ever_at(&push.channel, &published.epoch, published.offset);
                assert!(
                    ever.any(|it| it.payload == *payload),
                    "{payload} is acknowledged and not in its log: {published:?}"
                );
                let once = !push.keyed || !injected.short;
                assert!(!once || stands <= 1, "{payload} stands in the log {stands} times");
                assert!(injected.may_lose() || appended > taken_back, "{payload} is acknowledged and lost");
            }
            Some(Err(_)) | None => assert!(appended <= 1, "{payload} was appended {appended} times"),
        }
    }
}

/// One phone, and what it is checked against.
struct PhoneChecker<'a> {
    number: usize,
    phone: &'a Phone,
    ground_truth: &'a GroundTruth,
    /// Where the engine itself says that each log stands.
    heads: &'a BTreeMap<String, u64>,
}

impl PhoneChecker<'_> {
    fn engine_head(&self, channel: &str) -> u64 {
        self.heads.get(channel).copied().unwrap_or(0)
    }

    fn check_final_cursors(&self) {
        let Self { number, phone, ground_truth, .. } = self;
        for channel in &phone.wanted {
            assert!(
                phone.app.standing.contains_key(channel),
                "phone {number} is not subscribed to {channel}"
            );
        }
        for (channel, standing) in &phone.app.standing {
            let (head, head_at) = ground_truth.head(channel);
            // An empty log that nobody has used for as long as tickets live is forgotten, and begins anew at 0.
            if standing.offset == 0 && self.engine_head(channel) == 0 {
                continue;
            }
            assert_eq!(
                (life_of(&standing.epoch), standing.offset),
                (ground_truth.epoch.as_str(), head),
                "phone {number} stands behind in {channel}"
            );
            let at = standing.at.filter(|_| head > 0);
            assert!(
                at.is_none_or(|at| at == head_at),
                "phone {number} stands at another end of {channel}: {standing:?}"
            );
        }
    }

    /// Each publication stood where it was handed over, behind the one that was handed over before it.
    fn check_publications_match_log(&self) {
        let Self { number, phone, ground_truth, .. } = self;
        for Received { channel, epoch, offset, at, follows_at, payload, .. } in &phone.app.received {
            let mut ever = ground_truth.ever_at(channel, epoch, *offset);
            let written = ever.find(|it| it.payload == *payload && it.at == *at);
            let written = written
                .unwrap_or_else(|| panic!("phone {number} was given {payload} at {offset} of {channel}"));
            let (Some(follows_at), Some(before_at)) = (follows_at, written.before_at) else { continue };
            assert_eq!(
                *follows_at, before_at,
                "phone {number}: {payload}, {offset} of {channel}, does not follow what it had before"
            );
        }
    }

    /// Where a subscription goes on from a cursor while the line is up, the client had to mend a hole by itself: the app lost
    /// nothing, but the server did.
    fn check_no_silent_recovery(&self) {
        for sent in self.phone.events.iter().filter_map(Event::sent) {
            assert!(!sent.contains(MENDING), "phone {} was served with a hole: {sent}", self.number);
        }
    }

    /// A request was executed at most once, and answered once in each run of the app, truthfully.
    fn check_request(&self, request: u64, asked: &Asked, count: Count, knows_all: bool) {
        let Self { number, ground_truth, .. } = self;
        let outcome =
            asked.outcome.as_ref().unwrap_or_else(|| panic!("phone {number}: {request} never settled"));
        let done = count.appended;
        let stands = done - count.taken_back - count.forgotten;
        assert!(stands <= 1, "phone {number}: {asked:?} doubled");
        for outcome in asked.earlier.iter().chain([outcome]) {
            match outcome {
                Outcome::Ok => assert!(done >= 1, "phone {number}: {asked:?} was never executed"),
                unknown if unknown.is_unknown() => {
                    // The client's own doubts are about time; the server's are about what it did.
                    let needless = knows_all && done == 0 && unknown.is_in_doubt();
                    assert!(
                        !needless,
                        "phone {number}: {asked:?}, yet the server knew that it was not executed"
                    );
                }
                Outcome::Failed(_) => {
                    // An app that came after it may have asked once more.
                    let alone = asked.earlier.is_empty();
                    assert!(!alone || done == 0, "phone {number}: {asked:?} failed, yet was executed");
                }
                Outcome::Forgotten => {}
            }
        }
        if let Some(published) = asked.published.as_ref().filter(|_| asked.verb == "publish") {
            let channels = super::common::CHANNELS.iter();
            let mut ever = channels
                .flat_map(|channel| ground_truth.ever_at(channel, &published.epoch, published.offset));
            assert!(
                ever.any(|it| it.payload == asked.payload && it.at == published.at),
                "phone {number}: {asked:?} is acknowledged and not in its log"
            );
        }
    }
}
