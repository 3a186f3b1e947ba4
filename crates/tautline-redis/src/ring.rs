//! The keys that seal tickets, the same for all nodes on one Redis.
//!
//! Start at [`keys`]. One node makes a new key when its time has come, and the others find it. They lie in Redis as
//! they are, beside the logs that they guard: set `[tickets] keys` where Redis must not know them.

use std::{fmt::Write as _, sync::Arc};

use tautline_engine::EngineError;

use crate::{
    fault::Refusal,
    lua,
    options::KEY_SPREAD_MS,
    partition::Partition,
    resp::{Command, Value},
    router::Lane,
    shared::Shared,
};

/// Keys, newest first, each with the wall time at which it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ring(Vec<(u64, [u8; 32])>);

/// Reads the keys, and makes a new one if its time has come. `known`: as they were read last. Returns them as text, too.
pub(crate) async fn keys(
    shared: &Arc<Shared>,
    known: &str,
    (wall_ms, ticket_ms): (u64, u64),
) -> Result<(String, Vec<[u8; 32]>), EngineError> {
    let key = shared.keys.ticket_keys();
    let mut kept = ask(shared, Command::new("GET").arg(&key)).await?;
    if kept.is_empty() && !known.is_empty() {
        // Redis has lost them: tickets that were sealed are to stay good.
        kept = ask(shared, Command::script(&lua::RING, &[&key]).arg("").arg(known)).await?;
    }
    let mut ring = Ring::decode(&kept);
    while !ring.is_fresh(wall_ms, ticket_ms) {
        let mut made = [0; 32];
        getrandom::fill(&mut made).map_err(|error| EngineError::Unavailable(error.to_string()))?;
        let wanted = ring.with(wall_ms, made, ticket_ms).encode();
        // Of two nodes that try at once, one succeeds, and the other has its key.
        let command = Command::script(&lua::RING, &[&key]).arg(&kept).arg(&wanted);
        kept = ask(shared, command).await?;
        ring = Ring::decode(&kept);
    }
    Ok((kept, ring.sealing_first(wall_ms)))
}

async fn ask(shared: &Arc<Shared>, command: Command) -> Result<String, EngineError> {
    let replies = shared.router.ask(Lane::Others, Partition::FIRST, &[command], shared.until()).await?;
    match replies[0].error() {
        Some(words) => Err(Refusal::of(words).to_error()),
        None => Ok(replies.into_iter().next().as_ref().and_then(Value::text).unwrap_or_default().to_owned()),
    }
}

impl Ring {
    fn encode(&self) -> String {
        let line = |text: String, (made_at, key): &(u64, [u8; 32])| {
            let hex = key.iter().fold(String::new(), |mut hex, byte| {
                write!(hex, "{byte:02x}").expect("a string takes all");
                hex
            });
            text + &format!("{made_at} {hex}\n")
        };
        self.0.iter().fold(String::new(), line)
    }

    fn decode(text: &str) -> Self {
        let key = |line: &str| {
            let (made_at, hex) = line.split_once(' ')?;
            let mut key = [0; 32];
            let digits = hex.as_bytes().chunks_exact(2);
            if digits.len() != key.len() {
                return None;
            }
            for (byte, digits) in key.iter_mut().zip(digits) {
                *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
            }
            Some((made_at.parse().ok()?, key))
        };
        Self(text.lines().filter_map(key).collect())
    }

    /// Whether the newest key is to be used for longer.
    fn is_fresh(&self, wall_ms: u64, ticket_ms: u64) -> bool {
        self.0.first().is_some_and(|(made_at, _)| wall_ms.abs_diff(*made_at) <= ticket_ms)
    }

    /// With a new key, and without those whose tickets have all expired.
    fn with(&self, wall_ms: u64, made: [u8; 32], ticket_ms: u64) -> Self {
        let mut keys = vec![(wall_ms, made)];
        for (made_at, key) in &self.0 {
            // It sealed until all nodes had its successor, however late that was.
            let next = keys.last().map_or(wall_ms, |(made_at, _)| *made_at);
            if next.saturating_add(KEY_SPREAD_MS).saturating_add(ticket_ms) < wall_ms {
                break;
            }
            keys.push((*made_at, *key));
        }
        Self(keys)
    }

    /// All keys. The first is the newest that every node has by now.
    fn sealing_first(self, wall_ms: u64) -> Vec<[u8; 32]> {
        let is_known = |(made_at, _): &(u64, [u8; 32])| made_at.saturating_add(KEY_SPREAD_MS) <= wall_ms;
        let sealing = self.0.iter().position(is_known).unwrap_or(self.0.len().saturating_sub(1));
        let mut keys: Vec<_> = self.0.into_iter().map(|(_, key)| key).collect();
        keys[..=sealing].rotate_right(1);
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    #[test]
    fn ring_is_read_back_as_written() {
        let ring = Ring(vec![(9, [0xa5; 32]), (7, [1; 32])]);
        assert_eq!(Ring::decode(&ring.encode()), ring);
        for foreign in ["", "x", "9 a5", "9 zz", "-1 00"] {
            assert_eq!(Ring::decode(foreign), Ring::default(), "{foreign}");
        }
    }

    #[test]
    fn new_key_opens_everywhere_before_it_seals() {
        let ring = Ring(vec![(10 * DAY, [2; 32]), (9 * DAY, [1; 32])]);
        assert_eq!(ring.clone().sealing_first(10 * DAY + 1), [[1; 32], [2; 32]]);
        assert_eq!(ring.sealing_first(10 * DAY + KEY_SPREAD_MS), [[2; 32], [1; 32]]);
        assert_eq!(
            Ring(vec![(10 * DAY, [2; 32])]).sealing_first(10 * DAY),
            [[2; 32]],
            "the first one at once"
        );
    }

    #[test]
    fn key_stays_until_its_last_ticket_has_expired() {
        let ring = Ring(vec![(10 * DAY, [2; 32]), (9 * DAY, [1; 32]), (8 * DAY, [0; 32])]);
        assert!(ring.is_fresh(11 * DAY, DAY) && !ring.is_fresh(11 * DAY + 1, DAY));
        let later = ring.with(11 * DAY + 1, [3; 32], DAY);
        assert_eq!(later.0.len(), 3, "the one of day 9 sealed until shortly after day 10");
        assert_eq!(ring.with(11 * DAY + KEY_SPREAD_MS + 1, [3; 32], DAY).0.len(), 2);
    }
}
