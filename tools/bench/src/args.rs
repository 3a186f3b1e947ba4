//! What can be asked of a load, and where it may go.

use std::{
    net::{SocketAddr, ToSocketAddrs as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::Args;
use rustls::ClientConfig;
use serde_json::{Value, json};
use tautline_process::{secret::Secret, units::parse_duration};

use super::protocols::{NUMBER_BYTES, Protocol};

/// The token, where the command line should not show it to everybody who lists processes.
const TOKEN: &str = "TAUTLINE_TOKEN";

/// What every scenario can be told.
#[derive(Clone, Debug, Args)]
pub struct Load {
    /// The gateway: ws://127.0.0.1:PORT/connect. Without it every run starts a server of its own, a process beside this one
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The gateway's processes (like 17 or 17,18), whose CPU and memory are measured with those of their children; that of a
    /// server of its own is known
    #[arg(long, requires = "url", value_delimiter = ',')]
    pid: Vec<u32>,
    /// What the server of --url speaks, to measure another one (idle, fanout and echo, with one channel): its connections are then
    /// made at the paths that are told here, and payloads begin with a number
    #[arg(long, requires = "url", value_enum, default_value_t)]
    protocol: Protocol,
    /// Lets the load loose on a gateway that is not on this machine. It is a load: point it only at what is yours
    #[arg(long)]
    i_own_this_host: bool,
    /// A token (JWT) that every connection brings to the gateway of --url, else all are guests
    #[arg(long, env = TOKEN, hide_env_values = true, value_parser = secret)]
    token: Option<Secret>,
    /// Connections that subscribe or ask; the publisher's is one more
    #[arg(long, value_name = "COUNT")]
    connections: Option<usize>,
    /// Channels, among which connections are dealt out in turn
    #[arg(long, value_name = "COUNT")]
    channels: Option<usize>,
    /// How much may be on its way at once. The publisher sends the next publication only while fewer than so many are not yet
    /// delivered to all subscribers, several in one message where that is allowed; who asks, asks only while fewer than so many
    /// answers are owed to that connection
    #[arg(long, value_name = "COUNT")]
    in_flight: Option<usize>,
    /// In place of --in-flight: so many a second in all, whatever becomes of them. Latency then counts from when each was due
    #[arg(long, value_name = "PER SECOND")]
    rate: Option<f64>,
    /// The bytes of each payload
    #[arg(long, value_name = "BYTES", default_value_t = 128)]
    payload: usize,
    /// How long is measured, after a second that warms up
    #[arg(long)]
    seconds: Option<f64>,
    /// Memory has settled when it did not fall for so long: the allocator gives back what was freed a few seconds later
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = parse_duration)]
    settle: Duration,
    /// How many connections may be opening at once
    #[arg(long, value_name = "COUNT")]
    at_once: Option<usize>,
    /// Repeats everything so often, and takes the median of each figure
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// JSON in place of the table; with a file, beside it
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    json: Option<Option<PathBuf>>,
    /// The threads of a server of its own
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    server_threads: usize,
    /// Has /metrics of a server of its own read each second
    #[arg(long, conflicts_with_all = ["url", "tls"])]
    scrapes: bool,
    /// TLS between the load and a server of its own, which makes a certificate for it
    #[arg(long, conflicts_with = "url")]
    tls: bool,
    /// The cores that a server of its own runs on, like 0 or 0,1. [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    server_cores: Vec<usize>,
    /// The cores that the load runs on. [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    load_cores: Vec<usize>,
}

/// What a scenario does where it was not told otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults {
    pub connections: usize,
    pub channels: usize,
    pub in_flight: usize,
    pub rate: Option<f64>,
    pub seconds: f64,
    pub at_once: usize,
}

/// What a scenario is to do.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub connections: usize,
    pub channels: usize,
    pub in_flight: usize,
    pub rate: Option<f64>,
    pub payload: usize,
    pub lasts: Duration,
    pub settle: Duration,
    pub at_once: usize,
}

/// Where a load goes, and as whom.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub address: SocketAddr,
    pub host: String,
    pub path: String,
    /// The load has a core for itself, and asks for events without end: to wake it would be the server's work.
    pub sleepless: bool,
    pub protocol: Protocol,
    /// Inside of TLS, and with whom it is trusted.
    pub tls: Option<Arc<ClientConfig>>,
    token: Option<Secret>,
}

/// What a server of its own is like.
#[derive(Clone, Debug)]
pub(super) struct OwnServer {
    pub threads: usize,
    pub cores: Vec<usize>,
    pub tls: bool,
    pub scrapes: bool,
    /// The back end that answers its method `hook`.
    pub hook: Option<String>,
}

