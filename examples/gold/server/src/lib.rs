//! The server of Gold. One process, one port: the gateway, a few routes over plain HTTP, and the web page.
//!
//! Start at [`Server::start`].
//!
//! ```text
//!   call gold.dig ─▶ room's task: rules ─▶ store (SQLite) ─▶ publish to gold:<room> ─▶ every screen
//! ```
//!
//! A move counts once it is in the store. After a restart each room is replayed from there, and its events are published
//! again under the same idempotency keys, so that none is lost and none doubled.

mod calls;
mod journal;
mod limits;
mod players;
mod presence;
mod room_clock;
mod room_task;
mod rooms;
mod routes;
mod seats;
mod server;
#[cfg(test)]
mod simulation;
mod store;

pub use self::{
    calls::{Dig, InRoom, Join, Joined, Moved, OpenRoom},
    limits::Limits,
    players::NewPlayer,
    rooms::RoomSummary,
    server::{Options, Server},
    store::Leader,
};

/// The channel of a room.
fn channel_of(room: &str) -> Result<tautline_gateway::ChannelName, String> {
    tautline_gateway::ChannelName::parse(&format!("gold:{room}")).map_err(|error| error.to_string())
}

/// In milliseconds since 1970. The rules are told the time; this is where it comes from.
fn wall_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
