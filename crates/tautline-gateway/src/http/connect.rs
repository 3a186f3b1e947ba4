//! `/connect`: checks the opening handshake (RFC 6455 §4.2) and turns an HTTP connection into a WebSocket.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::any,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version,
    header::{
        ALLOW, CONNECTION, HOST, ORIGIN, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
        SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::{rt::TokioIo, server::conn::auto::upgrade};
use tautline_protocol::Format;
use tautline_websocket::{Deflate, accept_key};
use tokio::net::TcpStream;
use tracing::debug;

#[cfg(target_os = "linux")]
use crate::transport::uring;
use crate::{
    connection::Connection,
    gateway::{ConnectionPermit, GatewayState},
    http::{error::HttpError, hosts::Hosts, stream::HttpStream},
    transport::socket,
};

/// What every version and format of the protocol begins with, as a subprotocol.
const SUBPROTOCOL_FAMILY: &str = "tautline.";

/// Whose pages may connect.
#[derive(Debug, Default)]
pub(crate) enum Origins {
    /// Everybody's: nothing here is opened by a cookie, so a foreign page gains nothing by its visitor's login. But it comes in as
    /// a guest where guests are let in, from wherever its visitor is.
    #[default]
    Any,
    /// These, normalized as [`normalized`] does it, and what is no browser and names none.
    Only(Vec<String>),
}

/// What the two ends have negotiated on in the handshake.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Negotiated {
    /// What messages look like.
    pub(crate) format: Format,
    /// How they may be compressed.
    pub(crate) deflate: Option<Deflate>,
}

pub(crate) fn routes() -> Router<Arc<GatewayState>> {
    // Not `get`, which would let HEAD through.
    Router::new().route("/connect", any(connect))
}

async fn connect(
    State(gateway): State<Arc<GatewayState>>,
    mut request: Request,
) -> Result<Response, HttpError> {
    let (answer, negotiated) = check(&request, &gateway)?;
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let upgrade =
        upgrade.ok_or_else(|| HttpError::bad_request("this HTTP connection cannot become a WebSocket"))?;
    let seat = ConnectionPermit::take(&gateway).ok_or_else(|| {
        gateway.warnings.connections.note(gateway.clock.now(), || "one was refused".to_owned());
        let words = "this node has as many connections as it may have";
        HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", words).with(RETRY_AFTER, "5")
    })?;
    gateway.spawn_background_tasks();
    tokio::spawn(open(upgrade, seat, negotiated));
    Ok(answer)
}

/// Waits until the answer is written, and starts the connection in a task of its own that is no larger than it must be.
async fn open(upgrade: OnUpgrade, seat: ConnectionPermit, negotiated: Negotiated) {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return debug!(%error, "the peer left during the handshake"),
    };
    match upgraded.downcast::<TokioIo<HttpStream>>() {
        Ok(parts) => {
            let (stream, place) = parts.io.into_inner().into_parts();
            open_tcp(stream, parts.read_buf, seat.at(place), negotiated);
        }
        Err(upgraded) => open_foreign(upgraded, seat, negotiated),
    }
}

/// A connection of an embedder's own accept loop.
fn open_foreign(upgraded: Upgraded, seat: ConnectionPermit, negotiated: Negotiated) {
    match upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => open_tcp(parts.io.into_inner(), parts.read_buf, seat, negotiated),
        Err(upgraded) => open_any(upgraded, seat, negotiated),
    }
}

fn open_tcp(stream: TcpStream, early: Bytes, seat: ConnectionPermit, negotiated: Negotiated) {
    if let Err(error) = socket::tune(&stream, &seat.gateway().config) {
        return debug!(%error, "the peer left during the handshake");
    }
    #[cfg(target_os = "linux")]
    if seat.gateway().config.io_uring && uring::is_available() {
        tokio::spawn(Connection::new(uring::RingStream::new(stream), early, seat, negotiated));
        return;
    }
    tokio::spawn(Connection::new(stream, early, seat, negotiated));
}

/// What is no plain TCP, such as TLS: it stays inside of hyper's wrapping.
fn open_any(upgraded: Upgraded, seat: ConnectionPermit, negotiated: Negotiated) {
    tokio::spawn(Connection::new(TokioIo::new(upgraded), Bytes::new(), seat, negotiated));
}

