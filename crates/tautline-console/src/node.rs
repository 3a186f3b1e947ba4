//! What the console needs of the process around it, beside the host of the server API.

use std::{net::IpAddr, time::Duration};

use http::{Extensions, HeaderMap};
use serde::Serialize;
use serde_json::Value;

/// The process whose node is shown.
pub trait Node: Send + Sync + 'static {
    /// Its figures. It may read files: it is asked on a thread where that is fine.
    fn figures(&self) -> NodeFigures;

    /// Its hooks, each as the console shows it.
    fn hooks(&self) -> Vec<Value>;

    /// Takes the node down: clients are told to come back at moments spread over this time, and then the process ends.
    fn drain(&self, spread: Duration);

    /// The address from which a request comes, as far as it is known.
    fn address(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<IpAddr>;
}

/// Figures of a process. What it does not know is absent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NodeFigures {
    /// Milliseconds since its start.
    pub uptime_ms: u64,
    /// Whether it takes clients and publications.
    pub ready: bool,
    /// How far it has drained; `None` unless it drains.
    pub draining: Option<DrainFigures>,
    /// CPU time that it used, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u64>,
    /// Its memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_bytes: Option<u64>,
    /// Open files and sockets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_fds: Option<u64>,
    /// Where logs are.
    pub engine: EngineFigures,
}

/// A drain that runs.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct DrainFigures {
    /// Connections that are left.
    pub left: u64,
    /// Connections when it began.
    pub total: u64,
    /// When a connection that cannot be asked to leave is given up, in milliseconds from now.
    pub deadline_ms: u64,
}

/// The engine.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EngineFigures {
    /// `memory`, `disk` or `redis`.
    pub kind: &'static str,
    /// Whether it stores publications at present.
    pub healthy: bool,
}
