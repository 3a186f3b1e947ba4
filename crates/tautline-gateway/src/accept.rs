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
    gateway::GatewayState,
    http::serve::{HttpPermit, drain_started, serve_http},
    transport::socket,
};

/// The wait after a failure to accept that has to do with us, such as no file being left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How many connections begin before others have their turn. Where more are ready than a worker's queue holds, the runtime
/// lets those that do not fit wait for the end of the storm.
const ACCEPTS_PER_POLL: usize = 16;

/// A connection that has just been accepted.
struct Accepted {
    permit: HttpPermit,
    place: AddressPermit,
    stream: TcpStream,
}

/// Accepts until the gateway drains, in a task of the runtime that ends with this future.
///
/// Whoever calls may be outside of the runtime's workers, under `block_on`: each connection would then wake one of them from
/// another thread, which took a third of the CPU of a handshake.
pub(crate) async fn serve(
    gateway: Arc<GatewayState>,
    router: Router,
    listener: TcpListener,
) -> io::Result<()> {
    let mut task = JoinSet::new();
    task.spawn(accept(gateway, router, listener));
    task.join_next().await.expect("there is one task").map_err(io::Error::other)?
}

async fn accept(gateway: Arc<GatewayState>, router: Router, listener: TcpListener) -> io::Result<()> {
    socket::tune(&listener, &gateway.config)?;
    gateway.spawn_background_tasks();
    let mut draining = gateway.draining.subscribe();
    let mut accepted = VecDeque::new();
    loop {
        tokio::select! {
            biased;
            () = drain_started(&mut draining) => return Ok(()),
            () = accept_ready(&gateway, &listener, &mut accepted) => {}
        }
        for Accepted { permit, place, stream } in accepted.drain(..accepted.len().min(ACCEPTS_PER_POLL)) {
            tokio::spawn(serve_http(permit, router.clone(), stream, place));
        }
        if !accepted.is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

/// Takes all that have come from the kernel, which keeps only so many: the next one would be left to try again a second
/// later. Waits where nobody waits already.
async fn accept_ready(
    gateway: &Arc<GatewayState>,
    listener: &TcpListener,
    accepted: &mut VecDeque<Accepted>,
) {
    let failed = poll_fn(|cx| {
        loop {
            match listener.poll_accept(cx) {
                Poll::Ready(Ok((stream, peer))) => accepted.extend(admit(gateway, stream, peer)),
                Poll::Ready(Err(error)) if concerns_one_connection(&error) => {
                    debug!(%error, "a connection failed before it was accepted");
                }
                // Those who are in go first; it will fail again.
                Poll::Ready(Err(_)) if !accepted.is_empty() => return Poll::Ready(None),
                Poll::Ready(Err(error)) => return Poll::Ready(Some(error)),
                Poll::Pending if accepted.is_empty() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(None),
            }
        }
    });
    if let Some(error) = failed.await {
        gateway.warnings.accept.note(gateway.clock.now(), || error.to_string());
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// A connection that has a place; `None`: there is none, and it is closed.
fn admit(gateway: &Arc<GatewayState>, stream: TcpStream, peer: SocketAddr) -> Option<Accepted> {
    let warnings = &gateway.warnings;
    let Some(permit) = HttpPermit::enter(gateway) else {
        warnings.http_connections.note(gateway.clock.now(), || peer.ip().to_string());
        return None;
    };
    let Some(place) = gateway.addresses.enter(peer.ip()) else {
        warnings.address.note(gateway.clock.now(), || peer.ip().to_string());
        return None;
    };
    Some(Accepted { permit, place, stream })
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
