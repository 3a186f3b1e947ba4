//! The HTTP phase of one connection: HTTP/1.1 alone, and each wait with a deadline of its own.

use std::{convert::Infallible, future::poll_fn, pin::pin, sync::Arc, task::Poll};

use axum::{Router, extract::ConnectInfo, response::Response};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tautline_hub::budget::Claim;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::stream::{HttpStream, Progress, far_future};
use crate::{addresses::AddressPermit, clients::Remote, state::HttpPermit, transport::any::AnyStream};

/// Speaks HTTP, behind the handshake where there is TLS, until the peer leaves or misses a deadline, or until
/// the connection becomes a WebSocket, which has a task of its own.
pub(crate) async fn serve_http(
    (permit, _share): (HttpPermit, Claim),
    router: Router,
    stream: AnyStream,
    remote: Remote,
    address_permit: AddressPermit,
    progress: Arc<Progress>,
) {
    let state = permit.state();
    let config = &state.config;
    let stream = TokioIo::new(HttpStream::new(stream, Arc::clone(&progress), address_permit));
    let service =
        TrackedService { router: TowerToHyperService::new(router), progress: Arc::clone(&progress), remote };
    let mut connection = pin!(
        http1::Builder::new()
            // Ours are better: hyper has one deadline for an idle connection and for a head.
            .header_read_timeout(None)
            .max_buf_size(config.http_head_bytes_max)
            // A peer that has closed its side still waits for the response.
            .half_close(true)
            .serve_connection(stream, service)
            .with_upgrades()
    );
    let mut drain_started = pin!(state.drain.started());
    let mut drain = None;
    let mut deadline = pin!(sleep_until(far_future()));
    let ended = poll_fn(|cx| {
        if drain.is_none() && drain_started.as_mut().poll(cx).is_ready() {
            drain = Some((Instant::now(), Instant::now() + state.drain.grace()));
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

/// The routes; notes when a request arrives and when its response is ready.
struct TrackedService {
    router: TowerToHyperService<Router>,
    progress: Arc<Progress>,
    remote: Remote,
}

impl hyper::service::Service<http::Request<Incoming>> for TrackedService {
    type Response = Response;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, mut request: http::Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.remote);
        // Where axum puts it, too.
        if let Some(address) = self.remote.address() {
            request.extensions_mut().insert(ConnectInfo(address));
        }
        self.progress.request_received();
        let (response, progress) = (self.router.call(request), Arc::clone(&self.progress));
        Box::pin(async move {
            let response = response.await;
            progress.response_ready();
            response
        })
    }
}
