//! Carries requests to a vendor.

use std::{future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;

use super::vendor::CodeRequest;
use crate::http_client::{HttpClient, HttpError};

/// The largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

pub(crate) type Answer = Result<VendorAnswer, HttpError>;

/// A vendor's answer.
pub(crate) struct VendorAnswer {
    pub(crate) status: u16,
    /// `Retry-After` in seconds, where it is not a date.
    pub(crate) retry_after_s: Option<u64>,
    pub(crate) body: Bytes,
}

/// A way to a vendor.
pub(crate) trait Transport: Send + Sync + 'static {
    /// The answer.
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
            let retry_after = answer.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            Ok(VendorAnswer {
                status: answer.status.as_u16(),
                retry_after_s: retry_after.and_then(|seconds| seconds.trim().parse().ok()),
                body: answer.body,
            })
        })
    }
}
