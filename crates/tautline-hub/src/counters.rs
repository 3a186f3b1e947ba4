//! Counters of what happened since the process started. Their labels are closed sets: no client, user or channel
//! makes a new one.
//!
//! Start at [`HubCounters`].

use tautline_protocol::{
    ByeCode, ErrorCode,
    client::DropCause,
    packet::{
        ErrorBody, Hello, Welcome,
        client::LastDrop,
        server::{ChannelWelcome, Gap, GapReason},
    },
};

use crate::{
    LoginRefused,
    sync::{AtomicU64, Ordering},
};

/// The upper bounds of [`OfflineTimes`] but for the last, in milliseconds.
pub const OFFLINE_BOUNDS_MS: [u64; 8] =
    [1_000, 3_000, 10_000, 30_000, 120_000, 600_000, 3_600_000, 86_400_000];

const GAP_REASONS: [(GapReason, &str); 4] = [
    (GapReason::Retention, "retention"),
    (GapReason::NewEpoch, "new_epoch"),
    (GapReason::Ahead, "ahead"),
    (GapReason::Mismatch, "mismatch"),
];

/// A ticket was good.
pub(crate) const RESUMED: &str = "resumed";
/// The client logs in once more, and its session goes on or not.
const CHALLENGED: &str = "challenged";
/// The ticket was not good, and the login beside it has opened another session.
pub(crate) const NEW_SESSION: &str = "new_session";

const RESUMES: [(&str, &str); 10] = [
    (RESUMED, "in_memory"),
    (RESUMED, "from_node"),
    (RESUMED, "from_ticket"),
    (CHALLENGED, "ticket_invalid"),
    (CHALLENGED, "ticket_revoked"),
    (CHALLENGED, "ticket_expired"),
    (NEW_SESSION, "ticket_invalid"),
    (NEW_SESSION, "ticket_revoked"),
    (NEW_SESSION, "ticket_expired"),
    (NEW_SESSION, "other_user"),
];

/// The codes of the protocol, and one for those of back ends.
const REFUSALS: usize = ErrorCode::KNOWN.len() + 1;

/// Connections count in one of these, so that cores seldom fight for a line of the cache.
const DELIVERY_SHARDS: usize = 16;

