//! Addresses of clients behind proxies, and listeners with options.

#![allow(clippy::unwrap_used, reason = "clippy's exception for tests does not reach the helpers beside them")]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use tautline_gateway::{GatewayConfig, Listener, Serves};

use crate::{
    handshake::Handshake,
    rig::{Answer, Rig, TEST_TIMEOUT, config, http_answer, open_to_all, read_answer},
};

const HEALTH: &str = "GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n";

/// Two connections at most from one address, and the loopback is a trusted proxy.
fn trusting() -> GatewayConfig {
    let mut config = config();
    config.connections_per_address_max = 2;
    config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    config
}

fn dial(address: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect(address).expect("it listens");
    tcp.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    tcp
}

/// Whether a connection that begins so is answered rather than closed.
fn is_answered(address: SocketAddr, begin: &[u8]) -> bool {
    let mut tcp = dial(address);
    // The gateway may have closed it already.
    let _ = tcp.write_all(&[begin, HEALTH.as_bytes()].concat());
    let mut answer = [0; 12];
    tcp.read_exact(&mut answer).is_ok() && answer == *b"HTTP/1.1 200"
}

fn connect_as(rig: &Rig, forwarded_for: &[&str]) -> (TcpStream, Answer) {
    let mut stream = rig.dial();
    let headers: String =
        forwarded_for.iter().map(|client| format!("X-Forwarded-For: {client}\r\n")).collect();
    let request = Handshake::new().text().replacen("\r\n", &format!("\r\n{headers}"), 1);
    stream.write_all(request.as_bytes()).unwrap();
    let answer = http_answer(&read_answer(&mut stream));
    (stream, answer)
}

#[test]
fn forwarded_clients_have_ceilings_of_their_own() {
    let rig = Rig::serve(open_to_all().config(trusting()));
    let first = connect_as(&rig, &["198.51.100.7"]);
    let second = connect_as(&rig, &["203.0.113.1", "198.51.100.7, 127.0.0.1"]);
    assert_eq!((first.1, second.1), (Answer::Http(101), Answer::Http(101)));
    // What the client writes itself stands further left, and changes nothing.
    for spoofed in [&["198.51.100.7"][..], &["9.9.9.9, 198.51.100.7"], &["9.9.9.9", "198.51.100.7"]] {
        assert_eq!(connect_as(&rig, spoofed).1, Answer::Http(429), "{spoofed:?}");
    }
    let (_other, answer) = connect_as(&rig, &["198.51.100.8"]);
    assert_eq!(answer, Answer::Http(101));
    drop(first.0);
    rig.wait_until("the place is free again", |gateway| gateway.stats().connections == 2);
    assert_eq!(connect_as(&rig, &["198.51.100.7"]).1, Answer::Http(101));
}

#[test]
fn forwarded_header_from_nobodys_proxy_is_ignored() {
    let mut config = trusting();
    config.trusted_proxies.clear();
    let rig = Rig::serve(open_to_all().config(config));
    let _connected: Vec<_> = (0..3)
        .map(|_| {
            let connected = connect_as(&rig, &["198.51.100.7"]);
            assert_eq!(connected.1, Answer::Http(101));
            connected
        })
        .collect();
}

#[test]
fn proxied_clients_have_ceilings_of_their_own() {
    let rig = Rig::serve(open_to_all().config(trusting()));
    let address = rig.serve_also(|listener| listener.proxy_protocol(true));
    let hold = |client: &str| {
        let mut tcp = dial(address);
        tcp.write_all(format!("PROXY TCP4 {client} 127.0.0.1 5000 80\r\n{HEALTH}").as_bytes()).unwrap();
        let mut answer = [0; 12];
        tcp.read_exact(&mut answer).map(|()| tcp)
    };
    let _held = [hold("198.51.100.7").unwrap(), hold("198.51.100.7").unwrap()];
    assert!(hold("198.51.100.7").is_err(), "a third connection of this client");
    assert!(hold("198.51.100.8").is_ok());
}

