//! The opening handshake, RFC 6455 section 4: the server's answer to a key, and both halves of the client.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use sha1::{Digest, Sha1};

/// Appended to every key by the server, which proves that it speaks WebSocket (section 1.3).
const ACCEPT_SALT: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The longest head of a response that is read before giving up, in bytes.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 16 * 1024;
/// More than any server or proxy sends.
const RESPONSE_HEADERS_MAX: usize = 64;

/// What the server answers to a `Sec-WebSocket-Key`, as `Sec-WebSocket-Accept` (section 4.2.2).
pub fn accept_key(sec_websocket_key: &str) -> String {
    let digest = Sha1::new().chain_update(sec_websocket_key).chain_update(ACCEPT_SALT).finalize();
    BASE64.encode(digest)
}

/// What a client asks for.
#[derive(Clone, Copy, Debug)]
pub struct ClientRequest<'a> {
    /// The `Host` header: a name or address, with the port where it is not the usual one.
    pub host: &'a str,
    /// The target with its query, such as `/connect?format=json`.
    pub path: &'a str,
    /// Subprotocols, the preferred one first.
    pub protocols: &'a [&'a str],
    /// Further headers, such as `Origin` or `Authorization`.
    pub headers: &'a [(&'a str, &'a str)],
    /// Sixteen bytes at random, other ones for each connection.
    pub nonce: [u8; 16],
}

/// What a client waits for after its request.
#[derive(Clone, Debug)]
pub struct ClientHandshake {
    expected_accept: String,
    protocols: Vec<String>,
}

/// The server has agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The subprotocol it chose, one of those offered.
    pub protocol: Option<String>,
    /// How long the response is, in bytes: what follows it are frames.
    pub head_bytes: usize,
}

/// Why there is no WebSocket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// Part of our own request would break it in two. The value names the part.
    #[error("{0} not fit for an HTTP request: empty, or with white space or control characters")]
    UnfitRequest(String),
    /// The answer is no HTTP/1.1.
    #[error("answer not HTTP/1.1: {0}")]
    NotHttp(#[from] httparse::Error),
    /// The head of the answer does not end.
    #[error("head of the answer over {RESPONSE_HEAD_BYTES_MAX} bytes")]
    HeadTooLong,
    /// The server, or a proxy before it, answered with another status than 101.
    #[error("HTTP status {status} {reason} instead of 101")]
    Refused {
        /// The status code.
        status: u16,
        /// What the server calls it.
        reason: String,
    },
    /// The status is 101, but to another protocol. The value is the header that is missing or wrong.
    #[error("{0} header missing or not for a WebSocket")]
    NotUpgraded(&'static str),
    /// The answer belongs to another request: a cache, or a server that speaks no WebSocket.
    #[error("Sec-WebSocket-Accept not made from our key")]
    WrongAccept,
    /// The server chose a subprotocol that it was not offered.
    #[error("subprotocol {0:?} chosen but not offered")]
    ProtocolNotOffered(String),
    /// The server turned on an extension; none was offered.
    #[error("extension {0:?} turned on but not offered")]
    ExtensionNotOffered(String),
}

impl ClientRequest<'_> {
    /// Appends the request to `out` and says what to wait for.
    ///
    /// # Errors
    /// [`HandshakeError::UnfitRequest`] where a part would break the request; nothing is then appended.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<ClientHandshake, HandshakeError> {
        self.check()?;
        let key = BASE64.encode(self.nonce);
        let mut head = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n",
            self.path, self.host
        );
        if !self.protocols.is_empty() {
            head.extend(["Sec-WebSocket-Protocol: ", &self.protocols.join(", "), "\r\n"]);
        }
        for (name, value) in self.headers {
            head.extend([*name, ": ", *value, "\r\n"]);
        }
        head.push_str("\r\n");
        out.extend_from_slice(head.as_bytes());
        let protocols = self.protocols.iter().map(|protocol| (*protocol).to_owned()).collect();
        Ok(ClientHandshake { expected_accept: accept_key(&key), protocols })
    }

    fn check(&self) -> Result<(), HandshakeError> {
        let unfit = |part: &str| Err(HandshakeError::UnfitRequest(part.to_owned()));
        if !is_word(self.host) {
            return unfit("host");
        }
        if !is_word(self.path) || !self.path.starts_with('/') {
            return unfit("path");
        }
        if !self.protocols.iter().all(|protocol| is_token(protocol)) {
            return unfit("subprotocol");
        }
        for (name, value) in self.headers {
            if !is_token(name) || value.contains(|c: char| c.is_ascii_control()) {
                return unfit(&format!("header {name:?}"));
            }
        }
        Ok(())
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// RFC 9110 section 5.6.2.
pub(crate) fn is_token(text: &str) -> bool {
    is_word(text) && !text.contains(|c: char| "\"(),/:;<=>?@[\\]{}".contains(c))
}

impl ClientHandshake {
    /// Reads the response off the front of all that was `received` so far; `None` while its head is incomplete.
    ///
    /// # Errors
    /// Why the server's answer opens no WebSocket (section 4.1). The connection is then of no further use.
    pub fn read(&self, received: &[u8]) -> Result<Option<Accepted>, HandshakeError> {
        let mut headers = [httparse::EMPTY_HEADER; RESPONSE_HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let head = &received[..received.len().min(RESPONSE_HEAD_BYTES_MAX)];
        let httparse::Status::Complete(head_bytes) = response.parse(head)? else {
            let has_room = received.len() < RESPONSE_HEAD_BYTES_MAX;
            return if has_room { Ok(None) } else { Err(HandshakeError::HeadTooLong) };
        };
        let status = response.code.unwrap_or_default();
        if status != 101 {
            let reason = response.reason.unwrap_or_default().to_owned();
            return Err(HandshakeError::Refused { status, reason });
        }
        let protocol = self.check(response.headers)?;
        Ok(Some(Accepted { protocol, head_bytes }))
    }

    /// The subprotocol that was chosen.
    fn check(&self, headers: &[httparse::Header<'_>]) -> Result<Option<String>, HandshakeError> {
        for (name, wanted) in [("Upgrade", "websocket"), ("Connection", "upgrade")] {
            let mut words = values(headers, name).flat_map(|value| value.split(','));
            if !words.any(|word| word.trim().eq_ignore_ascii_case(wanted)) {
                return Err(HandshakeError::NotUpgraded(name));
            }
        }
        if values(headers, "Sec-WebSocket-Accept").next() != Some(&self.expected_accept) {
            return Err(HandshakeError::WrongAccept);
        }
        if let Some(extension) = values(headers, "Sec-WebSocket-Extensions").next() {
            return Err(HandshakeError::ExtensionNotOffered(extension.to_owned()));
        }
        let protocol = values(headers, "Sec-WebSocket-Protocol").next().map(str::to_owned);
        match protocol {
            Some(protocol) if !self.protocols.contains(&protocol) => {
                Err(HandshakeError::ProtocolNotOffered(protocol))
            }
            protocol => Ok(protocol),
        }
    }
}

/// The values of all headers of this name; those that are no text are as good as missing.
fn values<'h>(headers: &'h [httparse::Header<'h>], name: &'h str) -> impl Iterator<Item = &'h str> {
    let named = headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    named.filter_map(|header| std::str::from_utf8(header.value).ok()).map(str::trim)
}
