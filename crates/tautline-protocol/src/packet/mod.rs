//! What can be said: one struct per verb's body, shared by both ends.
//!
//! [`client`] holds what clients say, [`server`] what the server says. Bodies borrow opaque `data` as [`RawValue`], so
//! that a payload is never parsed and comes out as it went in.
//!
//! [`RawValue`]: serde_json::value::RawValue

pub mod client;
pub mod server;

pub use client::{Auth, ClientPacket, Hello, Request, Verb};
pub use server::{ErrorBody, ServerPacket, Welcome};
