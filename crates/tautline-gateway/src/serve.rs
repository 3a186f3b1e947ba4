//! The accept loop, and the HTTP phase of each connection.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tracing::{debug, warn};

use crate::{gateway::Shared, socket};

/// The wait after a failure to accept that has to do with us, such as no file being left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts until the gateway drains, in a task of the runtime that ends with this future.
///
/// Whoever calls may be outside of the runtime's workers, under `block_on`: each connection would then wake one of them from
/// another thread, which took a third of the CPU of a handshake.
pub(crate) async fn serve(gateway: Arc<Shared>, router: Router, listener: TcpListener) -> io::Result<()> {
    let mut task = JoinSet::new();
    task.spawn(accept(gateway, router, listener));
    task.join_next().await.expect("there is one task").map_err(io::Error::other)?
}

async fn accept(gateway: Arc<Shared>, router: Router, listener: TcpListener) -> io::Result<()> {
    socket::tune(&listener, &gateway.config)?;
    gateway.keep_house();
    let http = Arc::new(http_of(&gateway));
    let mut draining = gateway.draining.subscribe();
    loop {
        let accepted = tokio::select! {
            biased;
            () = begun(&mut draining) => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => match Guest::enter(&gateway) {
                Some(guest) => drop(tokio::spawn(greet(guest, Arc::clone(&http), router.clone(), stream))),
                None => debug!("too many HTTP connections: one more was closed"),
            },
            Err(error) if concerns_one_connection(&error) => {
                debug!(%error, "a connection failed before it was accepted")
            }
            Err(error) => {
                warn!(%error, "cannot accept now");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn http_of(gateway: &Shared) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new()).http1_only();
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(gateway.config.http_request_timeout)
        .max_buf_size(gateway.config.http_head_bytes_max)
        .keep_alive(true);
    http
}

/// Speaks HTTP until the peer leaves, or turns to WebSocket and goes on elsewhere.
async fn greet(guest: Guest, http: Arc<Builder<TokioExecutor>>, router: Router, stream: TcpStream) {
    let mut draining = guest.0.draining.subscribe();
    let service = TowerToHyperService::new(router);
    let mut connection = std::pin::pin!(http.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = begun(&mut draining) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "HTTP ended");
    }
}

/// Waits until the gateway drains.
async fn begun(draining: &mut watch::Receiver<bool>) {
    // It fails only where the gateway is no more: there is then nothing to serve either.
    drop(draining.wait_for(|draining| *draining).await);
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// A place among [`crate::GatewayConfig::http_connections_max`].
struct Guest(Arc<Shared>);

impl Guest {
    fn enter(gateway: &Arc<Shared>) -> Option<Self> {
        let before = gateway.counters.http_connections.fetch_add(1, Ordering::AcqRel);
        let guest = Self(Arc::clone(gateway));
        (before < gateway.config.http_connections_max).then_some(guest)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.counters.http_connections.fetch_sub(1, Ordering::AcqRel);
        self.0.counters.gone.notify_waiters();
    }
}
