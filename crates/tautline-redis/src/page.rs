//! A page that is read in steps. No I/O.
//!
//! Start at [`Taking::take`].

use std::collections::HashMap;

use tautline_engine::{Entry, Page, Retention, Span};
use tautline_protocol::ChannelName;

use crate::{content, resp::Value, state::State};

/// The log that a job reads. (A job itself has an answer, which tasks cannot share.)
pub(crate) struct About {
    pub(crate) channel: ChannelName,
    pub(crate) retention: Retention,
    pub(crate) wall_ms: u64,
}

/// The page that a job reads.
pub(crate) struct Wanted {
    pub(crate) about: About,
    pub(crate) span: Span,
    pub(crate) count_max: usize,
    pub(crate) bytes_max: usize,
}

/// What was read of a page so far.
pub(crate) struct Taking<'a> {
    job: &'a Wanted,
    /// Where the next step begins, this offset included.
    pub(crate) from: u64,
    /// Times of offsets beside the page.
    at: HashMap<u64, u64>,
    entries: Vec<Entry>,
    bytes: usize,
}

impl<'a> Taking<'a> {
    pub(crate) fn new(job: &'a Wanted) -> Self {
        Self { job, from: job.span.offset(), at: HashMap::new(), entries: Vec::new(), bytes: 0 }
    }

    pub(crate) fn bytes_left(&self) -> u64 {
        (self.job.bytes_max.saturating_sub(self.bytes)) as u64
    }

    /// Takes what a step has found. True: the page is complete. `None`: there are foreign entries.
    pub(crate) fn take(&mut self, state: &State, found: &[Value], step: u64) -> Option<bool> {
        let bound = self.job.span.offset();
        for value in found {
            let (offset, at) = content::place(value.array()?.first()?)?;
            if offset == bound {
                self.at.insert(offset, at);
            }
            self.from = match self.job.span {
                Span::After(_) => offset.saturating_add(1),
                Span::Before(_) => offset.saturating_sub(1),
            };
            let is_wanted = match self.job.span {
                Span::After(after) => offset > after,
                Span::Before(before) => offset < before,
            };
            if !is_wanted || offset <= state.log.base || offset > state.log.head {
                continue;
            }
            if self.entries.len() == self.job.count_max {
                return Some(true);
            }
            let entry = content::entry(&self.job.about.channel, value)?;
            self.bytes += entry.line().len();
            if self.bytes > self.job.bytes_max && !self.entries.is_empty() {
                return Some(true);
            }
            self.entries.push(entry);
        }
        if let Span::After(_) = self.job.span {
            self.from = self.from.max(state.log.base + 1);
        }
        let is_full = self.entries.len() >= self.job.count_max;
        Some(
            is_full
                || (found.len() as u64) < step
                || self.from <= state.log.base
                || self.from > state.log.head,
        )
    }

    pub(crate) fn page(mut self, mut state: State) -> Page {
        let bound = self.job.span.offset();
        if let Span::Before(_) = self.job.span {
            self.entries.reverse();
        }
        let at = state.at(bound).or(self.at.get(&bound).copied().filter(|_| bound > state.log.base));
        // The oldest ones may have been dropped between the question for the state and that for the page.
        if let (Span::After(after), Some(first)) = (self.job.span, self.entries.first())
            && first.offset() > after.max(state.log.base) + 1
        {
            (state.log.base, state.log.base_at) = (first.offset() - 1, None);
        }
        Page { log: state.log, at, entries: self.entries }
    }
}