/// Counts of a node since its process started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HubCounters {
    /// Sessions that a hello opened.
    pub sessions_opened: u64,
    /// Hellos that went on with a session.
    pub sessions_resumed: u64,
    /// Challenges sent: a hello without a login, or with one that no longer holds.
    pub challenges: u64,
    /// Hellos with a ticket: what came of it, and why.
    pub resumes: Vec<(&'static str, &'static str, u64)>,
    /// Logins that were not accepted, by [`LoginRefused::reason`].
    pub logins_refused: Vec<(&'static str, u64)>,
    /// Requests that were answered by an error, by its code; those of back ends are `other`.
    pub requests_refused: Vec<(&'static str, u64)>,
    /// Cursors of hellos whose channel goes on without a gap.
    pub channels_resumed: u64,
    /// Gaps told, by [`GapReason`].
    pub gaps: Vec<(&'static str, u64)>,
    /// Last packets of connections that the server ended, by their code.
    pub byes: Vec<(&'static str, u64)>,
    /// Drops that returning clients told of, by their cause.
    pub drops: Vec<(&'static str, u64)>,
    /// How long those clients were offline.
    pub offline: OfflineTimes,
    /// Publications handed to connections.
    pub deliveries: u64,
}

/// A histogram of offline times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfflineTimes {
    /// How many were at most as long as each of [`OFFLINE_BOUNDS_MS`] and longer than the one before; the last were
    /// longer than all.
    pub counts: [u64; OFFLINE_BOUNDS_MS.len() + 1],
    /// Their sum, in milliseconds.
    pub sum_ms: u64,
}

#[derive(Default)]
pub(crate) struct Counters {
    opened: AtomicU64,
    resumed: AtomicU64,
    challenges: AtomicU64,
    /// Hellos that waited for their turn too long.
    pub(crate) admission_timeouts: AtomicU64,
    /// Connections of users that had too many.
    pub(crate) user_refusals: AtomicU64,
    resumes: [AtomicU64; RESUMES.len()],
    logins_refused: [AtomicU64; LoginRefused::REASONS.len()],
    requests_refused: [AtomicU64; REFUSALS],
    channels_resumed: AtomicU64,
    gaps: [AtomicU64; GAP_REASONS.len()],
    byes: [AtomicU64; ByeCode::ALL.len()],
    drops: [AtomicU64; DropCause::ALL.len()],
    offline: [AtomicU64; OFFLINE_BOUNDS_MS.len() + 1],
    offline_sum_ms: AtomicU64,
    deliveries: [Shard; DELIVERY_SHARDS],
}

#[derive(Default)]
#[repr(align(128))]
struct Shard(AtomicU64);

impl Counters {
    /// A hello was welcomed.
    pub(crate) fn count_hello(&self, hello: &Hello, welcome: &Welcome, gaps: &[Gap]) {
        add(if welcome.resumed { &self.resumed } else { &self.opened }, 1);
        hello.last_drop.iter().for_each(|drop| self.count_drop(drop));
        gaps.iter().for_each(|gap| self.count_gap(gap));
        let named = hello.resume.iter().flat_map(|resume| resume.cursors.keys());
        let continues = |name: &&String| {
            matches!(welcome.channels.get(*name), Some(ChannelWelcome::Subscribed(_)))
                && !gaps.iter().any(|gap| gap.channel == **name)
        };
        add(&self.channels_resumed, named.filter(continues).count() as u64);
    }

    pub(crate) fn count_challenge(&self, code: &str) {
        add(&self.challenges, 1);
        self.count_resume(CHALLENGED, code);
    }

    /// A hello had a ticket.
    pub(crate) fn count_resume(&self, outcome: &str, reason: &str) {
        add_at(&self.resumes, RESUMES.iter().position(|known| *known == (outcome, reason)));
    }

    pub(crate) fn count_login_refused(&self, refused: &LoginRefused) {
        let reason = refused.reason();
        add_at(&self.logins_refused, LoginRefused::REASONS.iter().position(|known| *known == reason));
    }

    /// A request is answered, by this error where there is one.
    pub(crate) fn count_refused(&self, error: Option<&ErrorBody>) {
        let Some(error) = error else { return };
        let known = ErrorCode::KNOWN.iter().position(|known| *known == error.code.as_str());
        add_at(&self.requests_refused, known.or(Some(REFUSALS - 1)));
    }

    pub(crate) fn count_admission_timeout(&self) {
        add(&self.admission_timeouts, 1);
    }

    pub(crate) fn count_user_refusal(&self) {
        add(&self.user_refusals, 1);
    }

    pub(crate) fn count_gap(&self, gap: &Gap) {
        add_at(&self.gaps, GAP_REASONS.iter().position(|(reason, _)| *reason == gap.reason));
    }

    pub(crate) fn count_bye(&self, code: ByeCode) {
        add_at(&self.byes, ByeCode::ALL.iter().position(|known| *known == code));
    }

    /// A client says how its connection before ended. A cause that this version does not know counts as unknown.
    fn count_drop(&self, drop: &LastDrop) {
        let cause = DropCause::ALL.iter().position(|cause| cause.as_str() == drop.cause);
        add_at(&self.drops, cause.or(Some(DropCause::ALL.len() - 1)));
        let offline_ms = drop.offline_ms.min(u64::from(u32::MAX));
        add_at(&self.offline, Some(OFFLINE_BOUNDS_MS.partition_point(|bound| *bound < offline_ms)));
        add(&self.offline_sum_ms, offline_ms);
    }

    /// Publications handed to this connection. The lowest bit of its number is its format.
    pub(crate) fn count_deliveries(&self, connection: u64, count: u64) {
        add(&self.deliveries[(connection >> 1) as usize % DELIVERY_SHARDS].0, count);
    }

    pub(crate) fn snapshot(&self) -> HubCounters {
        let mut offline = OfflineTimes { sum_ms: get(&self.offline_sum_ms), ..OfflineTimes::default() };
        offline.counts.iter_mut().zip(&self.offline).for_each(|(count, counter)| *count = get(counter));
        HubCounters {
            sessions_opened: get(&self.opened),
            sessions_resumed: get(&self.resumed),
            challenges: get(&self.challenges),
            resumes: RESUMES
                .iter()
                .zip(&self.resumes)
                .map(|((outcome, reason), count)| (*outcome, *reason, get(count)))
                .collect(),
            logins_refused: named(LoginRefused::REASONS.into_iter(), &self.logins_refused),
            requests_refused: named(ErrorCode::KNOWN.into_iter().chain(["other"]), &self.requests_refused),
            channels_resumed: get(&self.channels_resumed),
            gaps: named(GAP_REASONS.iter().map(|(_, name)| *name), &self.gaps),
            byes: named(ByeCode::ALL.iter().map(|code| code.as_str()), &self.byes),
            drops: named(DropCause::ALL.iter().map(|cause| cause.as_str()), &self.drops),
            offline,
            deliveries: self.deliveries.iter().map(|shard| get(&shard.0)).sum(),
        }
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

fn add_at(counters: &[AtomicU64], index: Option<usize>) {
    if let Some(counter) = index.and_then(|index| counters.get(index)) {
        add(counter, 1);
    }
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn named(names: impl Iterator<Item = &'static str>, counters: &[AtomicU64]) -> Vec<(&'static str, u64)> {
    names.zip(counters.iter().map(get)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drop(cause: &str, offline_ms: u64) -> LastDrop {
        LastDrop { cause: cause.to_owned(), offline_ms, ..LastDrop::default() }
    }

    #[test]
    fn drop_counts_once_by_cause_and_offline_time() {
        let counters = Counters::default();
        for told in [drop("background", 1_000), drop("background", 1_001), drop("of tomorrow", u64::MAX)] {
            counters.count_drop(&told);
        }
        let counts = counters.snapshot();
        let of = |cause| counts.drops.iter().find(|(name, _)| *name == cause).expect("a known cause").1;
        assert_eq!((of("background"), of("unknown"), of("kicked")), (2, 1, 0));
        assert_eq!(counts.offline.counts, [1, 1, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(counts.offline.sum_ms, 2_001 + u64::from(u32::MAX), "one client cannot overflow the sum");
    }

    #[test]
    fn deliveries_of_all_shards_are_one_sum() {
        let counters = Counters::default();
        (0..40).for_each(|connection| counters.count_deliveries(connection, 2));
        assert_eq!(counters.snapshot().deliveries, 80);
    }
}
