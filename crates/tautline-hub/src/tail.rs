//! The in-memory tail of a channel's log: its newest publications, for live readers.
//!
//! Start at [`LogTail::push`] and [`LogTail::read`]. The engine owns the whole log. Readers hold an offset
//! and take shared bytes; a delivery copies nothing. Publications that several readers are due are joined
//! into one batch once, and its bytes are shared too. A reader behind the tail reads pages
//! ([`crate::pages`]).

use std::{collections::VecDeque, sync::Arc};

use bytes::{Bytes, BytesMut};
use tautline_engine::{Entry, LogState};
use tautline_protocol::{Cursor, packet::server::GapReason};

use crate::{
    channel::{AppendedEntry, ResumeEvidence},
    limits::HubLimits,
    packets::Packets,
    sync::{AtomicUsize, Ordering},
};

/// The number of boundaries kept; a reader at an older one cannot verify what follows it.
const BOUNDARIES_MAX: usize = 8;

/// The result of reading behind a position.
pub(crate) enum TailRead {
    /// Nothing new.
    UpToDate,
    /// These packets; the reader advances to `to`.
    Batch { packets: Packets, to: u64 },
    /// The next publications are not in memory.
    Behind,
    /// The next publications are deleted, or belong to another log; the reader continues from `to`.
    Gap { reason: GapReason, to: u64 },
}

/// The position at which a reader with a cursor resumes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ResumePoint {
    At(u64),
    Gap { reason: GapReason, at: u64 },
}

/// The effect of a publication that the engine reported.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AppendOutcome {
    /// Applied: notify the readers.
    Applied,
    /// Already in the tail.
    Duplicate,
    /// Either a duplicate, or the engine went back to an older state: stat the log.
    Uncertain,
}

/// The cached tail of a log.
pub(crate) struct LogTail {
    epoch: Arc<str>,
    entries: VecDeque<Entry>,
    /// When the publication before the oldest cached one was appended: there, pages meet the tail.
    before_at: u64,
    bytes: usize,
    /// The bytes of all tails of the node.
    sum: Arc<AtomicUsize>,
    /// The last offset assigned; 0 before the first publication.
    head: u64,
    /// When `head` was appended.
    head_at: u64,
    /// The offset just before the oldest publication kept, as last reported by the engine. It may have risen
    /// since.
    base: u64,
    /// When the publication at `base` was appended, if known.
    base_at: Option<u64>,
    /// Earlier ends of the tail, each with its append time, behind which other nodes had appended: readers at
    /// these positions continue from the engine, if it still has the same publication there.
    boundaries: Vec<(u64, u64)>,
    /// The head at the last stat. Publications up to it may be reported once more.
    stat_head: u64,
    /// The batch joined last: the offset before it, its last offset, and its bytes.
    last_batch: Option<(u64, u64, Packets)>,
    /// Increments whenever the log is replaced: by a log of another epoch, or by an older state of itself.
    generation: u32,
    /// The generation in which the epoch began.
    epoch_generation: u32,
    /// The offset up to which all generations of this epoch have the same log.
    common_up_to: u64,
}

impl LogTail {
    /// A tail without publications.
    pub(crate) fn new(state: &LogState, sum: Arc<AtomicUsize>) -> Self {
        Self {
            epoch: Arc::clone(&state.epoch),
            entries: VecDeque::new(),
            before_at: state.head_at,
            bytes: 0,
            sum,
            head: state.head,
            head_at: state.head_at,
            base: state.base,
            base_at: state.base_at,
            boundaries: Vec::new(),
            stat_head: state.head,
            last_batch: None,
            generation: 0,
            epoch_generation: 0,
            common_up_to: u64::MAX,
        }
    }

    pub(crate) const fn epoch(&self) -> &Arc<str> {
        &self.epoch
    }

    pub(crate) const fn head(&self) -> u64 {
        self.head
    }

    pub(crate) const fn head_at(&self) -> u64 {
        self.head_at
    }

