//! The names of keys: `<prefix>:{<tag of the partition>}:<kind>:<name>`.

use tautline_protocol::{ChannelName, UserId};

use crate::partition::Partition;

/// Makes names of keys.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: String,
}

/// The keys of one channel.
pub(crate) struct ChannelKeys {
    pub(crate) log: String,
    pub(crate) state: String,
    /// Where publications with an idempotency key are in the log.
    pub(crate) origins: String,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    fn key(&self, partition: Partition, kind: &str) -> String {
        format!("{}:{{{}}}:{kind}", self.prefix, partition.tag())
    }

    pub(crate) fn channel(&self, channel: &ChannelName) -> ChannelKeys {
        let partition = Partition::of(channel.as_str());
        let key = |kind| self.key(partition, kind) + channel.as_str();
        ChannelKeys { log: key("l:"), state: key("m:"), origins: key("o:") }
    }

    /// Acknowledged positions of a user in all channels.
    pub(crate) fn positions(&self, user: &UserId) -> String {
        self.key(Partition::of(user.as_str()), "u:") + user.as_str()
    }

    /// The epoch of new logs, and the incarnation.
    pub(crate) fn beginning(&self, partition: Partition) -> String {
        self.key(partition, "b")
    }

    /// The channels that have a log.
    pub(crate) fn channels(&self, partition: Partition) -> String {
        self.key(partition, "c")
    }

    /// The last call of a gateway's process.
    pub(crate) fn last_call(&self, partition: Partition, process: u64) -> String {
        self.key(partition, "f:") + &format!("{process:016x}")
    }

    /// Where hints are published.
    pub(crate) fn hints(&self) -> String {
        format!("{}:hints", self.prefix)
    }

    /// Where a process probes the way of hints.
    pub(crate) fn probe(&self, process: u64) -> String {
        format!("{}:probe:{process:016x}", self.prefix)
    }

    /// What is written to see whether there is memory again.
    pub(crate) fn trial(&self) -> String {
        self.key(Partition::FIRST, "trial")
    }

    pub(crate) fn revocations(&self) -> String {
        self.key(Partition::FIRST, "revoked")
    }

    /// The stream of messages to all nodes, and its counter.
    pub(crate) fn control(&self) -> [String; 2] {
        ["control", "control:n"].map(|kind| self.key(Partition::FIRST, kind))
    }

    /// The stream of messages to one process, and its counter.
    pub(crate) fn inbox(&self, process: u64) -> [String; 2] {
        ["i:", "i:n:"].map(|kind| self.key(Partition::FIRST, kind) + &format!("{process:016x}"))
    }

    /// Here while a process runs.
    pub(crate) fn lease(&self, process: u64) -> String {
        self.key(Partition::FIRST, "n:") + &format!("{process:016x}")
    }

    /// The last message that a process sent.
    pub(crate) fn last_message(&self, process: u64) -> String {
        self.key(Partition::FIRST, "t:") + &format!("{process:016x}")
    }

    /// Which process has a session.
    pub(crate) fn owner(&self, session: u128) -> (Partition, String) {
        let name = format!("{session:032x}");
        let partition = Partition::of(&name);
        (partition, self.key(partition, "s:") + &name)
    }

    /// The keys of tickets.
    pub(crate) fn ticket_keys(&self) -> String {
        self.key(Partition::FIRST, "ring")
    }

    /// Where it is published that there are messages, for the process that the message names, or for all (`*`).
    pub(crate) fn told(&self) -> String {
        format!("{}:told", self.prefix)
    }

    /// Banned subjects by when they end; and why.
    pub(crate) fn bans(&self) -> [String; 2] {
        ["bans", "reasons"].map(|kind| self.key(Partition::FIRST, kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_channel_share_tag_of_its_partition() {
        let channel = ChannelName::parse("room:7").expect("a valid name");
        let ChannelKeys { log, state, origins } = Keys::new("tl").channel(&channel);
        let tag = Partition::of("room:7").tag();
        assert_eq!(log, format!("tl:{{{tag}}}:l:room:7"));
        assert_eq!((state, origins), (log.replace(":l:", ":m:"), log.replace(":l:", ":o:")));
    }
}
