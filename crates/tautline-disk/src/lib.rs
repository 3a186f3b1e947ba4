//! The engine that keeps logs on disk (ADR 0009): SQLite, one writer thread, group commit, readers of their own.
//!
//! Start at [`DiskEngine::open`]. What [`Durability::Strict`] has answered was synced to the disk before, and is there again
//! after `kill -9` and after a power cut. [`TicketKeyFile`] keeps the keys of tickets beside the logs.
//!
//! ```text
//!   submit ─▶ queue ─▶ writer: take all that waits ─▶ one transaction ─▶ commit, sync ─▶ answers, in order
//!          └▶ queue ─▶ readers: a snapshot each ─▶ answers
//! ```

mod checkpoint;
mod convert;
mod directory;
mod engine;
mod fault;
mod health;
mod options;
mod queries;
mod queue;
mod reader;
mod recovery;
mod schema;
mod shares;
mod store;
mod ticket_keys;
mod writer;

pub use self::{
    engine::DiskEngine,
    options::{DiskOptions, Durability},
    recovery::{OpenError, Opened},
    ticket_keys::{TicketKeyError, TicketKeyFile},
};