    /// Bytes of the publications in it.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) const fn base(&self) -> u64 {
        self.base
    }

    pub(crate) const fn generation(&self) -> u32 {
        self.generation
    }

    /// When the publication at `offset` was appended, if the tail knows it.
    pub(crate) fn at(&self, offset: u64) -> Option<u64> {
        if offset == self.head {
            return (self.head > 0).then_some(self.head_at);
        }
        if offset == self.tail_start() && offset > 0 {
            return Some(self.before_at);
        }
        if offset == self.base {
            return self.base_at;
        }
        let in_tail = offset.checked_sub(self.tail_start() + 1).and_then(|index| usize::try_from(index).ok());
        let entry = in_tail.and_then(|index| self.entries.get(index));
        let boundary = || self.boundaries.iter().find(|(boundary, _)| *boundary == offset).map(|(_, at)| *at);
        entry.map(Entry::at).or_else(boundary)
    }

    /// Applies a publication that the engine has appended. At most `entries_max` stay in memory.
    pub(crate) fn push(
        &mut self,
        appended: AppendedEntry,
        limits: &HubLimits,
        entries_max: usize,
    ) -> AppendOutcome {
        let AppendedEntry { epoch, entry, before_at, base, base_at } = appended;
        let offset = entry.offset();
        if epoch != self.epoch {
            self.begin_epoch(&epoch);
        } else if offset > self.head + 1 {
            // Another node appended in between: readers find those publications in the engine.
            self.forget();
            if self.head > 0 {
                self.boundaries.push((self.head, self.head_at));
            }
            if self.boundaries.len() > BOUNDARIES_MAX {
                self.boundaries.remove(0);
            }
        } else if offset <= self.head {
            match self.at(offset) {
                Some(at) if at == entry.at() => return AppendOutcome::Duplicate,
                None if offset <= self.stat_head => return AppendOutcome::Uncertain,
                // If the predecessor differs from the cached one, the extent of the rollback is unknown.
                _ => self.go_back(if self.at(offset - 1) == Some(before_at) { offset - 1 } else { 0 }),
            }
        } else if before_at != self.head_at {
            // The log was rolled back and written to unreported; the extent is unknown.
            self.go_back(0);
        }
        (self.head, self.head_at) = (offset, entry.at());
        (self.base, self.base_at) = (base, base_at);
        if self.entries.is_empty() {
            self.before_at = before_at;
        }
        self.bytes += entry.line().len();
        self.sum.fetch_add(entry.line().len(), Ordering::Relaxed);
        self.entries.push_back(entry);
        self.last_batch = None;
        let entries_max = entries_max.min(limits.tail_entries_max);
        while self.entries.len() > 1
            && (self.entries.len() > entries_max
                || self.bytes > limits.tail_bytes_max
                || self.tail_start() < self.base)
        {
            self.pop();
        }
        AppendOutcome::Applied
    }

    /// Applies the log state that the engine reported; `head_then` is the tail's head when the engine was
    /// asked. Returns true if the log has changed its generation: notify the readers.
    pub(crate) fn apply_state(&mut self, state: &LogState, head_then: u64) -> bool {
        let went_back = state.head < head_then || state.head == self.head && state.head_at != self.head_at;
        if state.epoch != self.epoch {
            self.begin_epoch(&state.epoch);
        } else if went_back {
            let agrees = self.at(state.head) == Some(state.head_at);
            self.go_back(if agrees { state.head } else { 0 });
        } else {
            self.raise_base(state.base, state.base_at);
            self.stat_head = self.stat_head.max(state.head);
            return false;
        }
        (self.head, self.head_at) = (state.head, state.head_at);
        (self.base, self.base_at) = (state.base, state.base_at);
        self.stat_head = state.head;
        true
    }

    /// Drops expired publications, and the last batch: its readers have it by now, it holds many bytes, and a
    /// late reader can have it joined again.
    pub(crate) fn expire(&mut self, wall_ms: u64, age_ms: u64) {
        self.last_batch = None;
        while let Some(oldest) = self.entries.front()
            && wall_ms.saturating_sub(oldest.at()) > age_ms
        {
            let (offset, at) = (oldest.offset(), oldest.at());
            self.pop();
            self.raise_base(offset, Some(at));
        }
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
    }

    /// Compares entries that the engine read behind a publication of `after_at` with the tail. Returns true
    /// if they differ from the cached ones: the log has changed its generation, notify the readers.
    pub(crate) fn verify_page(&mut self, after: u64, after_at: Option<u64>, read: &[Entry]) -> bool {
        let differs = |offset, theirs: u64| self.at(offset).is_some_and(|ours| ours != theirs);
        let another = after_at.is_some_and(|at| differs(after, at))
            || read.iter().any(|entry| differs(entry.offset(), entry.at()));
        if another {
            self.go_back(0);
        }
        another
    }

    /// The engine lacks the publications behind `after` that it should have: readers get a gap up to the next
    /// one.
    pub(crate) fn record_gap(&mut self, after: u64, next: Option<u64>) {
        let to = next.map_or(self.tail_start(), |next| next - 1);
        if after >= self.base && to > after {
            self.raise_base(to, None);
        }
    }

    /// Locates the resume position of a cursor (protocol, section 5), using the evidence of its lookup.
    pub(crate) fn locate(&self, cursor: &Cursor, evidence: ResumeEvidence<'_>) -> ResumePoint {
        let ResumeEvidence { stat, cached, had_tail } = evidence;
        let asked = stat.is_some();
        let stat = stat.filter(|stat| stat.log.epoch == self.epoch);
        let cached = cached.filter(|cached| cached.generation == self.generation);
        let head = stat.map_or(self.head, |stat| stat.log.head.max(self.head));
        let at =
            self.at(cursor.offset).or(stat.and_then(|stat| stat.at)).or(cached.and_then(|cached| cached.at));
        let beyond = stat.is_some_and(|stat| cursor.offset > stat.log.head)
            // The publication is deleted and was never in the tail: it may have belonged to another branch.
            || cursor.offset > self.head && stat.is_some_and(|stat| cursor.offset < stat.log.base)
            // A later lookup by another connection loaded the tail and did not see the offset.
            || asked && !had_tail && cursor.offset > self.head;
        match locate(&self.epoch, head, self.base, at, cursor) {
            // The engine lacked the offset when it was asked, although a client had it: a later publication
            // now has that offset.
            ResumePoint::At(_) if beyond && self.at(cursor.offset).is_none() => {
                ResumePoint::Gap { reason: GapReason::Ahead, at: self.head }
            }
            // The stat may be older than the tail: no reader starts beyond the tail's end.
            ResumePoint::Gap { reason, at } => ResumePoint::Gap { reason, at: at.min(self.head) },
            // The position was cached, and the log has changed its generation since: nothing confirms the
            // cursor.
            ResumePoint::At(_) if !asked && at.is_none() && cached.is_none() && cursor.at.is_some() => {
                ResumePoint::Gap { reason: GapReason::Mismatch, at: self.head }
            }
            point => point,
        }
    }

    /// True if the tail alone can locate this cursor.
    pub(crate) fn resolves(&self, cursor: &Cursor) -> bool {
        *cursor.epoch == *self.epoch && cursor.offset <= self.head && self.at(cursor.offset).is_some()
    }

    /// Reads behind an offset: at most `bytes_max`, but at least one publication.
    pub(crate) fn read(&mut self, after: u64, generation: &mut u32, bytes_max: usize) -> TailRead {
        let generation = std::mem::replace(generation, self.generation);
        if generation < self.epoch_generation {
            // A new epoch begins with its oldest publication.
            return TailRead::Gap { reason: GapReason::NewEpoch, to: self.base };
        }
        if generation < self.generation && after > self.common_up_to {
            let reason = if after > self.head { GapReason::Ahead } else { GapReason::Mismatch };
            return TailRead::Gap { reason, to: self.head };
        }
        if after >= self.head {
            return TailRead::UpToDate;
        }
        if after < self.base {
            return TailRead::Gap { reason: GapReason::Retention, to: self.base };
        }
        if after < self.tail_start() {
            return TailRead::Behind;
        }
        if let Some((from, to, packets)) = &self.last_batch
            && *from == after
        {
            return TailRead::Batch { packets: packets.clone(), to: *to };
        }
        let skip = usize::try_from(after - self.tail_start()).expect("fewer entries than memory has bytes");
        let (json, taken) = join(self.entries.iter().skip(skip), bytes_max);
        let (packets, to) = (Packets::new(json), after + taken);
        self.last_batch = Some((after, to, packets.clone()));
        TailRead::Batch { packets, to }
    }

    fn begin_epoch(&mut self, epoch: &Arc<str>) {
        self.epoch = Arc::clone(epoch);
        self.generation += 1;
        self.epoch_generation = self.generation;
        self.common_up_to = u64::MAX;
        self.boundaries.clear();
        self.forget();
    }

    /// The engine's log differs from the cached one behind `common_up_to`.
    fn go_back(&mut self, fork: u64) {
        self.generation += 1;
        self.common_up_to = self.common_up_to.min(fork);
        self.boundaries.clear();
        self.forget();
    }

    /// The offset just before the oldest cached publication.
    fn tail_start(&self) -> u64 {
        self.head - self.entries.len() as u64
    }

    fn raise_base(&mut self, base: u64, base_at: Option<u64>) {
        // Publications beyond the head are not reported yet and may belong to another log: no reader starts
        // there.
        let (base, base_at) =
            if base > self.head { (self.head, Some(self.head_at)) } else { (base, base_at) };
        if base > self.base {
            (self.base, self.base_at) = (base, base_at);
            while !self.entries.is_empty() && self.tail_start() < base {
                self.pop();
            }
        }
    }

    fn pop(&mut self) {
        if let Some(oldest) = self.entries.pop_front() {
            self.before_at = oldest.at();
            self.bytes -= oldest.line().len();
            self.sum.fetch_sub(oldest.line().len(), Ordering::Relaxed);
            self.last_batch = None;
        }
    }

    fn forget(&mut self) {
        self.entries = VecDeque::new();
        self.sum.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
        self.last_batch = None;
    }
}

