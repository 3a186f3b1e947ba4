//! The Rust client: a tokio shell round the client state machine.
