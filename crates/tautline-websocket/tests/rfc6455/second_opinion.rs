//! The same streams read by an independent implementation: both hear the same, and give up at the same frame.

use std::io::{self, Read, Write};

use tautline_websocket::{Role, WebSocketError};
use tungstenite::{
    Error, Message, WebSocket,
    protocol::{self, WebSocketConfig},
};

use crate::{
    common::{Heard, Rng, read_all},
    streams::{MESSAGE_BYTES_MAX, stream},
};

/// A peer that says all of this and then falls silent, and does not care for answers.
struct Said<'s>(&'s [u8]);

impl Read for Said<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.0.read(buffer) }
    }
}

impl Write for Said<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the other implementation hears, and whether it gave up.
fn other_hears(role: Role, stream: &[u8]) -> (Vec<Heard>, bool) {
    let role = match role {
        Role::Server => protocol::Role::Server,
        Role::Client => protocol::Role::Client,
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let mut socket = WebSocket::from_raw_socket(Said(stream), role, Some(config));
    let mut heard = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => heard.push(Heard::Text(text.to_string())),
            Ok(Message::Binary(payload)) => heard.push(Heard::Binary(payload.to_vec())),
            Ok(Message::Ping(payload)) => heard.push(Heard::Ping(payload.to_vec())),
            Ok(Message::Pong(payload)) => heard.push(Heard::Pong(payload.to_vec())),
            // How it reports a close code that is not allowed; no stream of ours has this reason.
            Ok(Message::Close(Some(close))) if close.reason.as_str() == "Protocol violation" => {
                return (heard, true);
            }
            Ok(Message::Close(close)) => {
                let said = close.map(|close| (u16::from(close.code), close.reason.to_string()));
                let (code, reason) =
                    said.map_or((None, String::new()), |(code, reason)| (Some(code), reason));
                heard.push(Heard::Close(code, reason));
                return (heard, false);
            }
            Ok(Message::Frame(_)) => unreachable!("raw frames are only written"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return (heard, false),
            Err(_) => return (heard, true),
        }
    }
}

#[test]
fn another_implementation_hears_the_same_and_gives_up_at_the_same_frame() {
    let mut refused = 0;
    for seed in 0..3000 {
        let mut rng = Rng(seed);
        let role = [Role::Server, Role::Client][rng.below(2)];
        let mut stream = stream(&mut rng, role);
        let mut heard = read_all(role, MESSAGE_BYTES_MAX, [&stream[..]]);
        let error = heard.pop_if(|last| matches!(last, Heard::Failed(_)));
        if matches!(error, Some(Heard::Failed(WebSocketError::LengthNotMinimal(_)))) {
            // The other one is lenient here.
            continue;
        }
        if error.is_some() {
            refused += 1;
            // It judges a frame when the last byte is there.
            stream.extend([0; 2 * MESSAGE_BYTES_MAX]);
        }
        assert_eq!(other_hears(role, &stream), (heard, error.is_some()), "seed {seed}: {error:?}");
    }
    assert!((500..2500).contains(&refused), "both kinds of stream are to be tried: {refused} were refused");
}
