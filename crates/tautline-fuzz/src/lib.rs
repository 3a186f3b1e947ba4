//! What must hold for whatever bytes come: each fuzz target is a function here that panics where it does not.
//!
//! `cargo xtask fuzz` runs them under a fuzzer (`fuzz/`, which needs a nightly toolchain); what it found worth keeping lies in
//! `fuzz/corpus`, and `tests/replay.rs` holds every commit against it. [`TARGETS`] lists them.

mod deflate;
mod differential;
mod frames;
mod handshake;
mod hub;
mod owned_event;
mod packets;
mod rules;
mod session;
mod tungstenite_oracle;

pub use deflate::deflate;
pub use differential::differential;
pub use frames::frames;
pub use handshake::handshake;
pub use hub::{hub_peer, tickets};
pub use packets::{client_packets, msgpack, server_packets};
pub use rules::rules;
pub use session::client_session;

/// One thing that bytes from outside can reach.
pub type Target = fn(&[u8]);

/// Every target under the name that its corpus has.
pub const TARGETS: [(&str, Target); 11] = [
    ("client_packets", client_packets),
    ("client_session", client_session),
    ("deflate", deflate),
    ("frames", frames),
    ("handshake", handshake),
    ("hub_peer", hub_peer),
    ("msgpack", msgpack),
    ("rules", rules),
    ("differential", differential),
    ("server_packets", server_packets),
    ("tickets", tickets),
];
