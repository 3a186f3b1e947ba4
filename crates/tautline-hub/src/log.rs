//! A channel's log in memory: encoded once when appended, bounded by count, bytes and age.
//!
//! Readers hold an offset and take shared bytes; nothing is copied for a delivery. Several publications that wait for the
//! same readers are joined once and the joined bytes are shared too.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use tautline_protocol::{ChannelName, Cursor, RequestId, UserId, json, packet::server::GapReason};

use crate::{Retention, session_id::SessionId};

/// Who asked for a publication, so that a repeated request is recognised by the log itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A client.
    Request(SessionId, RequestId),
    /// A back end that named a key: the digest of it.
    Key(u128),
}

/// One publication.
pub(crate) struct Entry {
    /// The packet as every subscriber gets it, line end included.
    line: Bytes,
    /// Where the publication's own fields begin in `line`, behind the channel's name.
    fields_at: usize,
    pub(crate) at: u64,
    pub(crate) origin: Option<Origin>,
}

impl Entry {
    /// How many bytes [`Entry::write_history`] writes.
    pub(crate) fn history_bytes(&self) -> usize {
        self.line.len() - self.fields_at - 1
    }

    /// The publication as history shows it: `{"offset":…,"at":…,"data":…}`.
    pub(crate) fn write_history(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        // The packet ends in `}}\n`: the publication's brace, the packet's brace, the line end.
        out.extend_from_slice(&self.line[self.fields_at..self.line.len() - 2]);
    }
}

/// What is appended.
pub(crate) struct NewEntry<'a> {
    pub(crate) channel: &'a ChannelName,
    /// JSON, as it came.
    pub(crate) data: &'a str,
    pub(crate) from: Option<&'a UserId>,
    /// JSON, as it came.
    pub(crate) tags: Option<&'a str>,
    pub(crate) origin: Option<Origin>,
}

/// What a reader finds behind its offset.
pub(crate) enum Read {
    /// Nothing new.
    UpToDate,
    /// These packets; the reader then stands at `to`.
    Batch { packets: Bytes, to: u64 },
    /// What followed is not kept any more; the reader goes on from `to`.
    Overtaken { to: u64 },
}

/// Where a reader with a cursor may go on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    At(u64),
    Gap { reason: GapReason, at: u64 },
}

/// The log.
pub(crate) struct Log {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// The last offset given out; 0 before the first publication.
    head: u64,
    /// When `head` was appended.
    head_at: u64,
    /// When the entry just before the oldest kept was appended, where that is known.
    base_at: Option<u64>,
    /// The batch that was joined last: behind which offset it begins, where it ends, its bytes.
    joined: Option<(u64, u64, Bytes)>,
}

impl Log {
    /// An empty log that goes on from where a forgotten one stood.
    pub(crate) const fn new(head: u64, head_at: u64) -> Self {
        let base_at = if head == 0 { None } else { Some(head_at) };
        Self { entries: VecDeque::new(), bytes: 0, head, head_at, base_at, joined: None }
    }

    pub(crate) const fn head(&self) -> u64 {
        self.head
    }

    pub(crate) const fn head_at(&self) -> u64 {
        self.head_at
    }

