//! A strict reader of one room: every event is held against where the app stands.

use std::sync::Arc;

use tautline_client::{Cursor, Subscription, SubscriptionEvent};
use tokio::sync::Semaphore;

/// The last publication in every room: a reader that has it has everything before it.
pub const LAST_PUBLICATION: &str = "the-end";

/// What a phone received in a room.
pub struct Received {
    pub phone: usize,
    pub room: &'static str,
    /// Epoch, offset and payload, in the order in which they came.
    pub publications: Vec<(String, u64, String)>,
    pub gaps: usize,
    /// What should not have happened.
    pub faults: Vec<String>,
}

/// Reads up to the last word, and holds every event against where the app stands.
pub async fn read(
    phone: usize,
    room: &'static str,
    mut subscription: Subscription,
    subscribed: Arc<Semaphore>,
) -> Received {
    let mut received = Received { phone, room, publications: Vec::new(), gaps: 0, faults: Vec::new() };
    let mut standing: Option<Cursor> = None;
    while let Some(event) = subscription.next().await {
        match event {
            SubscriptionEvent::Subscribed { cursor, .. } => match &standing {
                None => {
                    standing = Some(cursor);
                    subscribed.add_permits(1);
                }
                Some(at) if (&at.epoch, at.offset) == (&cursor.epoch, cursor.offset) => {}
                Some(at) => received.faults.push(format!("moved from {at:?} to {cursor:?}")),
            },
            SubscriptionEvent::Publication(publication) => {
                let Some(at) = &mut standing else {
                    received.faults.push(format!("{} came before the confirmation", publication.offset));
                    continue;
                };
                if publication.offset != at.offset + 1 || publication.epoch != at.epoch {
                    let kind = if publication.offset <= at.offset { "doubled or reordered" } else { "lost" };
                    received.faults.push(format!("{kind}: {} after {at:?}", publication.offset));
                }
                *at = publication.cursor();
                let payload: String = publication.json().expect("phones send text");
                let ended = payload == LAST_PUBLICATION;
                received.publications.push((publication.epoch.clone(), publication.offset, payload));
                if ended {
                    return received;
                }
            }
            SubscriptionEvent::Gap(gap) => {
                received.gaps += 1;
                standing = Some(gap.cursor);
            }
            other => received.faults.push(format!("{other:?}")),
        }
    }
    received.faults.push("the subscription ended before the last word".to_owned());
    received
}
