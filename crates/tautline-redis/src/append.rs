//! One call that appends a batch: its arguments, and what its reply says of each publication. No I/O.
//!
//! Start at [`Batch::command`] and [`Batch::settle`].

use std::{collections::HashMap, sync::Arc};

use tautline_engine::{Append, Appended, EngineError, Entry, Position};
use tautline_protocol::ChannelName;

use crate::{
    content::{self, NUMBER_MAX},
    keys::Keys,
    lua,
    partition::Partition,
    resp::Command,
};

/// Publications in one call. More would keep Redis from others for longer.
pub(crate) const BATCH_ENTRIES_MAX: usize = 64;
/// Bytes of publications in one call, unless the first one is larger.
pub(crate) const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// For how long Redis remembers the last call of a process, in milliseconds: longer than any call is repeated.
const LAST_CALL_MS: u64 = 3_600_000;

/// Publications for one partition, by channel.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    channels: Vec<(ChannelName, Vec<Append>)>,
    index: HashMap<ChannelName, usize>,
    entries: usize,
    bytes: usize,
}

impl Batch {
    /// Adds a publication, or gives it back if there is no room.
    #[expect(clippy::result_large_err, reason = "it is moved once, into the next batch")]
    pub(crate) fn push(&mut self, append: Append) -> Result<(), Append> {
        let bytes = append.content.data.len();
        if self.entries == BATCH_ENTRIES_MAX || self.entries > 0 && self.bytes + bytes > BATCH_BYTES_MAX {
            return Err(append);
        }
        let index = match self.index.get(&append.channel) {
            Some(index) => *index,
            None if self.channels.len() == lua::CHANNELS_MAX => return Err(append),
            None => {
                self.index.insert(append.channel.clone(), self.channels.len());
                self.channels.push((append.channel.clone(), Vec::new()));
                self.channels.len() - 1
            }
        };
        self.channels[index].1.push(append);
        (self.entries, self.bytes) = (self.entries + 1, self.bytes + bytes);
        Ok(())
    }

    /// The call. `number` identifies it among those of this process in this partition: repeated with the same
    /// one, it returns its first result.
    pub(crate) fn command(&self, keys: &Keys, of: Partition, caller: &Caller, number: u64) -> Command {
        let (script, takes) = lua::append(self.channels.len());
        let mut names = vec![keys.beginning(of), keys.channels(of), keys.last_call(of, caller.process)];
        let channels = self.channels.iter().map(|(channel, _)| channel);
        let spare = self.channels.iter().map(|(channel, _)| channel).cycle();
        for channel in channels.chain(spare).take(takes) {
            let keys = keys.channel(channel);
            names.extend([keys.log, keys.state, keys.origins]);
        }
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let mut command = Command::script(script, &names)
            .number(number)
            .number(LAST_CALL_MS)
            .arg(&caller.epoch)
            .number(u64::from(caller.incarnation));
        for (channel, appends) in &self.channels {
            command = channel_args(command, channel, appends);
        }
        // Channels that the script could take as well: without entries it leaves them alone.
        for _ in self.channels.len()..takes {
            command = command.arg("").arg("0").arg("0").arg("0").arg("0");
        }
        command
    }

    /// The outcome of every publication, in the order in which they took effect.
    pub(crate) fn settle(self, reply: &str) -> Vec<(Append, Result<Appended, EngineError>)> {
        let mut settled = Vec::with_capacity(self.entries);
        let mut parts = reply.split(';');
        for (_, appends) in self.channels {
            let mut outcomes = Outcomes::of(parts.next().unwrap_or_default());
            for append in appends {
                let outcome = outcomes.as_mut().and_then(|outcomes| outcomes.next(&append));
                let foreign = || Err(EngineError::InDoubt("Redis gave an unknown answer".to_owned()));
                settled.push((append, outcome.unwrap_or_else(foreign)));
            }
        }
        settled
    }

    /// Answers nothing but this error.
    pub(crate) fn fail(self, error: &EngineError) -> Vec<(Append, Result<Appended, EngineError>)> {
        let appends = self.channels.into_iter().flat_map(|(_, appends)| appends);
        appends.map(|append| (append, Err(error.clone()))).collect()
    }
}

/// What a process says of itself in every call.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Drawn at start.
    pub(crate) process: u64,
    /// For a partition that has none yet.
    pub(crate) epoch: String,
    pub(crate) incarnation: u32,
}

fn channel_args(command: Command, channel: &ChannelName, appends: &[Append]) -> Command {
    // All jobs of a moment have the same retention; where a reload has come between, the later one holds.
    let retention = appends.last().expect("a channel of a batch has entries").retention;
    let mut command = command.arg(channel.as_str()).number(appends.len() as u64);
    for limit in [retention.count as u64, retention.bytes as u64, retention.age_ms] {
        command = command.number(limit.min(NUMBER_MAX));
    }
    for append in appends {
        command = command
            .number(append.wall_ms.min(NUMBER_MAX))
            .number(content::size(append) as u64)
            .arg(content::origin(append.origin))
            .arg(conditions(append))
            .arg(content::encode(&append.content));
    }
    command
}

