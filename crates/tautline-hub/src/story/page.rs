//! Reading stories.
//!
//! Start at [`Hub::story`].

use serde::Serialize;
use serde_json::value::RawValue;
use tautline_protocol::{Now, UserId};

use super::{Stored, Who};
use crate::{Hub, session::id::SessionId};

/// The most entries of a page.
pub const STORY_PAGE_MAX: usize = 500;

/// How the story of a guest is named: this, and the id of its session.
const GUEST: &str = "guest:";

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
pub struct StoryEntry {
    /// Its number on this node.
    pub id: u64,
    /// When, in wall milliseconds.
    pub at: u64,
    /// The session, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// What.
    pub kind: &'static str,
    /// More about it: a JSON object.
    pub detail: Box<RawValue>,
    /// Entries before it that came too fast, and are not here.
    #[serde(skip_serializing_if = "is_zero")]
    pub skipped: u32,
}

/// Part of a story, the newest entry first.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StoryPage {
    /// What happened.
    pub entries: Vec<StoryEntry>,
    /// What happened before this moment is not kept.
    pub kept_since: u64,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<u64>,
}

impl Hub {
    /// The story of a user, or with `guest:` and the id of its session of a guest: at most `count_max` and
    /// [`STORY_PAGE_MAX`] entries before one, of one session or of all. `None`: no stories are kept.
    #[must_use]
    pub fn story(
        &self,
        now: Now,
        user: &str,
        session: Option<&str>,
        before: Option<u64>,
        count_max: usize,
    ) -> Option<StoryPage> {
        let log = self.0.stories.get()?;
        let kept_since = now.wall_ms.saturating_sub(log.config.keep_ms).max(log.since);
        let mut page = StoryPage { kept_since, ..StoryPage::default() };
        // A session that is none has no entries.
        let session = session.map(SessionId::parse);
        let count_max = count_max.clamp(1, STORY_PAGE_MAX);
        let of_guest = user.strip_prefix(GUEST).and_then(SessionId::parse).map(Who::Guest);
        for who in UserId::parse(user).ok().map(Who::User).into_iter().chain(of_guest) {
            let shard = log.shard(&who);
            let Some(story) = shard.stories.get(&who) else { continue };
            let is_meant = |entry: &&Stored| {
                entry.at >= kept_since
                    && before.is_none_or(|before| entry.id < before)
                    && session.is_none_or(|session| session.is_some() && entry.session == session)
            };
            let mut meant = story.entries.iter().rev().filter(is_meant).peekable();
            page.entries.extend(meant.by_ref().take(count_max).map(StoryEntry::of));
            page.next = meant.peek().and(page.entries.last()).map(|last| last.id);
            break;
        }
        Some(page)
    }
}

impl StoryEntry {
    fn of(stored: &Stored) -> Self {
        let Stored { id, at, session, kind, skipped, detail } = stored;
        Self {
            id: *id,
            at: *at,
            session: session.map(|session| session.to_string()),
            kind: kind.as_str(),
            detail: RawValue::from_string(detail.to_string()).expect("tell() made it of JSON"),
            skipped: *skipped,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}
