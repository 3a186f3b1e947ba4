//! Carries requests to a vendor.

use std::{future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;

use super::vendor::CodeRequest;
use crate::http_client::{HttpClient, HttpError};

/// The largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

pub(super) type Answer = Result<(u16, Bytes), HttpError>;

/// A way to a vendor.
pub(crate) trait Transport: Send + Sync + 'static {
    /// The status and the body of the answer.
    fn send(&self, request: CodeRequest, timeout: Duration) -> Pin<Box<dyn Future<Output = Answer> + Send>>;
}

impl Transport for HttpClient {
    fn send(&self, request: CodeRequest, timeout: Duration) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let CodeRequest { method, url, headers, body } = request;
        let mut builder = Request::builder().method(method).uri(url).header(header::USER_AGENT, "tautline");
        for (name, value) in headers {
            builder = builder.header(name, value);
        }
        let request = builder.body(Full::<Bytes>::from(body));
        let client = self.clone();
        Box::pin(async move {
            let request = request.map_err(|_| HttpError::Connection)?;
            let answer = HttpClient::send(&client, request, ANSWER_BYTES_MAX, timeout).await?;
            Ok((answer.status.as_u16(), answer.body))
        })
    }
}
