//! The accept loop.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use axum::Router;
use tautline_hub::budget::{Claim, Holder};
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
    share: Claim,
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
        let batch = accepted.len().min(ACCEPTS_PER_POLL);
        for Accepted { permit, share, address, stream } in accepted.drain(..batch) {
            tokio::spawn(serve_http((permit, share), router.clone(), stream, address));
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
    let Some(address) = state.addresses.try_acquire(peer.ip()) else {
        warnings.address.note(state.clock.now(), || peer.ip().to_string());
        return None;
    };
    let Some((permit, share)) = try_acquire_http(state, &address) else {
        warnings.http_connections.note(state.clock.now(), || peer.ip().to_string());
        return None;
    };
    Some(Accepted { permit, share, address, stream })
}

/// `None`: the ceiling is reached, or the address has its share of it. Behind a proxy there are many clients.
fn try_acquire_http(state: &Arc<GatewayState>, address: &AddressPermit) -> Option<(HttpPermit, Claim)> {
    let of_address = |address: IpAddr| state.hub.holder(address.to_string().as_bytes());
    let holder = address.address().map_or(Holder::BACK_END, of_address);
    let share = state.http_shares.claim(holder, 1, holder.claimant())?;
    Some((HttpPermit::try_acquire(state)?, share))
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Gateway, GatewayConfig};

    #[test]
    fn greedy_address_gets_half_of_http_connections() {
        let mut config = GatewayConfig::default();
        (config.http_connections_max, config.proxies) = (2_048, Vec::new());
        let gateway = Gateway::builder().config(config).guests(true).build().unwrap();
        let connect = |address: [u8; 4]| {
            let address = gateway.state().addresses.try_acquire(address.into())?;
            Some((try_acquire_http(gateway.state(), &address)?, address))
        };
        let greedy: Vec<_> = std::iter::from_fn(|| connect([6, 6, 6, 6])).collect();
        assert_eq!(greedy.len(), 1_025, "half, and no refusal before");
        let others: Vec<_> =
            (0..1_000_u16).filter_map(|n| connect([10, 0, (n / 250) as u8, (n % 250) as u8])).collect();
        assert_eq!(others.len(), 1_000);
        drop((greedy, others));
        assert_eq!((gateway.stats().http_connections, gateway.state().http_shares.used()), (0, 0));
    }
}