/// `<incarnation of the session in doubt>:<expected offset>:<expected epoch>`, or nothing.
fn conditions(append: &Append) -> String {
    if append.doubt.is_none() && append.expect.is_none() {
        return String::new();
    }
    let doubt = append.doubt.map(|doubt| doubt.session_incarnation.to_string()).unwrap_or_default();
    match &append.expect {
        None => format!("{doubt}::"),
        Some(Position { epoch, offset }) => format!("{doubt}:{offset}:{epoch}"),
    }
}

/// The part of a reply for one channel.
struct Outcomes<'a> {
    epoch: Arc<str>,
    base: u64,
    base_at: Option<u64>,
    outcomes: std::str::Split<'a, char>,
}

impl<'a> Outcomes<'a> {
    fn of(part: &'a str) -> Option<Self> {
        let mut words = part.split(' ');
        let epoch = words.next()?.into();
        let base = words.next()?.parse().ok()?;
        let base_at = words.next()?.parse().ok();
        Some(Self { epoch, base, base_at, outcomes: words })
    }

    fn next(&mut self, append: &Append) -> Option<Result<Appended, EngineError>> {
        let mut words = self.outcomes.next()?.split(',');
        let kind = words.next()?;
        let mut number = || words.next()?.parse::<u64>().ok();
        let epoch = Arc::clone(&self.epoch);
        Some(match kind {
            "N" => {
                let (offset, at, before_at) = (number()?, number()?, number()?);
                // What the rest of the batch has displaced already is reported as the oldest one.
                let (base, base_at) = match offset < self.base {
                    true => (offset, Some(at)),
                    false => (self.base, self.base_at),
                };
                let entry = Entry::encode(&append.channel, offset, at, &append.content);
                Ok(Appended::New { epoch, entry, before_at, base, base_at })
            }
            "R" => Ok(Appended::Repeated { epoch, offset: number()?, at: number()? }),
            "C" => Err(EngineError::Conflict { head: Position { epoch, offset: number()? } }),
            "D" => {
                let words = "the log does not reach back far enough to prove whether this was published";
                Err(EngineError::InDoubt(words.to_owned()))
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use tautline_engine::{Answer, Content, Retention, budget::Holder};

    use super::*;

    fn append(name: &str, data: &str) -> Append {
        Append {
            channel: ChannelName::parse(name).expect("a valid name"),
            content: Content { data: data.into(), from: None, tags: None },
            origin: None,
            doubt: None,
            expect: None,
            holder: Holder::BACK_END,
            retention: Retention::default(),
            wall_ms: 5,
            answer: Answer::new(drop),
        }
    }

    fn batch(names: &[&str]) -> Batch {
        let mut batch = Batch::default();
        names.iter().for_each(|name| batch.push(append(name, "1")).expect("there is room"));
        batch
    }

    #[test]
    fn batch_takes_as_many_channels_as_one_script() {
        let mut full = batch(&["a", "b", "c", "d", "e", "f", "g", "h", "a"]);
        assert!(full.push(append("i", "1")).is_err());
        assert!(full.push(append("h", "1")).is_ok());
        assert_eq!(full.entries, 10);
    }

    #[test]
    fn batch_is_bounded_by_entries_and_bytes() {
        let mut full = batch(&["a"; BATCH_ENTRIES_MAX]);
        assert!(full.push(append("a", "1")).is_err());
        let big = "x".repeat(BATCH_BYTES_MAX + 1);
        let mut one = Batch::default();
        assert!(one.push(append("a", &big)).is_ok(), "one at least");
        assert!(one.push(append("a", "1")).is_err());
    }

    #[test]
    fn reply_is_read_for_each_channel_in_order() {
        let settled = batch(&["a", "b", "a", "a", "b"]).settle("e1 0 - N,1,7,0 R,1,7 C,1;e2 3 9 D N,5,10,9");
        let outcomes: Vec<_> = settled
            .iter()
            .map(|(append, outcome)| (append.channel.as_str(), format!("{outcome:?}")))
            .collect();
        let says = |index: usize, channel: &str, words: &str| {
            assert!(outcomes[index].0 == channel && outcomes[index].1.contains(words), "{outcomes:?}");
        };
        says(0, "a", "New");
        says(1, "a", "Repeated { epoch: \"e1\", offset: 1, at: 7 }");
        says(2, "a", "Conflict");
        says(3, "b", "InDoubt");
        says(4, "b", "before_at: 9, base: 3, base_at: Some(9)");
    }

    #[test]
    fn foreign_reply_leaves_publications_in_doubt() {
        for reply in ["", "e", "e 0 -", "e 0 - N,1", "e 0 - X,1", "e x - N,1,2,3", "stale"] {
            let settled = batch(&["a"]).settle(reply);
            assert!(matches!(settled[0].1, Err(EngineError::InDoubt(_))), "{reply}");
        }
    }

    #[test]
    fn entry_displaced_within_batch_is_its_own_base() {
        let settled = batch(&["a", "a"]).settle("e 2 8 N,1,7,0 N,2,8,7");
        let base = |index: usize| match &settled[index].1 {
            Ok(Appended::New { base, base_at, .. }) => (*base, *base_at),
            other => panic!("{other:?}"),
        };
        assert_eq!((base(0), base(1)), ((1, Some(7)), (2, Some(8))));
    }
}
