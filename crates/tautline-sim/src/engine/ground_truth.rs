//! What really happened to every log; checkers compare what the apps remember with it.

use std::collections::{BTreeMap, HashMap};

/// Every log, by channel and epoch: its payloads, from offset 1.
pub type Logs = BTreeMap<(String, String), Vec<String>>;

/// A publication as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// What it carries.
    pub payload: String,
    /// When, in wall milliseconds.
    pub at: u64,
    /// When the one before it in its log was appended, in wall milliseconds.
    pub before_at: Option<u64>,
    /// When it was appended, in monotonic milliseconds.
    pub committed_ms: u64,
    /// When the server was told that it was appended; none where it never was.
    pub told_ms: Option<u64>,
}

/// What became of a payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How often it was appended.
    pub appended: u32,
    /// How often that was taken back, by an engine that may.
    pub taken_back: u32,
    /// How often its log was forgotten, empty and unused for as long as tickets live, and began anew: nobody can tell then
    /// that it was appended.
    pub forgotten: u32,
}

/// All logs as they were written, whatever was dropped or taken back since.
#[derive(Debug, Default)]
pub struct GroundTruth {
    /// The epoch that is written to now.
    pub epoch: String,
    /// By epoch, then by channel: what the log consists of, retention apart.
    epochs: BTreeMap<String, BTreeMap<String, Vec<Written>>>,
    /// What stood at an offset once and was taken back, by epoch, channel and offset.
    taken_back: HashMap<(String, String, u64), Vec<Written>>,
    counts: HashMap<String, Count>,
}

impl GroundTruth {
    pub(crate) fn new(epoch: &str) -> Self {
        let mut ground_truth = Self { epoch: epoch.to_owned(), ..Self::default() };
        ground_truth.epochs.insert(epoch.to_owned(), BTreeMap::new());
        ground_truth
    }

    fn current(&mut self) -> &mut BTreeMap<String, Vec<Written>> {
        self.epochs.entry(self.epoch.clone()).or_default()
    }

    /// A publication was appended.
    pub(crate) fn note(&mut self, channel: &str, offset: u64, at: u64, payload: String, committed_ms: u64) {
        self.counts.entry(payload.clone()).or_default().appended += 1;
        if !self.current().contains_key(channel) {
            self.current().insert(channel.to_owned(), Vec::new());
        }
        let index = index_of(offset);
        if self.log(channel).len() > index {
            // The log was forgotten, and begins anew: what it held was dropped, not taken back.
            self.cut(channel, index, false);
        }
        let log = self.current().get_mut(channel).expect("it was just made");
        assert_eq!(log.len(), index, "{channel}: the log itself has a hole before {offset}");
        let before_at = log.last().map(|last| last.at);
        log.push(Written { payload, at, before_at, committed_ms, told_ms: None });
    }

    /// The server was told that a publication was appended.
    pub(crate) fn note_told(&mut self, channel: &str, offset: u64, now_ms: u64) {
        let log = self.current().get_mut(channel);
        if let Some(written) = log.and_then(|log| log.get_mut(index_of(offset))) {
            written.told_ms.get_or_insert(now_ms);
        }
    }

    /// The last offset that the server had been told of before `now_ms`, of those that still stand.
    #[must_use]
    pub fn told_before(&self, channel: &str, epoch: &str, now_ms: u64) -> u64 {
        let is_told = |written: &Written| written.told_ms.is_some_and(|told_ms| told_ms < now_ms);
        self.log_of(channel, epoch).iter().rposition(is_told).map_or(0, |index| index as u64 + 1)
    }

    /// Where each log of this epoch stands.
    pub(crate) fn heads(&self) -> BTreeMap<String, usize> {
        let logs = self.epochs.get(&self.epoch).into_iter().flatten();
        logs.map(|(channel, log)| (channel.clone(), log.len())).collect()
    }

    /// The engine went back to an older state, and nobody says so.
    pub(crate) fn go_back(&mut self, heads: &BTreeMap<String, usize>) -> usize {
        let channels: Vec<String> = self.current().keys().cloned().collect();
        channels.iter().map(|channel| self.cut(channel, heads.get(channel).copied().unwrap_or(0), true)).sum()
    }

