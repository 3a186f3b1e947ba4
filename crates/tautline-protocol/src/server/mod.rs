//! Server-side decisions about one client, without I/O: which packet is allowed before the welcome
//! ([`Opening`]), and which request was received and answered already ([`Ledger`]).
//!
//! Both take facts and return verdicts; the hub, which knows channels and sessions, executes them.

mod ledger;
mod opening;

pub use ledger::{HandedLedger, Ledger, REPLY_ROOM, Verdict};
pub use opening::{Opening, Step};
