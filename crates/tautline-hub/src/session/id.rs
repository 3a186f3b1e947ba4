//! Session ids and call keys.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use tautline_protocol::{RequestId, TraceId};

/// A session id: 128 unguessable bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionId(pub(crate) u128);

impl SessionId {
    /// The session with this id, as clients see it; each id has one spelling.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(|bytes| Self(u128::from_be_bytes(bytes)))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.0.to_be_bytes()))
    }
}

/// Identifies one request, such as a call: stable across repetitions, unique among requests. A method that has
/// recorded the key has already run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallKey {
    pub(crate) session: SessionId,
    pub(crate) id: RequestId,
}

impl CallKey {
    /// The key with this text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (session, id) = text.split_once(':')?;
        Some(Self { session: SessionId::parse(session)?, id: id.parse().ok()? })
    }

    /// The calling session.
    #[must_use]
    pub fn session(&self) -> String {
        self.session.to_string()
    }

    /// The id that the client gave the request.
    #[must_use]
    pub fn request(&self) -> RequestId {
        self.id
    }

    /// Names the request in traces (W3C Trace Context): the first half of the session's id, and the request's id.
    /// A client that knows both can name it likewise, without any cryptography.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        TraceId::new(self.session.0 >> 64 << 64 | u128::from(self.id))
    }
}

impl fmt::Display for CallKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.session, self.id)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_id_is_made_of_session_and_request() {
        let session = SessionId(0x0123_4567_89ab_cdef_fedc_ba98_7654_3210);
        let key = CallKey { session, id: 7 };
        assert_eq!(key.trace_id().to_string(), "0123456789abcdef0000000000000007");
        assert_eq!(CallKey::parse(&key.to_string()), Some(key));
    }
}
