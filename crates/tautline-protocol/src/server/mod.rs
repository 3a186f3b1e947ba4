//! What the server decides about one client, without I/O: who may speak when ([`Opening`]), and which request was asked
//! and answered already ([`Ledger`]).
//!
//! Both are told facts and give verdicts; the hub, which knows channels and sessions, carries them out.

mod ledger;
mod opening;

pub use ledger::{Ledger, REPLY_ROOM, Verdict};
pub use opening::{Opening, Step};
