//! The crate as its users see it: the rules, the splits, the memory, the handshake, compression, and a second opinion.

mod common;
mod deflate;
mod differential;
mod handshake;
mod memory;
#[path = "../../../tautline-fuzz/src/owned_event.rs"]
mod owned_event;
mod rules;
mod splits;
mod streams;
#[path = "../../../tautline-fuzz/src/tungstenite_oracle.rs"]
mod tungstenite_oracle;
