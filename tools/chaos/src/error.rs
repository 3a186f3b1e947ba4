//! What can go wrong with a chaos proxy.

use std::io;
use std::net::SocketAddr;

use tautline_netem::{FaultError, RulesError, StormError};

use super::group::BadGroupName;

/// Why the proxy did not start, or did not do as it was told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChaosError {
    /// [`ChaosBuilder::upstream`](super::ChaosBuilder::upstream) was never called.
    #[error("no upstream; say which server the proxy stands in front of")]
    NoUpstream,
    /// The port could not be opened.
    #[error("cannot listen on {addr}; is the port taken?")]
    Listen {
        /// Where it should have listened.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The rules are out of bounds.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The fault is out of bounds.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// The plan makes no storm.
    #[error(transparent)]
    Storm(#[from] StormError),
    /// The group's name cannot be.
    #[error(transparent)]
    Group(#[from] BadGroupName),
    /// So many groups have rules or gates of their own that no other may.
    #[error("{0} groups have rules or a closed gate of their own, no more fit; heal some first")]
    TooManyGroups(usize),
    /// It has closed, or never was.
    #[error("there is no connection {0}; it may have closed")]
    UnknownConnection(u64),
}
