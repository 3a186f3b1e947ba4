//! JSON over HTTP to the gateway and to WeChat.

use std::{sync::Arc, time::Duration};

use axum::body::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use serde_json::Value as Json;
use tokio::time::timeout;

use crate::failure::Failure;

const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Posts JSON. Clones share their connections.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl HttpClient {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        Ok(Self(Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector)))
    }

    /// Posts `body`, and gives the status and the JSON of the answer.
    pub(crate) async fn post(
        &self,
        url: &str,
        key: Option<&str>,
        body: &Json,
        within: Duration,
    ) -> Result<(StatusCode, Json), Failure> {
        let mut request =
            Request::builder().method(Method::POST).uri(url).header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let request = request
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|error| Failure::Fault(format!("a request: {error}")))?;
        let answered = async {
            let answer =
                self.0.request(request).await.map_err(|error| Failure::Unavailable(error.to_string()))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| Failure::Unavailable(error.to_string()))?.to_bytes();
            let json =
                serde_json::from_slice(&body).map_err(|_| Failure::Unavailable(format!("HTTP {status}")))?;
            Ok((status, json))
        };
        timeout(within, answered).await.map_err(|_| Failure::Unavailable("no answer in time".to_owned()))?
    }
}
