//! What an independent implementation hears in a stream. The codec's own tests use this file, too.

use std::io::{self, Read, Write};

use tautline_websocket::{CONTROL_BYTES_MAX, Role};
use tungstenite::{
    Error, Message, WebSocket,
    protocol::{self, WebSocketConfig},
};

use crate::owned_event::OwnedEvent;

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

/// What the other one hears, and whether it gave up.
pub(crate) fn tungstenite_events(
    role: Role,
    message_bytes_max: usize,
    stream: &[u8],
) -> (Vec<OwnedEvent>, bool) {
    let role = match role {
        Role::Server => protocol::Role::Server,
        Role::Client => protocol::Role::Client,
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(message_bytes_max))
        // It counts control frames, too.
        .max_frame_size(Some(message_bytes_max.max(CONTROL_BYTES_MAX)));
    let mut socket = WebSocket::from_raw_socket(Said(stream), role, Some(config));
    let mut events = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => events.push(OwnedEvent::Text(text.to_string())),
            Ok(Message::Binary(payload)) => events.push(OwnedEvent::Binary(payload.to_vec())),
            Ok(Message::Ping(payload)) => events.push(OwnedEvent::Ping(payload.to_vec())),
            Ok(Message::Pong(payload)) => events.push(OwnedEvent::Pong(payload.to_vec())),
            // How it reports a close code that is not allowed.
            Ok(Message::Close(Some(close))) if close.reason.as_str() == "Protocol violation" => {
                return (events, true);
            }
            Ok(Message::Close(close)) => {
                let said = close.map(|close| (u16::from(close.code), close.reason.to_string()));
                let (code, reason) =
                    said.map_or((None, String::new()), |(code, reason)| (Some(code), reason));
                events.push(OwnedEvent::Close(code, reason));
                return (events, false);
            }
            Ok(Message::Frame(_)) => unreachable!("raw frames are only written"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return (events, false),
            Err(_) => return (events, true),
        }
    }
}
