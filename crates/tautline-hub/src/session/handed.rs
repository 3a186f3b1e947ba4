//! A session on its way to another node.

use serde::{Deserialize, Serialize};
use tautline_protocol::server::HandedLedger;

/// The most bytes of replies that a session takes along to another node.
pub(crate) const HANDED_BYTES_MAX: usize = 64 * 1024;

/// A session on its way to another node.
#[derive(Serialize, Deserialize)]
pub(crate) struct HandedSession {
    /// A ticket as of now: the login may have changed since the client received its last one.
    pub(crate) ticket: String,
    pub(crate) ledger: HandedLedger,
}
