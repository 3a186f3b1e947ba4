//! A receiver on a socket of this machine.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::value::RawValue;
use standardwebhooks::Webhook as Verifier;
use tautline_files::secret::Secret;
use tautline_hub::{HubConfig, MemoryEngine, NodeLimits, PublishOptions};
use tautline_protocol::ChannelName;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
};

use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq)]
struct Arrived {
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Arrived {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

/// Takes requests and answers each with the status that comes next.
struct Receiver {
    url: String,
    arrived: mpsc::UnboundedReceiver<Arrived>,
    statuses: mpsc::UnboundedSender<&'static str>,
}

impl Receiver {
    async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/events", listener.local_addr().unwrap());
        let (tell, arrived) = mpsc::unbounded_channel();
        let (statuses, mut answers) = mpsc::unbounded_channel::<&'static str>();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                while let Some(request) = read_request(&mut stream).await {
                    if tell.send(request).is_err() {
                        return;
                    }
                    let Some(status) = answers.recv().await else { return };
                    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        });
        Self { url, arrived, statuses }
    }

    /// The next request, which is answered with this status.
    async fn take(&mut self, status: &'static str) -> Arrived {
        self.statuses.send(status).unwrap();
        let arriving = tokio::time::timeout(Duration::from_secs(30), self.arrived.recv());
        arriving.await.expect("a request arrives").unwrap()
    }
}

async fn read_request(stream: &mut tokio::net::TcpStream) -> Option<Arrived> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            break at + 4;
        }
        let read = stream.read_buf(&mut bytes).await.ok().filter(|read| *read > 0);
        read?;
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in head.lines().skip(1).filter_map(|line| line.split_once(": ")) {
        headers.insert(name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap());
    }
    let length: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
    while bytes.len() < end + length {
        stream.read_buf(&mut bytes).await.ok().filter(|read| *read > 0)?;
    }
    Some(Arrived { headers, body: bytes[end..end + length].to_vec() })
}

fn hub() -> Hub {
    let limits = NodeLimits::default();
    let engine = Arc::new(MemoryEngine::new(7, &limits.engine, limits.protocol.ticket_ms));
    let config = HubConfig {
        limits,
        rules: Vec::new(),
        node: "n1".into(),
        ticket_keys: vec![[1; 32]],
        login_sources: Vec::new(),
        idempotent_methods: tautline_hub::IdempotentMethods::default(),
    };
    Hub::new(config, engine, [7; 32])
}

fn now() -> Now {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let wall_ms = u64::try_from(wall.as_millis()).unwrap();
    Now::new(wall_ms, wall_ms)
}

fn publish(hub: &Hub, number: u64) {
    let data = RawValue::from_string(number.to_string()).unwrap();
    let channel = ChannelName::parse("room:7").unwrap();
    hub.publish(now(), &channel, &data, PublishOptions::default(), |published| drop(published.unwrap()));
    while hub.pump() {}
}

fn options(receiver: &Receiver) -> WebhookOptions {
    WebhookOptions {
        events: vec!["message.published".to_owned()],
        allow_networks: vec!["127.0.0.0/8".to_owned()],
        ..WebhookOptions::new("shop", &receiver.url, Secret::new(SECRET))
    }
}

fn start(hub: &Hub, options: WebhookOptions) -> Webhooks {
    Webhooks::start(hub, &[options], now).unwrap()
}

fn verifies(secret: &str, arrived: &Arrived) -> bool {
    Verifier::new(secret).unwrap().verify(&arrived.body, &arrived.headers).is_ok()
}

#[tokio::test]
async fn event_arrives_signed_with_its_id() {
    let (hub, mut receiver) = (hub(), Receiver::listen().await);
    let webhooks = start(&hub, options(&receiver));
    publish(&hub, 41);
    let arrived = receiver.take("200 OK").await;
    assert!(verifies(SECRET, &arrived) && !verifies(NEW_SECRET, &arrived));
    assert!(arrived.header(ID_HEADER).starts_with("shop:") && arrived.header(ID_HEADER).ends_with(":1"));
    let body: serde_json::Value = serde_json::from_slice(&arrived.body).unwrap();
    assert_eq!((&body["type"], &body["data"]["data"]), (&"message.published".into(), &41.into()));
    webhooks.stop().await;
}

