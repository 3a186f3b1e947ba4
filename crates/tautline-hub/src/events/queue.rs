//! Events on their way into a log: in order, bounded, and stored once.
//!
//! Start at [`EventQueue::push`] and [`EventQueue::begin_wave`]. Pure: whoever holds it submits the appends and
//! returns their outcomes.

use std::collections::VecDeque;

use tautline_engine::Position;

/// Events that the engine has not stored.
pub(super) struct EventQueue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    bytes_max: usize,
    /// The first so many are submitted.
    in_flight: usize,
    /// So many of these are answered.
    answered: usize,
    /// The head of the log, if that is known.
    head: Option<Position>,
    /// The last event of this queue that was stored.
    stored: Option<Position>,
    /// How many were added, and how many of these are stored.
    count: QueueCount,
    /// The engine refused an append: wait for the next tick.
    is_paused: bool,
    /// Events dropped since the last `events.lost`, and the number of the first one.
    lost: u64,
    lost_from: Option<u64>,
    lost_ever: u64,
    next_key: u128,
}

/// How many entries a queue has had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct QueueCount {
    pub(super) added: u64,
    /// The first so many of them are stored.
    pub(super) stored: u64,
}

struct Waiting {
    /// Rises from entry to entry, in all queues of a node together.
    number: u64,
    key: u128,
    data: Box<str>,
    is_stored: bool,
}

/// An append to submit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WaveItem {
    pub(super) index: usize,
    /// The same when it is submitted again.
    pub(super) key: u128,
    pub(super) data: Box<str>,
    /// Append only if the log's head is here. `None` for an append that is the only one in flight.
    pub(super) expect: Option<Position>,
}

impl EventQueue {
    /// At most `bytes_max` bytes wait. `first_key` is random.
    pub(super) fn new(bytes_max: usize, first_key: u128) -> Self {
        Self {
            waiting: VecDeque::new(),
            bytes: 0,
            bytes_max,
            in_flight: 0,
            answered: 0,
            head: None,
            stored: None,
            count: QueueCount::default(),
            is_paused: false,
            lost: 0,
            lost_from: None,
            lost_ever: 0,
            next_key: first_key,
        }
    }

    /// Adds an event, behind the `events.lost` that `lost_event` makes of the number of those that were dropped
    /// before it. False: there is no room, and it is counted as lost.
    pub(super) fn push(
        &mut self,
        number: u64,
        data: Box<str>,
        lost_event: impl FnOnce(u64) -> Box<str>,
    ) -> bool {
        self.report_lost(data.len(), lost_event);
        if self.lost > 0 || self.bytes + data.len() > self.bytes_max {
            self.lost_from.get_or_insert(number);
            self.lost += 1;
            self.lost_ever += 1;
            return false;
        }
        self.add(number, data);
        true
    }

    /// Adds `events.lost` where events were dropped and there is room for it and for `bytes` more.
    pub(super) fn report_lost(&mut self, bytes: usize, lost_event: impl FnOnce(u64) -> Box<str>) {
        let Some(number) = self.lost_from else { return };
        let event = lost_event(self.lost);
        if self.bytes + event.len() + bytes <= self.bytes_max {
            (self.lost, self.lost_from) = (0, None);
            self.add(number, event);
        }
    }

    fn add(&mut self, number: u64, data: Box<str>) {
        self.bytes += data.len();
        self.count.added += 1;
        self.waiting.push_back(Waiting { number, key: self.next_key, data, is_stored: false });
        self.next_key = self.next_key.wrapping_add(1);
    }

    /// The appends to submit now, in this order, at most so many, of entries with a number below `before`. Each is
    /// answered by [`Self::settle`], also where it fails.
    ///
    /// One that fails must not be overtaken by the next ones, so each expects the one before it to be the head.
    pub(super) fn begin_wave(&mut self, size_max: usize, before: u64) -> Vec<WaveItem> {
        if self.in_flight > 0 || self.is_paused {
            return Vec::new();
        }
        let head = self.head.clone();
        let size = if head.is_some() { size_max } else { 1 };
        self.in_flight = self.waiting.iter().take(size).take_while(|waiting| waiting.number < before).count();
        self.answered = 0;
        let item = |(index, waiting): (usize, &Waiting)| WaveItem {
            index,
            key: waiting.key,
            data: waiting.data.clone(),
            expect: head
                .as_ref()
                .map(|head| Position { epoch: head.epoch.clone(), offset: head.offset + index as u64 }),
        };
        self.waiting.iter().take(self.in_flight).enumerate().map(item).collect()
    }

    /// The outcome of an append of the wave: its place, or `None` where it failed. Returns true if the wave is over
    /// and something was stored.
    pub(super) fn settle(&mut self, index: usize, place: Option<Position>) -> bool {
        self.answered += 1;
        match place {
            Some(place) => {
                self.waiting[index].is_stored = true;
                // A repeated append answers with its first place, which may be behind the head.
                self.head = Some(place.clone());
                self.stored = Some(place);
            }
            None => self.is_paused = true,
        }
        if self.answered < self.in_flight {
            return false;
        }
        self.in_flight = 0;
        if self.is_paused {
            // It is not where it was expected, or unknown: the next wave is a single append.
            self.head = None;
        }
        let mut stored = false;
        while let Some(first) = self.waiting.pop_front_if(|first| first.is_stored) {
            self.bytes -= first.data.len();
            self.count.stored += 1;
            stored = true;
        }
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        stored
    }

    /// True if [`Self::begin_wave`] has work.
    pub(super) fn is_ready(&self, before: u64) -> bool {
        let is_first_due = || self.waiting.front().is_some_and(|first| first.number < before);
        self.in_flight == 0 && !self.is_paused && is_first_due()
    }