/// The answer to a request that asks for a WebSocket and may have it, and what will be spoken.
fn check(request: &Request, gateway: &GatewayState) -> Result<(Response, Negotiated), HttpError> {
    let headers = request.headers();
    if request.method() != Method::GET {
        let words = "a WebSocket is opened with GET";
        return Err(
            HttpError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", words).with(ALLOW, "GET")
        );
    }
    if request.version() < Version::HTTP_11 || !headers.contains_key(HOST) {
        return Err(HttpError::bad_request("a WebSocket takes HTTP/1.1 and a `Host`"));
    }
    if !has_list_item(headers, &UPGRADE, "websocket") || !has_list_item(headers, &CONNECTION, "upgrade") {
        let words = "this door is for WebSockets: `Connection: Upgrade`, `Upgrade: websocket`";
        return Err(upgrade_required(words).with(UPGRADE, "websocket").with(CONNECTION, "upgrade"));
    }
    if only(headers, &SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(upgrade_required("the one version spoken here is 13").with(SEC_WEBSOCKET_VERSION, "13"));
    }
    let key = only(headers, &SEC_WEBSOCKET_KEY).filter(|key| is_websocket_key(key));
    let key = key.ok_or_else(|| {
        HttpError::bad_request("`Sec-WebSocket-Key` is not one value of 16 bytes in base64")
    })?;
    // Where hosts are asked, so were origins.
    if gateway.hosts == Hosts::Any && !gateway.origins.allow(headers) {
        let words = "pages of this origin may not connect";
        return Err(HttpError::new(StatusCode::FORBIDDEN, "permission_denied", words));
    }
    let protocol = choose_protocol(headers)?;
    let wanted = format_in(request.uri().query().unwrap_or_default())?;
    let mut response = switching_protocols(key, protocol.map(Format::subprotocol));
    let mut negotiated = Negotiated { format: protocol.or(wanted).unwrap_or_default(), deflate: None };
    if gateway.config.compression
        && let Some((deflate, answer)) = Deflate::accept(text_values(headers, &SEC_WEBSOCKET_EXTENSIONS))
    {
        let answer = HeaderValue::try_from(answer).expect("words and numbers are fit for a header");
        response.headers_mut().insert(SEC_WEBSOCKET_EXTENSIONS, answer);
        negotiated.deflate = Some(deflate);
    }
    Ok((response, negotiated))
}

fn switching_protocols(key: &str, protocol: Option<&'static str>) -> Response {
    let accept = HeaderValue::try_from(accept_key(key)).expect("base64 is fit for a header");
    let mut response = (
        StatusCode::SWITCHING_PROTOCOLS,
        [
            (CONNECTION, HeaderValue::from_static("upgrade")),
            (UPGRADE, HeaderValue::from_static("websocket")),
            (SEC_WEBSOCKET_ACCEPT, accept),
        ],
        Body::empty(),
    )
        .into_response();
    if let Some(protocol) = protocol {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    response
}

fn upgrade_required(words: &str) -> HttpError {
    HttpError::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", words)
}

/// The format whose subprotocol is to be answered with: the first that is offered.
///
/// Where only foreign ones are offered we go on without one, which leaves the decision to the client (RFC 6455 §4.2.2):
/// some carry a login in this header. One of our own that we do not speak is refused, because another would not be understood.
fn choose_protocol(headers: &HeaderMap) -> Result<Option<Format>, HttpError> {
    let mut of_family = false;
    for offered in words(headers, &SEC_WEBSOCKET_PROTOCOL) {
        if let Some(format) = Format::ALL.into_iter().find(|format| offered == format.subprotocol()) {
            return Ok(Some(format));
        }
        of_family |= offered.starts_with(SUBPROTOCOL_FAMILY);
    }
    if of_family {
        let spoken = Format::ALL.map(Format::subprotocol).join(" and ");
        return Err(HttpError::bad_request(format!("the subprotocols spoken here are {spoken}")));
    }
    Ok(None)
}

/// For clients that cannot set subprotocols: `?format=msgpack`.
fn format_in(query: &str) -> Result<Option<Format>, HttpError> {
    let Some(wanted) = query.split('&').find_map(|pair| pair.strip_prefix("format=")) else {
        return Ok(None);
    };
    let format = Format::ALL.into_iter().find(|format| wanted == format.as_str());
    format.map(Some).ok_or_else(|| {
        let spoken = Format::ALL.map(Format::as_str).join(" and format=");
        HttpError::bad_request(format!("what is spoken here is format={spoken}"))
    })
}

impl Origins {
    pub(crate) fn only(origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::Only(origins.into_iter().map(|origin| normalized(&origin.into())).collect())
    }

    fn allow(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::Any => true,
            Self::Only(_) => headers.get_all(ORIGIN).iter().all(|origin| self.list(origin)),
        }
    }

    /// True where an origin of this host was named.
    pub(crate) fn list_host(&self, host: &str) -> bool {
        ["http://", "https://"].iter().any(|scheme| self.names(&format!("{scheme}{host}")))
    }

    /// True where this very origin was named.
    pub(crate) fn list(&self, origin: &HeaderValue) -> bool {
        origin.to_str().is_ok_and(|origin| self.names(origin))
    }

    fn names(&self, origin: &str) -> bool {
        match self {
            Self::Any => false,
            Self::Only(allowed) => allowed.contains(&normalized(origin)),
        }
    }
}

/// An origin in small letters and without the port that its scheme implies, which is how browsers spell it.
fn normalized(origin: &str) -> String {
    let mut origin = origin.trim().to_ascii_lowercase();
    for (scheme, port) in [("http://", ":80"), ("https://", ":443")] {
        if origin.starts_with(scheme) && origin.ends_with(port) {
            origin.truncate(origin.len() - port.len());
        }
    }
    origin
}

/// The items of a list that may be spread over several headers.
fn words<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    text_values(headers, name).flat_map(|value| value.split(',')).map(str::trim)
}

/// The values of all headers of this name that are text.
fn text_values<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
}

fn has_list_item(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    words(headers, name).any(|word| word.eq_ignore_ascii_case(wanted))
}

/// The value of a header that may be there only once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok().map(str::trim) }
}

fn is_websocket_key(key: &str) -> bool {
    BASE64_STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16)
}