impl Drop for LogTail {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Locates the resume position of a cursor in a log; `at` is the append time of the publication at the
/// cursor's offset, if known (protocol, section 5).
pub(crate) fn locate(epoch: &str, head: u64, base: u64, at: Option<u64>, cursor: &Cursor) -> ResumePoint {
    let gap = |reason, at| ResumePoint::Gap { reason, at };
    if cursor.epoch != epoch {
        return gap(GapReason::NewEpoch, base);
    }
    if cursor.offset > head {
        return gap(GapReason::Ahead, head);
    }
    if cursor.offset < base {
        return gap(GapReason::Retention, base);
    }
    match (cursor.at, at) {
        (Some(theirs), Some(ours)) if theirs != ours => gap(GapReason::Mismatch, head),
        _ => ResumePoint::At(cursor.offset),
    }
}

/// Joins the packets of the first publications: at most `bytes_max`, but at least one. Returns how many.
pub(crate) fn join<'a>(entries: impl Iterator<Item = &'a Entry> + Clone, bytes_max: usize) -> (Bytes, u64) {
    let mut taken = 0;
    let mut size = 0;
    for entry in entries.clone() {
        if taken > 0 && size + entry.line().len() > bytes_max {
            break;
        }
        size += entry.line().len();
        taken += 1;
    }
    let mut first = entries.take(taken);
    if taken == 1
        && let Some(only) = first.next()
    {
        return (only.line().clone(), 1);
    }
    let mut joined = BytesMut::with_capacity(size);
    for entry in first {
        joined.extend_from_slice(entry.line());
    }
    (joined.freeze(), taken as u64)
}

