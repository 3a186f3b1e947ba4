//! A TCP proxy that makes the network as bad as you need it, for tools that cannot pull a cable: `tautline-chaos`.
//!
//! Start at [`Chaos::builder`] from Rust, at [`ChaosArgs`] from the command line; [`Network`] is what can be done to a
//! running proxy. What each fault does, and when bytes arrive, is decided in [`tautline_netem`]; this module owns the
//! sockets.
//!
//! - **Groups.** A client names its group in the URL, `GET /connect?chaos=phone-a`; without, it is in the group `default`.
//!   Only the first request line of a connection is looked at, and passed on as it came.
//! - **Rules** hold for everybody; a group can have some of its own laid over them ([`Network::patch_group_rules`]).
//! - **Faults** hit everybody, a group or one connection, once ([`Network::fault`]), until they end or are healed.
//! - **Pulling the cable** of a group is a state ([`Network::unplug`]): its connections go dead without a word, new ones are
//!   refused or hang, until it is plugged again. A connection that lost bytes meanwhile is then reset, as when a phone
//!   comes back and its address has changed; one that said nothing survives, and one that hung comes in.
//! - **The TCP handshake is not delayed**: the system answers it before the proxy knows of it. Latency begins with the first byte.

mod args;
mod connection;
mod connection_handle;
mod control;
mod error;
mod faults;
mod group;
mod network;
mod proxy;
mod relay;
mod state;
mod storm;

pub use args::{ChaosArgs, run};
pub use connection_handle::ConnectionInfo;
pub use error::ChaosError;
pub use group::{BadGroupName, GroupName};
pub use network::{GroupInForce, Network, RulesInForce};
pub use proxy::{CONNECTIONS_MAX, Chaos, ChaosBuilder};
pub use state::Selector;
pub use storm::StormReport;