    /// The offset just before the oldest publication kept.
    pub(crate) fn base(&self) -> u64 {
        self.head - self.entries.len() as u64
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes that the log holds.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the publication at `offset` was appended, where that is still known.
    pub(crate) fn at(&self, offset: u64) -> Option<u64> {
        if offset == self.head {
            return (self.head > 0).then_some(self.head_at);
        }
        let base = self.base();
        if offset == base { self.base_at } else { self.entry(offset).map(|entry| entry.at) }
    }

    /// Appends and drops what retention no longer covers. Returns the offset.
    pub(crate) fn append(&mut self, wall_ms: u64, new: &NewEntry<'_>, retention: &Retention) -> u64 {
        self.head += 1;
        // `at` never goes back, whatever the clock does: age and order agree.
        self.head_at = wall_ms.max(self.head_at);
        let (line, fields_at) = encode(self.head, self.head_at, new);
        self.bytes += line.len();
        self.entries.push_back(Entry { line, fields_at, at: self.head_at, origin: new.origin });
        self.joined = None;
        self.retain(wall_ms, retention);
        self.head
    }

    /// Drops what retention no longer covers.
    pub(crate) fn retain(&mut self, wall_ms: u64, retention: &Retention) {
        while let Some(oldest) = self.entries.front() {
            let kept = self.entries.len() <= retention.count
                && self.bytes <= retention.bytes
                && wall_ms.saturating_sub(oldest.at) <= retention.age_ms;
            if kept {
                break;
            }
            self.bytes -= oldest.line.len();
            self.base_at = Some(oldest.at);
            self.entries.pop_front();
            self.joined = None;
        }
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
    }

    /// Where a reader with this cursor may go on (protocol, section 5).
    pub(crate) fn locate(&self, epoch: &str, cursor: &Cursor) -> Place {
        let gap = |reason, at| Place::Gap { reason, at };
        if cursor.epoch != epoch {
            return gap(GapReason::NewEpoch, self.base());
        }
        if cursor.offset > self.head {
            return gap(GapReason::Ahead, self.head);
        }
        if cursor.offset < self.base() {
            return gap(GapReason::Retention, self.base());
        }
        match (cursor.at, self.at(cursor.offset)) {
            (Some(theirs), Some(ours)) if theirs != ours => gap(GapReason::Mismatch, self.head),
            _ => Place::At(cursor.offset),
        }
    }

    /// What follows `after`, at most `bytes_max` of it but at least one publication.
    pub(crate) fn read(&mut self, after: u64, bytes_max: usize) -> Read {
        if after >= self.head {
            return Read::UpToDate;
        }
        let base = self.base();
        if after < base {
            return Read::Overtaken { to: base };
        }
        if after + 1 == self.head {
            let last = self.entries.back().expect("an offset between base and head is kept");
            return Read::Batch { packets: last.line.clone(), to: self.head };
        }
        if let Some((from, to, packets)) = &self.joined
            && *from == after
        {
            return Read::Batch { packets: packets.clone(), to: *to };
        }
        let (packets, to) = self.join(after, bytes_max);
        self.joined = Some((after, to, packets.clone()));
        Read::Batch { packets, to }
    }

    /// The entry at `offset`, where it is kept.
    pub(crate) fn entry(&self, offset: u64) -> Option<&Entry> {
        let index = offset.checked_sub(self.base() + 1)?;
        self.entries.get(usize::try_from(index).ok()?)
    }

    /// Where the publication of this origin stands, and when it was appended.
    pub(crate) fn of_origin(&self, origin: Origin) -> Option<(u64, u64)> {
        let index = self.entries.iter().rposition(|entry| entry.origin == Some(origin))?;
        Some((self.base() + 1 + index as u64, self.entries[index].at))
    }

    /// Whether a request of a session was executed. `whole`: the session is no older than this life of the log, so a log
    /// that reaches back to its start has seen all of its requests.
    pub(crate) fn find(&self, session: SessionId, id: RequestId, whole: bool) -> Found {
        if let Some((offset, at)) = self.of_origin(Origin::Request(session, id)) {
            return Found::At { offset, at };
        }
        let is_older = |entry: &Entry| matches!(entry.origin, Some(Origin::Request(of, older)) if of == session && older < id);
        let proven = self.entries.iter().any(is_older) || whole && self.base() == 0;
        if proven { Found::Never } else { Found::Unknown }
    }

    fn join(&self, after: u64, bytes_max: usize) -> (Bytes, u64) {
        let skip = usize::try_from(after - self.base()).expect("fewer entries than memory has bytes");
        let mut taken = 0;
        let mut size = 0;
        for entry in self.entries.iter().skip(skip) {
            if taken > 0 && size + entry.line.len() > bytes_max {
                break;
            }
            size += entry.line.len();
            taken += 1;
        }
        let mut joined = BytesMut::with_capacity(size);
        for entry in self.entries.iter().skip(skip).take(taken) {
            joined.extend_from_slice(&entry.line);
        }
        (joined.freeze(), after + taken as u64)
    }
}

/// Whether a log knows a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It was executed: here is what it made.
    At { offset: u64, at: u64 },
    /// The log proves that it was never executed.
    Never,
    /// The log cannot tell.
    Unknown,
}