#[test]
fn silent_connections_of_a_proxied_client_have_a_ceiling() {
    let mut config = trusting();
    (config.connections_per_address_max, config.handshakes_per_address_max) = (100, 1);
    let rig = Rig::serve(open_to_all().config(config));
    let address = rig.serve_also(|listener| listener.proxy_protocol(true));
    let begin = |client: &str| format!("PROXY TCP4 {client} 127.0.0.1 5000 80\r\n");
    let (closed, first_closed) = std::sync::mpsc::channel();
    let silent: Vec<_> = (0..2)
        .map(|nth| {
            let mut tcp = dial(address);
            tcp.write_all(begin("198.51.100.7").as_bytes()).unwrap();
            let (mut reader, closed) = (tcp.try_clone().unwrap(), closed.clone());
            std::thread::spawn(move || closed.send((nth, reader.read(&mut [0; 12]))));
            tcp
        })
        .collect();
    // Whichever of them was the second.
    let (nth, read) = first_closed.recv_timeout(TEST_TIMEOUT).unwrap();
    assert_ne!(read.ok(), Some(12), "none has sent a request");
    assert!(!is_answered(address, begin("198.51.100.7").as_bytes()));
    assert!(is_answered(address, begin("198.51.100.8").as_bytes()), "another client");
    (&silent[1 - nth]).write_all(HEALTH.as_bytes()).unwrap();
    assert_eq!(first_closed.recv_timeout(TEST_TIMEOUT).unwrap().1.unwrap(), 12);
    assert!(is_answered(address, begin("198.51.100.7").as_bytes()));
}

#[test]
fn client_that_the_proxy_does_not_name_passes_for_nobody() {
    let rig = Rig::serve(open_to_all().config(trusting()));
    let address = rig.serve_also(|listener| listener.proxy_protocol(true));
    let connect_as_victim = |header: &[u8]| {
        let request = Handshake::new().text().replacen("\r\n", "\r\nX-Forwarded-For: 198.51.100.7\r\n", 1);
        let mut tcp = dial(address);
        tcp.write_all(&[header, request.as_bytes()].concat()).unwrap();
        let answer = http_answer(&read_answer(&mut tcp));
        (tcp, answer)
    };
    let unnamed: [&[u8]; 3] = [
        b"PROXY UNKNOWN\r\n",
        // Version 2: LOCAL, and an unspecified family.
        b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
        b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0",
    ];
    // More than the victim may have: were they counted as its own, it could not connect.
    let held: Vec<_> = unnamed.map(connect_as_victim).into_iter().collect();
    assert!(held.iter().all(|(_, answer)| *answer == Answer::Http(101)));
    let victim = connect_as_victim(b"PROXY TCP4 198.51.100.7 127.0.0.1 5000 80\r\n");
    assert_eq!(victim.1, Answer::Http(101));
}

#[test]
fn header_in_single_bytes_is_understood() {
    let rig = Rig::serve(open_to_all().config(trusting()));
    let address = rig.serve_also(|listener| listener.proxy_protocol(true));
    let mut tcp = dial(address);
    tcp.set_nodelay(true).unwrap();
    for byte in format!("PROXY TCP6 2001:db8::7 ::1 5000 80\r\n{HEALTH}").as_bytes() {
        tcp.write_all(&[*byte]).unwrap();
    }
    assert_eq!(http_answer(&read_answer(&mut tcp)), Answer::Http(200));
}

