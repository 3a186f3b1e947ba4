//! A client of a gateway's HTTP API, for tools.
//!
//! Start at [`ApiClient::new`].

use std::time::Duration;

use bytes::Bytes;
use http::{
    Method, Request, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use http_body_util::Full;
use serde_json::Value;
use tautline_files::secret::Secret;

use crate::http_client::{HttpClient, HttpError};

/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Asks one gateway, with one key.
pub struct ApiClient {
    client: HttpClient,
    url: String,
    key: Secret,
}

/// There is no answer that helps. The texts name no secret.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiClientError {
    /// The URL is of no gateway.
    #[error("the URL of a gateway begins with https:// or http://, and has no user")]
    Url,
    /// No header can carry the key.
    #[error("an API key holds only visible ASCII characters")]
    Key,
    /// The gateway was not reached.
    #[error("the gateway does not answer: {0}")]
    Unreachable(String),
    /// The gateway refused it.
    #[error("the gateway refused it: {detail} ({status} {code})")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// The code of the problem; empty where the answer was none.
        code: String,
        /// What the problem says.
        detail: String,
    },
    /// It answered with something else.
    #[error("the answer is no JSON: is this a gateway?")]
    NoJson,
}

impl From<HttpError> for ApiClientError {
    fn from(error: HttpError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

impl ApiClient {
    /// A client of the gateway at this URL, like `https://gateway.example`.
    ///
    /// # Errors
    /// Where the URL is of no gateway.
    pub fn new(url: &str, key: Secret) -> Result<Self, ApiClientError> {
        let parsed: Uri = url.parse().map_err(|_| ApiClientError::Url)?;
        let is_web = matches!(parsed.scheme_str(), Some("https" | "http"));
        let has_user = parsed.authority().is_none_or(|authority| authority.as_str().contains('@'));
        if !is_web || has_user {
            return Err(ApiClientError::Url);
        }
        Ok(Self { client: HttpClient::new(), url: url.trim_end_matches('/').to_owned(), key })
    }

    /// Reads `/api/v1/<path>`.
    ///
    /// # Errors
    /// [`ApiClientError`] where it is refused, or there is no answer.
    pub async fn get(&self, path: &str) -> Result<Value, ApiClientError> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    /// Posts a body to `/api/v1/<path>`.
    ///
    /// # Errors
    /// As [`ApiClient::get`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, ApiClientError> {
        self.ask(Method::POST, path, body.to_string().into()).await
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Value, ApiClientError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/api/v1/{path}", self.url))
            .header(AUTHORIZATION, format!("Bearer {}", self.key.expose()))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|_| ApiClientError::Key)?;
        let answer = self.client.send(request, ANSWER_BYTES_MAX, TIMEOUT).await?;
        let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
        if !answer.status.is_success() {
            let text =
                |member: &str| body.as_ref().and_then(|body| body[member].as_str()).unwrap_or_default();
            let (code, detail) = (text("code").to_owned(), text("detail").to_owned());
            return Err(ApiClientError::Refused { status: answer.status.as_u16(), code, detail });
        }
        body.ok_or(ApiClientError::NoJson)
    }
}

impl std::fmt::Debug for ApiClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiClient").field("url", &self.url).finish_non_exhaustive()
    }
}
