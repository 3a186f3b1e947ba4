//! The channels that this node serves, and what it knows of their logs. No I/O.
//!
//! Start at [`Served::saw`]. A channel is served from the first job that asked for it until nobody uses it.
//! What Redis says of it later is compared: a log that has grown was appended to by another node, and one
//! that lacks something that was seen may have lost it (ADR 0033).

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tautline_protocol::ChannelName;
use tokio::time::Instant;

/// Channels that are looked after; those beyond it live by hints alone.
const SERVED_MAX: usize = 262_144;
/// Channels whose time one tick compares.
const COMPARED_MAX: usize = 32_768;
/// How long a channel counts as active after its log has changed.
const ACTIVE: Duration = Duration::from_secs(60);
/// Between two looks at a log that has not changed for longer.
const IDLE_EVERY: Duration = Duration::from_secs(15);

/// What was seen of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) epoch: Arc<str>,
    pub(crate) head: u64,
    pub(crate) head_at: u64,
}

/// What a look at a log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing that is not known; this is its head.
    Same(u64),
    /// It has come to this head.
    Grown(u64),
    /// It is another log: it has begun anew.
    Another,
    /// It seems to lack this, which was seen.
    Suspect(Seen),
}

#[derive(Debug)]
struct Channel {
    seen: Seen,
    changed_at: Instant,
    looked_at: Instant,
    /// Its log has begun anew, and nobody has read it since.
    unread: bool,
}

/// Served channels.
#[derive(Debug, Default)]
pub(crate) struct Served {
    channels: HashMap<ChannelName, Channel>,
    /// Whose turn it is to be looked at or given up.
    turns: VecDeque<ChannelName>,
}

impl Served {
    /// A log was read. Answers of several connections overtake each other, so a log that seems to lack what was
    /// seen is a suspicion only: what was seen stays known until Redis was asked about it.
    pub(crate) fn saw(&mut self, channel: &ChannelName, seen: Seen, now: Instant) -> Verdict {
        let head = seen.head;
        let Some(known) = self.channels.get_mut(channel) else {
            if self.channels.len() < SERVED_MAX {
                self.turns.push_back(channel.clone());
                self.channels.insert(
                    channel.clone(),
                    Channel { seen, changed_at: now, looked_at: now, unread: false },
                );
            }
            return Verdict::Same(head);
        };
        known.looked_at = now;
        let verdict = compare(&known.seen, &seen);
        known.unread |= verdict == Verdict::Another;
        match verdict {
            // Whoever was told may have failed to read it.
            Verdict::Same(_) | Verdict::Grown(_) if known.unread => {
                if verdict != Verdict::Same(head) {
                    known.changed_at = now;
                }
                known.seen = seen;
                return Verdict::Another;
            }
            Verdict::Same(_) => known.seen = seen,
            Verdict::Suspect(_) => known.changed_at = now,
            Verdict::Grown(_) | Verdict::Another => (known.seen, known.changed_at) = (seen, now),
        }
        verdict
    }

    /// An append was answered with this: the log's new head, and the time of the publication before it.
    pub(crate) fn appended(
        &mut self,
        channel: &ChannelName,
        seen: Seen,
        before_at: u64,
        now: Instant,
    ) -> Verdict {
        let head = seen.head;
        let Some(known) = self.channels.get_mut(channel) else { return Verdict::Same(head) };
        (known.changed_at, known.looked_at) = (now, now);
        let known = &mut known.seen;
        if known.epoch == seen.epoch {
            if seen.head < known.head {
                // A look was faster than this answer, or the log went back: the next look will tell.
                return Verdict::Same(head);
            }
            let is_next_to_another = seen.head == known.head + 1 && before_at != known.head_at;
            let is_another = seen.head == known.head && seen.head_at != known.head_at;
            if is_another || is_next_to_another {
                return Verdict::Suspect(known.clone());
            }
        }
        *known = seen;
        Verdict::Same(head)
    }

    /// A log of this epoch was read, so that what was told of it has arrived.
    pub(crate) fn was_read(&mut self, channel: &ChannelName, epoch: &str) {
        if let Some(known) = self.channels.get_mut(channel)
            && &*known.seen.epoch == epoch
        {
            known.unread = false;
        }
    }

    /// The next channels to look at, at most so many; `all`: although their time has not come.
    pub(crate) fn due(&mut self, now: Instant, every: Duration, max: usize, all: bool) -> Vec<ChannelName> {
        let mut due = Vec::new();
        let compared_max = if all { self.turns.len() } else { self.turns.len().min(COMPARED_MAX) };
        for _ in 0..compared_max {
            if due.len() == max {
                break;
            }
            let Some(name) = self.turns.pop_front() else { break };
            let Some(channel) = self.channels.get_mut(&name) else { continue };
            let idle = now.duration_since(channel.changed_at) > ACTIVE;
            let every = if idle { IDLE_EVERY.max(every) } else { every };
            if all || now.duration_since(channel.looked_at) >= every {
                channel.looked_at = now;
                due.push(name.clone());
            }
            self.turns.push_back(name);
        }
        due
    }

