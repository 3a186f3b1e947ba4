//! A gateway on a port of its own, and clients for it.

use std::{
    collections::VecDeque,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tautline_gateway::{Gateway, GatewayBuilder};
use tautline_hub::{Access, ChannelRule, PresenceMode, Retention};
use tautline_protocol::Pattern;
use tokio::runtime::Runtime;
use tungstenite::{ClientRequestBuilder, Message, WebSocket, http::Uri};

/// Far more than anything here takes; a test that waits for longer has failed.
pub const PATIENCE: Duration = Duration::from_secs(10);
pub const API_KEY: &str = "key-of-the-back-end";

/// A running gateway.
pub struct Rig {
    pub gateway: Gateway,
    pub address: SocketAddr,
    pub runtime: Runtime,
}

/// A gateway in which guests may do everything.
pub fn open_to_all() -> GatewayBuilder {
    let everything = ChannelRule {
        pattern: Pattern::parse("*").expect("a valid pattern"),
        subscribe: Access::Any,
        publish: Access::Any,
        presence: PresenceMode::Off,
        retention: Retention::default(),
        ack: false,
    };
    Gateway::builder()
        .guests(true)
        .rules(vec![everything])
        .api_key(API_KEY)
        .call("echo", |call| async move { Ok(call.data) })
}

impl Rig {
    /// Serves with the gateway's own accept loop.
    pub fn serve(builder: GatewayBuilder) -> Self {
        Self::start(builder, |gateway, listener| {
            let serving = gateway.serve(listener);
            tokio::spawn(async move { serving.await.expect("it serves until it drains") });
        })
    }

    /// Serves with whatever `serve` starts.
    pub fn start(builder: GatewayBuilder, serve: impl FnOnce(&Gateway, tokio::net::TcpListener)) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let gateway = builder.build().expect("a gateway");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("it is bound");
        runtime.block_on(async { serve(&gateway, listener) });
        Self { gateway, address, runtime }
    }

    /// A plain connection.
    pub fn dial(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("the gateway listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
        stream
    }

    /// What the server answers to these bytes until it hangs up, or goes on to WebSocket.
    pub fn exchange(&self, request: &str) -> String {
        let mut stream = self.dial();
        stream.write_all(request.as_bytes()).expect("the gateway reads");
        read_answer(&mut stream)
    }

    /// A client behind the opening handshake.
    pub fn connect(&self) -> Client {
        self.connect_over(self.dial())
    }

    pub fn connect_over(&self, stream: TcpStream) -> Client {
        let uri: Uri = format!("ws://{}/connect", self.address).parse().expect("a valid address");
        let request = ClientRequestBuilder::new(uri).with_sub_protocol("tautline.v1.json");
        let (socket, _) = tungstenite::client(request, stream).expect("the handshake succeeds");
        Client { socket, heard: VecDeque::new(), next_id: 1 }
    }

    /// A client that is welcome.
    pub fn guest(&self) -> Client {
        let mut client = self.connect();
        client.hello_as_guest();
        client
    }

    /// Waits until a condition holds.
    pub fn wait_until(&self, what: &str, mut condition: impl FnMut(&Gateway) -> bool) {
        let begin = Instant::now();
        while !condition(&self.gateway) {
            assert!(begin.elapsed() < PATIENCE, "never: {what}, {:?}", self.gateway.stats());
            std::thread::yield_now();
        }
    }
}

/// One answer over HTTP, as text.
pub fn read_answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let bytes = stream.read(&mut buffer).expect("the gateway answers in time");
        answer.extend_from_slice(&buffer[..bytes]);
        let text = String::from_utf8_lossy(&answer);
        let is_whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            body.len() >= length.map_or(0, |length| length.parse().expect("a length"))
        });
        if bytes == 0 || is_whole {
            return text.into_owned();
        }
    }
}

/// A client that speaks packets.
pub struct Client {
    pub socket: WebSocket<TcpStream>,
    heard: VecDeque<Value>,
    next_id: u64,
}

impl Client {
    pub fn say(&mut self, packet: &Value) {
        self.socket.send(Message::text(packet.to_string())).expect("the gateway reads");
    }

    /// The next packet.
    pub fn hear(&mut self) -> Value {
        loop {
            if let Some(packet) = self.heard.pop_front() {
                return packet;
            }
            match self.socket.read().expect("the gateway speaks in time") {
                Message::Text(text) => {
                    let lines = text.lines().filter(|line| !line.is_empty());
                    self.heard
                        .extend(lines.map(|line| serde_json::from_str::<Value>(line).expect("a packet")));
                }
                other => panic!("expected packets, got {other:?}"),
            }
        }
    }

    /// The code and reason of the close frame that comes next; tungstenite answers it.
    pub fn hear_close(&mut self) -> (u16, String) {
        match self.socket.read().expect("the gateway closes in time") {
            Message::Close(Some(frame)) => (frame.code.into(), frame.reason.as_str().to_owned()),
            other => panic!("expected a close frame, got {other:?}"),
        }
    }

    /// The server hangs up, and does so without a reset, which could overtake its last word.
    pub fn expect_hang_up(mut self) {
        let ended = self.socket.read();
        let expected =
            matches!(ended, Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed));
        assert!(expected, "{ended:?}");
    }

    pub fn hello_as_guest(&mut self) {
        self.say(&json!({"hello": {"v": 1, "auth": {"guest": true}}}));
        let packet = self.hear();
        assert!(packet["welcome"]["session"].is_string(), "{packet}");
    }

    /// Sends a request and says its id.
    pub fn ask(&mut self, verb: &str, body: &Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.say(&json!({"id": id, verb: body}));
        id
    }

    /// Sends a request and waits for its answer, which is the next packet.
    pub fn request(&mut self, verb: &str, body: &Value) -> Value {
        let id = self.ask(verb, body);
        let answer = self.hear();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    pub fn echo(&mut self, data: &Value) -> Value {
        self.request("call", &json!({"method": "echo", "data": data}))["ok"]["data"].clone()
    }

    /// Bytes as they are, past the client's own framing.
    pub fn write_raw(&mut self, bytes: &[u8]) {
        self.socket.get_mut().write_all(bytes).expect("the gateway reads");
    }

    pub fn vanish(mut self) {
        self.socket.get_mut().shutdown(Shutdown::Both).expect("it is open");
    }
}
