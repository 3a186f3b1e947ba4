//! `/connect` and the plain endpoint: turns an HTTP connection into a WebSocket.
//!
//! Takes the stream (TCP, plain or inside of TLS, or a Unix socket) back from hyper, so that nothing of the
//! HTTP machinery stays. A stream of an embedder's own that is no plain TCP keeps hyper's wrapping.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::any,
};
use bytes::Bytes;
use http::{StatusCode, header::RETRY_AFTER};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::{rt::TokioIo, server::conn::auto};
use tautline_adapters::plain::PlainConfig;
use tautline_api::Problem;
use tokio::net::TcpStream;
use tracing::debug;

use super::{
    handshake::{self, Negotiated, Path},
    hosts::Hosts,
    origins::Origins,
    stream::HttpStream,
};
#[cfg(target_os = "linux")]
use crate::transport::uring;
use crate::{
    addresses::AddressPermit,
    connection::{Connection, ConnectionPermit},
    maintenance::spawn_background_tasks,
    state::GatewayState,
    transport::{any::AnyStream, socket},
};

pub(crate) fn routes(plain: &PlainConfig) -> Router<Arc<GatewayState>> {
    // Not `get`, which would let HEAD through.
    let routes = Router::new().route("/connect", any(connect));
    if plain.enabled { routes.route(&plain.path, any(connect_plainly)) } else { routes }
}

async fn connect(State(state): State<Arc<GatewayState>>, request: Request) -> Result<Response, Problem> {
    upgrade(&state, Path::Connect, request)
}

async fn connect_plainly(
    State(state): State<Arc<GatewayState>>,
    request: Request,
) -> Result<Response, Problem> {
    upgrade(&state, Path::Plain, request)
}

fn upgrade(state: &Arc<GatewayState>, path: Path, mut request: Request) -> Result<Response, Problem> {
    let origins = match state.access.hosts {
        Hosts::Any => state.access.origins.get(),
        // Checked already, with the hosts.
        _ => Arc::new(Origins::Any),
    };
    let (response, mut negotiated) = handshake::accept(&request, path, &origins, state.config.compression)?;
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let upgrade =
        upgrade.ok_or_else(|| Problem::bad_request("this HTTP connection cannot become a WebSocket"))?;
    let permit = ConnectionPermit::try_acquire(state).ok_or_else(|| {
        state.warnings.connections.note(state.clock.now(), || "one was refused".to_owned());
        let words = "this node has as many connections as it may have";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", words).with(RETRY_AFTER, "5")
    })?;
    let permit = match state.clients.forwarded(request.extensions(), request.headers()) {
        Some(client) => permit.with_address(acquire_forwarded(state, client)?),
        None => permit,
    };
    if let Some(client) = state.clients.client(request.extensions(), request.headers()) {
        negotiated.handshake = acquire_handshake(state, client)?;
    }
    spawn_background_tasks(state);
    tokio::spawn(open(upgrade, permit, negotiated));
    Ok(response)
}

/// A place among the handshakes of the client's address, until its first message.
fn acquire_handshake(state: &GatewayState, client: SocketAddr) -> Result<AddressPermit, Problem> {
    state.handshakes.try_acquire(client.ip()).ok_or_else(|| {
        state.warnings.handshakes.note(state.clock.now(), || client.ip().to_string());
        let words = "this address opens as many connections at once as it may";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", words).with(RETRY_AFTER, "5")
    })
}

/// A place of the client for which a proxy has sent the request.
fn acquire_forwarded(state: &Arc<GatewayState>, client: SocketAddr) -> Result<AddressPermit, Problem> {
    let permit = state.addresses.try_acquire(client.ip()).ok_or_else(|| {
        state.warnings.address.note(state.clock.now(), || client.ip().to_string());
        let words = "this address has as many connections as it may have";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", words).with(RETRY_AFTER, "5")
    })?;
    Ok(permit.of_client(client))
}

/// Waits until the response is written, and starts the connection in a task of its own that is no larger than
/// it must be.
async fn open(upgrade: OnUpgrade, permit: ConnectionPermit, negotiated: Negotiated) {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return debug!(%error, "the peer left during the handshake"),
    };
    match upgraded.downcast::<TokioIo<HttpStream>>() {
        Ok(parts) => {
            let (stream, address) = parts.io.into_inner().into_parts();
            open_accepted(stream, parts.read_buf, permit.or_address(address), negotiated);
        }
        Err(upgraded) => open_foreign(upgraded, permit, negotiated),
    }
}

/// A connection of one of the gateway's own listeners.
fn open_accepted(stream: AnyStream, early: Bytes, permit: ConnectionPermit, negotiated: Negotiated) {
    match stream {
        AnyStream::Tcp(stream) => open_tcp(stream, early, permit, negotiated),
        AnyStream::Tls(stream) => drop(tokio::spawn(Connection::new(stream, early, permit, negotiated))),
        #[cfg(unix)]
        AnyStream::Unix(stream) => drop(tokio::spawn(Connection::new(stream, early, permit, negotiated))),
    }
}

/// A connection of an embedder's own accept loop.
fn open_foreign(upgraded: Upgraded, permit: ConnectionPermit, negotiated: Negotiated) {
    match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => open_tcp(parts.io.into_inner(), parts.read_buf, permit, negotiated),
        Err(upgraded) => open_any(upgraded, permit, negotiated),
    }
}

fn open_tcp(stream: TcpStream, early: Bytes, permit: ConnectionPermit, negotiated: Negotiated) {
    let config = &permit.state().config;
    if let Err(error) = socket::tune(&stream, config) {
        return debug!(%error, "the peer left during the handshake");
    }
    #[cfg(target_os = "linux")]
    if config.io_uring && uring::is_available() {
        let stream = uring::RingStream::new(stream);
        tokio::spawn(Connection::new(stream, early, permit, negotiated));
        return;
    }
    tokio::spawn(Connection::new(stream, early, permit, negotiated));
}

/// A stream that is no plain TCP, such as an embedder's TLS: it stays inside of hyper's wrapping.
fn open_any(upgraded: Upgraded, permit: ConnectionPermit, negotiated: Negotiated) {
    tokio::spawn(Connection::new(TokioIo::new(upgraded), Bytes::new(), permit, negotiated));
}
