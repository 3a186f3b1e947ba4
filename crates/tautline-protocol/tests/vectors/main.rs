//! Runs the vectors in `spec/vectors`, which the TypeScript SDK runs too.

mod client;
mod forms;
mod msgpack;
mod packets;
