//! The server's half of the opening handshake of a WebSocket (RFC 6455 §4.2), without I/O.
//!
//! Start at [`accept`].

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version,
    header::{
        ALLOW, CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};
use tautline_api::Problem;
use tautline_protocol::Format;
use tautline_websocket::{Deflate, accept_key};

use super::origins::Origins;
use crate::addresses::AddressPermit;

/// Every version and format of the protocol begins with this, as a subprotocol.
const SUBPROTOCOL_FAMILY: &str = "tautline.";

/// The protocol and the extension that both ends agreed on, and the place until the first message.
#[derive(Debug, Default)]
pub(crate) struct Negotiated {
    pub(crate) opening: Opening,
    pub(crate) deflate: Option<Deflate>,
    /// Among the handshakes of the client's address.
    pub(crate) handshake: AddressPermit,
}

/// The protocol of a connection.
pub(crate) enum Opening {
    /// Tautline's, in this format.
    Tautline(Format),
    /// That of the plain endpoint, with the query of the URL.
    Plain { query: Box<str> },
}

impl Opening {
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Tautline(format) => format.as_str(),
            Self::Plain { .. } => "plain",
        }
    }
}

impl Default for Opening {
    fn default() -> Self {
        Self::Tautline(Format::default())
    }
}

impl std::fmt::Debug for Opening {
    // A query may carry a token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The endpoint that a request is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    Connect,
    Plain,
}

/// The response to a valid request for a WebSocket, and what it agreed on.
pub(crate) fn accept(
    request: &Request,
    path: Path,
    origins: &Origins,
    compression: bool,
) -> Result<(Response, Negotiated), Problem> {
    let headers = request.headers();
    check_upgrade(request)?;
    let key = single_value(headers, &SEC_WEBSOCKET_KEY).filter(|key| is_websocket_key(key));
    let key = key
        .ok_or_else(|| Problem::bad_request("`Sec-WebSocket-Key` is not one value of 16 bytes in base64"))?;
    if !origins.allow(headers) {
        let words = "pages of this origin may not connect";
        return Err(Problem::new(StatusCode::FORBIDDEN, "permission_denied", words));
    }
    let query = request.uri().query().unwrap_or_default();
    let (opening, subprotocol) = match path {
        Path::Connect => {
            let by_subprotocol = choose_subprotocol(headers)?;
            let by_query = format_in_query(query)?;
            let format = by_subprotocol.or(by_query).unwrap_or_default();
            (Opening::Tautline(format), by_subprotocol.map(Format::subprotocol))
        }
        Path::Plain => (Opening::Plain { query: query.into() }, foreign_subprotocol(headers)?),
    };
    let mut response = switching_protocols(key, subprotocol);
    let mut negotiated = Negotiated { opening, ..Negotiated::default() };
    if compression
        && let Some((deflate, answer)) = Deflate::accept(text_values(headers, &SEC_WEBSOCKET_EXTENSIONS))
    {
        let answer = HeaderValue::try_from(answer).expect("words and numbers are fit for a header");
        response.headers_mut().insert(SEC_WEBSOCKET_EXTENSIONS, answer);
        negotiated.deflate = Some(deflate);
    }
    Ok((response, negotiated))
}

/// Refuses a request that asks for no WebSocket, or for another version.
fn check_upgrade(request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    if request.method() != Method::GET {
        let words = "a WebSocket is opened with GET";
        let error = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", words);
        return Err(error.with(ALLOW, "GET"));
    }
    if request.version() < Version::HTTP_11 || !headers.contains_key(HOST) {
        return Err(Problem::bad_request("a WebSocket takes HTTP/1.1 and a `Host`"));
    }
    if !has_list_item(headers, &UPGRADE, "websocket") || !has_list_item(headers, &CONNECTION, "upgrade") {
        let words = "this path is for WebSockets: `Connection: Upgrade`, `Upgrade: websocket`";
        return Err(upgrade_required(words).with(UPGRADE, "websocket").with(CONNECTION, "upgrade"));
    }
    if single_value(headers, &SEC_WEBSOCKET_VERSION) != Some("13") {
        let words = "the server speaks version 13 alone";
        return Err(upgrade_required(words).with(SEC_WEBSOCKET_VERSION, "13"));
    }
    Ok(())
}

fn switching_protocols(key: &str, subprotocol: Option<&str>) -> Response {
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
    if let Some(subprotocol) = subprotocol.and_then(|name| HeaderValue::from_str(name).ok()) {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    response
}

fn upgrade_required(words: &str) -> Problem {
    Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", words)
}

/// The format of the first subprotocol offered that the server speaks; the response names it.
///
/// Where all offers are foreign the response names none, which leaves the decision to the client (RFC 6455
/// §4.2.2): some clients carry a login in this header. An unknown offer of our own family is refused, because
/// the client would not understand another one.
fn choose_subprotocol(headers: &HeaderMap) -> Result<Option<Format>, Problem> {
    let mut of_family = false;
    for offered in list_items(headers, &SEC_WEBSOCKET_PROTOCOL) {
        if let Some(format) = Format::ALL.into_iter().find(|format| offered == format.subprotocol()) {
            return Ok(Some(format));
        }
        of_family |= offered.starts_with(SUBPROTOCOL_FAMILY);
    }
    if of_family {
        let spoken = Format::ALL.map(Format::subprotocol).join(" and ");
        return Err(Problem::bad_request(format!("the server speaks the subprotocols {spoken}")));
    }
    Ok(None)
}

/// The first subprotocol offered on the plain endpoint, which any server of such clients would name: a browser
/// refuses a response that names none of those it offered.
fn foreign_subprotocol(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    if list_items(headers, &SEC_WEBSOCKET_PROTOCOL).any(|offered| offered.starts_with(SUBPROTOCOL_FAMILY)) {
        return Err(Problem::bad_request("this path is not for Tautline's own protocol"));
    }
    Ok(list_items(headers, &SEC_WEBSOCKET_PROTOCOL).next())
}

/// For clients that cannot set subprotocols: `?format=msgpack`.
fn format_in_query(query: &str) -> Result<Option<Format>, Problem> {
    let Some(wanted) = query.split('&').find_map(|pair| pair.strip_prefix("format=")) else {
        return Ok(None);
    };
    let format = Format::ALL.into_iter().find(|format| wanted == format.as_str());
    format.map(Some).ok_or_else(|| {
        let spoken = Format::ALL.map(Format::as_str).join(" and format=");
        Problem::bad_request(format!("the server speaks format={spoken}"))
    })
}

/// The items of a list that may be spread over several headers.
fn list_items<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    text_values(headers, name).flat_map(|value| value.split(',')).map(str::trim)
}

/// The values of all headers of this name that are text.
fn text_values<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
}

fn has_list_item(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    list_items(headers, name).any(|item| item.eq_ignore_ascii_case(wanted))
}

/// The value of a header that may be there only once.
fn single_value<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok().map(str::trim) }
}

fn is_websocket_key(key: &str) -> bool {
    BASE64_STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16)
}
