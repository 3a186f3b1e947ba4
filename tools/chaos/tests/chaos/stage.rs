//! A proxy between a test that plays the client and a listener where it plays the server.

use std::fmt::Debug;
use std::io;
use std::time::Duration;

use tautline_chaos::{Chaos, ChaosBuilder, GroupName, Selector};
use tautline_netem::Rules;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Stage {
    pub chaos: Chaos,
    server: TcpListener,
}

/// Both ends of one connection through the proxy.
pub struct Pair {
    pub client: TcpStream,
    pub server: TcpStream,
}

impl Stage {
    pub async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    pub async fn under(rules: Rules) -> Self {
        Self::with(|builder| builder.rules(rules)).await
    }

    pub async fn with(build: impl FnOnce(ChaosBuilder) -> ChaosBuilder) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = server.local_addr().unwrap().to_string();
        let chaos = build(Chaos::builder().upstream(upstream).seed(7)).start().await.unwrap();
        Self { chaos, server }
    }

    /// A client that has asked for its group, whatever comes of it.
    pub async fn knock(&self, group: &str) -> TcpStream {
        let mut client = TcpStream::connect(self.chaos.addr()).await.unwrap();
        client.write_all(hello(group).as_bytes()).await.unwrap();
        client
    }

    /// The server's end of the next connection that gets through, after the hello of `group`.
    pub async fn welcome(&self, group: &str) -> TcpStream {
        let (mut server, _) = soon(self.server.accept()).await.unwrap();
        expect(&mut server, &hello(group)).await;
        server
    }

    pub async fn pair(&self, group: &str) -> Pair {
        let client = self.knock(group).await;
        Pair { client, server: self.welcome(group).await }
    }

    /// The number of the only connection.
    pub fn only_connection(&self) -> u64 {
        let connections = self.chaos.connections();
        assert_eq!(connections.len(), 1, "{connections:?}");
        connections[0].id
    }

    pub fn swallowed_bytes(&self) -> u64 {
        self.chaos.connections().iter().map(|connection| connection.swallowed_bytes).sum()
    }
}

pub fn group(name: &str) -> Selector {
    Selector::Group(name_of(name))
}

pub fn name_of(name: &str) -> GroupName {
    name.parse().unwrap()
}

fn hello(group: &str) -> String {
    format!("GET /connect?chaos={group} HTTP/1.1\r\n")
}

pub async fn say(socket: &mut TcpStream, text: &str) {
    soon(socket.write_all(text.as_bytes())).await.unwrap();
}

/// The next thing that arrives is this.
pub async fn expect(socket: &mut TcpStream, text: &str) {
    let mut bytes = vec![0; text.len()];
    soon(socket.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes), text);
}

/// The next thing that arrives is a reset.
pub async fn expect_reset(socket: &mut TcpStream) {
    let read = soon(socket.read(&mut [0; 64])).await;
    assert_eq!(read.map_err(|error| error.kind()), Err(io::ErrorKind::ConnectionReset));
}

/// The next thing that arrives is the end of the stream.
pub async fn expect_end(socket: &mut TcpStream) {
    assert_eq!(soon(socket.read(&mut [0; 64])).await.unwrap(), 0);
}

/// Nothing has arrived, not even an end.
pub fn expect_nothing(socket: &TcpStream) {
    let read = socket.try_read(&mut [0; 64]);
    assert_eq!(read.map_err(|error| error.kind()), Err(io::ErrorKind::WouldBlock));
}

pub async fn soon<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("this should not take so long")
}

/// Looks again and again until it is so.
pub async fn until<T: PartialEq + Debug>(look: impl Fn() -> T, wanted: T) {
    let watch = async {
        while look() != wanted {
            sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(timeout(PATIENCE, watch).await.is_ok(), "wanted {wanted:?}, still {:?}", look());
}
