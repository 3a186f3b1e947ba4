//! TLS by rustls: the certificates, which may be replaced while the gateway serves, and the byte stream.

pub(crate) mod certificates;
pub(crate) mod config;
mod scratch;
pub(crate) mod stream;
