//! One phone: a real client behind the bad network.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use tautline_client::{Client, ClientOptions, Login, ReadFrom, RequestError, RequestOptions};
use tokio::{
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
};

use crate::{
    ROOMS, api,
    ledger::{Asked, Log},
    processes::Rig,
    reader::{LAST_PUBLICATION, Received, read},
};

/// Longer than all that is done to a gateway can keep a request from its answer.
const PATIENCE: Duration = Duration::from_secs(120);
/// Rooms that a phone listens to.
const ROOMS_A_PHONE: usize = 2;

pub struct Phone {
    client: Client,
    /// One permit for each room that was confirmed.
    subscribed: Arc<Semaphore>,
    readers: Vec<JoinHandle<Received>>,
}

impl Phone {
    pub async fn connect(number: usize, gateway: SocketAddr) -> Self {
        // A group of its own: a network that refuses dials is this phone's alone.
        let client = client(&format!("ws://{gateway}/connect?chaos=phone-{number}"));
        let subscribed = Arc::new(Semaphore::new(0));
        let mut readers = Vec::new();
        for room in (0..ROOMS_A_PHONE).map(|nth| ROOMS[(number + 5 * nth) % ROOMS.len()]) {
            let subscription = client.subscribe(room, ReadFrom::Start).await.expect("subscribed once");
            readers.push(tokio::spawn(read(number, room, subscription, Arc::clone(&subscribed))));
        }
        Self { client, subscribed, readers }
    }

    /// Waits until every room is confirmed.
    pub async fn is_subscribed(&self) {
        let rooms = u32::try_from(ROOMS_A_PHONE).expect("a few");
        self.subscribed.acquire_many(rooms).await.expect("never closed").forget();
    }

    pub fn publish(&self, room: &'static str, payload: String) -> impl Future<Output = Asked> + Send + use<> {
        let client = self.client.clone();
        async move {
            let options = RequestOptions { timeout: Some(PATIENCE), ..RequestOptions::default() };
            let result = client.publish_with(room, &payload, options).await;
            Asked::published(room, payload, result.map(|published| (published.epoch, published.offset)))
        }
    }

    pub fn call(&self, payload: String) -> impl Future<Output = Asked> + Send + use<> {
        let client = self.client.clone();
        async move {
            let options = RequestOptions { timeout: Some(PATIENCE), ..RequestOptions::default() };
            let result: Result<String, RequestError> = client.call_with("echo", &payload, options).await;
            Asked::called(payload, result)
        }
    }
}

fn client(url: &str) -> Client {
    let mut options = ClientOptions::new(url, Login::guest());
    options.session.retry_max_ms = 2_000;
    options.session.connect_timeout_ms = 4_000;
    Client::connect(options).expect("a good address")
}

/// Says the last publication of every room, and reads all that was ever said, by a way without a network.
pub async fn end_and_read_logs(rig: &Rig) -> BTreeMap<String, Log> {
    let witness = client(&format!("ws://{}/connect", rig.direct()));
    let mut logs = BTreeMap::new();
    for room in ROOMS {
        // Each a key of its own: the same payload in every room.
        api::publish_until_it_is_there(rig.direct(), room, LAST_PUBLICATION.to_owned()).await;
        let subscription = witness.subscribe(room, ReadFrom::Start).await.expect("subscribed once");
        let received = read(usize::MAX, room, subscription, Arc::new(Semaphore::new(0))).await;
        assert!(received.faults.is_empty(), "the witness of {room}: {:?}", received.faults);
        let epoch = received.publications.last().expect("the last word").0.clone();
        let first = received.publications[0].1;
        assert_eq!(first, 1, "the log of {room} keeps everything");
        let publications = received.publications.into_iter().map(|(_, _, payload)| payload).collect();
        logs.insert(room.to_owned(), Log { epoch, publications });
    }
    logs
}

/// Waits until every phone has received the last publication of every room.
pub async fn hear_to_the_end(phones: Vec<Phone>) -> Vec<Received> {
    // Clients live until the last reader is done.
    let mut readers = JoinSet::new();
    for phone in phones {
        for reader in phone.readers {
            let client = phone.client.clone();
            readers.spawn(async move {
                let received = reader.await.expect("readers do not panic");
                drop(client);
                received
            });
        }
    }
    readers.join_all().await
}
