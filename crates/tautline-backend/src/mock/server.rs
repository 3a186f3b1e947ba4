//! A mock behind a port.

use std::{
    convert::Infallible,
    future::pending,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::{Mock, MockRequest, MockVendor};

/// The largest body of a request, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// A login service of one vendor, behind a port.
#[derive(Clone, Debug)]
pub struct MockServer(Arc<Mutex<Mock>>);

impl MockServer {
    /// A service that has seen no code.
    #[must_use]
    pub fn new(vendor: MockVendor) -> Self {
        Self(Arc::new(Mutex::new(Mock::new(vendor))))
    }

    /// How often it was asked.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.mock().requests
    }

    /// Serves until it is dropped.
    ///
    /// # Errors
    /// The listener's.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            let mock = self.clone();
            let service = service_fn(move |request| mock.clone().answer(request));
            // A client that hangs up is no error of ours.
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map(|body| body.to_bytes());
        let headers = [header::CONTENT_TYPE, header::AUTHORIZATION]
            .map(|name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default());
        let request = MockRequest::new(head.method.as_str(), &head.uri, headers, &body.unwrap_or_default());
        let answer = self.mock().answer(&request);
        match answer.after {
            Some(after) => tokio::time::sleep(after).await,
            None => pending().await,
        }
        let response = Response::builder()
            .status(answer.status)
            .header(header::CONTENT_TYPE, answer.content_type)
            .body(Full::from(answer.body));
        Ok(response.expect("the parts are valid"))
    }

    fn mock(&self) -> std::sync::MutexGuard<'_, Mock> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
