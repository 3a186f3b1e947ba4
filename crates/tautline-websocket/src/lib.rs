//! RFC 6455 over byte slices: any split of the bytes gives the same events. No I/O.
//!
//! Start at [`Decoder::decode`] for what a peer sends, at [`encode_text`] and its neighbours for what is sent to a peer, and
//! at [`FrameHeader`] where one payload goes to many peers. [`accept_key`] and [`ClientRequest`] are the two ends of the
//! opening handshake.
//!
//! ```
//! use tautline_websocket::{Decoder, Event, Role, encode_text};
//!
//! let mut wire = Vec::new();
//! encode_text(&mut wire, "tidings", Some([7, 1, 9, 4]));
//!
//! let mut decoder = Decoder::new(Role::Server, 65_536);
//! let mut unread = wire.as_mut_slice();
//! while let Some(event) = decoder.decode(&mut unread)? {
//!     assert_eq!(event, Event::Text("tidings"));
//! }
//! assert_eq!(decoder.held_bytes(), 0);
//! # Ok::<(), tautline_websocket::WebSocketError>(())
//! ```
//!
//! One extension is spoken where both ends want it, permessage-deflate (RFC 7692): [`Deflate::accept`] for the handshake,
//! [`Decoder::with_deflate`] and [`Deflate::compress`] for messages. No line keeps a context between messages, so that one
//! compressed payload goes to many peers, and an idle line costs nothing for it.

mod close;
mod decoder;
mod deflate;
mod encode;
mod error;
mod event;
mod extensions;
mod handshake;
mod header;
mod held;
mod mask;
mod role;

pub use close::{CLOSE_REASON_BYTES_MAX, close_reason, is_close_code};
pub use decoder::Decoder;
pub use deflate::Deflate;
pub use encode::{encode_binary, encode_close, encode_compressed, encode_ping, encode_pong, encode_text};
pub use error::WebSocketError;
pub use event::Event;
pub use handshake::{
    Accepted, ClientHandshake, ClientRequest, HandshakeError, RESPONSE_HEAD_BYTES_MAX, accept_key,
};
pub use header::{CONTROL_BYTES_MAX, FrameHeader, Opcode};
pub use mask::{MaskKey, apply_mask};
pub use role::Role;
