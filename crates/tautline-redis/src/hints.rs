//! Hints for other nodes that channels have new publications, as text. No I/O.
//!
//! A hint may be lost, late, repeated or of another process's making: it only makes a node look.

use tautline_protocol::ChannelName;

/// Channels in one hint.
pub(crate) const CHANNELS_MAX: usize = 64;

/// Channels and their heads from one process: `<process>`, then lines of `<head> <channel>`.
pub(crate) fn encode(process: u64, heads: &[(ChannelName, u64)]) -> String {
    heads
        .iter()
        .fold(format!("{process:016x}"), |text, (channel, head)| text + &format!("\n{head} {channel}"))
}

/// The channels in a hint; none in one's own.
pub(crate) fn decode(text: &str, own_process: u64) -> Vec<(ChannelName, u64)> {
    let mut parts = text.split('\n');
    match parts.next().and_then(|process| u64::from_str_radix(process, 16).ok()) {
        Some(process) if process != own_process => {}
        _ => return Vec::new(),
    }
    let heads = parts.filter_map(|line| {
        let (head, name) = line.split_once(' ')?;
        Some((ChannelName::from_store(name).ok()?, head.parse().ok()?))
    });
    heads.take(CHANNELS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hint_names_channels_to_other_processes_alone() {
        let heads = [("room:7", 9), ("ä", u64::MAX)]
            .map(|(name, head)| (ChannelName::parse(name).expect("a valid name"), head));
        let text = encode(7, &heads);
        assert_eq!(decode(&text, 8), heads);
        assert_eq!(decode(&text, 7), []);
    }

    #[test]
    fn foreign_messages_are_no_hints() {
        for text in ["", "x", "0000000000000007", "7\n", "7\nroom:7", "7\n-1 room:7", "7\n1 "] {
            assert_eq!(decode(text, 8), [], "{text:?}");
        }
    }
}
