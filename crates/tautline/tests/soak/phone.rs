//! One phone: a real client behind the bad network, and strict readers of what it hears.

use std::{sync::Arc, time::Duration};

use tautline_client::{
    Client, ClientOptions, Cursor, Login, ReadFrom, RequestError, RequestOptions, Subscription,
    SubscriptionEvent,
};
use tokio::{
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
};

use crate::{
    books::Asked,
    stage::{LAST_WORD, ROOMS, Stage},
};

/// Longer than the storm can keep a request from its answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a phone heard in a room.
#[derive(Default)]
pub struct Heard {
    pub phone: usize,
    pub room: String,
    /// Offset and payload, in the order in which they came.
    pub publications: Vec<(u64, String)>,
    pub gaps: usize,
    /// What should not have happened.
    pub faults: Vec<String>,
}

pub struct Phone {
    client: Client,
    /// One permit for each room that was confirmed.
    subscribed: Arc<Semaphore>,
    readers: Vec<JoinHandle<Heard>>,
}

impl Phone {
    pub async fn connect(number: usize, stage: &Stage) -> Self {
        let mut options = ClientOptions::new(format!("ws://{}/connect", stage.chaos.addr()), Login::guest());
        options.session.retry_max_ms = 2_000;
        options.session.connect_timeout_ms = 4_000;
        let client = Client::connect(options).expect("a good address");
        let subscribed = Arc::new(Semaphore::new(0));
        let mut readers = Vec::new();
        for room in ROOMS {
            let subscription = client.subscribe(room, ReadFrom::Start).await.expect("subscribed once");
            readers.push(tokio::spawn(read(number, room, subscription, Arc::clone(&subscribed))));
        }
        Self { client, subscribed, readers }
    }

    /// Waits until every room is confirmed.
    pub async fn is_subscribed(&self) {
        let rooms = u32::try_from(ROOMS.len()).expect("a few");
        self.subscribed.acquire_many(rooms).await.expect("never closed").forget();
    }

    pub fn publish(&self, room: &'static str, payload: String) -> impl Future<Output = Asked> + Send + use<> {
        let client = self.client.clone();
        async move {
            let options = RequestOptions { timeout: Some(PATIENCE), ..RequestOptions::default() };
            let result = client.publish_with(room, &payload, options).await;
            Asked::publish(room, payload, result.map(|published| published.offset))
        }
    }

    pub fn call(&self, payload: String) -> impl Future<Output = Asked> + Send + use<> {
        let client = self.client.clone();
        async move {
            let options = RequestOptions { timeout: Some(PATIENCE), ..RequestOptions::default() };
            let result: Result<String, RequestError> = client.call_with("echo", &payload, options).await;
            Asked::call(payload, result)
        }
    }
}

/// Waits until every phone has heard the last word in every room.
pub async fn hear_to_the_end(phones: Vec<Phone>) -> Vec<Heard> {
    // Clients live until the last reader is done.
    let mut readers = JoinSet::new();
    for phone in phones {
        for reader in phone.readers {
            let client = phone.client.clone();
            readers.spawn(async move {
                let heard = reader.await.expect("readers do not panic");
                drop(client);
                heard
            });
        }
    }
    readers.join_all().await
}

/// Reads up to the last word, and holds every event against where the app stands.
async fn read(phone: usize, room: &str, mut subscription: Subscription, subscribed: Arc<Semaphore>) -> Heard {
    let mut heard = Heard { phone, room: room.to_owned(), ..Heard::default() };
    let mut standing: Option<Cursor> = None;
    while let Some(event) = subscription.next().await {
        match event {
            SubscriptionEvent::Subscribed { cursor, .. } => match &standing {
                None => {
                    standing = Some(cursor);
                    subscribed.add_permits(1);
                }
                Some(at) if (&at.epoch, at.offset) == (&cursor.epoch, cursor.offset) => {}
                Some(at) => heard.faults.push(format!("moved from {at:?} to {cursor:?}")),
            },
            SubscriptionEvent::Publication(publication) => {
                let Some(at) = &mut standing else {
                    heard.faults.push(format!("{} came before the confirmation", publication.offset));
                    continue;
                };
                if publication.offset != at.offset + 1 || publication.epoch != at.epoch {
                    let kind = if publication.offset <= at.offset { "doubled or reordered" } else { "lost" };
                    heard.faults.push(format!("{kind}: {} after {at:?}", publication.offset));
                }
                *at = publication.cursor();
                let payload: String = publication.json().expect("phones send text");
                let ended = payload == LAST_WORD;
                heard.publications.push((publication.offset, payload));
                if ended {
                    return heard;
                }
            }
            SubscriptionEvent::Gap(gap) => {
                heard.gaps += 1;
                standing = Some(gap.cursor);
            }
            other => heard.faults.push(format!("{other:?}")),
        }
    }
    heard.faults.push("the subscription ended before the last word".to_owned());
    heard
}
