//! The scripts that run inside of Redis, under the strictest rules of rented ones: keys are literal
//! `KEYS[n]`, no PUBLISH, no global function, no `unpack`, no clock.

use std::sync::LazyLock;

use sha1::{Digest as _, Sha1};

/// A script and its digest.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) text: String,
    pub(crate) digest: String,
}

impl Script {
    fn new(text: String) -> Self {
        let digest = Sha1::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { text, digest }
    }
}

/// The most channels of one partition that one call appends to.
pub(crate) const CHANNELS_MAX: usize = 8;
const APPENDS: [usize; 4] = [1, 2, 4, CHANNELS_MAX];

/// The script that appends to so many channels at once, or a few more; and how many it takes.
pub(crate) fn append(channels: usize) -> (&'static Script, usize) {
    static SCRIPTS: LazyLock<[Script; 4]> = LazyLock::new(|| {
        APPENDS.map(|channels| {
            let body = include_str!("lua/append_channel.lua");
            let bodies = (0..channels).map(|number| with_keys(body, 4 + 3 * number));
            let head = include_str!("lua/append_head.lua").to_owned();
            Script::new(bodies.fold(head, |text, body| text + &body) + include_str!("lua/append_tail.lua"))
        })
    });
    let index = APPENDS.iter().position(|takes| *takes >= channels).expect("at most CHANNELS_MAX");
    (&SCRIPTS[index], APPENDS[index])
}

/// Writes a channel's keys into a script: the log is the key with this number, its state and its keys follow.
fn with_keys(text: &str, first: usize) -> String {
    let key = |number| format!("KEYS[{number}]");
    text.replace("$DROP", include_str!("lua/drop.lua"))
        .replace("$LOG", &key(first))
        .replace("$STATE", &key(first + 1))
        .replace("$KEYS_OF_LOG", &key(first + 2))
}

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident = $file:literal with $first:literal;)*) => {
        $($(#[$doc])* pub(crate) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(with_keys(include_str!($file), $first)));)*
    };
}

scripts! {
    /// Drops what exceeds a log's retention.
    RETAIN = "lua/retain.lua" with 1;
    /// Gives a partition its first epoch and its incarnation.
    BEGIN = "lua/begin.lua" with 1;
    /// Forgets a log that was empty for long enough.
    FORGET = "lua/forget.lua" with 3;
    /// Empties a log.
    EMPTY = "lua/empty.lua" with 1;
    /// Saves positions.
    POSITIONS = "lua/positions.lua" with 1;
    /// Begins a new epoch of a log that has lost publications.
    HEAL = "lua/heal.lua" with 1;
    /// Claims a session.
    CLAIM = "lua/claim.lua" with 1;
    /// Sends a message to other nodes.
    TELL = "lua/tell.lua" with 1;
    /// Replaces the keys of tickets.
    RING = "lua/ring.lua" with 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<&'static Script> {
        let others = [&RETAIN, &BEGIN, &FORGET, &EMPTY, &POSITIONS, &HEAL, &CLAIM, &TELL, &RING];
        let others = others.map(|script| &**script);
        (1..=CHANNELS_MAX).map(|channels| append(channels).0).chain(others).collect()
    }

    #[test]
    fn scripts_keep_the_rules_of_rented_servers() {
        for Script { text, .. } in all() {
            let is_name = |part: &str| part.starts_with(|first: char| first.is_ascii_uppercase());
            assert!(!text.split('$').skip(1).any(is_name), "a key is missing: {text}");
            for forbidden in ["PUBLISH", "unpack", "'TIME'", "SPUBLISH", "loadstring", "_G"] {
                assert!(!text.contains(forbidden), "{forbidden}");
            }
            for call in text.split("redis.call(").skip(1) {
                let keys = call.split(", ").nth(1).expect("every command has a key");
                assert!(keys.starts_with("KEYS[") && keys[5..6].parse::<u8>().is_ok(), "{call}");
            }
            let is_global = |line: &str| line.starts_with("function ");
            assert!(!text.lines().any(is_global));
        }
    }

    #[test]
    fn append_takes_at_least_as_many_channels() {
        let takes: Vec<_> = (1..=CHANNELS_MAX).map(|channels| append(channels).1).collect();
        assert_eq!(takes, [1, 2, 4, 4, 8, 8, 8, 8]);
        assert!(append(8).0.text.contains("KEYS[27]") && !append(8).0.text.contains("KEYS[28]"));
    }
}