#[cfg(test)]
mod tests {
    use tautline_protocol::{ChannelName, Format, msgpack};

    use super::*;
    use tautline_engine::Content;

    fn state(epoch: &str, head: u64, base: u64) -> LogState {
        LogState { epoch: epoch.into(), head, head_at: head * 10, base, base_at: None }
    }

    fn log_at(state: LogState) -> LogTail {
        LogTail::new(&state, Arc::default())
    }

    fn entry(offset: u64, at: u64) -> Entry {
        let channel = ChannelName::parse("room:7").expect("valid");
        Entry::encode(&channel, offset, at, &Content { data: "1".into(), from: None, tags: None })
    }

    fn push_at(tail: &mut LogTail, epoch: &str, offset: u64, at: u64) -> AppendOutcome {
        push_behind(tail, epoch, offset, at, (offset - 1) * 10)
    }

    fn push_behind(tail: &mut LogTail, epoch: &str, offset: u64, at: u64, before_at: u64) -> AppendOutcome {
        let limits = HubLimits { tail_entries_max: 4, ..HubLimits::default() };
        let appended = AppendedEntry {
            epoch: epoch.into(),
            entry: entry(offset, at),
            before_at,
            base: 0,
            base_at: None,
        };
        tail.push(appended, &limits, usize::MAX)
    }

