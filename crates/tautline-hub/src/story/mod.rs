//! What each user went through, for the people who help it: a bounded log in memory.
//!
//! Start at [`StoryLog::add`]. Nothing is kept, and nothing costs more than a look, until [`keep_stories`](crate::Hub::keep_stories). The bytes of
//! all stories are bounded, and so are the entries of each: the story that was told last for the longest time goes
//! first. Stories have no payloads and no secrets, and texts of clients are cut.
//!
//! `tell.rs` has the facts; deliveries are none.

mod kind;
mod page;
mod tell;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
};

use tautline_protocol::{Now, UserId};

pub use self::page::{STORY_PAGE_MAX, StoryEntry, StoryPage};
pub(crate) use self::{
    kind::StoryKind,
    tell::{cut, of_bye, of_channel, of_gap},
};
use crate::{
    Bucket, Rate,
    session::id::SessionId,
    sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock},
};

const SHARDS: usize = 16;
/// What an entry takes beside its text.
const ENTRY_BYTES: usize = size_of::<Stored>();
/// What a story takes beside its entries.
const STORY_BYTES: usize = 256;
/// Entries of frequent kinds that one story takes; others are counted.
const FREQUENT: Rate = Rate::new(5, 1_000, 50).expect("none of them is zero");

/// What stories may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoryConfig {
    /// How long an entry is kept, in milliseconds.
    pub keep_ms: u64,
    /// Bytes of all stories.
    pub bytes_max: usize,
    /// Entries of one user, or of one guest's session.
    pub entries_max: usize,
}

impl Default for StoryConfig {
    /// A day, 64 MiB, and 500 entries each.
    fn default() -> Self {
        Self { keep_ms: 24 * 3_600_000, bytes_max: 64 * 1024 * 1024, entries_max: 500 }
    }
}

/// Whose story it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    User(UserId),
    Guest(SessionId),
}

/// The stories of a node.
pub(crate) struct StoryLog {
    config: StoryConfig,
    /// When it began, in wall milliseconds.
    since: u64,
    next: AtomicU64,
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
    /// The shard that is looked through next for old stories.
    tidy_next: AtomicU64,
}

#[derive(Default)]
struct Shard {
    stories: HashMap<Who, Story>,
    /// By the number of each one's last entry.
    by_use: BTreeMap<u64, Who>,
    bytes: usize,
}

#[derive(Default)]
struct Story {
    entries: VecDeque<Stored>,
    bytes: usize,
    /// Its key in [`Shard::by_use`].
    used: u64,
    frequent: Bucket,
    /// Entries that came too fast since the last one.
    skipped: u32,
}

struct Stored {
    id: u64,
    at: u64,
    session: Option<SessionId>,
    kind: StoryKind,
    skipped: u32,
    /// A JSON object.
    detail: Box<str>,
}

impl StoryLog {
    fn new(config: StoryConfig, since: u64) -> Self {
        Self {
            config,
            since,
            next: AtomicU64::new(1),
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
            tidy_next: AtomicU64::new(0),
        }
    }

    fn shard(&self, who: &Who) -> MutexGuard<'_, Shard> {
        let index = usize::try_from(self.hasher.hash_one(who) % SHARDS as u64).expect("a small number");
        lock(&self.shards[index])
    }

    /// Adds an entry. Call it under any lock: it takes no other one.
    fn add(&self, now: Now, who: Who, session: Option<SessionId>, kind: StoryKind, detail: Box<str>) {
        let mut shard = self.shard(&who);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let Shard { stories, by_use, bytes } = &mut *shard;
        let story = stories.entry(who.clone()).or_insert_with(|| {
            *bytes += STORY_BYTES;
            Story::default()
        });
        by_use.remove(&story.used);
        by_use.insert(id, who);
        story.used = id;
        if kind.is_frequent() && story.frequent.take(&FREQUENT, now.mono_ms, 1).is_err() {
            story.skipped = story.skipped.saturating_add(1);
            return;
        }
        let skipped = std::mem::take(&mut story.skipped);
        let added = ENTRY_BYTES + detail.len();
        // Some facts know the time of the last input alone.
        let at = story.entries.back().map_or(0, |newest| newest.at).max(now.wall_ms);
        story.entries.push_back(Stored { id, at, session, kind, skipped, detail });
        (story.bytes, *bytes) = (story.bytes + added, *bytes + added);
        let oldest = now.wall_ms.saturating_sub(self.config.keep_ms);
        while story.entries.len() > self.config.entries_max || story.entries[0].at < oldest {
            *bytes -= story.forget_oldest();
        }
        shard.make_room(self.config.bytes_max / SHARDS, id);
    }

    /// Drops stories that are too old, of one shard. Call about once a second.
    pub(crate) fn tidy_some(&self, wall_ms: u64) {
        let next = self.tidy_next.fetch_add(1, Ordering::Relaxed) % SHARDS as u64;
        let mut shard = lock(&self.shards[usize::try_from(next).expect("a small number")]);
        let oldest = wall_ms.saturating_sub(self.config.keep_ms);
        while let Some((_, who)) = shard.by_use.first_key_value() {
            let story = shard.stories.get(who);
            if story.and_then(|story| story.entries.back()).is_some_and(|newest| newest.at >= oldest) {
                return;
            }
            shard.forget_idlest();
        }
    }
}

impl Story {
    /// Returns its bytes.
    fn forget_oldest(&mut self) -> usize {
        let freed = self.entries.pop_front().map_or(0, |oldest| ENTRY_BYTES + oldest.detail.len());
        self.bytes -= freed;
        freed
    }
}

impl Shard {
    /// Forgets other stories, and of the one with the newest entry its oldest ones.
    fn make_room(&mut self, bytes_max: usize, newest: u64) {
        while self.bytes > bytes_max {
            match self.by_use.first_key_value() {
                Some((used, _)) if *used != newest => self.forget_idlest(),
                Some((_, who)) => {
                    let Some(story) = self.stories.get_mut(who) else { return };
                    let freed = story.forget_oldest();
                    self.bytes -= freed;
                    if freed == 0 {
                        return;
                    }
                }
                None => return,
            }
        }
    }

    fn forget_idlest(&mut self) {
        let Some((_, who)) = self.by_use.pop_first() else { return };
        if let Some(story) = self.stories.remove(&who) {
            self.bytes -= STORY_BYTES + story.bytes;
        }
        if self.stories.len() * 4 < self.stories.capacity() {
            self.stories.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests;
