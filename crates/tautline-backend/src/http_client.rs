//! The client for keys and login services: few bytes, no redirect, and an end.
//!
//! Start at [`HttpClient::send`].

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// Idle connections that are kept for each host.
const IDLE_CONNECTIONS_MAX: usize = 32;
/// How long one is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Clones share their connections.
#[derive(Clone)]
pub(crate) struct HttpClient(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

/// A whole answer.
pub(crate) struct HttpAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// There is no answer. The texts name nothing of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("there was no answer in time")]
    Timeout,
    #[error("the connection failed")]
    Connection,
    #[error("the answer is too large")]
    TooLarge,
}

impl HttpClient {
    /// A client that trusts what the system trusts.
    pub(crate) fn new() -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Plain HTTP is only for this machine, which the options have checked.
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_timer(hyper_util::rt::TokioTimer::new())
            .build(connector);
        Self(client)
    }

    /// Sends a request and reads the whole answer, of so many bytes at most, within `timeout`. A redirect is an
    /// answer like any other.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        bytes_max: usize,
        timeout: Duration,
    ) -> Result<HttpAnswer, HttpError> {
        let exchange = async {
            let response = self.0.request(request).await.map_err(|_| HttpError::Connection)?;
            let (head, mut body) = response.into_parts();
            let mut bytes = Vec::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|_| HttpError::Connection)?;
                let Ok(data) = frame.into_data() else { continue };
                if bytes.len() + data.len() > bytes_max {
                    return Err(HttpError::TooLarge);
                }
                bytes.extend_from_slice(&data);
            }
            Ok(HttpAnswer { status: head.status, headers: head.headers, body: bytes.into() })
        };
        tokio::time::timeout(timeout, exchange).await.unwrap_or(Err(HttpError::Timeout))
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        task::JoinHandle,
    };

    use super::*;

    /// A server that sends this to each connection, then `rest` without an end, and never hangs up.
    async fn serve(head: &'static str, rest: &'static [u8]) -> (String, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            stream.write_all(head.as_bytes()).await.unwrap();
            while !rest.is_empty() && stream.write_all(rest).await.is_ok() {}
            std::future::pending::<()>().await;
        });
        (url, serving)
    }

    async fn get(
        head: &'static str,
        rest: &'static [u8],
        timeout: Duration,
    ) -> Result<HttpAnswer, HttpError> {
        let (url, serving) = serve(head, rest).await;
        let request = Request::get(url).body(Full::default()).unwrap();
        let answer = HttpClient::new().send(request, 1024, timeout).await;
        serving.abort();
        answer
    }

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn endless_answer_is_read_up_to_its_bound() {
        for head in ["HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
            assert_eq!(get(head, &[b'x'; 8192], LONG).await.err(), Some(HttpError::TooLarge));
        }
    }

    #[tokio::test]
    async fn answer_that_hangs_ends_with_the_deadline() {
        let short = Duration::from_millis(50);
        for head in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"] {
            assert_eq!(get(head, &[], short).await.err(), Some(HttpError::Timeout), "{head}");
        }
    }

    #[tokio::test]
    async fn redirect_is_not_followed() {
        let head = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(get(head, &[], LONG).await.unwrap().status, StatusCode::FOUND);
    }

    #[tokio::test]
    async fn answer_that_is_not_http_is_a_failed_connection() {
        let answer = get("SSH-2.0-OpenSSH\r\n", &[], LONG).await;
        assert_eq!(answer.err(), Some(HttpError::Connection));
    }
}
