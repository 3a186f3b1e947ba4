//! The stream of an HTTP connection, and the progress of its requests.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use http::StatusCode;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Duration, Instant},
};

use crate::{addresses::AddressPermit, config::GatewayConfig, transport::any::AnyStream};
use tautline_api::{PROBLEM_JSON, Problem};

/// What an HTTP connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The head of its first request, of which no byte has arrived.
    Opened,
    /// The rest of a request's head.
    Head,
    /// The response, which the gateway prepares.
    Serving,
    /// The peer, which has to read the response.
    Responding,
    /// The next request.
    Idle,
}

/// The phase of an HTTP connection and its start, shared by the stream, the service and the deadline.
pub(crate) struct Progress {
    phase: Mutex<(Phase, Instant)>,
    /// The place among the handshakes of the address, until a request has arrived.
    handshake: Mutex<AddressPermit>,
}

impl Progress {
    pub(crate) fn start(handshake: AddressPermit) -> Arc<Self> {
        Arc::new(Self {
            phase: Mutex::new((Phase::Opened, Instant::now())),
            handshake: Mutex::new(handshake),
        })
    }

    /// Replaces the place among the handshakes: it is that of another address.
    pub(crate) fn count_handshake(&self, permit: AddressPermit) {
        *self.handshake.lock().unwrap_or_else(PoisonError::into_inner) = permit;
    }

    /// The head of a request has arrived.
    pub(crate) fn request_received(&self) {
        *self.lock() = (Phase::Serving, Instant::now());
        self.count_handshake(AddressPermit::UNCOUNTED);
    }

    /// The response is ready to be written.
    pub(crate) fn response_ready(&self) {
        *self.lock() = (Phase::Responding, Instant::now());
    }

    /// When the connection is closed; `None` while the gateway prepares a response. A drain that started at
    /// `drain.0` waits until `drain.1` for connections with a request, and does not wait for idle ones.
    pub(crate) fn deadline(
        &self,
        config: &GatewayConfig,
        drain: Option<(Instant, Instant)>,
    ) -> Option<Instant> {
        let (phase, since) = *self.lock();
        let wait = match phase {
            Phase::Opened | Phase::Head => Some(config.http_head_timeout),
            Phase::Serving => None,
            Phase::Responding => Some(config.stall_timeout),
            Phase::Idle => Some(config.http_idle_timeout),
        };
        let deadline = wait.map(|wait| since.checked_add(wait).unwrap_or_else(far_future));
        let Some((started, until)) = drain else { return deadline };
        let latest = match phase {
            Phase::Opened | Phase::Idle => started,
            Phase::Head | Phase::Serving | Phase::Responding => until,
        };
        Some(deadline.map_or(latest, |deadline| deadline.min(latest)))
    }

    fn bytes_read(&self) {
        let mut state = self.lock();
        *state = match *state {
            (Phase::Opened, since) => (Phase::Head, since),
            (Phase::Idle, _) => (Phase::Head, Instant::now()),
            further => further,
        };
    }

    fn response_flushed(&self) {
        let mut state = self.lock();
        if state.0 == Phase::Responding {
            *state = (Phase::Idle, Instant::now());
        }
    }

    /// True while only hyper writes, about a head that it cannot parse.
    fn awaits_head(&self) -> bool {
        // A bad head behind a good request is read while the connection counts as idle.
        matches!(self.lock().0, Phase::Opened | Phase::Head | Phase::Idle)
    }

    fn lock(&self) -> MutexGuard<'_, (Phase, Instant)> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A moment that never comes.
pub(crate) fn far_future() -> Instant {
    Instant::now() + Duration::from_secs(30 * 365 * 24 * 3600)
}

/// A stream that reports the progress of its connection.
pub(crate) struct HttpStream {
    stream: AnyStream,
    progress: Arc<Progress>,
    address_permit: AddressPermit,
    /// The unwritten rest of the response to a head that cannot be parsed.
    refusal: Bytes,
}

impl HttpStream {
    pub(crate) fn new(stream: AnyStream, progress: Arc<Progress>, address_permit: AddressPermit) -> Self {
        Self { stream, progress, address_permit, refusal: Bytes::new() }
    }

    /// The bare stream, for a connection that has left HTTP.
    pub(crate) fn into_parts(self) -> (AnyStream, AddressPermit) {
        (self.stream, self.address_permit)
    }

    /// Replaces hyper's response to a head that it cannot parse by one with a body, like all others.
    fn poll_refuse(&mut self, cx: &mut Context<'_>, response: &[u8]) -> Poll<io::Result<usize>> {
        if self.refusal.is_empty() {
            let Some(refusal) = refusal_of(response) else {
                return Pin::new(&mut self.stream).poll_write(cx, response);
            };
            self.refusal = refusal;
        }
        while !self.refusal.is_empty() {
            let bytes = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.refusal))?;
            if bytes == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.refusal.advance(bytes);
        }
        Poll::Ready(Ok(response.len()))
    }
}

/// The response with a body that replaces one without.
fn refusal_of(response: &[u8]) -> Option<Bytes> {
    let status = response.strip_prefix(b"HTTP/1.1 ").or_else(|| response.strip_prefix(b"HTTP/1.0 "))?;
    let status = StatusCode::from_bytes(status.get(..3)?).ok().filter(StatusCode::is_client_error)?;
    let (code, words) = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => ("too_large", "the head of the request is too large"),
        StatusCode::URI_TOO_LONG => ("too_large", "the address of the request is too long"),
        _ => ("bad_request", "this is no HTTP/1.1 request"),
    };
    let body = Problem::new(status, code, words).into_json();
    let head = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: {PROBLEM_JSON}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        status.as_str(),
        status.canonical_reason().unwrap_or_default(),
        body.len()
    );
    Some([head.into_bytes(), body].concat().into())
}

impl AsyncRead for HttpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.progress.bytes_read();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HttpStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.progress.awaits_head() {
            return self.poll_refuse(cx, bytes);
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.progress.response_flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
