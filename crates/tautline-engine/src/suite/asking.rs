//! Helpers of the suite: submit a job and wait for its answer.
//!
//! Start at [`Log`].

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use tautline_protocol::{ChannelName, UserId};

use crate::{
    Answer, Append, Appended, Content, Doubt, Engine, EngineError, Entry, Job, Origin, Page, Position, Read,
    Retention, Span, StatRequest, StatResult, budget::Holder,
};

/// The longest wait for an answer: the slowest engine on the busiest machine is faster.
const PATIENCE: Duration = Duration::from_secs(60);
/// Attempts to observe an effect that has no answer, with an append between.
const LOOKS_MAX: usize = 500;
/// The suite's start time, in wall milliseconds.
pub(super) const NOW: u64 = 1_700_000_000_000;
/// Retention that keeps everything the suite writes.
pub(super) const ALL: Retention = Retention { count: 100_000, bytes: 1 << 30, age_ms: 1 << 40 };

/// Submits a job and waits for its outcome.
pub(super) fn ask<T: Send + 'static>(
    engine: &dyn Engine,
    job: impl FnOnce(Answer<T>) -> Job,
) -> Result<T, EngineError> {
    let (give, take) = mpsc::channel();
    engine.submit(job(answer_to(&give)));
    receive(&take)
}

/// An answer that sends its outcome to a channel.
pub(super) fn answer_to<T: Send + 'static>(give: &mpsc::Sender<Result<T, EngineError>>) -> Answer<T> {
    let give = give.clone();
    // A receiver that stopped waiting has panicked already.
    Answer::new(move |outcome| drop(give.send(outcome)))
}

/// Waits for the next answer.
pub(super) fn receive<T>(take: &mpsc::Receiver<T>) -> T {
    take.recv_timeout(PATIENCE).expect("every job is answered, once")
}

/// Waits until a condition holds that the engine reaches without an answer. Jobs submitted before an answered
/// append have run.
pub(super) fn until(engine: &dyn Engine, mut holds: impl FnMut() -> bool) {
    let aside = Log::of(engine, "aside");
    for _ in 0..LOOKS_MAX {
        if holds() {
            return;
        }
        aside.publish(NOW, "0");
    }
    panic!("the condition never held");
}

/// One log of an engine.
pub(super) struct Log<'a> {
    pub(super) engine: &'a dyn Engine,
    pub(super) channel: ChannelName,
    pub(super) retention: Retention,
}

/// A new append and its result.
pub(super) struct Fresh {
    pub(super) epoch: Arc<str>,
    pub(super) entry: Entry,
    pub(super) base: u64,
    pub(super) base_at: Option<u64>,
}

impl<'a> Log<'a> {
    pub(super) fn of(engine: &'a dyn Engine, name: &str) -> Self {
        Self { engine, channel: ChannelName::parse(name).expect("a valid name"), retention: ALL }
    }

    pub(super) fn keeping(self, retention: Retention) -> Self {
        Self { retention, ..self }
    }

    pub(super) fn job(
        &self,
        wall_ms: u64,
        data: &str,
        (origin, doubt): (Option<Origin>, Option<Doubt>),
        answer: Answer<Appended>,
    ) -> Job {
        let content = Content { data: data.into(), from: None, tags: None };
        let (channel, retention) = (self.channel.clone(), self.retention);
        let holder = Holder::BACK_END;
        let expect = None;
        Job::Append(Append { channel, content, origin, doubt, expect, holder, retention, wall_ms, answer })
    }

    /// Appends content that cannot have been appended before.
    pub(super) fn publish(&self, wall_ms: u64, data: &str) -> Fresh {
        match self.append(wall_ms, data, None, None) {
            Ok(Appended::New { epoch, entry, base, base_at, .. }) => Fresh { epoch, entry, base, base_at },
            other => panic!("expected a new append, got {other:?}"),
        }
    }

    /// Appends if the log's head is this one.
    pub(super) fn append_at(&self, head: &Position, origin: Option<Origin>) -> Result<Appended, EngineError> {
        ask(self.engine, |answer| {
            let mut job = self.job(NOW, "1", (origin, None), answer);
            if let Job::Append(append) = &mut job {
                append.expect = Some(head.clone());
            }
            job
        })
    }

    pub(super) fn append(
        &self,
        wall_ms: u64,
        data: &str,
        origin: Option<Origin>,
        doubt: Option<Doubt>,
    ) -> Result<Appended, EngineError> {
        ask(self.engine, |answer| self.job(wall_ms, data, (origin, doubt), answer))
    }

    pub(super) fn stat(&self, wall_ms: u64) -> StatResult {
        self.look_for(wall_ms, None, None)
    }

    pub(super) fn look_for(&self, wall_ms: u64, offset: Option<u64>, user: Option<&UserId>) -> StatResult {
        let (channel, user, retention) = (self.channel.clone(), user.cloned(), self.retention);
        let holder = Holder::BACK_END;
        let request =
            |answer| Job::Stat(StatRequest { channel, offset, user, holder, retention, wall_ms, answer });
        ask(self.engine, request).expect("a healthy engine answers a stat")
    }

    pub(super) fn read(&self, span: Span) -> Page {
        self.page(NOW, span, usize::MAX, usize::MAX)
    }

    pub(super) fn page(&self, wall_ms: u64, span: Span, count_max: usize, bytes_max: usize) -> Page {
        let (channel, retention) = (self.channel.clone(), self.retention);
        let read = |answer| {
            let holder = Holder::BACK_END;
            Job::Read(Read { channel, span, count_max, bytes_max, holder, retention, wall_ms, answer })
        };
        ask(self.engine, read).expect("a healthy engine reads a log")
    }
}

/// The offsets on a page.
pub(super) fn offsets(page: &Page) -> Vec<u64> {
    page.entries.iter().map(Entry::offset).collect()
}

/// True for a repeated append with this offset.
pub(super) fn is_repeated(outcome: &Result<Appended, EngineError>, at_offset: u64) -> bool {
    matches!(outcome, Ok(Appended::Repeated { offset, .. }) if *offset == at_offset)
}

/// True for a new append with this offset.
pub(super) fn is_new(outcome: &Result<Appended, EngineError>, at_offset: u64) -> bool {
    matches!(outcome, Ok(Appended::New { entry, .. }) if entry.offset() == at_offset)
}
