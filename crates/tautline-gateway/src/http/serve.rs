//! The HTTP phase of one connection: HTTP/1.1 alone, and each wait with a deadline of its own.

use std::{
    convert::Infallible,
    future::poll_fn,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    task::Poll,
};

use axum::{Router, extract::ConnectInfo, response::Response};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep_until},
};
use tracing::debug;

use crate::{
    addresses::AddressPermit,
    gateway::GatewayState,
    http::stream::{HttpStream, Progress, far_future},
};

/// A place among [`crate::GatewayConfig::http_connections_max`].
pub(crate) struct HttpPermit(pub(crate) Arc<GatewayState>);

impl HttpPermit {
    /// `None`: all are taken.
    pub(crate) fn enter(gateway: &Arc<GatewayState>) -> Option<Self> {
        let before = gateway.counters.http_connections.fetch_add(1, Ordering::AcqRel);
        let permit = Self(Arc::clone(gateway));
        (before < gateway.config.http_connections_max).then_some(permit)
    }
}

impl Drop for HttpPermit {
    fn drop(&mut self) {
        self.0.counters.http_connections.fetch_sub(1, Ordering::AcqRel);
        self.0.counters.gone.notify_waiters();
    }
}

/// Speaks HTTP until the peer leaves, is given up, or turns to WebSocket and goes on elsewhere.
pub(crate) async fn serve_http(permit: HttpPermit, router: Router, stream: TcpStream, place: AddressPermit) {
    let config = &permit.0.config;
    let progress = Progress::begin();
    let address = stream.peer_addr().ok();
    let stream = TokioIo::new(HttpStream::new(stream, Arc::clone(&progress), place));
    let service =
        TrackedService { router: TowerToHyperService::new(router), progress: Arc::clone(&progress), address };
    let mut connection = pin!(
        http1::Builder::new()
            // Ours are better: hyper has one deadline for an idle connection and for a head.
            .header_read_timeout(None)
            .max_buf_size(config.http_head_bytes_max)
            // Who has said all that it wants to say still waits for the answer.
            .half_close(true)
            .serve_connection(stream, service)
            .with_upgrades()
    );
    let mut draining = permit.0.draining.subscribe();
    let mut drain_begins = pin!(drain_started(&mut draining));
    let mut drain = None;
    let mut deadline = pin!(sleep_until(far_future()));
    let ended = poll_fn(|cx| {
        if drain.is_none() && drain_begins.as_mut().poll(cx).is_ready() {
            drain = Some((Instant::now(), Instant::now() + permit.0.drain_grace()));
            connection.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return Poll::Ready(Some(ended));
        }
        let Some(until) = progress.deadline(config, drain) else { return Poll::Pending };
        if deadline.deadline() != until {
            deadline.as_mut().reset(until);
        }
        deadline.as_mut().poll(cx).map(|()| None)
    });
    match ended.await {
        Some(Ok(())) => {}
        Some(Err(error)) => debug!(%error, "HTTP ended"),
        None => debug!("HTTP ended: the peer took too long"),
    }
}

/// Waits until the gateway drains.
pub(crate) async fn drain_started(draining: &mut watch::Receiver<bool>) {
    // It fails only where the gateway is no more: there is then nothing to serve either.
    drop(draining.wait_for(|draining| *draining).await);
}

/// The routes, and who is told when a request comes and goes.
struct TrackedService {
    router: TowerToHyperService<Router>,
    progress: Arc<Progress>,
    address: Option<SocketAddr>,
}

impl hyper::service::Service<http::Request<Incoming>> for TrackedService {
    type Response = Response;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, mut request: http::Request<Incoming>) -> Self::Future {
        // Where axum puts it, too.
        if let Some(address) = self.address {
            request.extensions_mut().insert(ConnectInfo(address));
        }
        self.progress.request_received();
        let (answer, progress) = (self.router.call(request), Arc::clone(&self.progress));
        Box::pin(async move {
            let answer = answer.await;
            progress.response_ready();
            answer
        })
    }
}
