//! Figures of channels, by the pattern of the rule that applies to them.
//!
//! Start at [`Hub::pattern_figures`].

use std::{collections::HashMap, sync::Arc};

use crate::{Hub, channel::ChannelFigures};

/// Figures of the channels of a rule, on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternFigures {
    /// The pattern; `user:*` for inboxes without a rule, `*` for other channels without one.
    pub pattern: String,
    /// Channels in use.
    pub channels: u64,
    /// Subscribed connections, once for each channel.
    pub subscribers: u64,
    /// Bytes of publications in memory for live readers.
    pub tail_bytes: u64,
    /// Publications that the slowest reader of any of the channels has not been handed, those of clients in the
    /// background included.
    pub slowest_lag: u64,
}

impl Hub {
    /// Figures of all rules that have channels in use. No more than `channels_max` channels are looked at, and the
    /// result says whether there were more; each look begins where the last one ended.
    #[must_use]
    pub fn pattern_figures(&self, channels_max: usize) -> (Vec<PatternFigures>, bool) {
        let rules = Arc::clone(&self.rules());
        let mut found: HashMap<String, PatternFigures> = HashMap::new();
        let is_whole = self.0.channels.each_of_some(channels_max, |channel| {
            let name = &channel.name;
            let rule = rules.of(name).pattern.as_str();
            let pattern = if rule == "*" && name.is_user() { "user:*" } else { rule };
            let ChannelFigures { subscribers, tail_bytes, slowest_lag } = channel.figures();
            if !found.contains_key(pattern) {
                found.insert(pattern.to_owned(), PatternFigures::of(pattern));
            }
            let figures = found.get_mut(pattern).expect("it was inserted");
            figures.channels += 1;
            figures.subscribers += subscribers as u64;
            figures.tail_bytes += tail_bytes as u64;
            figures.slowest_lag = figures.slowest_lag.max(slowest_lag);
        });
        (found.into_values().collect(), is_whole)
    }
}

impl PatternFigures {
    fn of(pattern: &str) -> Self {
        Self { pattern: pattern.to_owned(), channels: 0, subscribers: 0, tail_bytes: 0, slowest_lag: 0 }
    }
}
