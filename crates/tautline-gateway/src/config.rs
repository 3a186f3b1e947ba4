//! The gateway's own limits: sockets, HTTP, tasks. Those of the protocol are in
//! [`tautline_protocol::Limits`].

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de::Error as _};
use tautline_protocol::units;

use crate::addresses::default_proxies;

const KIB: usize = 1024;

/// Every limit and option of the gateway that no peer of the protocol can observe.
///
/// A configuration file may nest it: counts are numbers above zero, sizes such as `"64KiB"` and waits such as
/// `"10s"` are read by [`tautline_protocol::units`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct GatewayConfig {
    /// WebSockets at once; one more is refused with HTTP 503. Default 1,000,000; the process's limit of open
    /// files is usually lower.
    #[serde(with = "units::Count")]
    pub connections_max: usize,
    /// Connections of [`crate::Gateway::serve`] that are still, or only, HTTP; one more is closed at once, and
    /// so is one more of an address that has as many as are left for all others. Default 16,384.
    #[serde(with = "units::Count")]
    pub http_connections_max: usize,
    /// The longest head of an HTTP request, in bytes. Default 16 KiB, at least 8 KiB.
    #[serde(with = "units::Bytes")]
    pub http_head_bytes_max: usize,
    /// How long the head of an HTTP request may take to arrive: the first from when the connection was
    /// accepted, later ones from their first byte. Default 10 s.
    #[serde(with = "units::Wait")]
    pub http_head_timeout: Duration,
    /// How long the body of an API request may take to arrive. Default 10 s.
    #[serde(with = "units::Wait")]
    pub http_body_timeout: Duration,
    /// How long an HTTP connection may wait for its next request. Default 75 s: longer than the 60 s for
    /// which proxies keep theirs, so that no request meets a connection that is just being closed.
    #[serde(with = "units::Wait")]
    pub http_idle_timeout: Duration,
    /// Connections of [`crate::Gateway::serve`] from one address (in IPv6: from one /64), WebSockets and
    /// silent ones included; one more is closed at once. Default 4,096.
    #[serde(with = "units::Count")]
    pub connections_per_address_max: usize,
    /// Connections of [`crate::Gateway::serve`] from one address (in IPv6: from one /64) that have not sent a
    /// whole request yet, TLS handshakes included, or as a WebSocket no message; one more is closed at once.
    /// Default 1,024.
    #[serde(with = "units::Count")]
    pub handshakes_per_address_max: usize,
    /// Networks of proxies and load balancers, whose connections belong to many clients and are not counted
    /// by address. Default: this host and private networks.
    #[serde(deserialize_with = "networks")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub proxies: Vec<IpNet>,
    /// Networks of the proxies and load balancers that are believed what they say about clients: the PROXY
    /// protocol, and `X-Forwarded-For`. Their connections are not counted by address, but those of the clients
    /// are. Default: none, so that nobody can pass for another address.
    #[serde(deserialize_with = "networks")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub trusted_proxies: Vec<IpNet>,
    /// The longest body of an API request, in bytes. Default 128 KiB.
    #[serde(with = "units::Bytes")]
    pub api_body_bytes_max: usize,
    /// Methods running at once on this node; one more is answered `overloaded`, and so is one more of a user,
    /// or of an address of guests, that has as many as are left for all others. Default 65,536.
    #[serde(with = "units::Count")]
    pub calls_running_max: usize,
    /// Questions to the back end at once, such as logins to be checked; one more is refused with
    /// `unavailable`. Default 4,096.
    #[serde(with = "units::Count")]
    pub backend_questions_max: usize,
    /// How long the back end may take to answer; then the question is refused with `unavailable`. Default 5
    /// s, half of the time that a client has for its `hello`.
    #[serde(with = "units::Wait")]
    pub backend_timeout: Duration,
    /// How long a peer may read nothing while it is sent something. Default 30 s.
    #[serde(with = "units::Wait")]
    pub stall_timeout: Duration,
    /// How long a peer may take to hang up behind the close frame. Default 3 s.
    #[serde(with = "units::Wait")]
    pub linger_timeout: Duration,
    /// How long sent bytes may stay unacknowledged (`TCP_USER_TIMEOUT`): a phone out of reach is noticed.
    /// Default 30 s.
    #[serde(with = "units::Wait")]
    pub unacknowledged_timeout: Duration,
    /// Patterns of channel rules that `/metrics/channels` has series of: those with the most subscribers. Default 20.
    #[serde(with = "units::Count")]
    pub metrics_patterns_max: usize,
    /// Whether messages are compressed (permessage-deflate, RFC 7692) for clients that offer it. Default no:
    /// it costs CPU.
    pub compression: bool,
    /// Messages shorter than this, in bytes, are never compressed: little is gained. Default 512.
    #[serde(with = "units::Bytes")]
    pub compression_bytes_min: usize,
    /// Whether the sends of many connections go in one system call where the machine allows it: Linux from
    /// 5.18, except where `io_uring` is forbidden, as in most containers. Default yes: large channels cost a
    /// fifth less CPU.
    pub io_uring: bool,
    /// Kernel memory for bytes that a peer has not read yet (`SO_SNDBUF`, which Linux doubles), in bytes.
    /// Default 20 KiB.
    #[serde(with = "units::Bytes")]
    pub send_buffer_bytes: usize,
    /// Kernel memory for bytes that the gateway has not read yet (`SO_RCVBUF`, which Linux doubles), in
    /// bytes. Default 8 KiB.
    #[serde(with = "units::Bytes")]
    pub receive_buffer_bytes: usize,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            connections_max: 1_000_000,
            http_connections_max: 16_384,
            http_head_bytes_max: 16 * KIB,
            http_head_timeout: Duration::from_secs(10),
            http_body_timeout: Duration::from_secs(10),
            http_idle_timeout: Duration::from_secs(75),
            connections_per_address_max: 4096,
            handshakes_per_address_max: 1024,
            proxies: default_proxies(),
            trusted_proxies: Vec::new(),
            api_body_bytes_max: 128 * KIB,
            calls_running_max: 65_536,
            backend_questions_max: 4096,
            backend_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(30),
            linger_timeout: Duration::from_secs(3),
            unacknowledged_timeout: Duration::from_secs(30),
            metrics_patterns_max: 20,
            compression: false,
            compression_bytes_min: 512,
            io_uring: true,
            send_buffer_bytes: 20 * KIB,
            receive_buffer_bytes: 8 * KIB,
        }
    }
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| network(text).map_err(D::Error::custom)).collect()
}

/// A network, or a single address.
fn network(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or(address).map_err(|_| {
        format!("{text:?} is no network: write an address, or one and a length, like 10.0.0.0/8")
    })
}