#[test]
fn connection_without_valid_header_is_closed() {
    let rig = Rig::serve(open_to_all().config(trusting()));
    let address = rig.serve_also(|listener| listener.proxy_protocol(true));
    for garbage in
        ["", "PROXY TCP4 300.0.0.1 127.0.0.1 1 1\r\n", "PROXY UNKNOWN\n", "\r\n\r\n\0\r\nQUIT\n1234"]
    {
        assert!(!is_answered(address, garbage.as_bytes()), "{garbage:?}");
    }
    assert!(is_answered(address, b"PROXY UNKNOWN\r\n"));
    assert!(is_answered(address, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"), "a health check of the proxy itself");
    rig.wait_until("all are gone", |gateway| gateway.stats().http_connections == 0);
}

#[test]
fn header_of_an_untrusted_network_is_refused() {
    let mut config = trusting();
    config.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    let rig = Rig::serve(open_to_all().config(config));
    let address = rig.serve_also(|listener| listener.proxy_protocol(true));
    assert!(!is_answered(address, b"PROXY TCP4 198.51.100.7 127.0.0.1 1 1\r\n"));
    assert!(!is_answered(rig.address, b"PROXY TCP4 198.51.100.7 127.0.0.1 1 1\r\n"), "nor elsewhere");
}

#[test]
fn header_never_completed_ends_at_the_deadline() {
    let mut config = trusting();
    config.http_head_timeout = Duration::from_millis(100);
    let rig = Rig::serve(open_to_all().config(config));
    let address = rig.serve_also(|listener| listener.proxy_protocol(true));
    for begin in ["", "P", "PROXY TCP4 198.51.100.7"] {
        let mut tcp = dial(address);
        tcp.write_all(begin.as_bytes()).unwrap();
        assert_eq!(tcp.read(&mut [0]).unwrap(), 0, "closed after {begin:?}");
    }
}

#[test]
fn listener_serves_its_groups_of_routes_alone() {
    let rig = Rig::serve(open_to_all());
    let status = |address, path: &str| {
        let mut tcp = dial(address);
        tcp.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
        http_answer(&read_answer(&mut tcp))
    };
    let serve = |open: fn(&mut Serves)| {
        let mut serves = Serves::NONE;
        open(&mut serves);
        rig.serve_also(|listener| listener.serves(serves))
    };
    // 426: no WebSocket is asked for. 401: there is no key.
    for (address, expected) in [
        (rig.address, [426, 401, 200, 401]),
        (serve(|serves| serves.public = true), [426, 404, 404, 404]),
        (serve(|serves| serves.api = true), [404, 401, 404, 404]),
        (serve(|serves| serves.internal = true), [404, 404, 200, 200]),
        (serve(|serves| (serves.public, serves.internal) = (true, true)), [426, 404, 200, 401]),
    ] {
        let paths = ["/connect", "/api/v1/users/u/inbox", "/health/ready", "/metrics"];
        let found = paths.map(|path| status(address, path));
        assert_eq!(found, expected.map(Answer::Http));
    }
}

#[test]
fn drain_closes_every_listener() {
    let rig = Rig::serve(open_to_all());
    let others =
        [rig.serve_also(|listener| listener), rig.serve_also(|listener| listener.serves(Serves::NONE))];
    rig.runtime.block_on(rig.gateway.drain(Duration::ZERO, TEST_TIMEOUT));
    for address in others.into_iter().chain([rig.address]) {
        let refused = || TcpStream::connect(address).is_err();
        rig.wait_until("it listens no more", |_| refused());
    }
}

#[cfg(unix)]
#[test]
fn unix_socket_serves_websockets_for_forwarded_clients() {
    use std::os::unix::net::UnixStream;

    let path = std::env::temp_dir().join(format!("tautline-gateway-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let mut config = trusting();
    config.connections_per_address_max = 1;
    let rig = Rig::serve(open_to_all().config(config));
    let listener = rig.runtime.block_on(async { tokio::net::UnixListener::bind(&path) }).unwrap();
    rig.runtime.spawn(rig.gateway.serve(Listener::from(listener)));
    let connect = |client: &str| {
        let stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
        let request = tungstenite::ClientRequestBuilder::new("ws://a/connect".parse().unwrap());
        tungstenite::client(request.with_header("X-Forwarded-For", client), stream).map_err(Box::new)
    };
    let (mut socket, _) = connect("198.51.100.7").unwrap();
    socket.send(tungstenite::Message::text(r#"{"hello":{"v":1,"auth":{"guest":true}}}"#)).unwrap();
    assert!(socket.read().unwrap().to_text().unwrap().contains("welcome"));
    assert!(connect("198.51.100.7").is_err(), "a second connection of this client");
    assert!(connect("198.51.100.8").is_ok());
    std::fs::remove_file(&path).unwrap();
}