    /// Gives up channels that are not used any more.
    pub(crate) fn keep(&mut self, is_used: impl Fn(&ChannelName) -> bool) {
        self.channels.retain(|name, _| is_used(name));
        self.turns.retain(|name| self.channels.contains_key(name));
        if self.channels.is_empty() {
            *self = Self::default();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.channels.len()
    }
}

/// Compares what was known with what is said now.
fn compare(known: &Seen, now: &Seen) -> Verdict {
    if known.epoch != now.epoch {
        return if now.head == 0 && known.head == 0 { Verdict::Same(0) } else { Verdict::Another };
    }
    match now.head.cmp(&known.head) {
        std::cmp::Ordering::Less => Verdict::Suspect(known.clone()),
        std::cmp::Ordering::Equal if now.head_at != known.head_at => Verdict::Suspect(known.clone()),
        std::cmp::Ordering::Equal => Verdict::Same(now.head),
        std::cmp::Ordering::Greater => Verdict::Grown(now.head),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(2);

    fn seen(epoch: &str, head: u64, head_at: u64) -> Seen {
        Seen { epoch: epoch.into(), head, head_at }
    }

    fn channel(name: &str) -> ChannelName {
        ChannelName::parse(name).expect("a valid name")
    }

    fn served(at: &Seen) -> (Served, ChannelName, Instant) {
        let (mut served, name, now) = (Served::default(), channel("room:7"), Instant::now());
        assert_eq!(served.saw(&name, at.clone(), now), Verdict::Same(at.head), "the first look");
        (served, name, now)
    }

    #[test]
    fn log_with_lower_head_or_other_time_is_suspect_until_asked() {
        for lower in [seen("e", 4, 50), seen("e", 5, 51)] {
            let known = seen("e", 5, 50);
            let (mut served, name, now) = served(&known);
            assert_eq!(served.saw(&name, lower.clone(), now), Verdict::Suspect(known.clone()));
            assert_eq!(served.saw(&name, lower.clone(), now), Verdict::Suspect(known), "it stays known");
            let healed = Seen { epoch: "f".into(), ..lower };
            assert_eq!(served.saw(&name, healed, now), Verdict::Another);
        }
    }

    #[test]
    fn log_of_another_epoch_is_another_unless_both_are_empty() {
        let (mut served, name, now) = served(&seen("e", 5, 50));
        assert_eq!(served.saw(&name, seen("f", 0, 0), now), Verdict::Another);
        served.was_read(&name, "f");
        assert_eq!(served.saw(&name, seen("g", 0, 0), now), Verdict::Same(0));
        assert_eq!(served.saw(&name, seen("g", 2, 9), now), Verdict::Grown(2));
    }

    #[test]
    fn another_log_is_told_until_it_was_read() {
        let (mut served, name, now) = served(&seen("e", 5, 50));
        for head in [2, 2, 3] {
            assert_eq!(served.saw(&name, seen("f", head, 9), now), Verdict::Another);
        }
        served.was_read(&name, "e");
        assert_eq!(served.saw(&name, seen("f", 3, 9), now), Verdict::Another, "an older page");
        served.was_read(&name, "f");
        assert_eq!(served.saw(&name, seen("f", 3, 9), now), Verdict::Same(3));
    }

    #[test]
    fn append_behind_another_publication_than_seen_is_suspect() {
        let (mut served, name, now) = served(&seen("e", 5, 50));
        assert_eq!(served.appended(&name, seen("e", 6, 60), 50, now), Verdict::Same(6));
        assert_eq!(
            served.appended(&name, seen("e", 9, 60), 60, now),
            Verdict::Same(9),
            "others have appended"
        );
        assert_eq!(served.appended(&name, seen("e", 8, 60), 60, now), Verdict::Same(8), "a look was faster");
        let suspect = || Verdict::Suspect(seen("e", 9, 60));
        assert_eq!(served.appended(&name, seen("e", 10, 70), 55, now), suspect());
        assert_eq!(served.appended(&name, seen("e", 9, 70), 55, now), suspect());
    }

    #[test]
    fn active_channels_are_looked_at_more_often_than_idle_ones() {
        let (mut served, name, now) = served(&seen("e", 5, 50));
        let mut looks = |seconds: u64| {
            (1..=seconds)
                .filter(|s| !served.due(now + Duration::from_secs(*s), EVERY, 9, false).is_empty())
                .count()
        };
        assert_eq!(looks(60), 30);
        served.saw(&name, seen("e", 5, 50), now + Duration::from_secs(60));
        let mut looks = |from: u64, to: u64| {
            (from..to)
                .filter(|s| !served.due(now + Duration::from_secs(*s), EVERY, 9, false).is_empty())
                .count()
        };
        assert_eq!(looks(61, 151), 6);
    }

    #[test]
    fn all_channels_are_looked_at_in_turns() {
        let (mut served, _, now) = served(&seen("e", 5, 50));
        for name in ["a", "b"] {
            served.saw(&channel(name), seen("e", 0, 0), now);
        }
        let mut names: Vec<_> = (0..2).flat_map(|_| served.due(now, EVERY, 2, true)).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 3);
        served.keep(|name| name.as_str() == "a");
        assert_eq!(served.due(now, EVERY, 9, true), [channel("a")]);
        served.keep(|_| false);
        assert_eq!((served.len(), served.due(now, EVERY, 9, true).len()), (0, 0));
    }
}
