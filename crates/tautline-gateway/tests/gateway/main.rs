//! The gateway over real sockets, with an independent WebSocket client, and with raw bytes where that client
//! is too strict.

mod accept_burst;
mod api;
mod bad_input;
mod bystander;
mod calls;
mod clients;
mod compression;
mod control;
mod drain;
mod handshake;
mod hooks;
mod http;
mod leaks;
mod login_codes;
mod logins;
mod msgpack;
mod offences;
mod plain;
mod rates;
mod reload;
mod rig;
mod server_api;
mod slow_readers;
mod tls;
mod transports;
