//! The tautline binary: serve, check, token, revoke-all, mock, and listen, call and publish for people at a terminal.
//!
//! `main.rs` is thin; everything is here, where tests and others can reach it. Start at [`cli::run`].

// They panic where nobody can be told, and wait where nobody reads: `tautline_process::log` and `terminal` print.
#![warn(clippy::print_stdout, clippy::print_stderr)]

#[cfg(feature = "console")]
pub mod admin;
pub mod call;
pub mod check_as;
pub mod cli;
pub mod config;
#[cfg_attr(not(feature = "console"), path = "no_console.rs")]
mod console;
mod doctor;
mod engine;
pub mod listen;
mod logins;
mod metrics;
pub mod mock;
mod reload;
pub mod serve;
mod sockets;
mod starting;
pub mod terminal;
mod tls;
pub mod token;
mod watched;
mod webhooks;
