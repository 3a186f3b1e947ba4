//! The hub as its peers and its back end see it: no sockets, time moved by hand.
//!
//! One binary: each would be linked with everything again.

mod common;

mod admission;
mod bans;
mod channels;
mod clock;
mod control;
mod counters;
mod delivery;
mod events;
mod events_in_doubt;
mod expect;
mod figures;
mod finding;
mod msgpack;
mod nodes;
mod opening;
mod owner;
mod permissions;
mod questions;
mod rates;
mod requests;
mod revocation;
mod rule_reload;
mod shares;
mod slow_engine;
mod stories;
mod subs;
mod withdrawn;
