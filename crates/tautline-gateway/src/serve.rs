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
    addresses::AddressPlace,
    gateway::Shared,
    http::{Guest, begun, greet},
    socket,
};

/// The wait after a failure to accept that has to do with us, such as no file being left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How many connections begin before others have their turn. Where more are ready than a worker's queue holds, the runtime
/// lets those that do not fit wait for the end of the storm.
const GREETED_A_TURN: usize = 16;

/// A connection that has just been accepted.
struct Arrived {
    guest: Guest,
    place: AddressPlace,
    stream: TcpStream,
}

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
    let mut draining = gateway.draining.subscribe();
    let mut arrived = VecDeque::new();
    loop {
        tokio::select! {
            biased;
            () = begun(&mut draining) => return Ok(()),
            () = await_arrivals(&gateway, &listener, &mut arrived) => {}
        }
        for Arrived { guest, place, stream } in arrived.drain(..arrived.len().min(GREETED_A_TURN)) {
            tokio::spawn(greet(guest, router.clone(), stream, place));
        }
        if !arrived.is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

/// Takes all that have come from the kernel, which keeps only so many: the next one would be left to try again a second
/// later. Waits where nobody waits already.
async fn await_arrivals(gateway: &Arc<Shared>, listener: &TcpListener, arrived: &mut VecDeque<Arrived>) {
    let failed = poll_fn(|cx| {
        loop {
            match listener.poll_accept(cx) {
                Poll::Ready(Ok((stream, peer))) => arrived.extend(let_in(gateway, stream, peer)),
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
        gateway.causes.accept.note(gateway.clock.now(), || error.to_string());
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// A connection that has a place; `None`: there is none, and it is closed.
fn let_in(gateway: &Arc<Shared>, stream: TcpStream, peer: SocketAddr) -> Option<Arrived> {
    let causes = &gateway.causes;
    let Some(guest) = Guest::enter(gateway) else {
        causes.http_connections.note(gateway.clock.now(), || peer.ip().to_string());
        return None;
    };
    let Some(place) = gateway.addresses.enter(peer.ip()) else {
        causes.address.note(gateway.clock.now(), || peer.ip().to_string());
        return None;
    };
    Some(Arrived { guest, place, stream })
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
