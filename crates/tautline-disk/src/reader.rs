//! The readers' threads.

use std::{
    cell::Cell,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use rusqlite::Connection;
use tautline_engine::{EngineError, Page, StatResult};
use tautline_protocol::ChannelName;

use crate::{
    engine::{Ask, Shared, Write, give},
    fault::Fault,
    options::READS_AT_ONCE,
    reading::Snapshot,
    schema,
};

/// A connection and what it was made under.
pub(crate) struct Reader {
    connection: Connection,
    generation: u64,
    told: Cell<i64>,
}

/// Looks and reads until the queue is closed and empty. `first` was opened when there were files to be had.
pub(crate) fn run(shared: &Shared, database: &Path, first: Reader) {
    let mut reader = Some(first);
    while let Some(jobs) = shared.reads.take(READS_AT_ONCE, usize::MAX) {
        // Taken after the jobs: what was answered before they were submitted is in this generation or an older one.
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
                // Before anything is told: who publishes in the channel then finds another log.
                for (job, outcome) in jobs.iter().zip(&outcomes) {
                    if let Outcome::Foreign(reason) = outcome {
                        let (channel, reason) = (job.channel().clone(), reason.clone());
                        let _ = shared.writes.push(Write::Foreign { channel, reason }, 0);
                    }
                }
                jobs.into_iter().zip(outcomes).for_each(|(job, outcome)| tell(job, outcome));
            }
            Err(fault) => {
                // One that is good for more is kept: another one may not be had.
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
    Looked(StatResult),
    Page(Page),
    /// The row of the log itself holds a foreign value.
    Foreign(String),
}

impl Reader {
    pub(crate) fn connect(database: &Path, generation: u64) -> Result<Self, Fault> {
        Ok(Self { connection: schema::connect_reader(database)?, generation, told: Cell::new(0) })
    }

    /// Does all jobs in one snapshot, which is let go before anything is told.
    fn answer(&self, jobs: &[Ask], epoch: &Arc<str>) -> Result<Vec<Outcome>, Fault> {
        self.connection.prepare_cached("BEGIN")?.execute([])?;
        let snapshot = Snapshot { connection: &self.connection, epoch, told: &self.told };
        let outcomes = jobs.iter().map(|job| {
            let outcome = match job {
                Ask::Look(job) => snapshot.look(job).map(Outcome::Looked),
                Ask::Read(job) => snapshot.read(job).map(Outcome::Page),
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

impl Ask {
    fn channel(&self) -> &ChannelName {
        match self {
            Self::Look(job) => &job.channel,
            Self::Read(job) => &job.channel,
        }
    }
}

fn tell(job: Ask, outcome: Outcome) {
    match (job, outcome) {
        (Ask::Look(job), Outcome::Looked(stat)) => give(job.answer, Ok(stat)),
        (Ask::Read(job), Outcome::Page(page)) => give(job.answer, Ok(page)),
        (job, Outcome::Foreign(_)) => {
            job.refuse(&EngineError::Unavailable("this log cannot be read: it begins anew".to_owned()));
        }
        _ => unreachable!("a look is answered by what was seen, a read by a page"),
    }
}

fn report(shared: &Shared, generation: u64, fault: Fault) {
    tracing::error!(%fault, "the logs could not be read");
    if let Fault::Damaged(reason) = fault {
        // Where the writer's queue is full, the next reader will find the same.
        let _ = shared.writes.push(Write::Damaged { generation, reason }, 0);
    }
}