    fn push(tail: &mut LogTail, offset: u64) -> AppendOutcome {
        push_at(tail, "e", offset, offset * 10)
    }

    /// Reads once: how many publications, and the offset afterwards.
    fn read(tail: &mut LogTail, after: u64, bytes_max: usize) -> (usize, u64) {
        match tail.read(after, &mut tail.generation(), bytes_max) {
            TailRead::Batch { packets, to } => {
                (packets.encode(Format::Json).iter().filter(|byte| **byte == b'\n').count(), to)
            }
            TailRead::UpToDate => (0, after),
            TailRead::Behind => panic!("behind the tail"),
            TailRead::Gap { reason, to } => panic!("{reason:?} to {to}"),
        }
    }

    /// The gap that a reader of an earlier generation gets.
    fn told(tail: &mut LogTail, after: u64, mut generation: u32) -> Option<(GapReason, u64)> {
        match tail.read(after, &mut generation, 999) {
            TailRead::Gap { reason, to } => Some((reason, to)),
            _ => None,
        }
    }

    #[test]
    fn readers_at_same_position_share_one_batch() {
        let mut tail = log_at(state("e", 0, 0));
        (1..=3).for_each(|offset| assert_eq!(push(&mut tail, offset), AppendOutcome::Applied));
        let (TailRead::Batch { packets: a, .. }, TailRead::Batch { packets: b, .. }) =
            (tail.read(0, &mut 0, 999), tail.read(0, &mut 0, 999))
        else {
            panic!("both read")
        };
        assert_eq!(
            a.encode(Format::Json).as_ptr(),
            b.encode(Format::Json).as_ptr(),
            "the same bytes, not a copy"
        );
        assert_eq!(read(&mut tail, 1, 1), (1, 2), "a batch has at least one entry");
        assert_eq!(read(&mut tail, 3, 999), (0, 3));
    }

    #[test]
    fn msgpack_and_json_readers_take_same_entries() {
        let mut tail = log_at(state("e", 0, 0));
        (1..=3).for_each(|offset| assert_eq!(push(&mut tail, offset), AppendOutcome::Applied));
        for (after, bytes_max) in [(0, 999), (1, 1), (2, 999)] {
            let (count, until) = read(&mut tail, after, bytes_max);
            let TailRead::Batch { packets, to } = tail.read(after, &mut 0, bytes_max) else {
                panic!("it reads")
            };
            let lines = msgpack::to_json(packets.encode(Format::Msgpack));
            assert_eq!((lines.lines().count(), to), (count, until));
        }
    }

