//! What the client decides, without I/O (protocol, section 6; in detail: `spec/client-session.md`).
//!
//! Start at [`Session`]. A shell feeds it one [`Input`] at a time, with the time; then drains [`Session::poll_output`] until
//! it gives nothing, and does what each [`Output`] says; and asks [`Session::poll_timeout`] when to feed
//! [`Input::Timeout`]. A shell with storage feeds [`Input::Restore`] first, and asks [`Session::poll_store`] before it drains. The same machine exists in TypeScript under the same names, and `spec/vectors/client` runs on both.

mod backoff;
mod cause;
mod connect;
mod disconnect;
mod heartbeat;
mod identity;
mod input;
mod liveness;
mod login;
mod online;
mod options;
mod outbox;
mod output;
mod random;
mod refresh;
mod session;
mod snapshot;
mod storage;
mod subscription;

#[cfg(test)]
mod settle_tests;

pub use cause::DropCause;
pub use input::{Input, NewRequest, RequestVerb, SocketClosed};
pub use options::{Options, OutboxFull};
pub use output::{Dropped, LocalError, Output, PublicationEvent, Settlement, State, WelcomeEvent};
pub use session::Session;
pub use snapshot::{Store, Stored, StoredError, StoredRequest};
