//! The gateway over real sockets, spoken to by a WebSocket client that others wrote, and by hand where that is too polite.

mod accept_burst;
mod api;
mod bad_input;
mod bystander;
mod calls;
mod compression;
mod drain;
mod handshake;
mod http;
mod leaks;
mod logins;
mod msgpack;
mod offences;
mod rig;
mod slow_readers;
mod transports;
