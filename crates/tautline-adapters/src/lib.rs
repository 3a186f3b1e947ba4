//! Protocols of other clients, translated to Tautline's, without I/O.
//!
//! The first one is [`plain`]: texts of clients that exist already, as section 8 of `spec/protocol.md`
//! defines them. An adapter sits between the messages of one WebSocket and the server's ends of its accounts
//! (in a gateway: a peer of the hub each). The shell that owns both passes messages on:
//!
//! ```text
//!   texts, pongs of the client ──▶ Plain ──▶ Command: open a peer, packets for it, drop it
//!   Output: texts, pings, close ◀──      ◀── messages of the peers
//! ```
//!
//! ```
//! use std::sync::Arc;
//! use tautline_adapters::plain::{Command, Output, Plain, PlainConfig};
//! use tautline_protocol::{Limits, Now};
//!
//! let mut plain = Plain::new(Arc::new(PlainConfig::default()), &Limits::default(), Now::default());
//! plain.handle_text(Now::default(), "ping");
//! assert_eq!(plain.poll_output(), Some(Output::Text("pong".into())));
//!
//! plain.handle_text(Now::default(), r#"{"type":"auth","guest":true}"#);
//! let Some(Command::Open(account)) = plain.poll_command() else { panic!("a peer is needed") };
//! let Some(Command::Packet(_, hello)) = plain.poll_command() else { panic!("it is told a hello") };
//! assert!(hello.starts_with(r#"{"hello":{"v":1,"auth":{"guest":true}"#));
//! # let _ = account;
//! ```

pub mod plain;
