//! The sockets of the proxy: accepts, asks at the gate, dials the upstream, and relays bytes.
//! Start at [`Chaos::builder`].

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tautline_netem::Rules;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::connection;
use super::control;
use super::error::ChaosError;
use super::network::Network;
use super::relay::reset;

/// How many connections a proxy carries at once, unless told otherwise.
pub const CONNECTIONS_MAX: usize = 4096;

/// How long the proxy rests when the system gives it no more sockets.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running proxy: a [`Network`] and the sockets around it. Dropping it closes everything.
pub struct Chaos {
    network: Network,
    addr: SocketAddr,
    control_addr: Option<SocketAddr>,
    /// Held for its drop, which ends them.
    _tasks: JoinSet<()>,
}

impl Chaos {
    /// A proxy to be: say at least where the [`upstream`](ChaosBuilder::upstream) is.
    pub fn builder() -> ChaosBuilder {
        ChaosBuilder {
            listen: loopback(0),
            upstream: None,
            rules: Rules::default(),
            seed: None,
            control: None,
            control_cors: false,
            connections_max: CONNECTIONS_MAX,
        }
    }

    /// Where clients connect.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where the HTTP control API listens, if it was asked for.
    #[must_use]
    pub fn control_addr(&self) -> Option<SocketAddr> {
        self.control_addr
    }
}

/// All that can be done to the network of a proxy can be done through the proxy.
impl Deref for Chaos {
    type Target = Network;

    fn deref(&self) -> &Network {
        &self.network
    }
}

/// A proxy that does not run yet.
#[derive(Debug, Clone)]
#[must_use = "nothing runs before start()"]
pub struct ChaosBuilder {
    listen: SocketAddr,
    upstream: Option<String>,
    rules: Rules,
    seed: Option<u64>,
    control: Option<SocketAddr>,
    control_cors: bool,
    connections_max: usize,
}

impl ChaosBuilder {
    /// Where clients connect. Default: a free port of 127.0.0.1.
    pub fn listen(self, listen: SocketAddr) -> Self {
        Self { listen, ..self }
    }

    /// The server behind the proxy, `host:port`. Looked up anew for each connection.
    pub fn upstream(self, upstream: impl Into<String>) -> Self {
        Self { upstream: Some(upstream.into()), ..self }
    }

    /// How bad the network is to begin with. Default: perfect.
    pub fn rules(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// The seed of everything random. Default: a new one each time, see [`Network::seed`].
    pub fn seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// Opens the HTTP control API there. Whoever reaches it can do anything to the network; it has no password.
    pub fn control(self, control: SocketAddr) -> Self {
        Self { control: Some(control), ..self }
    }

    /// Lets web pages of any origin use the control API. Default: no web page may.
    pub fn control_cors(self, control_cors: bool) -> Self {
        Self { control_cors, ..self }
    }

    /// How many connections it carries at once; more are reset. Default: [`CONNECTIONS_MAX`].
    pub fn connections_max(self, connections_max: usize) -> Self {
        Self { connections_max, ..self }
    }

    /// Opens the ports and starts to carry.
    ///
    /// # Errors
    /// [`ChaosError::NoUpstream`], [`ChaosError::Rules`], [`ChaosError::Listen`].
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    pub async fn start(self) -> Result<Chaos, ChaosError> {
        let upstream: Arc<str> = self.upstream.ok_or(ChaosError::NoUpstream)?.into();
        self.rules.validate()?;
        let network = Network::new(self.rules, self.seed.unwrap_or_else(any_seed));
        let mut tasks = JoinSet::new();

        let (listener, addr) = bind(self.listen).await?;
        tasks.spawn(accept(listener, network.clone(), upstream, self.connections_max));
        let control_addr = match self.control {
            Some(control) => {
                let (listener, addr) = bind(control).await?;
                tasks.spawn(control::serve(listener, network.clone(), self.control_cors));
                Some(addr)
            }
            None => None,
        };
        Ok(Chaos { network, addr, control_addr, _tasks: tasks })
    }
}

/// This port, for this machine alone.
pub(super) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

async fn bind(addr: SocketAddr) -> Result<(TcpListener, SocketAddr), ChaosError> {
    let failed = |source| ChaosError::Listen { addr, source };
    let listener = TcpListener::bind(addr).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Accepts for as long as the proxy lives. Its connections are its own: they end with it.
async fn accept(listener: TcpListener, network: Network, upstream: Arc<str>, connections_max: usize) {
    let places = Arc::new(Semaphore::new(connections_max));
    let mut connections = JoinSet::new();
    loop {
        let client = match listener.accept().await {
            Ok((client, _)) => client,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while let Some(ended) = connections.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "a connection ended by a bug of the proxy");
            }
        }
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!(connections_max, "no place for another connection");
            reset(client);
            continue;
        };
        let (network, upstream) = (network.clone(), Arc::clone(&upstream));
        connections.spawn(async move {
            prepare(&client);
            connection::serve(&network, client, &upstream).await;
            drop(place);
        });
    }
}

/// The network here is as slow as the rules say, and no slower.
pub(super) fn prepare(socket: &TcpStream) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "a socket keeps Nagle's delay");
    }
}

/// The standard library seeds its hash maps from the system; that is as random as a seed needs to be.
fn any_seed() -> u64 {
    // Short enough to be typed again.
    RandomState::new().hash_one("chaos") % 1_000_000
}
