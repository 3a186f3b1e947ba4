//! Holds what the apps remember against what the server really did.

use std::collections::BTreeMap;

use crate::{
    app::{Asked, Outcome, Received},
    engine::{Chronicle, Count, EngineKind, life_of},
    phone::Phone,
    storm::{Summary, writer::Writer},
    story::Event,
    world::World,
};

/// How a client asks again for what it missed, without a gap that told it.
const MENDING: &str = r#""from":{"epoch""#;

/// What there was of everything that may cost something.
pub(super) struct Befallen {
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
}

impl Befallen {
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

pub(super) fn reckon(world: &World, befallen: &Befallen, writer: &Writer, summary: &mut Summary) {
    let knows_all = befallen.knows_all(world);
    let heads = world.engine_heads();
    world.chronicle(|chronicle| {
        for (number, phone) in world.phones.iter().enumerate() {
            let witness = Witness { number, phone, chronicle, heads: &heads };
            witness.stands_at_the_end();
            witness.was_handed_the_truth();
            witness.was_served_without_holes();
            for (request, asked) in &phone.app.asked {
                let done = match asked.verb {
                    // Its pages are looked at, and reading twice does no harm.
                    "history" => {
                        Count { appended: u32::from(asked.outcome == Some(Outcome::Ok)), ..Count::default() }
                    }
                    "publish" => chronicle.count(&asked.payload),
                    _ => Count {
                        appended: world.executed().get(&asked.payload).copied().unwrap_or(0),
                        ..Count::default()
                    },
                };
                witness.was_answered(*request, asked, done, knows_all);
                summary.settled += 1;
                summary.unknown += u64::from(asked.outcome.as_ref().is_some_and(Outcome::is_unknown));
            }
            assert!(
                befallen.may_lose() || befallen.short || phone.app.gaps.is_empty(),
                "phone {number} was told of gaps where nothing can be missing: {:?}",
                phone.app.gaps
            );
            summary.deliveries += phone.app.received.len() as u64;
            summary.redelivered += phone.app.received.iter().filter(|it| it.redelivered).count() as u64;
            summary.gaps += phone.app.gaps.len() as u64;
            summary.drops +=
                phone.events.iter().filter(|event| matches!(event, Event::Drop(_))).count() as u64;
        }
        reckon_with_back_end(world, chronicle, befallen, writer);
        summary.publications = chronicle.publications() as u64;
        summary.taken_back = chronicle.publications_taken_back();
    });
}

/// What the back end was told is true, and what it repeated was done once.
fn reckon_with_back_end(world: &World, chronicle: &Chronicle, befallen: &Befallen, writer: &Writer) {
    for (payload, push) in &writer.pushed {
        let Count { appended, taken_back, forgotten } = chronicle.count(payload);
        let stands = appended - taken_back - forgotten;
        match world.pushed().get(payload) {
            Some(Ok(published)) => {
                let mut ever = chronicle.ever_at(&push.channel, &published.epoch, published.offset);
                assert!(
                    ever.any(|it| it.payload == *payload),
                    "{payload} is acknowledged and not in its log: {published:?}"
                );
                let once = !push.keyed || !befallen.short;
                assert!(!once || stands <= 1, "{payload} stands in the log {stands} times");
                assert!(befallen.may_lose() || appended > taken_back, "{payload} is acknowledged and lost");
            }
            Some(Err(_)) | None => assert!(appended <= 1, "{payload} was appended {appended} times"),
        }
    }
}

/// A phone, asked in court.
struct Witness<'a> {
    number: usize,
    phone: &'a Phone,
    chronicle: &'a Chronicle,
    /// Where the engine itself says that each log stands.
    heads: &'a BTreeMap<String, u64>,
}

impl Witness<'_> {
    fn engine_head(&self, channel: &str) -> u64 {
        self.heads.get(channel).copied().unwrap_or(0)
    }

    fn stands_at_the_end(&self) {
        let Self { number, phone, chronicle, .. } = self;
        for channel in &phone.wanted {
            assert!(
                phone.app.standing.contains_key(channel),
                "phone {number} is not subscribed to {channel}"
            );
        }
        for (channel, standing) in &phone.app.standing {
            let (head, head_at) = chronicle.head(channel);
            // An empty log that nobody has used for as long as tickets live is forgotten, and begins anew at 0.
            if standing.offset == 0 && self.engine_head(channel) == 0 {
                continue;
            }
            assert_eq!(
                (life_of(&standing.epoch), standing.offset),
                (chronicle.epoch.as_str(), head),
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
    fn was_handed_the_truth(&self) {
        let Self { number, phone, chronicle, .. } = self;
        for Received { channel, epoch, offset, at, follows_at, payload, .. } in &phone.app.received {
            let mut ever = chronicle.ever_at(channel, epoch, *offset);
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
    fn was_served_without_holes(&self) {
        for sent in self.phone.events.iter().filter_map(Event::sent) {
            assert!(!sent.contains(MENDING), "phone {} was served with a hole: {sent}", self.number);
        }
    }

    /// A request was executed at most once, and answered once in each life of the app, with the truth.
    fn was_answered(&self, request: u64, asked: &Asked, count: Count, knows_all: bool) {
        let Self { number, chronicle, .. } = self;
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
            let channels = super::CHANNELS.iter();
            let mut ever =
                channels.flat_map(|channel| chronicle.ever_at(channel, &published.epoch, published.offset));
            assert!(
                ever.any(|it| it.payload == asked.payload && it.at == published.at),
                "phone {number}: {asked:?} is acknowledged and not in its log"
            );
        }
    }
}
