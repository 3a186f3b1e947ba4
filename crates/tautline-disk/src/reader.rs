//! The readers' threads.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use rusqlite::Connection;
use tautline_hub::engine::EngineError;

use crate::{
    engine::{Ask, Shared, Write, give},
    fault::Fault,
    options::READS_AT_ONCE,
    reading::Snapshot,
    schema, store,
};

/// A connection and what it was made under.
struct Reader {
    connection: Connection,
    epoch: Arc<str>,
    generation: u64,
}

/// Looks and reads until the queue is closed and empty.
pub(crate) fn run(shared: &Shared, database: &Path) {
    let mut reader: Option<Reader> = None;
    while let Some(jobs) = shared.reads.take(READS_AT_ONCE, usize::MAX) {
        // Taken after the jobs: what was answered before they were submitted is in this generation or an older one.
        let generation = shared.generation.load(Ordering::Acquire);
        if reader.as_ref().is_some_and(|reader| reader.generation != generation) {
            reader = None;
        }
        let answers = match &mut reader {
            Some(reader) => reader.answer(&jobs),
            none => Reader::connect(database, generation).and_then(|made| none.insert(made).answer(&jobs)),
        };
        match answers {
            Ok(answers) => jobs.into_iter().zip(answers).for_each(|(job, outcome)| tell(job, outcome)),
            Err(fault) => {
                let error = EngineError::Unavailable(format!("the logs cannot be read: {fault}"));
                reader = None;
                report(shared, generation, fault);
                jobs.into_iter().for_each(|job| job.refuse(&error));
            }
        }
    }
}

enum Outcome {
    Looked(tautline_hub::engine::Looked),
    Page(tautline_hub::engine::Page),
}

impl Reader {
    fn connect(database: &Path, generation: u64) -> Result<Self, Fault> {
        let connection = schema::connect_reader(database)?;
        let epoch = store::read_epoch(&connection)?;
        Ok(Self { connection, epoch, generation })
    }

    /// Does all jobs in one snapshot, which is let go before anything is told.
    fn answer(&self, jobs: &[Ask]) -> Result<Vec<Outcome>, Fault> {
        self.connection.prepare_cached("BEGIN")?.execute([])?;
        let snapshot = Snapshot { connection: &self.connection, epoch: &self.epoch };
        let outcomes = jobs.iter().map(|job| match job {
            Ask::Look(job) => snapshot.look(job).map(Outcome::Looked),
            Ask::Read(job) => snapshot.read(job).map(Outcome::Page),
        });
        let outcomes = outcomes.collect::<Result<Vec<_>, _>>();
        let end = self.connection.prepare_cached("COMMIT").and_then(|mut end| end.execute([]));
        let outcomes = outcomes?;
        end?;
        Ok(outcomes)
    }
}

fn tell(job: Ask, outcome: Outcome) {
    match (job, outcome) {
        (Ask::Look(job), Outcome::Looked(looked)) => give(job.answer, Ok(looked)),
        (Ask::Read(job), Outcome::Page(page)) => give(job.answer, Ok(page)),
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
