//! Events that outlive the bytes they came in, so that two readings can be compared.

use tautline_websocket::{Decoder, Event, WebSocketError};

/// An [`Event`], or the error that ended the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OwnedEvent {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Failed(WebSocketError),
}

impl From<Event<'_>> for OwnedEvent {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(payload) => Self::Binary(payload.to_owned()),
            Event::Ping(payload) => Self::Ping(payload.to_owned()),
            Event::Pong(payload) => Self::Pong(payload.to_owned()),
            Event::Close { code, reason } => Self::Close(code, reason.to_owned()),
        }
    }
}

/// Appends everything that `decoder` makes of one read.
pub(crate) fn read(decoder: &mut Decoder, bytes: &[u8], events: &mut Vec<OwnedEvent>) {
    let mut bytes = bytes.to_vec();
    let mut unread = bytes.as_mut_slice();
    loop {
        match decoder.decode(&mut unread) {
            Ok(Some(event)) => events.push(event.into()),
            Ok(None) => break,
            Err(error) => events.push(OwnedEvent::Failed(error)),
        }
    }
    assert!(unread.is_empty(), "decode() said None before the end of its input");
}
