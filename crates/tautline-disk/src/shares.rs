//! Who began which logs and keeps which positions, so that one client does not begin or keep them all.
//!
//! Known of this process alone: what was in the file before is nobody's, and leaves less for all.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use tautline_engine::{
    EngineError,
    budget::{Budget, Claim, Holder},
};

use crate::{options::DiskOptions, store::Counts};

/// The shares of one open file.
pub(crate) struct Shares {
    logs: Arc<Budget>,
    positions: Arc<Budget>,
    claims: HashMap<i64, Claims>,
    hasher: RandomState,
}

/// What was claimed in one channel.
#[derive(Default)]
struct Claims {
    log: Option<Claim>,
    positions: Vec<(Holder, Claim)>,
}

/// What one transaction claims and gives back; without effect where it is not committed.
#[derive(Default)]
pub(crate) struct Changes {
    logs: Vec<(i64, Claim)>,
    positions: Vec<(i64, (Holder, Claim))>,
    /// Readers whose positions were deleted, and how many each had.
    readers: Vec<(Box<str>, usize)>,
    /// Channels, and how many positions they had.
    forgotten: Vec<(i64, usize)>,
}

impl Shares {
    pub(crate) fn new(options: &DiskOptions, counts: &Counts) -> Self {
        let budget = |max, used| {
            let budget = Budget::new(max);
            budget.add(Holder::BACK_END, used);
            budget
        };
        Self {
            logs: budget(options.channels_max, counts.channels),
            positions: budget(options.positions_max, counts.positions),
            claims: HashMap::new(),
            hasher: RandomState::new(),
        }
    }

    /// Room for one more log.
    pub(crate) fn claim_log(&self, holder: Holder) -> Result<Claim, EngineError> {
        let claim = self.logs.claim(holder, 1, holder.claimant());
        claim.ok_or_else(|| EngineError::no_room(&self.logs, holder, "channels"))
    }

    /// Room for one more position of a reader; how far an inbox was handed out, without one, is the node's own.
    pub(crate) fn claim_position(&self, reader: &str) -> Option<(Holder, Claim)> {
        let holder = self.holder(reader);
        self.positions.claim(holder, 1, holder.claimant()).map(|claim| (holder, claim))
    }

    fn holder(&self, reader: &str) -> Holder {
        match reader {
            "" => Holder::BACK_END,
            reader => Holder::of_hash((self.hasher.hash_one(reader) >> 32) as u32),
        }
    }

    /// The transaction is safe.
    pub(crate) fn commit(&mut self, changes: Changes) {
        let Changes { logs, positions, readers, forgotten } = changes;
        for (channel, claim) in logs {
            self.claims.entry(channel).or_default().log = Some(claim);
        }
        for (channel, claim) in positions {
            self.claims.entry(channel).or_default().positions.push(claim);
        }
        for (reader, count) in readers {
            self.give_back(self.holder(&reader), count);
        }
        for (channel, positions) in forgotten {
            let claims = self.claims.remove(&channel).unwrap_or_default();
            self.logs.give(Holder::BACK_END, usize::from(claims.log.is_none()));
            self.positions.give(Holder::BACK_END, positions.saturating_sub(claims.positions.len()));
        }
    }
}

impl Shares {
    /// So many positions of a holder are gone; those without a claim were there before this process.
    fn give_back(&mut self, holder: Holder, count: usize) {
        let mut left = count;
        for claims in self.claims.values_mut() {
            claims.positions.retain(|(of, _)| {
                let goes = left > 0 && *of == holder;
                left -= usize::from(goes);
                !goes
            });
        }
        self.positions.give(Holder::BACK_END, left);
    }
}

impl Changes {
    pub(crate) fn begin_log(&mut self, channel: i64, claim: Claim) {
        self.logs.push((channel, claim));
    }

    pub(crate) fn keep_position(&mut self, channel: i64, claim: (Holder, Claim)) {
        self.positions.push((channel, claim));
    }

    pub(crate) fn forget_positions(&mut self, reader: &str, count: usize) {
        self.readers.push((reader.into(), count));
    }

    pub(crate) fn forget(&mut self, channel: i64, positions: usize) {
        self.forgotten.push((channel, positions));
    }
}
