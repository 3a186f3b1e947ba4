//! A server's answer to the opening handshake: what was agreed does not change with what follows it.

use tautline_websocket::ClientRequest;

/// The bytes that a client reads after it has asked.
pub fn handshake(data: &[u8]) {
    let request = ClientRequest {
        host: "localhost",
        path: "/connect",
        protocols: &["tautline.v1.json"],
        headers: &[],
        nonce: [7; 16],
    };
    let waiting = request.encode(&mut Vec::new()).expect("the request is fit");
    let Ok(Some(accepted)) = waiting.read(data) else { return };
    assert!(accepted.head_bytes <= data.len(), "a head longer than all that came");
    assert_eq!(waiting.read(&data[..accepted.head_bytes]), Ok(Some(accepted.clone())), "the head alone");
    let early = waiting.read(&data[..accepted.head_bytes - 1]);
    assert_eq!(early, Ok(None), "agreed before the last byte of the head");
}
