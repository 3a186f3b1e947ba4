//! Group commit: the inputs of all rooms that wait are saved in one transaction.

use std::sync::Arc;

use tautline_gold_rules::Entry;
use tokio::sync::{mpsc, oneshot};

use crate::store::{Store, StoreError};

/// Inputs in one transaction.
const BATCH_MAX: usize = 512;
/// Inputs that may wait for the next one; beyond it rooms wait.
const WAITING_MAX: usize = 4_096;

struct Append {
    room: Arc<str>,
    number: u32,
    entry: String,
    saved: oneshot::Sender<Result<(), NotSaved>>,
}

/// Saves inputs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Journal(mpsc::Sender<Append>);

/// Why an input was not saved, and so did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotSaved {
    /// The room has an input of this number: one that was saved although its answer was lost. Trying again cannot help before
    /// the room is read again.
    #[error("the room is further than this")]
    Taken,
    /// Trying again may help.
    #[error("the move could not be saved")]
    Unavailable,
}

impl Journal {
    /// Runs until the last clone is dropped.
    pub(crate) fn start(store: Store) -> Self {
        let (sender, mut receiver) = mpsc::channel(WAITING_MAX);
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH_MAX);
            while receiver.recv_many(&mut batch, BATCH_MAX).await > 0 {
                save(&store, &mut batch).await;
            }
        });
        Self(sender)
    }

    /// Ready when the input is on the disk.
    pub(crate) async fn append(&self, room: &Arc<str>, number: u32, entry: &Entry) -> Result<(), NotSaved> {
        let entry = serde_json::to_string(entry).map_err(|_| NotSaved::Unavailable)?;
        let (saved, answer) = oneshot::channel();
        let append = Append { room: Arc::clone(room), number, entry, saved };
        self.0.send(append).await.map_err(|_| NotSaved::Unavailable)?;
        answer.await.unwrap_or(Err(NotSaved::Unavailable))
    }
}

/// All at once; where a room has an input of the same number already, each alone, so that one room does not hold up the others.
async fn save(store: &Store, batch: &mut Vec<Append>) {
    let together = saved(store, batch).await;
    for append in batch.drain(..) {
        let outcome = match together {
            Err(NotSaved::Taken) => saved(store, std::slice::from_ref(&append)).await,
            outcome => outcome,
        };
        // A room that no longer waits has ended with the server.
        let _ = append.saved.send(outcome);
    }
}

async fn saved(store: &Store, batch: &[Append]) -> Result<(), NotSaved> {
    let inputs: Vec<_> =
        batch.iter().map(|append| (&*append.room, append.number, append.entry.as_str())).collect();
    store.add_inputs(&inputs).await.map_err(|error| match error {
        StoreError::Taken => NotSaved::Taken,
        // The server is about to end, and rooms go on with the next one.
        StoreError::Database(sqlx::Error::PoolClosed) => NotSaved::Unavailable,
        error => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "moves could not be saved; they are refused"
            );
            NotSaved::Unavailable
        }
    })
}

#[cfg(test)]
mod tests {
    use tautline_gold_rules::Input;

    use super::*;
    use crate::store::tests::TestStore;

    #[tokio::test]
    async fn input_of_a_taken_number_holds_up_no_other_room() {
        let test = TestStore::open("taken").await;
        let journal = Journal::start(test.store.clone());
        let [one, other]: [Arc<str>; 2] = ["one".into(), "other".into()];
        let entry = Entry { at: 1, input: Input::Tick };
        assert_eq!(journal.append(&one, 0, &entry).await, Ok(()));
        // At the same moment, so that they may be in one batch.
        let (again, new, next) = tokio::join!(
            journal.append(&one, 0, &entry),
            journal.append(&other, 0, &entry),
            journal.append(&one, 1, &entry),
        );
        assert_eq!((again, new, next), (Err(NotSaved::Taken), Ok(()), Ok(())));
    }

    #[tokio::test]
    async fn closed_database_is_worth_another_try() {
        let test = TestStore::open("closed").await;
        let journal = Journal::start(test.store.clone());
        test.store.close().await;
        let entry = Entry { at: 1, input: Input::Tick };
        assert_eq!(journal.append(&"one".into(), 0, &entry).await, Err(NotSaved::Unavailable));
    }
}