impl Load {
    pub(super) fn plan(&self, defaults: Defaults) -> anyhow::Result<Plan> {
        let plan = Plan {
            connections: self.connections.unwrap_or(defaults.connections),
            channels: self.channels.unwrap_or(defaults.channels),
            in_flight: self.in_flight.unwrap_or(defaults.in_flight),
            // Who names a number in flight does not want the rate that would be there by default.
            rate: self.rate.or(defaults.rate.filter(|_| self.in_flight.is_none())),
            payload: self.payload,
            lasts: Duration::try_from_secs_f64(self.seconds.unwrap_or(defaults.seconds))
                .context("--seconds is no time")?,
            settle: self.settle,
            at_once: self.at_once.unwrap_or(defaults.at_once),
        };
        let counts = [plan.connections, plan.channels, plan.in_flight, plan.at_once];
        ensure!(
            counts.iter().all(|count| *count > 0),
            "connections, channels and what is at once: one at least"
        );
        ensure!(
            plan.rate.is_none_or(|rate| rate > 0.0 && rate <= 1e6),
            "--rate is above 0, and at most a million"
        );
        ensure!((2..=32 * 1024).contains(&plan.payload), "--payload is between 2 and 32768 bytes");
        ensure!(
            self.protocol.is_ours() || (plan.channels == 1 && plan.payload >= NUMBER_BYTES),
            "in another protocol there is one channel, and a payload has {NUMBER_BYTES} bytes at least"
        );
        Ok(plan)
    }

    /// The gateway that was named, if one was.
    pub(super) fn target(&self) -> anyhow::Result<Option<(Target, Vec<u32>)>> {
        let Some(url) = &self.url else { return Ok(None) };
        let target = Target::parse(url, self.token.clone(), self.i_own_this_host)?;
        Ok(Some((Target { protocol: self.protocol, ..target }, self.pid.clone())))
    }

    pub(super) fn own_server(&self) -> OwnServer {
        OwnServer {
            threads: self.server_threads,
            cores: self.server_cores.clone(),
            tls: self.tls,
            scrapes: self.scrapes,
            hook: None,
        }
    }

    /// No server of ours is on the load's cores.
    pub(super) fn has_own_cores(&self) -> bool {
        !self.load_cores.is_empty() && !self.load_cores.iter().any(|core| self.server_cores.contains(core))
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub(super) fn load_cores(&self) -> &[usize] {
        &self.load_cores
    }

    pub(super) fn runs(&self) -> u32 {
        self.runs
    }

    pub(super) fn json(&self) -> Option<&Option<PathBuf>> {
        self.json.as_ref()
    }
}

impl Plan {
    /// For those who read the figures.
    pub(super) fn describe(&self) -> impl Iterator<Item = (&'static str, Value)> {
        let pace = match self.rate {
            Some(rate) => ("rate", json!(rate)),
            None => ("in_flight", json!(self.in_flight)),
        };
        [
            ("connections", json!(self.connections)),
            ("channels", json!(self.channels)),
            ("payload", json!(self.payload)),
            ("seconds", json!(self.lasts.as_secs_f64())),
            pace,
        ]
        .into_iter()
    }
}

impl Target {
    /// # Errors
    /// When it cannot be found, or is not on this machine and nobody said that it may be loaded all the same.
    pub(super) fn parse(url: &str, token: Option<Secret>, owns_host: bool) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("ws://").or_else(|| url.strip_prefix("http://"));
        let rest =
            rest.with_context(|| format!("{url:?}: write ws://127.0.0.1:PORT/connect (a load has no TLS)"))?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = if matches!(path, "" | "/") { "/connect" } else { path };
        let mut addresses = host.to_socket_addrs().with_context(|| format!("{url}: cannot find {host:?}"))?;
        let address = addresses.next().with_context(|| format!("{url}: {host} has no address"))?;
        ensure!(
            owns_host || address.ip().is_loopback(),
            "{address} is not on this machine, and a load could take it down: say --i-own-this-host if it is yours"
        );
        Ok(Self {
            address,
            host: host.to_owned(),
            path: path.to_owned(),
            sleepless: false,
            protocol: Protocol::default(),
            tls: None,
            token,
        })
    }

    /// The same, with this token.
    pub(super) fn bearing(self, token: Option<Secret>) -> Self {
        Self { token, ..self }
    }

    /// The same, inside of TLS.
    pub(super) fn inside(self, tls: Option<Arc<ClientConfig>>) -> Self {
        Self { tls, ..self }
    }

    /// The same, loaded by those who sleep while nothing comes, or by those who never do.
    pub(super) fn sleepless(self, sleepless: bool) -> Self {
        Self { sleepless, ..self }
    }

    /// The packet that a new session begins with.
    pub(super) fn hello(&self) -> String {
        let auth = match &self.token {
            Some(token) => json!({ "token": token.expose() }),
            None => json!({ "guest": true }),
        };
        json!({ "hello": { "v": 1, "auth": auth, "client": { "sdk": "tautline-bench", "platform": "bench" } } }).to_string()
    }
}

fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_target_needs_explicit_ownership() {
        let refused = Target::parse("ws://192.0.2.1:8000/connect", None, false).unwrap_err().to_string();
        assert!(refused.contains("--i-own-this-host"), "{refused}");
        assert!(Target::parse("ws://192.0.2.1:8000/connect", None, true).is_ok());
        let target = Target::parse("http://127.0.0.1:8000", None, false).unwrap();
        assert_eq!((target.host.as_str(), target.path.as_str()), ("127.0.0.1:8000", "/connect"));
        assert!(
            Target::parse("wss://127.0.0.1:8000", None, false).unwrap_err().to_string().contains("no TLS")
        );
    }

    #[test]
    fn a_token_is_said_and_not_printed() {
        let target = Target::parse("ws://127.0.0.1:1", Some(Secret::new("hush")), false).unwrap();
        assert!(target.hello().contains("hush") && !format!("{target:?}").contains("hush"));
    }
}