    /// All logs go on in another epoch, as far as they were stored.
    pub(crate) fn begin_epoch(&mut self, epoch: &str, heads: &BTreeMap<String, usize>) -> usize {
        let mut begun = BTreeMap::new();
        let mut lost = 0;
        for (channel, log) in &self.epochs[&self.epoch] {
            let head = heads.get(channel).copied().unwrap_or(0).min(log.len());
            begun.insert(channel.clone(), log[..head].to_vec());
            for written in &log[head..] {
                self.counts.entry(written.payload.clone()).or_default().taken_back += 1;
                lost += 1;
            }
        }
        self.epochs.insert(epoch.to_owned(), begun);
        epoch.clone_into(&mut self.epoch);
        lost
    }

    fn cut(&mut self, channel: &str, head: usize, takes_back: bool) -> usize {
        let epoch = self.epoch.clone();
        let Some(log) = self.current().get_mut(channel) else { return 0 };
        let cut = log.split_off(head.min(log.len()));
        for (number, written) in cut.iter().enumerate() {
            let count = self.counts.entry(written.payload.clone()).or_default();
            count.taken_back += u32::from(takes_back);
            count.forgotten += u32::from(!takes_back);
            let place = (epoch.clone(), channel.to_owned(), (head + number + 1) as u64);
            self.taken_back.entry(place).or_default().push(written.clone());
        }
        cut.len()
    }

    fn log(&self, channel: &str) -> &[Written] {
        self.log_of(channel, &self.epoch)
    }

    /// What a log consists of; nothing, where nobody ever wrote to it.
    #[must_use]
    pub fn log_of(&self, channel: &str, epoch: &str) -> &[Written] {
        self.epochs.get(epoch).and_then(|logs| logs.get(channel)).map_or(&[], Vec::as_slice)
    }

    /// Where a log stands: its last offset, and when that was appended.
    #[must_use]
    pub fn head(&self, channel: &str) -> (u64, u64) {
        let log = self.log(channel);
        (log.len() as u64, log.last().map_or(0, |last| last.at))
    }

    /// Everything that ever stood at this place, what stands there now first.
    pub fn ever_at<'a>(
        &'a self,
        channel: &str,
        epoch: &str,
        offset: u64,
    ) -> impl Iterator<Item = &'a Written> + use<'a> {
        // Logs that were forgotten and began anew are one here: what they held is among what stood there once.
        let epoch = life_of(epoch);
        let now = self.log_of(channel, epoch).get(index_of(offset));
        let before = self.taken_back.get(&(epoch.to_owned(), channel.to_owned(), offset));
        now.into_iter().chain(before.into_iter().flatten())
    }

    /// What became of a payload.
    #[must_use]
    pub fn count(&self, payload: &str) -> Count {
        self.counts.get(payload).copied().unwrap_or_default()
    }

    /// How many publications were taken back.
    #[must_use]
    pub fn publications_taken_back(&self) -> u64 {
        self.counts.values().map(|count| u64::from(count.taken_back)).sum()
    }

    /// How many publications there were.
    #[must_use]
    pub fn publications(&self) -> usize {
        self.counts.len()
    }

    /// Every log of every epoch.
    #[must_use]
    pub fn logs(&self) -> Logs {
        let each = |(epoch, logs): (&String, &BTreeMap<String, Vec<Written>>)| {
            let log = |(channel, log): (&String, &Vec<Written>)| {
                let payloads = log.iter().map(|written| written.payload.clone()).collect();
                ((channel.clone(), epoch.clone()), payloads)
            };
            logs.iter().map(log).collect::<Vec<_>>()
        };
        self.epochs.iter().flat_map(each).collect()
    }
}

/// The first epoch of the life that an epoch is of: logs that were forgotten begin anew in `1.1`, `1.2`…
pub(crate) fn life_of(epoch: &str) -> &str {
    epoch.split_once('.').map_or(epoch, |(life, _)| life)
}

fn index_of(offset: u64) -> usize {
    usize::try_from(offset.saturating_sub(1)).expect("few")
}
