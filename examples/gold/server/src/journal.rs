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
    saved: oneshot::Sender<bool>,
}

/// Saves inputs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Journal(mpsc::Sender<Append>);

/// The input was not saved, and so it did not happen.
#[derive(Debug, thiserror::Error)]
#[error("the move could not be saved")]
pub(crate) struct NotSaved;

impl Journal {
    /// Runs until the last clone is dropped.
    pub(crate) fn start(store: Store) -> Self {
        let (sender, mut receiver) = mpsc::channel(WAITING_MAX);
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH_MAX);
            while receiver.recv_many(&mut batch, BATCH_MAX).await > 0 {
                let saved = save(&store, &batch).await;
                if let Err(error) = &saved {
                    tracing::error!(
                        error = error as &dyn std::error::Error,
                        "moves could not be saved; they are refused"
                    );
                }
                for append in batch.drain(..) {
                    // A room that no longer waits has ended with the server.
                    let _ = append.saved.send(saved.is_ok());
                }
            }
        });
        Self(sender)
    }

    /// Ready when the input is on the disk.
    pub(crate) async fn append(&self, room: &Arc<str>, number: u32, entry: &Entry) -> Result<(), NotSaved> {
        let entry = serde_json::to_string(entry).map_err(|_| NotSaved)?;
        let (saved, answer) = oneshot::channel();
        let append = Append { room: Arc::clone(room), number, entry, saved };
        self.0.send(append).await.map_err(|_| NotSaved)?;
        if answer.await == Ok(true) { Ok(()) } else { Err(NotSaved) }
    }
}

async fn save(store: &Store, batch: &[Append]) -> Result<(), StoreError> {
    let inputs: Vec<_> =
        batch.iter().map(|append| (&*append.room, append.number, append.entry.as_str())).collect();
    store.add_inputs(&inputs).await
}
