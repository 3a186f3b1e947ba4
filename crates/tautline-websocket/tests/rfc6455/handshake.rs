//! The opening handshake: what a client asks, and which answers it believes.

use tautline_websocket::{Accepted, ClientHandshake, ClientRequest, HandshakeError, accept_key};

const REQUEST: ClientRequest<'_> = ClientRequest {
    host: "tide.example:8000",
    path: "/connect?format=json",
    protocols: &["tautline.v1.json", "tautline.v1.msgpack"],
    headers: &[("Origin", "https://tide.example")],
    nonce: *b"the sample nonce",
};
/// The example of RFC 6455 section 1.3, whose nonce is [`REQUEST`]'s.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn handshake() -> ClientHandshake {
    REQUEST.encode(&mut Vec::new()).expect("the request is fit")
}

fn response(headers: &[(&str, &str)]) -> String {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n")
}

fn read(headers: &[(&str, &str)]) -> Result<Option<Accepted>, HandshakeError> {
    handshake().read(response(headers).as_bytes())
}

#[test]
fn the_key_of_the_rfc_is_answered_as_in_the_rfc() {
    assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), ACCEPT);
}

#[test]
fn a_request_reads_as_the_rfc_wants_it() {
    let mut out = Vec::new();
    REQUEST.encode(&mut out).unwrap();
    let expected = "GET /connect?format=json HTTP/1.1\r\nHost: tide.example:8000\r\nUpgrade: websocket\r\n\
                    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                    Sec-WebSocket-Protocol: tautline.v1.json, tautline.v1.msgpack\r\nOrigin: https://tide.example\r\n\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn a_request_cannot_be_broken_in_two_by_what_goes_into_it() {
    let broken = [
        ClientRequest { host: "a b", ..REQUEST },
        ClientRequest { host: "", ..REQUEST },
        ClientRequest { path: "/ HTTP/1.1\r\nX: y", ..REQUEST },
        ClientRequest { path: "connect", ..REQUEST },
        ClientRequest { protocols: &["a,b"], ..REQUEST },
        ClientRequest { headers: &[("X-A", "1\r\nX-B: 2")], ..REQUEST },
        ClientRequest { headers: &[("X A", "1")], ..REQUEST },
    ];
    for request in broken {
        let mut out = Vec::new();
        assert!(matches!(request.encode(&mut out), Err(HandshakeError::UnfitRequest(_))), "{request:?}");
        assert_eq!(out, b"");
    }
}

#[test]
fn an_answer_that_agrees_is_believed_once_its_head_is_whole() {
    let mut received = response(&[
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-accept", ACCEPT),
        ("sec-websocket-protocol", "tautline.v1.msgpack"),
    ])
    .into_bytes();
    let head_bytes = received.len();
    received.extend(b"\x81\x02hi");
    for cut in 0..head_bytes {
        assert_eq!(handshake().read(&received[..cut]), Ok(None), "cut at {cut}");
    }
    let accepted = Accepted { protocol: Some("tautline.v1.msgpack".to_owned()), head_bytes };
    assert_eq!(handshake().read(&received), Ok(Some(accepted)));
}

#[test]
fn a_server_may_choose_no_subprotocol_but_none_of_its_own() {
    let agreed = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", ACCEPT)];
    assert_eq!(read(&agreed).unwrap().unwrap().protocol, None);
    assert_eq!(
        read(&[&agreed[..], &[("Sec-WebSocket-Protocol", "chat")]].concat()),
        Err(HandshakeError::ProtocolNotOffered("chat".to_owned()))
    );
    assert_eq!(
        read(&[&agreed[..], &[("Sec-WebSocket-Extensions", "permessage-deflate")]].concat()),
        Err(HandshakeError::ExtensionNotOffered("permessage-deflate".to_owned()))
    );
}

#[test]
fn an_answer_that_lacks_a_proof_is_told_by_what_it_lacks() {
    let upgrade = ("Upgrade", "websocket");
    let connection = ("Connection", "Upgrade");
    assert_eq!(
        read(&[connection, ("Sec-WebSocket-Accept", ACCEPT)]),
        Err(HandshakeError::NotUpgraded("Upgrade"))
    );
    assert_eq!(read(&[upgrade, ("Connection", "close")]), Err(HandshakeError::NotUpgraded("Connection")));
    assert_eq!(read(&[upgrade, connection]), Err(HandshakeError::WrongAccept));
    let of_another = accept_key("another key");
    assert_eq!(
        read(&[upgrade, connection, ("Sec-WebSocket-Accept", &of_another)]),
        Err(HandshakeError::WrongAccept)
    );
}

#[test]
fn another_status_than_101_is_told_with_its_number() {
    let error = handshake().read(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3\r\n\r\n").unwrap_err();
    assert_eq!(error.to_string(), "HTTP status 503 Service Unavailable instead of 101");
}

#[test]
fn what_is_no_http_or_has_no_end_is_given_up() {
    assert!(matches!(handshake().read(b"SSH-2.0-OpenSSH_9.2\r\n"), Err(HandshakeError::NotHttp(_))));
    let endless = format!("HTTP/1.1 101 Switching Protocols\r\nX: {}", "y".repeat(20_000));
    assert_eq!(handshake().read(endless.as_bytes()), Err(HandshakeError::HeadTooLong));
}
