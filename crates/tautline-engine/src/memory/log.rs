//! One log in memory.
//!
//! Start at [`Log::append`].

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use tautline_protocol::RequestId;

use crate::{
    Append, Entry, Origin, Retention, Span,
    budget::{Budget, Holder},
};

/// A ring buffer of publications, bounded by count, bytes and age.
#[derive(Clone)]
pub(super) struct MemoryLog {
    /// The budget holder that began the log.
    holder: Holder,
    pub(super) epoch: Arc<str>,
    entries: VecDeque<Kept>,
    bytes: usize,
    /// The last offset assigned; 0 before the first publication.
    head: u64,
    /// When `head` was appended.
    head_at: u64,
    /// When the entry just before the oldest kept one was appended, if known.
    base_at: Option<u64>,
    /// The offsets of publications with a key.
    keys: HashMap<u128, u64>,
}

#[derive(Clone)]
struct Kept {
    entry: Entry,
    origin: Option<Origin>,
    /// The request was in doubt and appended because the log proved it new, perhaps long after younger ones:
    /// it proves nothing about these.
    doubted: bool,
    /// The budget holder of its bytes.
    holder: Holder,
}

impl MemoryLog {
    pub(super) fn new(epoch: Arc<str>, holder: Holder) -> Self {
        let (entries, keys) = (VecDeque::new(), HashMap::new());
        Self { holder, epoch, entries, bytes: 0, head: 0, head_at: 0, base_at: None, keys }
    }

    /// The budget holder that began the log.
    pub(super) const fn holder(&self) -> Holder {
        self.holder
    }

    pub(super) const fn head(&self) -> u64 {
        self.head
    }

    pub(super) const fn head_at(&self) -> u64 {
        self.head_at
    }

    /// The offset just before the oldest publication kept.
    pub(super) fn base(&self) -> u64 {
        self.head - self.entries.len() as u64
    }

    pub(super) const fn base_at(&self) -> Option<u64> {
        self.base_at
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// When the publication at `offset` was appended, if still known.
    pub(super) fn at(&self, offset: u64) -> Option<u64> {
        if offset == self.head {
            return (self.head > 0).then_some(self.head_at);
        }
        if offset == self.base() { self.base_at } else { self.kept(offset).map(|kept| kept.entry.at()) }
    }

    /// Appends, takes the bytes from the budget, and drops entries beyond the retention.
    pub(super) fn append(&mut self, job: &Append, budget: &Budget) -> Entry {
        let Append { channel, content, origin, holder, retention, wall_ms, .. } = job;
        self.head += 1;
        // `at` never decreases, whatever the clock does: age and order agree.
        self.head_at = self.head_at.max(*wall_ms);
        let entry = Entry::encode(channel, self.head, self.head_at, content);
        self.bytes += entry.line().len();
        budget.add(*holder, entry.line().len());
        if let Some(Origin::Key(key)) = *origin {
            self.keys.insert(key, self.head);
        }
        let (entry_kept, doubted) = (entry.clone(), job.doubt.is_some());
        self.entries.push_back(Kept { entry: entry_kept, origin: *origin, doubted, holder: *holder });
        self.retain(*wall_ms, retention, budget);
        entry
    }

    /// Drops entries beyond the retention.
    pub(super) fn retain(&mut self, wall_ms: u64, retention: &Retention, budget: &Budget) {
        while let Some(oldest) = self.entries.front() {
            let kept = self.entries.len() <= retention.count
                && self.bytes <= retention.bytes
                && wall_ms.saturating_sub(oldest.entry.at()) <= retention.age_ms;
            if kept {
                break;
            }
            self.bytes -= oldest.entry.line().len();
            budget.give(oldest.holder, oldest.entry.line().len());
            self.base_at = Some(oldest.entry.at());
            if let Some(Origin::Key(key)) = oldest.origin {
                self.keys.remove(&key);
            }
            self.entries.pop_front();
        }
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
            self.keys = HashMap::new();
        }
    }

    /// The offset and append time of the publication with this origin.
    pub(super) fn of_origin(&self, origin: Origin) -> Option<(u64, u64)> {
        let offset = match origin {
            Origin::Key(key) => *self.keys.get(&key)?,
            Origin::Request { .. } => {
                let index = self.entries.iter().rposition(|kept| kept.origin == Some(origin))?;
                self.base() + 1 + index as u64
            }
        };
        Some((offset, self.at(offset)?))
    }

    /// True if the log contains an older request of the session that was not in doubt: requests are executed
    /// in order, so a younger one that is absent was never executed.
    pub(super) fn has_older(&self, session: u128, id: RequestId) -> bool {
        self.entries.iter().any(|kept| {
            matches!(kept.origin, Some(Origin::Request { session: of, id: older }) if of == session && older < id)
                && !kept.doubted
        })
    }

    /// A part of the log, within bounds, with at least one publication if there is any. Behind a deleted
    /// offset it begins with the oldest entry.
    pub(super) fn read(&self, span: Span, count_max: usize, bytes_max: usize) -> Vec<Entry> {
        let mut bytes = 0;
        let mut fits = |entry: &Entry| {
            bytes += entry.line().len();
            bytes <= bytes_max || bytes == entry.line().len()
        };
        match span {
            Span::After(offset) => {
                let behind = self.entries.iter().skip(self.index_of(offset + 1));
                behind
                    .map(|kept| &kept.entry)
                    .take(count_max)
                    .take_while(|entry| fits(entry))
                    .cloned()
                    .collect()
            }
            Span::Before(offset) => {
                let before = self.entries.iter().take(self.index_of(offset)).rev();
                let mut entries: Vec<Entry> = before
                    .map(|kept| &kept.entry)
                    .take(count_max)
                    .take_while(|entry| fits(entry))
                    .cloned()
                    .collect();
                entries.reverse();
                entries
            }
        }
    }

    /// The index of the entry at `offset`, or of the nearest one if it is not kept.
    fn index_of(&self, offset: u64) -> usize {
        let index = usize::try_from(offset.saturating_sub(self.base() + 1)).unwrap_or(usize::MAX);
        index.min(self.entries.len())
    }

    fn kept(&self, offset: u64) -> Option<&Kept> {
        let index = offset.checked_sub(self.base() + 1)?;
        self.entries.get(usize::try_from(index).ok()?)
    }
}
