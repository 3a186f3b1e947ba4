//! Packets: one struct per verb's body, shared by both ends.
//!
//! Start at [`client`] for packets sent by clients and [`server`] for packets sent by the server. Bodies
//! borrow opaque `data` as [`RawValue`], so that a payload is never parsed and leaves unchanged.
//!
//! [`RawValue`]: serde_json::value::RawValue

pub mod client;
pub mod server;

pub use client::{Auth, ClientPacket, Hello, Request, Verb};
pub use server::{ErrorBody, ServerPacket, Welcome};
