//! Dials that lead to no gateway: each names its cause, and the client tries on.

use tautline_client::{Client, ClientEvent, DropCause, Dropped};
use tokio::{io::AsyncWriteExt as _, net::TcpListener};

use crate::stage::{client, guest, request_of, soon, switching_protocols};

async fn first_drop(line: &Client) -> Dropped {
    let mut events = line.events();
    loop {
        if let ClientEvent::Dropped(dropped) = soon(events.recv()).await.expect("the client lives") {
            return dropped;
        }
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let dropped = first_drop(&client(guest(address))).await;
    assert_eq!((dropped.cause, dropped.online), (DropCause::Refused, false));
}

#[tokio::test]
async fn a_web_server_that_knows_no_websocket_is_refused_with_its_status() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let line = client(guest(listener.local_addr().unwrap()));
    let web_server = async {
        let (mut stream, request) = request_of(&listener).await;
        assert!(request.starts_with("GET /connect HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("Sec-WebSocket-Protocol: tautline.v1.json\r\n"), "{request}");
        stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    };
    let (dropped, ()) = tokio::join!(first_drop(&line), web_server);
    assert_eq!((dropped.cause, dropped.code), (DropCause::Refused, Some(404)));
}

#[tokio::test]
async fn a_peer_that_breaks_the_rules_is_left_with_the_code_of_the_rule() {
    // A masked frame, which servers may not send; and a binary message, which the json format has no use for.
    for (frame, code) in [(&b"\x81\x80\0\0\0\0"[..], 1002), (&b"\x82\x00"[..], 1003)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let line = client(guest(listener.local_addr().unwrap()));
        let bad_server = async {
            let (mut stream, request) = request_of(&listener).await;
            let head = switching_protocols(&request);
            // In one write: what follows the head belongs to the frames.
            stream.write_all(&[head.as_bytes(), frame].concat()).await.unwrap();
            stream
        };
        let (dropped, _stream) = tokio::join!(first_drop(&line), bad_server);
        assert_eq!((dropped.cause, dropped.code), (DropCause::ProtocolError, Some(code)));
    }
}

#[tokio::test]
async fn a_name_that_nobody_has_is_not_found() {
    let mut options = guest("127.0.0.1:1".parse().unwrap());
    options.url = "ws://nobody.invalid/connect".to_owned();
    assert_eq!(first_drop(&client(options)).await.cause, DropCause::DnsFailed);
}
