//! The tautline binary: serve, chaos, demo, bench, token, and listen, call and publish for people at a terminal.
//!
//! `main.rs` is thin; everything is here, where tests and others can reach it. Start at [`cli::run`].

// They panic where nobody can be told, and wait where nobody reads: `log` and `terminal` print.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod bench;
pub mod call;
pub mod chaos;
pub mod cli;
pub mod config;
pub mod demo;
mod engine;
pub mod escape;
pub mod listen;
mod log;
mod secret;
pub mod serve;
mod signals;
mod starting;
pub mod terminal;
pub mod token;
mod units;
mod utc;

pub use secret::Secret;
pub use units::{parse_bytes, parse_duration};
