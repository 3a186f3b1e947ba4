//! The threads that read: each takes jobs from the queue and answers them from one snapshot.

use std::{
    cell::Cell,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use rusqlite::Connection;
use tautline_engine::{EngineError, Page, StatResult, budget::Holder};
use tautline_protocol::ChannelName;

use crate::{
    engine::{ReadJob, Shared, Write, give},
    fault::Fault,
    options::READS_AT_ONCE,
    queries::Snapshot,
    schema,
};

/// A connection, and the generation of the file that it was opened on.
pub(crate) struct Reader {
    connection: Connection,
    generation: u64,
    warned: Cell<i64>,
}

/// Answers jobs until the queue is closed and empty. `first` was opened at start, before files could run out.
pub(crate) fn run(shared: &Shared, database: &Path, first: Reader) {
    let mut reader = Some(first);
    while let Some(jobs) = shared.reads.take(READS_AT_ONCE, usize::MAX) {
        // Loaded after the jobs: anything answered before they were submitted is in this generation or an older one.
        let generation = shared.generation.load(Ordering::Acquire);
        if reader.as_ref().is_some_and(|reader| reader.generation != generation) {
            reader = None;
        }
        let epoch = shared.epoch();
        let outcomes = match &mut reader {
            Some(reader) => reader.answer(&jobs, &epoch),
            none => {
                Reader::connect(database, generation).and_then(|made| none.insert(made).answer(&jobs, &epoch))
            }
        };
        match outcomes {
            Ok(outcomes) => {
                // Before the replies: a publisher that has one then finds a new log.
                for (job, outcome) in jobs.iter().zip(&outcomes) {
                    if let Outcome::Foreign(reason) = outcome {
                        let (channel, reason) = (job.channel().clone(), reason.clone());
                        let _ = shared.writes.push(Holder::BACK_END, Write::Foreign { channel, reason }, 0);
                    }
                }
                jobs.into_iter().zip(outcomes).for_each(|(job, outcome)| reply(job, outcome));
            }
            Err(fault) => {
                // A connection that still works is kept: opening another one may fail.
                reader =
                    reader.filter(|kept| matches!(fault, Fault::Other(_)) && kept.connection.is_autocommit());
                report(shared, generation, fault);
                let error = EngineError::Unavailable("the logs cannot be read just now".to_owned());
                jobs.into_iter().for_each(|job| job.refuse(&error));
            }
        }
    }
}

enum Outcome {
    Stat(StatResult),
    Page(Page),
    /// The row of the log itself holds a foreign value.
    Foreign(String),
}

impl Reader {
    pub(crate) fn connect(database: &Path, generation: u64) -> Result<Self, Fault> {
        Ok(Self { connection: schema::connect_reader(database)?, generation, warned: Cell::new(0) })
    }

    /// Answers all jobs from one snapshot, which ends before the first reply.
    fn answer(&self, jobs: &[ReadJob], epoch: &Arc<str>) -> Result<Vec<Outcome>, Fault> {
        self.connection.prepare_cached("BEGIN")?.execute([])?;
        let snapshot = Snapshot { connection: &self.connection, epoch, warned: &self.warned };
        let outcomes = jobs.iter().map(|job| {
            let outcome = match job {
                ReadJob::Stat(job) => snapshot.stat(job).map(Outcome::Stat),
                ReadJob::Read(job) => snapshot.read(job).map(Outcome::Page),
            };
            match outcome {
                Err(Fault::Row(reason)) => Ok(Outcome::Foreign(reason)),
                outcome => outcome,
            }
        });
        let outcomes = outcomes.collect::<Result<Vec<_>, _>>();
        let end = self.connection.prepare_cached("COMMIT").and_then(|mut end| end.execute([]));
        let outcomes = outcomes?;
        end?;
        Ok(outcomes)
    }
}

impl ReadJob {
    fn channel(&self) -> &ChannelName {
        match self {
            Self::Stat(job) => &job.channel,
            Self::Read(job) => &job.channel,
        }
    }

    pub(crate) const fn holder(&self) -> Holder {
        match self {
            Self::Stat(job) => job.holder,
            Self::Read(job) => job.holder,
        }
    }
}

fn reply(job: ReadJob, outcome: Outcome) {
    match (job, outcome) {
        (ReadJob::Stat(job), Outcome::Stat(stat)) => give(job.answer, Ok(stat)),
        (ReadJob::Read(job), Outcome::Page(page)) => give(job.answer, Ok(page)),
        (job, Outcome::Foreign(_)) => {
            job.refuse(&EngineError::Unavailable("this log cannot be read: it begins anew".to_owned()));
        }
        _ => unreachable!("a stat is answered by a state, a read by a page"),
    }
}

fn report(shared: &Shared, generation: u64, fault: Fault) {
    tracing::error!(event = "store_read_failed", %fault, "the logs could not be read");
    if let Fault::Damaged(reason) = fault {
        // Where the writer's queue is full, the next reader will find the same.
        let _ = shared.writes.push(Holder::BACK_END, Write::Damaged { generation, reason }, 0);
    }
}