#[tokio::test]
async fn receiver_with_either_secret_accepts_during_rotation() {
    let (hub, mut receiver) = (hub(), Receiver::listen().await);
    let secrets = vec![Secret::new(NEW_SECRET), Secret::new(SECRET)];
    let webhooks = start(&hub, WebhookOptions { secrets, ..options(&receiver) });
    publish(&hub, 1);
    let arrived = receiver.take("204 No Content").await;
    assert!(verifies(SECRET, &arrived) && verifies(NEW_SECRET, &arrived));
    webhooks.stop().await;
}

#[tokio::test]
async fn replay_sends_the_same_bytes_and_ids() {
    let (hub, mut receiver) = (hub(), Receiver::listen().await);
    let webhooks = start(&hub, options(&receiver));
    let mut first = Vec::new();
    for number in 0..5 {
        publish(&hub, number);
        first.push(receiver.take("200 OK").await);
    }
    assert!(webhooks.handle().command("shop", WebhookCommand::Replay { from: 2 }).is_some());
    assert!(webhooks.handle().command("nobody", WebhookCommand::Resume).is_none());
    for before in &first[1..] {
        let again = receiver.take("200 OK").await;
        assert_eq!((again.header(ID_HEADER), &again.body), (before.header(ID_HEADER), &before.body));
        assert!(verifies(SECRET, &again), "with the time of this attempt");
    }
    webhooks.stop().await;
}

#[tokio::test]
async fn gone_receiver_is_off_and_keeps_its_events() {
    let (hub, mut receiver) = (hub(), Receiver::listen().await);
    let webhooks = start(&hub, options(&receiver));
    publish(&hub, 1);
    let refused = receiver.take("410 Gone").await;
    publish(&hub, 2);
    assert!(webhooks.handle().command("shop", WebhookCommand::Resume).is_some());
    let again = receiver.take("200 OK").await;
    assert_eq!((again.header(ID_HEADER), &again.body), (refused.header(ID_HEADER), &refused.body));
    assert!(receiver.take("200 OK").await.header(ID_HEADER).ends_with(":2"));
    webhooks.stop().await;
}

#[tokio::test]
async fn stopped_webhook_goes_on_behind_its_last_event() {
    let (hub, mut receiver) = (hub(), Receiver::listen().await);
    let webhooks = start(&hub, options(&receiver));
    for number in 0..3 {
        publish(&hub, number);
        receiver.take("200 OK").await;
    }
    while webhooks.handle().figures()[0].offset < 3 {
        tokio::task::yield_now().await;
    }
    webhooks.stop().await;
    let log = hub.event_log("shop").unwrap();
    let standing = answer(|done| log.standing(now(), done)).await.unwrap();
    assert_eq!(standing.position.map(|position| position.offset), Some(3));
}

#[tokio::test]
async fn address_of_no_named_network_gets_nothing() {
    let (hub, mut receiver) = (hub(), Receiver::listen().await);
    let webhooks = start(&hub, WebhookOptions { allow_networks: Vec::new(), ..options(&receiver) });
    publish(&hub, 1);
    while webhooks.handle().figures()[0].last_error.is_none() {
        tokio::task::yield_now().await;
    }
    assert!(
        webhooks.handle().figures()[0]
            .last_error
            .as_ref()
            .is_some_and(|error| error.contains("private network"))
    );
    assert!(receiver.arrived.try_recv().is_err());
    webhooks.stop().await;
}

#[test]
fn retry_after_is_read_in_seconds_or_as_a_date() {
    let read = |text: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
        retry_after_ms(&headers, 784_111_777)
    };
    assert_eq!(read("120"), Some(120_000));
    assert_eq!(read("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60_000));
    assert_eq!(read("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0), "it has passed");
    assert_eq!(read("soon"), None);
}
