//! Error codes of refused requests.

use std::borrow::Cow;

/// The code of an error reply. Back ends may add codes of their own, which pass through as
/// [`ErrorCode::Other`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The gateway does not know this verb.
    UnknownVerb,
    /// The body does not match the request's verb.
    BadRequest,
    /// The user may not do this.
    PermissionDenied,
    /// There is no such method or channel.
    NotFound,
    /// The request, its reply or its data is larger than a limit.
    TooLarge,
    /// A count has reached its limit.
    Limit,
    /// Too many in too short a time; the reply says when to retry.
    RateLimited,
    /// The method did not answer in time.
    Timeout,
    /// Whether the request was executed is unknown.
    InDoubt,
    /// The back end or the engine cannot be reached; trying again may help.
    Unavailable,
    /// The gateway sheds load; trying again later helps.
    Overloaded,
    /// The log cannot prove what followed the cursor.
    Gap,
    /// A fault of the gateway.
    Internal,
    /// A code of the application.
    Other(Cow<'static, str>),
}

const NAMES: [(ErrorCode, &str); 13] = [
    (ErrorCode::UnknownVerb, "unknown_verb"),
    (ErrorCode::BadRequest, "bad_request"),
    (ErrorCode::PermissionDenied, "permission_denied"),
    (ErrorCode::NotFound, "not_found"),
    (ErrorCode::TooLarge, "too_large"),
    (ErrorCode::Limit, "limit"),
    (ErrorCode::RateLimited, "rate_limited"),
    (ErrorCode::Timeout, "timeout"),
    (ErrorCode::InDoubt, "in_doubt"),
    (ErrorCode::Unavailable, "unavailable"),
    (ErrorCode::Overloaded, "overloaded"),
    (ErrorCode::Gap, "gap"),
    (ErrorCode::Internal, "internal"),
];

impl ErrorCode {
    /// For back ends only: an idempotency key of another publication, or a log whose head is not the expected one.
    pub const CONFLICT: Self = Self::Other(Cow::Borrowed("conflict"));

    /// The codes of the protocol, in one order.
    pub const KNOWN: [&'static str; NAMES.len()] = {
        let mut known = [""; NAMES.len()];
        let mut index = 0;
        while index < known.len() {
            known[index] = NAMES[index].1;
            index += 1;
        }
        known
    };

    /// The code on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(code) => code,
            known => NAMES.iter().find(|(code, _)| code == known).map_or("internal", |(_, name)| name),
        }
    }
}

impl From<&str> for ErrorCode {
    fn from(text: &str) -> Self {
        NAMES
            .iter()
            .find(|(_, name)| *name == text)
            .map_or_else(|| Self::Other(Cow::Owned(text.to_owned())), |(code, _)| code.clone())
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for ErrorCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for ErrorCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        Ok(<Self as From<&str>>::from(&text))
    }
}
