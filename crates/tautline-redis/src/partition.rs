//! Partitions: which keys are together on one node of a cluster.
//!
//! Start at [`Partition::of`]. The layout is the same on one Redis, so that a move to a cluster renames
//! nothing.

use std::sync::OnceLock;

/// Partitions, each of one slot.
pub(crate) const PARTITIONS: usize = 128;
/// Slots of a cluster.
const SLOTS: usize = 16_384;

/// One of the partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Partition(u8);

impl Partition {
    /// The partition with the revocations and bans.
    pub(crate) const FIRST: Self = Self(0);

    /// The partition of a channel or a user, by its name.
    pub(crate) fn of(name: &str) -> Self {
        let number = usize::from(crc16(name.as_bytes())) % PARTITIONS;
        Self(u8::try_from(number).expect("below PARTITIONS"))
    }

    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).take(PARTITIONS).map(Self)
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    /// The tag in its keys, by which a cluster finds the slot.
    pub(crate) fn tag(self) -> &'static str {
        static TAGS: OnceLock<Vec<String>> = OnceLock::new();
        &TAGS.get_or_init(tags)[self.index()]
    }

    /// The slot of its keys.
    pub(crate) fn slot(self) -> usize {
        slot(self.tag())
    }
}

/// For each partition the least number whose slot is in its part of all slots: so every node of a cluster
/// whose slots are divided evenly has as many partitions as any other.
fn tags() -> Vec<String> {
    let mut tags = vec![String::new(); PARTITIONS];
    let mut left = PARTITIONS;
    for number in 0.. {
        let text = u32::to_string(&number);
        let tag = &mut tags[slot(&text) / (SLOTS / PARTITIONS)];
        if tag.is_empty() {
            *tag = text;
            left -= 1;
        }
        if left == 0 {
            break;
        }
    }
    tags
}

fn slot(tag: &str) -> usize {
    usize::from(crc16(tag.as_bytes())) % SLOTS
}

/// CRC-16/XMODEM, as clusters take it.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| match crc & 0x8000 {
            0 => crc << 1,
            _ => (crc << 1) ^ 0x1021,
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn slots_are_those_of_the_cluster_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot("foo"), 12_182);
    }

    #[test]
    fn partitions_are_spread_evenly_over_slots() {
        let slots: Vec<_> = Partition::all().map(Partition::slot).collect();
        assert!(slots.iter().enumerate().all(|(index, slot)| slot / 128 == index));
        for thirds in [5_461, 10_923] {
            let below = slots.iter().filter(|slot| **slot < thirds).count();
            assert!((below * SLOTS).abs_diff(thirds * PARTITIONS) < SLOTS, "{below} below {thirds}");
        }
    }

    #[test]
    fn layout_never_changes() {
        let tags: Vec<_> = Partition::all().map(Partition::tag).take(4).collect();
        assert_eq!(tags, LAYOUT_TAGS, "stored keys have these tags");
        assert_eq!(["room:7", "user:anna", "ä"].map(|name| Partition::of(name).index()), LAYOUT_OF_NAMES);
        let names = (0..10_000).map(|n| Partition::of(&format!("room:{n}")));
        assert_eq!(names.collect::<HashSet<_>>().len(), PARTITIONS);
    }

    const LAYOUT_TAGS: [&str; 4] = ["14", "10", "100", "18"];
    const LAYOUT_OF_NAMES: [usize; 3] = [21, 97, 105];
}
