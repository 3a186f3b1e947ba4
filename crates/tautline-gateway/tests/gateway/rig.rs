//! A gateway on its own port, and clients for it.

use std::{
    collections::VecDeque,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use serde_json::{Value, json, value::RawValue};
use tautline_gateway::{Gateway, GatewayBuilder, GatewayConfig, Listener, PublishOptions};
use tautline_hub::{Access, ChannelRule, RulePattern};
use tautline_protocol::{ChannelName, Format, msgpack, packet::server::Published};
use tokio::runtime::Runtime;
use tungstenite::{ClientRequestBuilder, Message, WebSocket, http::Uri};

/// Far longer than any step takes; a test that waits for longer has failed.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(30);
pub const API_KEY: &str = "key-of-the-back-end";

/// The last that a client receives from the gateway.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// An answer over HTTP with this status.
    Http(u16),
    /// A close frame with this code alone (RFC 6455 §7.4), then the end of the stream.
    Close(u16),
    /// A `bye` with this code and this `reconnect`, a close frame that repeats it, then the end of the
    /// stream.
    Bye(String, u16, String),
}

/// The `bye` of protocol section 7 with its close code and its `reconnect`.
pub fn bye(code: &str, close_code: u16, reconnect: &str) -> Answer {
    Answer::Bye(code.to_owned(), close_code, reconnect.to_owned())
}

/// A running gateway.
pub struct Rig {
    pub gateway: Gateway,
    pub address: SocketAddr,
    pub runtime: Runtime,
}

/// The defaults. With `TAUTLINE_TEST_IO_URING=no` the gateway sends as it does where there is no `io_uring`:
/// all of these tests run both ways.
pub fn config() -> GatewayConfig {
    let mut config = GatewayConfig::default();
    config.io_uring = std::env::var("TAUTLINE_TEST_IO_URING").as_deref() != Ok("no");
    config
}

/// The defaults with a long linger timeout: the test itself may be slow to hang up.
pub fn config_with_long_linger() -> GatewayConfig {
    let mut config = config();
    config.linger_timeout = TEST_TIMEOUT;
    config
}

/// A gateway in which guests may do everything.
pub fn open_to_all() -> GatewayBuilder {
    let everything = ChannelRule {
        subscribe: Access::Any,
        publish: Access::Any,
        ..ChannelRule::closed(RulePattern::parse("*").expect("a valid pattern"))
    };
    Gateway::builder()
        .config(config_with_long_linger())
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

    /// Serves with the server that `serve` starts.
    pub fn start(builder: GatewayBuilder, serve: impl FnOnce(&Gateway, tokio::net::TcpListener)) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let gateway = builder.build().expect("a gateway");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("it is bound");
        runtime.block_on(async { serve(&gateway, listener) });
        Self { gateway, address, runtime }
    }

    /// Publishes for the back end, and waits until the engine has it.
    pub fn publish(&self, channel: &ChannelName, data: &RawValue, options: PublishOptions<'_>) -> Published {
        self.runtime.block_on(self.gateway.publish(channel, data, options)).expect("published")
    }

    /// Serves on one more listener, and returns its address.
    pub fn serve_also(&self, options: impl FnOnce(Listener) -> Listener) -> SocketAddr {
        let listener = self.runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let serving = self.gateway.serve(options(Listener::from(listener)));
        self.runtime.spawn(async move { serving.await.expect("it serves until it drains") });
        address
    }

    /// A TCP connection.
    pub fn dial(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("the gateway listens");
        stream.set_read_timeout(Some(TEST_TIMEOUT)).expect("a socket option");
        stream.set_write_timeout(Some(TEST_TIMEOUT)).expect("a socket option");
        stream
    }

    /// A guest and its `welcome`, however short the limits of the test are: a slow machine may hit them
    /// before `hello` is sent, and then tries again.
    pub fn guest_with_retries(&self) -> (Client, Value) {
        let begin = Instant::now();
        loop {
            if let Some(welcomed) = self.try_guest() {
                return welcomed;
            }
            assert!(begin.elapsed() < TEST_TIMEOUT, "nobody is welcome");
        }
    }

    fn try_guest(&self) -> Option<(Client, Value)> {
        let mut client = self.try_connect()?;
        client
            .socket
            .send(Message::text(json!({"hello": {"v": 1, "auth": {"guest": true}}}).to_string()))
            .ok()?;
        let packet: Value = serde_json::from_str(client.socket.read().ok()?.to_text().ok()?).ok()?;
        let welcome = packet.get("welcome")?.clone();
        Some((client, welcome))
    }

    /// A client behind the opening handshake; `None` where a short limit was faster.
    pub fn try_connect(&self) -> Option<Client> {
        let (socket, _) = tungstenite::client(self.handshake(Format::Json), self.dial()).ok()?;
        Some(Client::new(socket, Format::Json))
    }

    /// The response to these bytes.
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
        let (socket, _) =
            tungstenite::client(self.handshake(Format::Json), stream).expect("the handshake succeeds");
        Client::new(socket, Format::Json)
    }

    /// A guest behind `welcome`, in this format.
    pub fn guest_in(&self, format: Format) -> Client {
        let (socket, _) =
            tungstenite::client(self.handshake(format), self.dial()).expect("the handshake succeeds");
        let mut client = Client::new(socket, format);
        client.hello_as_guest();
        client
    }

    fn handshake(&self, format: Format) -> ClientRequestBuilder {
        let uri: Uri = format!("ws://{}/connect", self.address).parse().expect("a valid address");
        ClientRequestBuilder::new(uri).with_sub_protocol(format.subprotocol())
    }

    /// A guest behind `welcome`.
    pub fn guest(&self) -> Client {
        let mut client = self.connect();
        client.hello_as_guest();
        client
    }

    /// Waits until a condition holds.
    pub fn wait_until(&self, what: &str, mut condition: impl FnMut(&Gateway) -> bool) {
        let begin = Instant::now();
        while !condition(&self.gateway) {
            assert!(begin.elapsed() < TEST_TIMEOUT, "never: {what}, {:?}", self.gateway.stats());
            std::thread::yield_now();
        }
    }
}