    #[test]
    fn tail_holds_newest_and_engine_the_rest() {
        let mut tail = log_at(state("e", 0, 0));
        (1..=6).for_each(|offset| assert_eq!(push(&mut tail, offset), AppendOutcome::Applied));
        assert_eq!(read(&mut tail, 2, 999), (4, 6));
        assert!(matches!(tail.read(1, &mut 0, 999), TailRead::Behind));
        tail.apply_state(&state("e", 6, 2), 6);
        assert_eq!(told(&mut tail, 1, 0), Some((GapReason::Retention, 2)));
        tail.expire(1_000, 955);
        assert_eq!(told(&mut tail, 3, 0), Some((GapReason::Retention, 4)), "by age");
        assert_eq!(read(&mut tail, 4, 999), (2, 6));
    }

    #[test]
    fn joined_batch_is_freed_after_all_readers() {
        let mut tail = log_at(state("e", 0, 0));
        (1..=3).for_each(|offset| assert_eq!(push(&mut tail, offset), AppendOutcome::Applied));
        let TailRead::Batch { packets, .. } = tail.read(0, &mut 0, 999) else { panic!("it reads") };
        tail.expire(1_000, 999_999);
        assert!(packets.encode(Format::Json).is_unique(), "a batch of its own beside the tail");
        assert_eq!(read(&mut tail, 0, 999), (3, 3), "joined once more for a late reader");
    }

    #[test]
    fn entry_known_from_stat_is_not_applied_twice() {
        let mut tail = log_at(state("e", 5, 0));
        assert_eq!(push(&mut tail, 5), AppendOutcome::Duplicate);
        assert_eq!(push(&mut tail, 4), AppendOutcome::Uncertain, "the tail never had it");
        assert_eq!(push(&mut tail, 6), AppendOutcome::Applied);
        assert_eq!(push(&mut tail, 6), AppendOutcome::Duplicate);
        assert_eq!((tail.generation(), tail.head()), (0, 6));
    }

    #[test]
    fn engine_rollback_is_gap_only_beyond_common_prefix() {
        let mut tail = log_at(state("e", 0, 0));
        (1..=4).for_each(|offset| assert_eq!(push(&mut tail, offset), AppendOutcome::Applied));
        assert_eq!(push_at(&mut tail, "e", 3, 77), AppendOutcome::Applied);
        assert_eq!(tail.generation(), 1);
        assert_eq!(told(&mut tail, 4, 0), Some((GapReason::Ahead, 3)));
        assert_eq!(told(&mut tail, 3, 0), Some((GapReason::Mismatch, 3)));
        assert_eq!(told(&mut tail, 2, 0), None);
        assert_eq!(read(&mut tail, 2, 999), (1, 3));
    }

    /// Regression, storm 363: the engine was rolled back, and its next publication was never reported.
    #[test]
    fn publication_after_unknown_predecessor_is_gap() {
        let mut tail = log_at(state("e", 0, 0));
        (1..=4).for_each(|offset| assert_eq!(push(&mut tail, offset), AppendOutcome::Applied));
        assert_eq!(push_behind(&mut tail, "e", 5, 90, 41), AppendOutcome::Applied);
        assert_eq!(told(&mut tail, 4, 0), Some((GapReason::Mismatch, 5)));
        assert_eq!(push_behind(&mut tail, "e", 6, 95, 90), AppendOutcome::Applied);
        assert_eq!(read(&mut tail, 5, 999), (1, 6));
    }

    /// Regression, storm 1078699: a page of the new branch, then the tail of the old one.
    #[test]
    fn page_of_other_branch_is_detected_at_tail() {
        let mut tail = log_at(state("e", 0, 0));
        (1..=5).for_each(|offset| assert_eq!(push(&mut tail, offset), AppendOutcome::Applied));
        assert!(!tail.verify_page(0, None, &[entry(1, 10)]));
        assert!(tail.verify_page(0, None, &[entry(1, 77)]), "the last entry evicted from the tail");
        assert_eq!(told(&mut tail, 5, 0), Some((GapReason::Mismatch, 5)));
    }

