//! The frame parser against an independent one: both hear the same, and both give up or neither does.

use std::io::{self, Read, Write};

use tautline_websocket::{CONTROL_BYTES_MAX, Decoder, Role, WebSocketError};
use tungstenite::{
    Error, Message, WebSocket,
    protocol::{self, WebSocketConfig},
};

use crate::{
    frames::setting,
    heard::{Heard, read},
};

/// More than any message that is let through: a frame that is to be judged by its last byte gets it.
const PADDING: [u8; 8192] = [0; 8192];

/// The first byte says who reads with which limit; the rest is read by both.
pub fn second_opinion(data: &[u8]) {
    let [how, stream @ ..] = data else { return };
    let (role, message_bytes_max) = setting(*how);
    let mut decoder = Decoder::new(role, message_bytes_max);
    let mut heard = Vec::new();
    read(&mut decoder, stream, &mut heard);
    let error = heard.pop_if(|last| matches!(last, Heard::Failed(_)));
    let is_lenient = matches!(error, Some(Heard::Failed(WebSocketError::LengthNotMinimal(_))));
    // "Bad gateway" was registered after the RFC.
    let is_old = matches!(heard.last(), Some(Heard::Close(Some(1014), _)));
    if is_lenient || is_old {
        // The other one, that is.
        return;
    }
    let mut stream = stream.to_vec();
    if error.is_some() {
        stream.extend(PADDING);
    }
    let (other_heard, other_failed) = other_hears(role, message_bytes_max, &stream);
    assert_eq!((other_heard, other_failed), (heard, error.is_some()), "{error:?}");
}

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
fn other_hears(role: Role, message_bytes_max: usize, stream: &[u8]) -> (Vec<Heard>, bool) {
    let role = match role {
        Role::Server => protocol::Role::Server,
        Role::Client => protocol::Role::Client,
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(message_bytes_max))
        // It counts control frames, too.
        .max_frame_size(Some(message_bytes_max.max(CONTROL_BYTES_MAX)));
    let mut socket = WebSocket::from_raw_socket(Said(stream), role, Some(config));
    let mut heard = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => heard.push(Heard::Text(text.to_string())),
            Ok(Message::Binary(payload)) => heard.push(Heard::Binary(payload.to_vec())),
            Ok(Message::Ping(payload)) => heard.push(Heard::Ping(payload.to_vec())),
            Ok(Message::Pong(payload)) => heard.push(Heard::Pong(payload.to_vec())),
            // How it reports a close code that is not allowed.
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