fn encode(offset: u64, at: u64, new: &NewEntry<'_>) -> (Bytes, usize) {
    let mut line = Vec::with_capacity(new.data.len() + new.tags.map_or(0, str::len) + 160);
    line.extend_from_slice(b"{\"pub\":{\"channel\":");
    json::write_json(&mut line, &new.channel.as_str());
    line.push(b',');
    let fields_at = line.len();
    line.extend_from_slice(b"\"offset\":");
    json::write_json(&mut line, &offset);
    line.extend_from_slice(b",\"at\":");
    json::write_json(&mut line, &at);
    line.extend_from_slice(b",\"data\":");
    json::write_data(&mut line, new.data);
    if let Some(from) = new.from {
        line.extend_from_slice(b",\"from\":");
        json::write_json(&mut line, &from.as_str());
    }
    if let Some(tags) = new.tags {
        line.extend_from_slice(b",\"tags\":");
        json::write_data(&mut line, tags);
    }
    line.extend_from_slice(b"}}\n");
    line.shrink_to_fit();
    (line.into(), fields_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Retention = Retention { count: 3, bytes: 10_000, age_ms: 1000 };

    fn append(log: &mut Log, wall_ms: u64, data: &str) -> u64 {
        append_from(log, wall_ms, data, None)
    }

    fn append_from(log: &mut Log, wall_ms: u64, data: &str, origin: Option<Origin>) -> u64 {
        let channel = ChannelName::parse("room:7").expect("valid");
        log.append(wall_ms, &NewEntry { channel: &channel, data, from: None, tags: None, origin }, &KEEP)
    }

    fn cursor(epoch: &str, offset: u64, at: Option<u64>) -> Cursor {
        Cursor { epoch: epoch.into(), offset, at }
    }

    fn lines(read: Read) -> (usize, u64) {
        match read {
            Read::Batch { packets, to } => (packets.iter().filter(|byte| **byte == b'\n').count(), to),
            Read::UpToDate => (0, 0),
            Read::Overtaken { to } => panic!("overtaken to {to}"),
        }
    }

    #[test]
    fn a_publication_is_encoded_once_for_everybody() {
        let mut log = Log::new(0, 0);
        append(&mut log, 5, "{\"a\":\n1}");
        let Read::Batch { packets, to: 1 } = log.read(0, 100) else { panic!("one publication") };
        assert_eq!(packets, "{\"pub\":{\"channel\":\"room:7\",\"offset\":1,\"at\":5,\"data\":{\"a\": 1}}}\n");
        let mut history = Vec::new();
        log.entry(1).expect("kept").write_history(&mut history);
        assert_eq!(history, b"{\"offset\":1,\"at\":5,\"data\":{\"a\": 1}}");
        assert_eq!(log.entry(1).expect("kept").history_bytes(), history.len());
    }

    #[test]
    fn readers_that_stand_together_share_one_joined_batch() {
        let mut log = Log::new(0, 0);
        for _ in 0..3 {
            append(&mut log, 5, "1");
        }
        let (Read::Batch { packets: a, .. }, Read::Batch { packets: b, .. }) =
            (log.read(0, 999), log.read(0, 999))
        else {
            panic!("both read")
        };
        assert_eq!(a.as_ptr(), b.as_ptr(), "the same bytes, not a copy");
        assert_eq!(lines(log.read(0, 1)), (1, 1).max(lines(log.read(0, 1))));
        assert_eq!(lines(log.read(1, 1)), (1, 2), "a batch has at least one");
        assert_eq!(lines(log.read(3, 999)), (0, 0));
    }

    #[test]
    fn count_bytes_and_age_each_drop_the_oldest() {
        let mut log = Log::new(0, 0);
        for _ in 0..5 {
            append(&mut log, 5, "1");
        }
        assert_eq!((log.base(), log.head()), (2, 5));
        append(&mut log, 6, &format!("\"{}\"", "x".repeat(9_900)));
        assert_eq!(log.base(), 5, "by bytes");
        log.retain(2000, &KEEP);
        assert!(log.is_empty() && log.bytes() == 0, "by age");
        assert_eq!((log.base(), log.head()), (6, 6), "offsets go on");
        assert!(matches!(log.read(5, 99), Read::Overtaken { to: 6 }));
    }

    #[test]
    fn a_cursor_finds_its_place_or_the_reason_why_not() {
        let mut log = Log::new(0, 0);
        for at in 1..=5 {
            append(&mut log, at * 10, "1");
        }
        let gap = |reason, at| Place::Gap { reason, at };
        assert_eq!(log.locate("e", &cursor("e", 3, Some(30))), Place::At(3));
        assert_eq!(log.locate("e", &cursor("e", 2, Some(20))), Place::At(2), "just before the oldest kept");
        assert_eq!(log.locate("e", &cursor("e", 2, Some(21))), gap(GapReason::Mismatch, 5));
        assert_eq!(log.locate("e", &cursor("e", 3, Some(31))), gap(GapReason::Mismatch, 5));
        assert_eq!(log.locate("e", &cursor("e", 3, None)), Place::At(3), "without `at` nothing is checked");
        assert_eq!(log.locate("e", &cursor("e", 1, Some(10))), gap(GapReason::Retention, 2));
        assert_eq!(log.locate("e", &cursor("e", 6, None)), gap(GapReason::Ahead, 5));
        assert_eq!(log.locate("e", &cursor("d", 3, Some(30))), gap(GapReason::NewEpoch, 2));
    }

    #[test]
    fn a_forgotten_log_goes_on_where_it_stood_and_makes_no_false_gap() {
        let mut log = Log::new(41, 7);
        assert_eq!(log.locate("e", &cursor("e", 41, Some(7))), Place::At(41));
        assert_eq!(
            log.locate("e", &cursor("e", 41, Some(8))),
            Place::Gap { reason: GapReason::Mismatch, at: 41 }
        );
        assert_eq!(append(&mut log, 3, "1"), 42);
        assert_eq!(log.at(42), Some(7), "time never goes back");
    }

    #[test]
    fn a_log_younger_than_the_session_proves_nothing_by_being_whole() {
        assert_eq!(Log::new(0, 0).find(SessionId(1), 4, false), Found::Unknown);
    }

    #[test]
    fn the_log_knows_which_request_made_an_entry_and_when_it_can_not_tell() {
        let (me, other) = (SessionId(1), SessionId(2));
        let mut log = Log::new(0, 0);
        assert_eq!(log.find(me, 4, true), Found::Never, "it reaches back to its start");
        append_from(&mut log, 1, "1", Some(Origin::Request(me, 4)));
        assert_eq!(log.find(me, 4, true), Found::At { offset: 1, at: 1 });
        assert_eq!(log.find(me, 5, true), Found::Never, "an older one of the session is there");
        for _ in 0..3 {
            append_from(&mut log, 1, "1", Some(Origin::Request(other, 9)));
        }
        assert_eq!(log.find(me, 4, true), Found::Unknown);
        assert_eq!(log.find(me, 5, true), Found::Unknown);
        assert_eq!(log.find(other, 10, true), Found::Never);
    }
}
