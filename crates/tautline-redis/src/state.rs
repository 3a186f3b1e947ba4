//! The state of a log as Redis keeps it, and pages of its stream. No I/O.

use std::sync::Arc;

use tautline_engine::{LogState, Position, Retention};

use crate::{
    content::NUMBER_MAX,
    keys::ChannelKeys,
    lua,
    resp::{Command, Value},
};

/// The state of a log that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) log: LogState,
    bytes: u64,
    oldest_at: Option<u64>,
}

/// Asks for a log's state and its delivered position.
pub(crate) fn question(keys: &ChannelKeys) -> Command {
    let fields = ["e", "h", "a", "b", "p", "y", "o", "d"];
    fields.iter().fold(Command::new("HMGET").arg(&keys.state), Command::arg)
}

impl State {
    /// `None`: the log has not begun.
    pub(crate) fn of(reply: &Value) -> Option<Self> {
        let [epoch, head, head_at, base, base_at, bytes, oldest_at, _] = reply.array()? else { return None };
        let log = LogState {
            epoch: Arc::from(epoch.text()?),
            head: head.number()?,
            head_at: head_at.number()?,
            base: base.number()?,
            base_at: base_at.number(),
        };
        Some(Self { log, bytes: bytes.number()?, oldest_at: oldest_at.number() })
    }

    /// True if some of it exceeds the retention.
    pub(crate) fn exceeds(&self, wall_ms: u64, retention: &Retention) -> bool {
        let kept = self.log.head - self.log.base;
        kept > 0
            && (kept > retention.count as u64
                || self.bytes > retention.bytes as u64
                || self.oldest_at.is_none_or(|at| wall_ms.saturating_sub(at) > retention.age_ms))
    }

    /// The mean size of a publication.
    pub(crate) fn mean(&self) -> u64 {
        self.bytes / (self.log.head - self.log.base).max(1)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.log.head == self.log.base
    }

    /// When the publication at `offset` was appended, as far as the state says.
    pub(crate) fn at(&self, offset: u64) -> Option<u64> {
        match offset {
            0 => None,
            offset if offset == self.log.head => Some(self.log.head_at),
            offset if offset == self.log.base => self.log.base_at,
            _ => None,
        }
    }
}

/// The delivered position in the reply to [`question`].
pub(crate) fn delivered(reply: &Value) -> Option<Position> {
    position(reply.array()?.get(7)?)
}

/// A saved position.
pub(crate) fn position(value: &Value) -> Option<Position> {
    let (offset, epoch) = value.text()?.split_once(' ')?;
    Some(Position { epoch: epoch.into(), offset: offset.parse().ok()? })
}

/// Drops what exceeds the retention; `all` frees the memory of it, too.
pub(crate) fn retain(keys: &ChannelKeys, wall_ms: u64, retention: &Retention, all: bool) -> Command {
    let limits = [wall_ms, retention.count as u64, retention.bytes as u64, retention.age_ms];
    let command = Command::script(&lua::RETAIN, &[&keys.log, &keys.state, &keys.origins]);
    let command = limits.iter().fold(command, |command, limit| command.number((*limit).min(NUMBER_MAX)));
    command.number(u64::from(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(fields: &[&str]) -> Value {
        let value = |text: &&str| match *text {
            "-" => Value::Nil,
            text => Value::Text(text.into()),
        };
        Value::Array(fields.iter().map(value).collect())
    }

    #[test]
    fn log_that_has_not_begun_has_no_state() {
        let unwritten = reply(&["-", "-", "-", "-", "-", "-", "-", "9 e f"]);
        assert_eq!(State::of(&unwritten), None);
        assert_eq!(delivered(&unwritten), Some(Position { epoch: "e f".into(), offset: 9 }));
    }

    #[test]
    fn state_says_what_exceeds_retention() {
        let state = State::of(&reply(&["e", "5", "90", "2", "", "300", "80", "-"])).expect("a state");
        assert_eq!((state.log.base_at, state.mean(), state.at(5), state.at(2)), (None, 100, Some(90), None));
        let all = Retention { count: 3, bytes: 300, age_ms: 10 };
        assert!(!state.exceeds(90, &all));
        assert!(state.exceeds(91, &all));
        assert!(state.exceeds(90, &Retention { count: 2, ..all }));
        assert!(state.exceeds(90, &Retention { bytes: 299, ..all }));
    }
}
