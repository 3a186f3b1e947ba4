//! The tautline binary: serve, chaos, demo, token.
//!
//! `main.rs` is thin; everything is here, where tests and others can reach it. Start at [`cli::run`].

pub mod chaos;
pub mod cli;
pub mod config;
pub mod demo;
mod engine;
mod secret;
pub mod serve;
mod signals;
pub mod token;
mod units;

pub use secret::Secret;
pub use units::{parse_bytes, parse_duration};
