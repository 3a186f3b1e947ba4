//! The two ends of a connection.

/// Which end of the line we are. It decides which frames must carry a mask (RFC 6455 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We serve: what comes must be masked.
    Server,
    /// We called: what comes must not be masked.
    Client,
}