/// The status of an answer over HTTP.
pub fn http_answer(answer: &str) -> Answer {
    let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    Answer::Http(status.unwrap_or_else(|| panic!("no answer over HTTP: {answer:?}")))
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

/// A client that sends and receives packets.
pub struct Client {
    pub socket: WebSocket<TcpStream>,
    format: Format,
    received: VecDeque<Value>,
    next_id: u64,
}

impl Client {
    fn new(socket: WebSocket<TcpStream>, format: Format) -> Self {
        Self { socket, format, received: VecDeque::new(), next_id: 1 }
    }

    pub fn send(&mut self, packet: &Value) {
        let text = packet.to_string();
        let message = match self.format {
            Format::Json => Message::text(text),
            Format::Msgpack => Message::binary(msgpack::from_json(text.as_bytes())),
        };
        self.socket.send(message).expect("the gateway reads");
    }

    /// The next packet.
    pub fn receive(&mut self) -> Value {
        loop {
            if let Some(packet) = self.received.pop_front() {
                return packet;
            }
            if let Some(closed) = self.receive_message() {
                panic!("expected packets, got a close frame: {closed:?}");
            }
        }
    }

    /// The code and reason of the close frame that is received next; tungstenite answers it.
    pub fn receive_close(&mut self) -> (u16, String) {
        self.receive_message().unwrap_or_else(|| panic!("expected a close frame, got {:?}", self.received))
    }

    /// Takes the packets of one message, or returns the code and reason of a close frame.
    fn receive_message(&mut self) -> Option<(u16, String)> {
        let message = match self.socket.read().expect("the gateway speaks in time") {
            Message::Binary(bytes) if self.format == Format::Msgpack => {
                Message::text(msgpack::to_json(&bytes))
            }
            message => message,
        };
        match message {
            Message::Text(text) => {
                let lines = text.lines().filter(|line| !line.is_empty());
                self.received
                    .extend(lines.map(|line| serde_json::from_str::<Value>(line).expect("a packet")));
                None
            }
            Message::Close(Some(frame)) => Some((frame.code.into(), frame.reason.as_str().to_owned())),
            other => panic!("expected packets or a close frame, got {other:?}"),
        }
    }

    /// The server hangs up without a reset, which could overtake its close frame.
    pub fn expect_eof(mut self) {
        let ended = self.socket.read();
        let expected =
            matches!(ended, Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed));
        assert!(expected, "{ended:?}");
    }

    /// The rest that the server sends before it hangs up.
    pub fn final_answer(mut self) -> Answer {
        let (close_code, reason) = loop {
            if let Some(closed) = self.receive_message() {
                break closed;
            }
        };
        let said: Vec<_> = self.received.drain(..).collect();
        self.expect_eof();
        match &said[..] {
            [] => Answer::Close(close_code),
            [only] => {
                assert_eq!(only["bye"]["code"], reason, "the close frame repeats the bye");
                bye(&reason, close_code, only["bye"]["reconnect"].as_str().expect("it is required"))
            }
            more => panic!("expected last words, got {more:?}"),
        }
    }

    /// Whether the next packet is a `bye`.
    pub fn next_is_bye(&mut self) -> bool {
        let packet = self.receive();
        let is_bye = packet["bye"].is_object();
        self.received.push_front(packet);
        is_bye
    }

    /// Acknowledges all replies so far.
    pub fn send_seen(&mut self) {
        self.send(&json!({"seen": self.next_id - 1, "ping": {}}));
        let answer = self.receive();
        assert!(answer["pong"].is_object(), "{answer}");
    }

    pub fn hello_as_guest(&mut self) {
        self.send(&json!({"hello": {"v": 1, "auth": {"guest": true}}}));
        let packet = self.receive();
        assert!(packet["welcome"]["session"].is_string(), "{packet}");
    }

    /// Sends a request and returns its id.
    pub fn send_request(&mut self, verb: &str, body: &Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&json!({"id": id, verb: body}));
        id
    }

    /// Sends a request and waits for its reply, which is the next packet.
    pub fn request(&mut self, verb: &str, body: &Value) -> Value {
        let id = self.send_request(verb, body);
        let answer = self.receive();
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

    pub fn disconnect(mut self) {
        self.socket.get_mut().shutdown(Shutdown::Both).expect("it is open");
    }
}
