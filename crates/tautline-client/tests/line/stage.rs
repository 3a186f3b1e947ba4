//! A gateway in this process, and a cable to it that can be pulled.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tautline_client::{Client, ClientOptions, Login, Publication, Subscription, SubscriptionEvent};
use tautline_gateway::{Gateway, GatewayBuilder};
use tautline_hub::{Access, ChannelRule, PresenceMode, Retention, RulePattern};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};

/// A test that waits longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits, but not for ever.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it happens within the patience of the tests")
}

/// A gateway where guests may do anything in `room:*`, and keep `retention` of it.
pub fn open_gateway(retention: Retention) -> GatewayBuilder {
    let rule = ChannelRule {
        subscribe: Access::Any,
        publish: Access::Any,
        presence: PresenceMode::Roster,
        retention,
        ..ChannelRule::closed(RulePattern::parse("room:*").expect("a pattern"))
    };
    Gateway::builder().guests(true).rules(vec![rule]).call("echo", |call| async move { Ok(call.data) })
}

/// Lets a gateway serve on a free port.
pub async fn serve(gateway: &Gateway) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    tokio::spawn(gateway.serve(listener));
    address
}

/// Options for a guest who retries quickly.
pub fn guest(address: SocketAddr) -> ClientOptions {
    let mut options = ClientOptions::new(format!("ws://{address}/connect"), Login::guest());
    options.session.retry_base_ms = 10;
    options.session.retry_max_ms = 50;
    options
}

/// A token that is good for an hour, signed with `secret`.
pub fn token_of(user: &str, secret: &str) -> String {
    signed(serde_json::json!({"sub": user}), secret)
}

/// The same with these claims.
pub fn signed(mut claims: serde_json::Value, secret: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970").as_secs();
    claims["exp"] = (now + 3600).into();
    tautline_backend::sign_hs256(&claims, secret.as_bytes()).expect("claims can be signed")
}

/// A guest on the line.
pub fn client(options: ClientOptions) -> Client {
    Client::connect(options).expect("the options are good")
}

/// The next event but `Subscribed`, which must be a publication.
pub async fn next_publication(subscription: &mut Subscription) -> Publication {
    loop {
        match soon(subscription.next()).await {
            Some(SubscriptionEvent::Publication(publication)) => return publication,
            Some(SubscriptionEvent::Subscribed { .. }) => {}
            other => panic!("a publication was expected, not {other:?}"),
        }
    }
}

/// Waits until the gateway has agreed.
pub async fn subscribed(subscription: &mut Subscription) {
    let event = soon(subscription.next()).await;
    assert!(matches!(event, Some(SubscriptionEvent::Subscribed { .. })), "{event:?}");
}

/// A TCP proxy that carries bytes until it is pulled.
pub struct Cable {
    pub address: SocketAddr,
    pulls: watch::Sender<u64>,
    plugged: Arc<AtomicBool>,
    down_bytes: Arc<AtomicU64>,
    accepted: watch::Receiver<u64>,
}

impl Cable {
    pub async fn to(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let (pulls, pulled) = watch::channel(0);
        let (accepts, accepted) = watch::channel(0);
        let plugged = Arc::new(AtomicBool::new(true));
        let down_bytes = Arc::<AtomicU64>::default();
        let cable = Self {
            address,
            pulls,
            plugged: Arc::clone(&plugged),
            down_bytes: Arc::clone(&down_bytes),
            accepted,
        };
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                accepts.send_modify(|count| *count += 1);
                if !plugged.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(far) = TcpStream::connect(upstream).await else { continue };
                tokio::spawn(carry(near, far, pulled.clone(), Arc::clone(&down_bytes)));
            }
        });
        cable
    }

    /// Ends every connection; new ones are taken at once.
    pub fn pull(&self) {
        self.pulls.send_modify(|pulls| *pulls += 1);
    }

    /// Whether new connections are carried or dropped.
    pub fn plug(&self, plugged: bool) {
        self.plugged.store(plugged, Ordering::SeqCst);
    }

    /// Bytes that a client took.
    pub fn down_bytes(&self) -> u64 {
        self.down_bytes.load(Ordering::SeqCst)
    }

    /// How many connections have come.
    pub fn accepted_count(&self) -> u64 {
        *self.accepted.borrow()
    }

    /// Waits until so many connections have come.
    pub async fn accepted(&mut self, count: u64) {
        soon(self.accepted.wait_for(|accepted| *accepted >= count)).await.expect("the cable is there");
    }
}

async fn carry(
    near: TcpStream,
    far: TcpStream,
    mut pulled: watch::Receiver<u64>,
    down_bytes: Arc<AtomicU64>,
) {
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = far.into_split();
    let up_bytes = AtomicU64::new(0);
    pulled.mark_unchanged();
    tokio::select! {
        () = copy(&mut near_read, &mut far_write, &up_bytes) => {}
        () = copy(&mut far_read, &mut near_write, &down_bytes) => {}
        _ = pulled.changed() => {}
    }
}

async fn copy(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin), carried: &AtomicU64) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
        carried.fetch_add(read as u64, Ordering::SeqCst);
    }
}

/// For servers of a test's own: takes one connection and reads its request.
pub async fn request_of(listener: &TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = soon(listener.accept()).await.expect("it listens");
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        assert!(soon(stream.read_buf(&mut request)).await.expect("a request comes") > 0);
    }
    (stream, String::from_utf8(request).expect("a request is text"))
}

/// The answer that opens a WebSocket.
pub fn switching_protocols(request: &str) -> String {
    let key = request
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .expect("the request has a key");
    let accept = tautline_websocket::accept_key(key);
    [
        "HTTP/1.1 101 Switching Protocols",
        "upgrade: websocket",
        "connection: upgrade",
        "sec-websocket-accept: ",
    ]
    .join("\r\n")
        + &accept
        + "\r\n\r\n"
}
