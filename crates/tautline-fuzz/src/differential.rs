//! The frame parser against an independent one: both hear the same, and both give up or neither does.

use tautline_websocket::{Decoder, WebSocketError};

use crate::{
    frames::setting,
    owned_event::{OwnedEvent, read},
    tungstenite_oracle::tungstenite_events,
};

/// More than any message that is let through: a frame that is to be judged by its last byte gets it.
const PADDING: [u8; 8192] = [0; 8192];

/// The first byte says who reads with which limit; the rest is read by both.
pub fn differential(data: &[u8]) {
    let [how, stream @ ..] = data else { return };
    let (role, message_bytes_max) = setting(*how);
    let mut decoder = Decoder::new(role, message_bytes_max);
    let mut events = Vec::new();
    read(&mut decoder, stream, &mut events);
    let error = events.pop_if(|last| matches!(last, OwnedEvent::Failed(_)));
    // A control frame whose length takes more bytes than it must is too long at once, or not at all.
    let is_lenient = matches!(
        error,
        Some(OwnedEvent::Failed(WebSocketError::LengthNotMinimal(_) | WebSocketError::ControlTooLong))
    );
    // "Bad gateway" was registered after the RFC.
    let is_old = matches!(events.last(), Some(OwnedEvent::Close(Some(1014), _)));
    if is_lenient || is_old {
        // The other one, that is.
        return;
    }
    let mut stream = stream.to_vec();
    if error.is_some() {
        stream.extend(PADDING);
    }
    let (other_heard, other_failed) = tungstenite_events(role, message_bytes_max, &stream);
    assert_eq!((other_heard, other_failed), (events, error.is_some()), "{error:?}");
}
