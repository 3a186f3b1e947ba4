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
use tokio::task::JoinSet;
use tracing::debug;

use crate::{
    addresses::AddressPermit,
    clients::Remote,
    http::{serve::serve_http, stream::Progress},
    listener::Listener,
    maintenance::spawn_background_tasks,
    state::{GatewayState, HttpPermit},
    transport::{any::AnyStream, proxy_protocol, tls::config::Tls},
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
    handshake: AddressPermit,
    stream: AnyStream,
    remote: Remote,
}

/// What all connections of a listener share.
struct Port {
    router: Router,
    tls: Option<Tls>,
    proxy_protocol: bool,
}

/// Accepts until the gateway drains, in a task of the runtime that ends with this future.
///
/// The caller may be outside of the runtime's workers, under `block_on`: each connection would then wake one
/// of them from another thread, which took a third of the CPU of a handshake.
pub(crate) async fn serve(state: Arc<GatewayState>, router: Router, listener: Listener) -> io::Result<()> {
    let mut task = JoinSet::new();
    task.spawn(accept(state, router, listener));
    task.join_next().await.expect("there is one task").map_err(io::Error::other)?
}

async fn accept(state: Arc<GatewayState>, router: Router, listener: Listener) -> io::Result<()> {
    listener.tune(&state.config)?;
    spawn_background_tasks(&state);
    let port = Arc::new(Port { router, tls: listener.tls.clone(), proxy_protocol: listener.proxy_protocol });
    let mut drain_started = std::pin::pin!(state.drain.started());
    let mut accepted = VecDeque::new();
    loop {
        tokio::select! {
            biased;
            () = &mut drain_started => return Ok(()),
            () = accept_ready(&state, &listener, &mut accepted) => {}
        }
        for accepted in accepted.drain(..accepted.len().min(ACCEPTS_PER_POLL)) {
            tokio::spawn(open(accepted, Arc::clone(&port)));
        }
        if !accepted.is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

/// Takes all connections that are ready from the kernel, whose queue is short: a client that does not fit
/// tries again only a second later. Waits only while `accepted` is empty.
async fn accept_ready(state: &Arc<GatewayState>, listener: &Listener, accepted: &mut VecDeque<Accepted>) {
    let failed = poll_fn(|cx| {
        loop {
            match listener.poll_accept(cx) {
                Poll::Ready(Ok((stream, remote))) => {
                    accepted.extend(admit(state, stream, remote, listener.proxy_protocol));
                }
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

/// `None`: a ceiling is reached or the network is not trusted, and the connection is closed.
fn admit(
    state: &Arc<GatewayState>,
    stream: AnyStream,
    remote: Remote,
    proxy_protocol: bool,
) -> Option<Accepted> {
    let detail = || remote.address().map_or_else(|| "a Unix socket".to_owned(), |peer| peer.ip().to_string());
    let (warnings, now) = (&state.warnings, || state.clock.now());
    if proxy_protocol && !state.clients.trust(remote) {
        warnings.untrusted_proxy.note(now(), detail);
        return None;
    }
    let address = match remote {
        Remote::Address(peer) => acquire_address(state, peer)?,
        Remote::Unix | Remote::Unnamed(_) => AddressPermit::UNCOUNTED,
    };
    let handshake = match remote {
        Remote::Address(peer) => acquire_handshake(state, peer)?,
        Remote::Unix | Remote::Unnamed(_) => AddressPermit::UNCOUNTED,
    };
    let Some((permit, share)) = try_acquire_http(state, &address) else {
        warnings.http_connections.note(now(), detail);
        return None;
    };
    Some(Accepted { permit, share, address, handshake, stream, remote })
}

/// `None`: the ceiling is reached, or the address has its share of it. Behind a proxy there are many clients.
fn try_acquire_http(state: &Arc<GatewayState>, address: &AddressPermit) -> Option<(HttpPermit, Claim)> {
    let share = claim_http(state, address)?;
    Some((HttpPermit::try_acquire(state)?, share))
}

fn claim_http(state: &Arc<GatewayState>, address: &AddressPermit) -> Option<Claim> {
    let of_address = |address: IpAddr| state.hub.holder(address.to_string().as_bytes());
    let holder = address.address().map_or(Holder::BACK_END, of_address);
    state.http_shares.claim(holder, 1, holder.claimant())
}

fn acquire_address(state: &Arc<GatewayState>, address: SocketAddr) -> Option<AddressPermit> {
    let permit = state.addresses.try_acquire(address.ip());
    if permit.is_none() {
        state.warnings.address.note(state.clock.now(), || address.ip().to_string());
    }
    permit
}

/// A place among the handshakes of an address. TLS and the head of the first request count as one.
fn acquire_handshake(state: &Arc<GatewayState>, address: SocketAddr) -> Option<AddressPermit> {
    let permit = state.handshakes.try_acquire(address.ip());
    if permit.is_none() {
        state.warnings.handshakes.note(state.clock.now(), || address.ip().to_string());
    }
    permit
}

/// Reads what stands before HTTP on this port, and goes on with HTTP.
async fn open(accepted: Accepted, port: Arc<Port>) {
    let Accepted { permit, mut share, mut address, handshake, mut stream, mut remote } = accepted;
    // The deadline of the first request's head counts from here.
    let progress = Progress::start(handshake);
    if port.proxy_protocol {
        let Some(client) = read_proxy_header(permit.state(), &mut stream, remote).await else { return };
        if let Some(client) = client {
            let Some(counted) = acquire_address(permit.state(), client) else { return };
            let Some(handshake) = acquire_handshake(permit.state(), client) else { return };
            progress.count_handshake(handshake);
            // From here on it is the client's share and no longer the proxy's.
            let Some(claimed) = claim_http(permit.state(), &counted) else {
                let state = permit.state();
                return state.warnings.http_connections.note(state.clock.now(), || client.ip().to_string());
            };
            (address, remote, share) = (counted.of_client(client), Remote::Address(client), claimed);
        } else {
            remote = Remote::Unnamed(remote.address());
        }
    }
    let stream = match stream.inside(port.tls.as_ref()) {
        Ok(stream) => stream,
        Err(error) => return debug!(%error, "TLS cannot start"),
    };
    serve_http((permit, share), port.router.clone(), stream, remote, address, progress).await;
}

/// The client that the proxy names; `None`: the connection is to be closed.
async fn read_proxy_header(
    state: &Arc<GatewayState>,
    stream: &mut AnyStream,
    remote: Remote,
) -> Option<Option<SocketAddr>> {
    let header = tokio::time::timeout(state.config.http_head_timeout, proxy_protocol::read(stream));
    let read = tokio::select! {
        biased;
        () = state.drain.started() => return None,
        read = header => read,
    };
    match read {
        Ok(Ok(client)) => Some(client),
        Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
            state.warnings.proxy_header.note(state.clock.now(), || format!("{remote:?}: {error}"));
            None
        }
        Ok(Err(error)) => {
            debug!(%error, "the connection ended before its PROXY header");
            None
        }
        Err(_) => {
            debug!("the PROXY header took too long");
            None
        }
    }
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
        let others: Vec<_> = (0..1_000_u16)
            .map(u16::to_be_bytes)
            .filter_map(|[high, low]| connect([10, 0, high, low]))
            .collect();
        assert_eq!(others.len(), 1_000);
        drop((greedy, others));
        assert_eq!((gateway.stats().http_connections, gateway.state().http_shares.used()), (0, 0));
    }
}
