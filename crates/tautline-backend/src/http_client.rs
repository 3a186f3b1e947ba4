//! The client for keys and login services: few bytes, no redirect, and an end.
//!
//! Start at [`HttpClient::send`].

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tracing::warn;

use crate::{
    connector::{Bounded, Connector},
    network::{AddressRefused, Networks},
};

/// Idle connections that are kept for each host.
const IDLE_CONNECTIONS_MAX: usize = 256;
/// After this long without a byte an HTTP/2 connection in use is asked for a sign of life, which may take as long again.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How long one is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The least time that a connection has, with its TLS.
const CONNECT_TIME_MIN: Duration = Duration::from_millis(700);
/// How long the body of an answer is read that nobody needs.
const DRAIN_TIME: Duration = Duration::from_secs(1);
/// The longest head of an answer in bytes, and what a server may send ahead on a stream and a connection of HTTP/2.
const HEAD_BYTES_MAX: u32 = 32 * 1024;
const STREAM_WINDOW_BYTES: u32 = 128 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// HTTP/1.1 and, where TLS agrees on it, HTTP/2. Clones share their connections.
#[derive(Clone)]
pub(crate) struct HttpClient(Client<Bounded<HttpsConnector<Connector>>, Full<Bytes>>);

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
    /// Nothing was sent.
    #[error("there is no connection")]
    NoConnection,
    /// Nothing was sent.
    #[error(transparent)]
    Refused(AddressRefused),
    #[error("the connection failed")]
    Connection,
    #[error("the answer is too large")]
    TooLarge,
}

impl HttpClient {
    /// A client that trusts what the system trusts, and connects to any address.
    pub(crate) fn new() -> Self {
        Self::with(Connector::new(None), Duration::MAX)
    }

    /// The same for addresses that are public or in `networks` only. `timeout` is that of its requests: a connection with
    /// its TLS may take half of it, so that there is time for another place.
    pub(crate) fn guarded(networks: Networks, timeout: Duration) -> Self {
        Self::with(Connector::new(Some(networks)), (timeout / 2).max(CONNECT_TIME_MIN))
    }

    fn with(connector: Connector, connect_max: Duration) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(words) = warning_about(&roots) {
            warn!(event = "http_client_unusable", "{words}");
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Plain HTTP is only for this machine or named networks, which the options or the connector check.
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(connector);
        let connector = Bounded::new(connector, connect_max);
        let client = Client::builder(TokioExecutor::new())
            .http1_max_buf_size(HEAD_BYTES_MAX as usize)
            .http2_max_header_list_size(HEAD_BYTES_MAX)
            .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
            .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .timer(hyper_util::rt::TokioTimer::new())
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_timeout(KEEP_ALIVE)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_timer(hyper_util::rt::TokioTimer::new())
            .build(connector);
        Self(client)
    }

    /// Sends a request whose answer is its status. The body is read to its end, so that the connection can be used
    /// again, but no further than `bytes_max` and for no longer than [`DRAIN_TIME`].
    pub(crate) async fn tell(
        &self,
        request: Request<Full<Bytes>>,
        bytes_max: usize,
        timeout: Duration,
    ) -> Result<(StatusCode, HeaderMap), HttpError> {
        let answered = tokio::time::timeout(timeout, self.0.request(request)).await;
        let response = answered.map_err(|_| HttpError::Timeout)?.map_err(|error| HttpError::of(&error))?;
        let (head, mut body) = response.into_parts();
        let drain = async {
            let mut left = bytes_max;
            while let Some(Ok(frame)) = body.frame().await {
                let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
                left = rest;
            }
        };
        // The status has decided, whatever becomes of the body.
        drop(tokio::time::timeout(DRAIN_TIME, drain).await);
        Ok((head.status, head.headers))
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
            let response = self.0.request(request).await.map_err(|error| HttpError::of(&error))?;
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

/// Said at the start, or each login would fail without a word about the cause.
fn warning_about(roots: &RootCertStore) -> Option<&'static str> {
    let words = "the system has no certificates of authorities: requests over HTTPS will fail; install \
         ca-certificates, or set SSL_CERT_FILE";
    roots.is_empty().then_some(words)
}

impl HttpError {
    fn of(error: &hyper_util::client::legacy::Error) -> Self {
        if !error.is_connect() {
            return Self::Connection;
        }
        let mut cause: Option<&dyn std::error::Error> = Some(error);
        while let Some(error) = cause {
            if let Some(refused) = error.downcast_ref() {
                return Self::Refused(*refused);
            }
            cause = error.source();
        }
        Self::NoConnection
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

    #[test]
    fn empty_store_of_roots_is_said() {
        let mut roots = RootCertStore::empty();
        assert!(warning_about(&roots).is_some_and(|words| words.contains("ca-certificates")));
        let anchor = rustls::pki_types::TrustAnchor {
            subject: Vec::new().into(),
            subject_public_key_info: Vec::new().into(),
            name_constraints: None,
        };
        roots.roots.push(anchor);
        assert_eq!(warning_about(&roots), None);
    }

    #[tokio::test]
    async fn endless_answer_is_read_up_to_its_bound() {
        for head in ["HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
            assert_eq!(get(head, &[b'x'; 8192], LONG).await.err(), Some(HttpError::TooLarge));
        }
    }

    #[tokio::test]
    async fn status_decides_whatever_the_body_is() {
        for (head, rest) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n", &[b'x'; 8192][..]),
            ("HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 8192]),
            ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", &[]),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nno chunk", &[]),
        ] {
            let (url, serving) = serve(head, rest).await;
            let request = Request::get(url).body(Full::default()).unwrap();
            let told = HttpClient::new().tell(request, 1024, LONG).await;
            serving.abort();
            assert_eq!(told.map(|(status, _)| status), Ok(StatusCode::OK), "{head}");
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
    async fn private_address_is_not_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = HttpClient::guarded(Networks::default(), LONG);
        // An address, a name, and a spelling that only the resolver understands.
        for url in ["http://127.0.0.1", "https://[::ffff:127.0.0.1]", "https://localhost", "http://0x7f.1"] {
            let request = Request::get(format!("{url}:{port}/")).body(Full::default()).unwrap();
            let error = client.send(request, 1024, LONG).await.err();
            let is_refused = matches!(error, Some(HttpError::Refused(AddressRefused::Private(_))));
            assert!(is_refused, "{url}: {error:?}");
        }
        let accepting = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await;
        assert!(accepting.is_err(), "nothing has connected");
    }

    #[tokio::test]
    async fn named_network_is_connected_to() {
        let (url, serving) = serve("HTTP/1.1 204 No Content\r\n\r\n", &[]).await;
        let client = HttpClient::guarded(Networks::new(vec!["127.0.0.0/8".parse().unwrap()]), LONG);
        let answer = client.send(Request::get(url).body(Full::default()).unwrap(), 1024, LONG).await;
        serving.abort();
        assert_eq!(answer.unwrap().status, StatusCode::NO_CONTENT);
    }

    #[tokio::test]
    async fn closed_port_is_no_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let request = Request::get(url).body(Full::default()).unwrap();
        let error = HttpClient::new().send(request, 1024, LONG).await.err();
        assert_eq!(error, Some(HttpError::NoConnection));
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