    /// The number of the first entry that is not known to be stored.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.waiting.iter().find(|waiting| !waiting.is_stored).map(|waiting| waiting.number)
    }

    /// The same, or the first one that was dropped and is not counted in an `events.lost` yet.
    pub(super) fn untold_from(&self) -> Option<u64> {
        self.oldest().or(self.lost_from)
    }

    pub(super) const fn count(&self) -> QueueCount {
        self.count
    }

    /// The last entry of this process that was stored.
    pub(super) const fn stored(&self) -> Option<&Position> {
        self.stored.as_ref()
    }

    /// Tries again what was refused. Call about once a second.
    pub(super) fn resume(&mut self) {
        self.is_paused = false;
    }

    /// True while less than half of the room is taken.
    pub(super) fn is_roomy(&self) -> bool {
        self.bytes < self.bytes_max / 2
    }

    /// Events that are not stored.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Events that were dropped since the start.
    pub(super) const fn lost_ever(&self) -> u64 {
        self.lost_ever
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(bytes_max: usize) -> EventQueue {
        EventQueue::new(bytes_max, 1_000)
    }

    fn push(queue: &mut EventQueue, data: &str) -> bool {
        let number = queue.count.added;
        queue.push(number, data.into(), |count| format!("lost {count}").into())
    }

    /// A log that takes appends in order, as an engine does.
    #[derive(Default)]
    struct Log(Vec<(u128, Box<str>)>);

    impl Log {
        /// Runs a wave; `fails` says which of its appends the disk refuses.
        fn run(&mut self, queue: &mut EventQueue, fails: impl Fn(usize) -> bool) -> usize {
            let wave = queue.begin_wave(256, u64::MAX);
            let size = wave.len();
            for item in wave {
                let is_expected =
                    item.expect.as_ref().is_none_or(|expect| expect.offset == self.0.len() as u64);
                let known = self.0.iter().position(|(key, _)| *key == item.key);
                let offset = match known {
                    Some(at) => Some(at as u64 + 1),
                    None if fails(item.index) || !is_expected => None,
                    None => {
                        self.0.push((item.key, item.data));
                        Some(self.0.len() as u64)
                    }
                };
                queue.settle(item.index, offset.map(|offset| Position { epoch: "e".into(), offset }));
            }
            size
        }

        fn texts(&self) -> Vec<&str> {
            self.0.iter().map(|(_, data)| &**data).collect()
        }
    }

    #[test]
    fn events_are_stored_in_order_in_waves() {
        let (mut queue, mut log) = (queue(10_000), Log::default());
        (0..600).for_each(|n| assert!(push(&mut queue, &n.to_string())));
        let waves: Vec<usize> = std::iter::from_fn(|| Some(log.run(&mut queue, |_| false)))
            .take_while(|size| *size > 0)
            .collect();
        assert_eq!(waves, [1, 256, 256, 87], "the first one finds the head");
        let all: Vec<String> = (0..600).map(|n| n.to_string()).collect();
        assert_eq!(log.texts(), all);
        assert_eq!((queue.waiting(), queue.bytes), (0, 0));
    }

    #[test]
    fn refused_append_is_not_overtaken() {
        let (mut queue, mut log) = (queue(10_000), Log::default());
        assert!(["a", "b", "c", "d", "e"].iter().all(|event| push(&mut queue, event)));
        log.run(&mut queue, |_| false);
        // The disk has room again at once: what follows must still wait.
        log.run(&mut queue, |index| index == 1);
        assert_eq!(log.texts(), ["a", "b"]);
        assert_eq!(log.run(&mut queue, |_| false), 0, "until the next tick");
        queue.resume();
        while log.run(&mut queue, |_| false) > 0 {}
        assert_eq!(log.texts(), ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn entries_wait_for_those_before_them_in_other_queues() {
        let (mut queue, mut log) = (queue(10_000), Log::default());
        assert!(["a", "b", "c"].iter().all(|event| push(&mut queue, event)));
        assert_eq!(queue.oldest(), Some(0));
        assert!(!queue.is_ready(0) && queue.begin_wave(256, 0).is_empty());
        log.run(&mut queue, |_| false);
        let wave: Vec<_> = queue.begin_wave(256, 2).into_iter().map(|item| item.data).collect();
        assert_eq!(wave, [Box::from("b")]);
        queue.settle(0, Some(Position { epoch: "e".into(), offset: 2 }));
        assert_eq!((queue.is_ready(2), queue.is_ready(3), queue.oldest()), (false, true, Some(2)));
        assert_eq!(queue.count(), QueueCount { added: 3, stored: 2 });
    }

    #[test]
    fn append_in_doubt_is_stored_once() {
        let (mut queue, mut log) = (queue(10_000), Log::default());
        assert!(["a", "b"].iter().all(|event| push(&mut queue, event)));
        let item = queue.begin_wave(256, u64::MAX).remove(0);
        log.0.push((item.key, item.data));
        queue.settle(item.index, None);
        queue.resume();
        while log.run(&mut queue, |_| false) > 0 {}
        assert_eq!(log.texts(), ["a", "b"]);
    }

    #[test]
    fn events_beyond_the_room_are_counted_once() {
        let (mut queue, mut log) = (queue(20), Log::default());
        let kept = (0..10).filter(|n| push(&mut queue, &format!("event{n}"))).count();
        assert_eq!((kept, queue.lost_ever()), (3, 7));
        while log.run(&mut queue, |_| false) > 0 {}
        assert!(push(&mut queue, "later"));
        while log.run(&mut queue, |_| false) > 0 {}
        assert_eq!(log.texts(), ["event0", "event1", "event2", "lost 7", "later"]);
        queue.report_lost(0, |count| format!("again {count}").into());
        assert_eq!(queue.waiting(), 0, "it is said once");
    }
}
