//! Fetches key sets over HTTP.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Full;

use super::jwks::{Fetch, FetchFuture, Fetched, JWKS_BYTES_MAX};
use crate::http_client::HttpClient;

/// How long a fetch may take: less than the gateway waits for a login.
const TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) struct HttpFetch {
    pub(crate) client: HttpClient,
    pub(crate) url: String,
}

impl Fetch for HttpFetch {
    fn fetch(&self, etag: Option<String>) -> FetchFuture {
        let mut request = Request::get(&self.url)
            .header(header::ACCEPT, "application/jwk-set+json, application/json")
            .header(header::USER_AGENT, "tautline");
        if let Some(etag) = etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        let request = request.body(Full::<Bytes>::default());
        let client = self.client.clone();
        Box::pin(async move {
            let request = request.map_err(|_| "the URL is not valid".to_owned())?;
            let answer =
                client.send(request, JWKS_BYTES_MAX, TIMEOUT).await.map_err(|error| error.to_string())?;
            let body = match answer.status {
                StatusCode::OK => Some(answer.body.to_vec()),
                StatusCode::NOT_MODIFIED => None,
                other => return Err(format!("the answer is HTTP {}", other.as_u16())),
            };
            let text = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
            Ok(Fetched {
                body,
                etag: text(header::ETAG).map(str::to_owned),
                max_age_ms: text(header::CACHE_CONTROL).and_then(max_age_ms),
            })
        })
    }
}

/// `max-age` of a `Cache-Control` header.
fn max_age_ms(cache_control: &str) -> Option<u64> {
    cache_control.split(',').find_map(|directive| {
        let (name, value) = directive.trim().split_once('=')?;
        let seconds = value.trim_matches('"').parse::<u64>().ok()?;
        name.eq_ignore_ascii_case("max-age").then(|| seconds.saturating_mul(1000))
    })
}
