//! Logs in Redis or Valkey (ADR 0033).
//!
//! Start at [`RedisEngine::open`]. A log is a stream, and a batch of appends one script; what is in doubt is
//! answered by the log itself. `append.rs`, `state.rs`, `content.rs`, `fault.rs`, `resp.rs` and `saved.rs`
//! decide and do no I/O; `router.rs`, `link.rs` and `socket.rs` carry commands to the node that is in charge.
//!
//! ```no_run
//! use tautline_redis::{RedisEngine, RedisOptions};
//!
//! let url = "redis://127.0.0.1:6379".parse()?;
//! let engine = RedisEngine::open(RedisOptions::new(url))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod answers;
mod append;
mod append_queue;
mod appends;
mod chores;
mod claim_table;
mod claims;
mod content;
mod counts;
pub mod doctor;
mod engine;
mod fault;
mod heal;
mod hints;
mod inbox;
mod jitter;
mod keys;
mod link;
mod losses;
mod lua;
mod messages;
mod options;
mod page;
mod partition;
mod random;
mod read_queue;
mod reads;
mod resp;
mod ring;
mod router;
mod saved;
mod served;
mod shared;
mod socket;
mod state;
mod subscriber;
mod tells;
mod wakes;
mod way;

pub use self::{
    address::{InvalidUrl, RedisUrl},
    engine::{OpenError, RedisEngine},
    options::{Acknowledge, RedisOptions, Wake},
};
