//! The accept loop.

use std::{
    collections::VecDeque, future::poll_fn, io, net::SocketAddr, sync::Arc, task::Poll, time::Duration,
};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tracing::debug;

use crate::{
    addresses::AddressPermit,
    http::serve::serve_http,
    maintenance::spawn_background_tasks,
    state::{GatewayState, HttpPermit},
    transport::socket,
};

/// The pause after a failed `accept` that no single connection caused, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How many connections start before other tasks run. Where more tasks are ready than a worker's queue holds,
/// the runtime leaves the rest waiting until the burst is over.
const ACCEPTS_PER_POLL: usize = 16;

/// A connection that has just been accepted.
struct Accepted {
    permit: HttpPermit,
    address: AddressPermit,
    stream: TcpStream,
}

/// Accepts until the gateway drains, in a task of the runtime that ends with this future.
///
/// The caller may be outside of the runtime's workers, under `block_on`: each connection would then wake one
/// of them from another thread, which took a third of the CPU of a handshake.
pub(crate) async fn serve(state: Arc<GatewayState>, router: Router, listener: TcpListener) -> io::Result<()> {
    let mut task = JoinSet::new();
    task.spawn(accept(state, router, listener));
    task.join_next().await.expect("there is one task").map_err(io::Error::other)?
}

async fn accept(state: Arc<GatewayState>, router: Router, listener: TcpListener) -> io::Result<()> {
    socket::tune(&listener, &state.config)?;
    spawn_background_tasks(&state);
    let mut drain_started = std::pin::pin!(state.drain.started());
    let mut accepted = VecDeque::new();
    loop {
        tokio::select! {
            biased;
            () = &mut drain_started => return Ok(()),
            () = accept_ready(&state, &listener, &mut accepted) => {}
        }
        for Accepted { permit, address, stream } in accepted.drain(..accepted.len().min(ACCEPTS_PER_POLL)) {
            tokio::spawn(serve_http(permit, router.clone(), stream, address));
        }
        if !accepted.is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

/// Takes all connections that are ready from the kernel, whose queue is short: a client that does not fit
/// tries again only a second later. Waits only while `accepted` is empty.
async fn accept_ready(state: &Arc<GatewayState>, listener: &TcpListener, accepted: &mut VecDeque<Accepted>) {
    let failed = poll_fn(|cx| {
        loop {
            match listener.poll_accept(cx) {
                Poll::Ready(Ok((stream, peer))) => accepted.extend(admit(state, stream, peer)),
                Poll::Ready(Err(error)) if concerns_one_connection(&error) => {
                    debug!(%error, "a connection failed before it was accepted");
                }
                // The accepted connections go first; it will fail again.
                Poll::Ready(Err(_)) if !accepted.is_empty() => return Poll::Ready(None),
                Poll::Ready(Err(error)) => return Poll::Ready(Some(error)),
                Poll::Pending if accepted.is_empty() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(None),
            }
        }
    });
    if let Some(error) = failed.await {
        state.warnings.accept.note(state.clock.now(), || error.to_string());
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// `None`: a ceiling is reached, and the connection is closed.
fn admit(state: &Arc<GatewayState>, stream: TcpStream, peer: SocketAddr) -> Option<Accepted> {
    let warnings = &state.warnings;
    let Some(permit) = HttpPermit::try_acquire(state) else {
        warnings.http_connections.note(state.clock.now(), || peer.ip().to_string());
        return None;
    };
    let Some(address) = state.addresses.try_acquire(peer.ip()) else {
        warnings.address.note(state.clock.now(), || peer.ip().to_string());
        return None;
    };
    Some(Accepted { permit, address, stream })
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
