//! TLS: certificates by name, their reload under load, and peers that do not finish a handshake.

#![allow(clippy::unwrap_used, reason = "clippy's exception for tests does not reach the helpers beside them")]

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
    version::{TLS12, TLS13},
};
use serde_json::{Value, json};
use tautline_gateway::{Tls, TlsCertificate};
use tungstenite::{ClientRequestBuilder, Message, WebSocket, http::Uri};

use crate::rig::{Rig, TEST_TIMEOUT, config, open_to_all};

/// Reloads of the certificate, and the connections that live through them.
const RELOADS: usize = 20;
const CONNECTIONS: usize = 200;

/// Signs certificates that only its own clients trust.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A new certificate for this name, and its bytes as a client sees them.
    pub fn issue(&self, name: &str) -> (TlsCertificate, CertificateDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let issued = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        let certificate = TlsCertificate::from_pem(issued.pem().as_bytes(), key.serialize_pem().as_bytes());
        (certificate.unwrap(), issued.der().clone())
    }

    pub fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_protocol_versions(versions).unwrap().with_root_certificates(roots);
        let mut config = config.with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

pub type Secure<S> = StreamOwned<ClientConnection, S>;

pub fn dial(address: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect(address).expect("it listens");
    tcp.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    tcp.set_write_timeout(Some(TEST_TIMEOUT)).unwrap();
    tcp
}

pub fn secure<S: Read + Write>(stream: S, config: &Arc<ClientConfig>, name: &str) -> Secure<S> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), stream)
}

/// A guest behind `welcome`.
pub fn guest<S: Read + Write>(stream: Secure<S>) -> WebSocket<Secure<S>> {
    let request = ClientRequestBuilder::new(Uri::from_static("wss://a.example/connect"));
    let (mut socket, _) = tungstenite::client(request, stream).expect("the handshake succeeds");
    socket.send(Message::text(json!({"hello": {"v": 1, "auth": {"guest": true}}}).to_string())).unwrap();
    assert!(receive(&mut socket)["welcome"]["session"].is_string());
    socket
}

fn receive<S: Read + Write>(socket: &mut WebSocket<S>) -> Value {
    serde_json::from_str(socket.read().expect("the gateway speaks").to_text().unwrap()).expect("one packet")
}

fn send_echo<S: Read + Write>(socket: &mut WebSocket<S>, id: u64, data: &str) {
    let call = json!({"id": id, "call": {"method": "echo", "data": data}});
    socket.send(Message::text(call.to_string())).unwrap();
}

pub fn assert_echo<S: Read + Write>(socket: &mut WebSocket<S>, id: u64, data: &str) {
    send_echo(socket, id, data);
    assert_eq!(receive(socket)["ok"]["data"], data);
}

/// A gateway with TLS for `a.example`, and the address of that listener.
fn serve(authority: &Authority) -> (Rig, Tls, SocketAddr) {
    let rig = Rig::serve(open_to_all());
    let tls = Tls::new(vec![authority.issue("a.example").0]).unwrap();
    let address = rig.serve_also(|listener| listener.tls(tls.clone()));
    (rig, tls, address)
}

#[test]
fn calls_of_many_records_pass_in_both_versions() {
    let authority = Authority::new();
    let (_rig, _, address) = serve(&authority);
    for version in [&TLS12, &TLS13] {
        let mut socket = guest(secure(dial(address), &authority.client(&[version]), "a.example"));
        assert_eq!(socket.get_ref().conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        for (id, bytes) in [1, 100, 16_384, 60_000, 3].into_iter().enumerate() {
            assert_echo(&mut socket, id as u64 + 1, &"x".repeat(bytes));
        }
        socket.close(None).unwrap();
        while socket.read().is_ok() {}
    }
}

#[test]
fn reader_that_pauses_gets_everything_in_order() {
    const CALLS: u64 = 20;
    let authority = Authority::new();
    let (_rig, _, address) = serve(&authority);
    let mut socket = guest(secure(dial(address), &authority.client(&[&TLS13]), "a.example"));
    let data = "0123456789abcdef".repeat(2500);
    // In all far more than the sockets hold; nothing of it is read before the last is sent.
    for id in 1..=CALLS {
        send_echo(&mut socket, id, &data);
    }
    let mut answered = Vec::new();
    while answered.len() < usize::try_from(CALLS).unwrap() {
        let message = socket.read().unwrap();
        for line in message.to_text().unwrap().lines() {
            let packet: Value = serde_json::from_str(line).unwrap();
            assert_eq!(packet["ok"]["data"], data);
            answered.push(packet["id"].as_u64().unwrap());
        }
    }
    assert_eq!(answered, (1..=CALLS).collect::<Vec<_>>());
}

/// Passes single bytes on.
struct Trickle(TcpStream);

impl Read for Trickle {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(&mut into[..1])
    }
}

impl Write for Trickle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&bytes[..1.min(bytes.len())])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[test]
fn records_in_single_bytes_are_understood() {
    let authority = Authority::new();
    let (_rig, _, address) = serve(&authority);
    let tcp = dial(address);
    tcp.set_nodelay(true).unwrap();
    let mut socket = guest(secure(Trickle(tcp), &authority.client(&[&TLS13]), "a.example"));
    assert_echo(&mut socket, 1, "byte by byte");
}

#[test]
fn certificate_is_chosen_by_server_name() {
    let authority = Authority::new();
    let rig = Rig::serve(open_to_all());
    let (a, of_a) = authority.issue("a.example");
    let (wildcard, of_wildcard) = authority.issue("*.b.example");
    let address = rig.serve_also(|listener| listener.tls(Tls::new(vec![a, wildcard]).unwrap()));
    for (name, expected) in [("a.example", of_a), ("x.b.example", of_wildcard)] {
        let socket = guest(secure(dial(address), &authority.client(&[&TLS13]), name));
        assert_eq!(socket.get_ref().conn.peer_certificates().unwrap()[0], expected, "{name}");
    }
}

