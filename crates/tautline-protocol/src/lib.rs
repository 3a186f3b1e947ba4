//! The Tautline protocol, version 1, without I/O: packets, codecs and the state machines of both ends.
//!
//! The same inputs give the same outputs on any machine: nothing here owns a socket, reads a clock or starts
//! a task. The time is a parameter ([`Now`]), randomness is a seed, and every size and wait has a name in
//! [`Limits`].
//!
//! Start at [`packet`], which defines the packets; [`json`] and [`msgpack`] encode them; [`server`] and
//! [`client`] contain the decisions of each end. The protocol is specified in `spec/protocol.md`.

mod bye;
mod cursor;
mod error_code;
mod format;
mod info;
mod limits;
mod name;
mod time;
mod trace;
mod utc;

pub mod client;
pub mod json;
pub mod msgpack;
pub mod packet;
pub mod server;
pub mod units;

pub use bye::{AnyByeCode, ByeCode, Reconnect};
pub use cursor::{Cursor, ReadFrom};
pub use error_code::ErrorCode;
pub use format::Format;
pub use info::Info;
pub use limits::{ATTEMPT_MAX, DATA_DEPTH_MAX, KEY_BYTES_MIN, Limits, MSGPACK_DEPTH_MAX, REQUEST_ID_MAX};
pub use name::{ChannelName, InvalidName, Pattern, UserId, is_bidi_control};
pub use time::Now;
pub use trace::TraceId;
pub use utc::utc;

/// The id of a request within its session; the first is 1.
pub type RequestId = u64;

/// The protocol version in `hello`.
pub const VERSION: u32 = 1;