    /// Regression, storm 1107915: the log was rolled back, and other nodes had appended before the next
    /// report.
    #[test]
    fn page_after_different_predecessor_is_detected() {
        for (after_at, differs) in [(None, false), (Some(20), false), (Some(77), true)] {
            let mut tail = log_at(state("e", 0, 0));
            (1..=2).for_each(|offset| assert_eq!(push(&mut tail, offset), AppendOutcome::Applied));
            assert_eq!(push(&mut tail, 5), AppendOutcome::Applied, "other nodes had appended 3 and 4");
            assert_eq!(tail.verify_page(2, after_at, &[entry(3, 80)]), differs, "{after_at:?}");
        }
    }

    #[test]
    fn stat_with_lower_head_is_gap() {
        let mut tail = log_at(state("e", 0, 0));
        (1..=4).for_each(|offset| assert_eq!(push(&mut tail, offset), AppendOutcome::Applied));
        assert!(!tail.apply_state(&state("e", 4, 0), 4));
        assert!(!tail.apply_state(&state("e", 3, 0), 3), "stat requested before the fourth append");
        assert!(tail.apply_state(&state("e", 3, 0), 4));
        assert_eq!(told(&mut tail, 4, 0), Some((GapReason::Ahead, 3)));
        assert_eq!(told(&mut tail, 3, 0), None);
        let rewritten = LogState { head_at: 99, ..state("e", 3, 0) };
        assert!(tail.apply_state(&rewritten, 3), "the same offset, another publication");
        assert_eq!(told(&mut tail, 3, 1), Some((GapReason::Mismatch, 3)));
    }

    #[test]
    fn new_epoch_is_gap_from_every_source() {
        let mut tail = log_at(state("e", 4, 0));
        assert_eq!(push_at(&mut tail, "f", 1, 50), AppendOutcome::Applied);
        assert_eq!(told(&mut tail, 4, 0), Some((GapReason::NewEpoch, 0)));
        assert_eq!(read(&mut tail, 0, 999), (1, 1));
        assert!(tail.apply_state(&state("g", 9, 7), 1));
        assert_eq!(told(&mut tail, 1, 1), Some((GapReason::NewEpoch, 7)));
    }

    #[test]
    fn missing_entries_in_engine_are_gap() {
        let mut tail = log_at(state("e", 9, 0));
        tail.record_gap(2, Some(6));
        assert_eq!(told(&mut tail, 2, 0), Some((GapReason::Retention, 5)));
        tail.record_gap(5, None);
        assert_eq!(told(&mut tail, 5, 0), Some((GapReason::Retention, 9)));
    }

    #[test]
    fn cursor_resolves_to_position_or_gap_reason() {
        let cursor = |epoch: &str, offset, at| Cursor { epoch: epoch.into(), offset, at };
        let gap = |reason, at| ResumePoint::Gap { reason, at };
        let find = |at, cursor| locate("e", 5, 2, at, &cursor);
        assert_eq!(find(Some(30), cursor("e", 3, Some(30))), ResumePoint::At(3));
        assert_eq!(
            find(None, cursor("e", 3, Some(30))),
            ResumePoint::At(3),
            "nothing contradicts the cursor"
        );
        assert_eq!(
            find(Some(31), cursor("e", 3, None)),
            ResumePoint::At(3),
            "without `at` nothing is checked"
        );
        assert_eq!(find(Some(31), cursor("e", 3, Some(30))), gap(GapReason::Mismatch, 5));
        assert_eq!(find(None, cursor("e", 1, Some(10))), gap(GapReason::Retention, 2));
        assert_eq!(find(None, cursor("e", 6, None)), gap(GapReason::Ahead, 5));
        assert_eq!(find(None, cursor("d", 3, Some(30))), gap(GapReason::NewEpoch, 2));
    }
}
