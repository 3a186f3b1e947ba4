//! The crate as its users see it: the rules, the splits, the memory, the handshake, and a second opinion.

mod common;
mod handshake;
mod memory;
mod rules;
mod second_opinion;
mod splits;
mod streams;
