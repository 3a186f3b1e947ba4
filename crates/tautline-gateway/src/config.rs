//! The ceilings of the shell: sockets, HTTP, tasks. Those of the protocol are in [`tautline_protocol::Limits`].

use std::time::Duration;

const KIB: usize = 1024;

/// Every ceiling of the gateway that the protocol does not know of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GatewayConfig {
    /// WebSockets at once; one more is refused with HTTP 503. Default 1,000,000; the process's limit of open files is
    /// usually lower.
    pub connections_max: usize,
    /// Connections of [`crate::Gateway::serve`] that are still, or only, HTTP; one more is closed at once. Default 16,384.
    pub http_connections_max: usize,
    /// The longest head of an HTTP request, in bytes. Default 16 KiB, at least 8 KiB.
    pub http_head_bytes_max: usize,
    /// How long an HTTP request may take to arrive: its head, then its body. An idle connection is closed after it
    /// too. Default 10 s.
    pub http_request_timeout: Duration,
    /// The longest body of an API request, in bytes. Default 128 KiB.
    pub api_body_bytes_max: usize,
    /// Methods running at once on this node; one more is answered `overloaded`. Default 65,536.
    pub calls_running_max: usize,
    /// How long a peer may take nothing of what it is sent. Default 30 s.
    pub stall_timeout: Duration,
    /// How long a peer may take to hang up once the last word is said. Default 3 s.
    pub linger_timeout: Duration,
    /// How long sent bytes may stay unacknowledged (`TCP_USER_TIMEOUT`): a phone out of reach is noticed. Default 30 s.
    pub unacknowledged_timeout: Duration,
    /// Whether messages are compressed (permessage-deflate, RFC 7692) for clients that offer it. Default no: it costs CPU.
    pub compression: bool,
    /// Messages shorter than this, in bytes, are never compressed: little is gained. Default 512.
    pub compression_bytes_min: usize,
    /// Whether the sends of many connections go in one system call where the machine allows it: Linux from 5.18, outside
    /// of what forbids `io_uring`, as most containers do. Default yes: large channels cost a fifth less CPU.
    pub io_uring: bool,
    /// Kernel memory for what a peer has not taken yet (`SO_SNDBUF`, which Linux doubles), in bytes. Default 20 KiB.
    pub send_buffer_bytes: usize,
    /// Kernel memory for what we have not read yet (`SO_RCVBUF`, which Linux doubles), in bytes. Default 8 KiB.
    pub receive_buffer_bytes: usize,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            connections_max: 1_000_000,
            http_connections_max: 16_384,
            http_head_bytes_max: 16 * KIB,
            http_request_timeout: Duration::from_secs(10),
            api_body_bytes_max: 128 * KIB,
            calls_running_max: 65_536,
            stall_timeout: Duration::from_secs(30),
            linger_timeout: Duration::from_secs(3),
            unacknowledged_timeout: Duration::from_secs(30),
            compression: false,
            compression_bytes_min: 512,
            io_uring: true,
            send_buffer_bytes: 20 * KIB,
            receive_buffer_bytes: 8 * KIB,
        }
    }
}
