//! The crate as its users see it: the rules, the splits, the memory, the handshake, compression, and a second opinion.

mod common;
mod deflate;
mod handshake;
#[path = "../../../tautline-fuzz/src/heard.rs"]
mod heard;
#[path = "../../../tautline-fuzz/src/independent.rs"]
mod independent;
mod memory;
mod rules;
mod second_opinion;
mod splits;
mod streams;
