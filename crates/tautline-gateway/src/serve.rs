//! The accept loop, and the HTTP phase of each connection.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    sync::{Arc, atomic::Ordering},
    task::Poll,
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
/// How many connections begin before others have their turn. Where more are ready than a worker's queue holds, the runtime
/// lets those that do not fit wait for the end of the storm.
const GREETED_A_TURN: usize = 16;

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
    let mut arrived = VecDeque::new();
    loop {
        tokio::select! {
            biased;
            () = begun(&mut draining) => return Ok(()),
            () = await_arrivals(&gateway, &listener, &mut arrived) => {}
        }
        for (guest, stream) in arrived.drain(..arrived.len().min(GREETED_A_TURN)) {
            tokio::spawn(greet(guest, Arc::clone(&http), router.clone(), stream));
        }
        if !arrived.is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

/// Takes all that have come from the kernel, which keeps only so many: the next one would be left to try again a second
/// later. Waits where nobody waits already.
async fn await_arrivals(
    gateway: &Arc<Shared>,
    listener: &TcpListener,
    arrived: &mut VecDeque<(Guest, TcpStream)>,
) {
    let failed = poll_fn(|cx| {
        loop {
            match listener.poll_accept(cx) {
                Poll::Ready(Ok((stream, _))) => match Guest::enter(gateway) {
                    Some(guest) => arrived.push_back((guest, stream)),
                    None => debug!("too many HTTP connections: one more was closed"),
                },
                Poll::Ready(Err(error)) if concerns_one_connection(&error) => {
                    debug!(%error, "a connection failed before it was accepted");
                }
                // Those who are in go first; it will fail again.
                Poll::Ready(Err(_)) if !arrived.is_empty() => return Poll::Ready(None),
                Poll::Ready(Err(error)) => return Poll::Ready(Some(error)),
                Poll::Pending if arrived.is_empty() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(None),
            }
        }
    });
    if let Some(error) = failed.await {
        warn!(%error, "cannot accept now");
        tokio::time::sleep(ACCEPT_PAUSE).await;
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
