//! One phone: a real client behind the bad network.

use std::{sync::Arc, time::Duration};

use tautline_client::{Client, ClientOptions, Login, ReadFrom, RequestError, RequestOptions};
use tokio::{
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
};

use crate::{
    ledger::Asked,
    reader::{Received, read},
    rig::{ROOMS, Rig},
};

/// Longer than the storm can keep a request from its answer.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Phone {
    client: Client,
    /// One permit for each room that was confirmed.
    subscribed: Arc<Semaphore>,
    readers: Vec<JoinHandle<Received>>,
}

impl Phone {
    pub async fn connect(number: usize, rig: &Rig) -> Self {
        let mut options = ClientOptions::new(format!("ws://{}/connect", rig.chaos.addr()), Login::guest());
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
