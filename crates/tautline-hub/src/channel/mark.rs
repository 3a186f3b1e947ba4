//! What a channel remembers of a subscriber: whether it was notified, and up to where it has read.

/// Both in the four bytes that one of them would take: there is a mark for each subscription of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(u32);

const NOTIFIED: u32 = 1 << 31;
/// The part of an offset that is kept.
const OFFSET: u32 = NOTIFIED - 1;

impl Mark {
    pub(super) fn new(is_notified: bool, read_to: u64) -> Self {
        Self(low(read_to) | if is_notified { NOTIFIED } else { 0 })
    }

    /// Notified, and has not read since.
    pub(super) const fn is_notified(self) -> bool {
        self.0 & NOTIFIED != 0
    }

    pub(super) fn set_notified(&mut self) {
        self.0 |= NOTIFIED;
    }

    /// How many publications the subscriber has not read. An offset ahead of the head is one of an earlier log.
    pub(super) fn lag(self, head: u64) -> u64 {
        let lag = low(head).wrapping_sub(self.0) & OFFSET;
        if self.is_notified() && lag <= OFFSET / 2 { u64::from(lag) } else { 0 }
    }
}

fn low(offset: u64) -> u32 {
    u32::try_from(offset & u64::from(OFFSET)).expect("31 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notified_subscriber_lags_by_what_it_has_not_read() {
        let mut mark = Mark::new(false, 7);
        assert_eq!((mark.is_notified(), mark.lag(9)), (false, 0), "it reads as soon as it is notified");
        mark.set_notified();
        assert_eq!((mark.is_notified(), mark.lag(9)), (true, 2));
        assert_eq!(mark.lag(3), 0, "the log began anew");
        let high = u64::from(u32::MAX) * 4 + 1;
        assert_eq!(Mark::new(true, high).lag(high + 5), 5);
    }
}