#[test]
fn reloads_under_load_drop_nobody() {
    let authority = Authority::new();
    let (rig, tls, address) = serve(&authority);
    let config = authority.client(&[&TLS13]);
    let mut sockets: Vec<_> =
        (0..CONNECTIONS).map(|_| guest(secure(dial(address), &config, "a.example"))).collect();
    for reload in 1..=RELOADS {
        let (certificate, der) = authority.issue("a.example");
        tls.replace(vec![certificate]).unwrap();
        assert!(tls.replace(Vec::new()).is_err(), "a bad reload keeps the old one");
        // Without a ticket of an earlier session, which would spare it the certificate.
        let fresh = authority.client(&[&TLS13]);
        let mut socket = guest(secure(dial(address), &fresh, "a.example"));
        assert_eq!(socket.get_ref().conn.peer_certificates().unwrap()[0], der, "reload {reload}");
        assert_echo(&mut socket, 1, "new");
        for socket in sockets.iter_mut().skip(reload % 7).step_by(7) {
            assert_echo(socket, reload as u64, "still here");
        }
    }
    for socket in &mut sockets {
        assert_echo(socket, 1000, "to the end");
    }
    assert!(rig.gateway.stats().connections >= CONNECTIONS);
}

#[test]
fn ticket_resumes_a_tls_session() {
    let authority = Authority::new();
    let (_rig, _, address) = serve(&authority);
    for version in [&TLS12, &TLS13] {
        let config = authority.client(&[version]);
        let kinds = [(); 2].map(|()| {
            let socket = guest(secure(dial(address), &config, "a.example"));
            socket.get_ref().conn.handshake_kind()
        });
        assert_eq!(kinds, [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)]);
    }
}

/// Reads until the gateway closes, and returns how long that took.
fn time_to_close(mut tcp: TcpStream, sent: &[u8]) -> Duration {
    let begin = Instant::now();
    tcp.write_all(sent).unwrap();
    let mut answer = Vec::new();
    let _ = tcp.read_to_end(&mut answer);
    begin.elapsed()
}

#[test]
fn unfinished_handshake_ends_at_the_head_deadline() {
    let authority = Authority::new();
    let mut config = config();
    config.http_head_timeout = Duration::from_millis(300);
    let rig = Rig::serve(open_to_all().config(config));
    let tls = Tls::new(vec![authority.issue("a.example").0]).unwrap();
    let address = rig.serve_also(|listener| listener.tls(tls));
    let mut hello = Vec::new();
    let name = ServerName::try_from("a.example").unwrap();
    ClientConnection::new(authority.client(&[&TLS13]), name).unwrap().write_tls(&mut hello).unwrap();
    for sent in [&[][..], &hello[..1], &hello[..hello.len() - 1], &hello] {
        assert!(time_to_close(dial(address), sent) >= Duration::from_millis(250), "{} bytes", sent.len());
    }
    rig.wait_until("no half-open connection is left", |gateway| gateway.stats().http_connections == 0);
}

#[test]
fn garbage_on_a_tls_port_is_closed_at_once() {
    let authority = Authority::new();
    let (rig, _, address) = serve(&authority);
    let mut bystander = guest(secure(dial(address), &authority.client(&[&TLS13]), "a.example"));
    let mut huge = vec![0x16, 3, 1, 0xff, 0xff];
    huge.resize(80_000, 0);
    for garbage in
        [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], &[0; 64], &[0xff; 64], &[0x16, 3, 1, 0, 0], &huge]
    {
        let mut tcp = dial(address);
        // The gateway may have closed before all is written.
        let _ = tcp.write_all(garbage);
        let _ = tcp.shutdown(std::net::Shutdown::Write);
        let _ = tcp.read_to_end(&mut Vec::new());
    }
    rig.wait_until("garbage is gone", |gateway| gateway.stats().http_connections == 0);
    assert_echo(&mut bystander, 1, "untouched");
}

#[test]
fn client_without_common_protocol_is_refused() {
    let authority = Authority::new();
    let (_rig, _, address) = serve(&authority);
    let mut config = Arc::unwrap_or_clone(authority.client(&[&TLS13]));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut stream = secure(dial(address), &Arc::new(config), "a.example");
    let error =
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").and_then(|()| stream.read_exact(&mut [0])).unwrap_err();
    assert!(error.to_string().contains("ApplicationProtocol"), "{error}");
}

#[test]
fn key_updates_of_a_client_are_followed() {
    let authority = Authority::new();
    let (_rig, _, address) = serve(&authority);
    let mut socket = guest(secure(dial(address), &authority.client(&[&TLS13]), "a.example"));
    for id in 1..=5 {
        socket.get_mut().conn.refresh_traffic_keys().unwrap();
        assert_echo(&mut socket, id, "new keys");
    }
}

#[test]
fn https_answers_requests_one_after_another() {
    let authority = Authority::new();
    let (_rig, _, address) = serve(&authority);
    let mut stream = secure(dial(address), &authority.client(&[&TLS12]), "a.example");
    for _ in 0..3 {
        stream.write_all(b"GET /health/ready HTTP/1.1\r\nHost: a.example\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let mut buffer = [0; 512];
            let bytes = stream.read(&mut buffer).unwrap();
            assert!(bytes > 0, "{}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&buffer[..bytes]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    // A last request that asks to close is answered with the end of TLS.
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("TLS ends with close_notify");
    assert!(answer.contains("live"), "{answer}");
}
