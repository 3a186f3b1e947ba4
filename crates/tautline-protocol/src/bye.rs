//! Close codes: why a connection ends, and whether to reconnect (protocol, section 7).

use serde::{Deserialize, Serialize};

/// When a client may dial again after a `bye`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reconnect {
    /// At once, still subject to the client's back-off.
    Now,
    /// After `retry_after_ms`.
    Later,
    /// Not without a new decision of the app.
    Never,
}

impl Reconnect {
    /// The meaning of a close code's range, for an unknown code without a `bye`. `None` outside of the
    /// protocol's ranges (protocol, section 7).
    #[must_use]
    pub const fn of_close_range(close_code: i64) -> Option<Self> {
        match close_code {
            4000..=4099 => Some(Self::Now),
            4100..=4299 => Some(Self::Never),
            _ => None,
        }
    }
}

/// Why the server ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ByeCode {
    /// The server drains: reconnect later, to this node or another.
    ServerRestart,
    /// The server sheds load.
    Overloaded,
    /// This client asked too much in too short a time.
    RateLimited,
    /// No `hello` in time.
    HelloTimeout,
    /// The client was silent for longer than two pings and their pong.
    PeerSilent,
    /// The client does not report the replies that it has `seen`.
    SlowPeer,
    /// A challenged client did not answer with a good `hello`.
    ChallengeFailed,
    /// The authentication behind the session has expired.
    TokenExpired,
    /// The login was refused.
    Unauthorized,
    /// An operator ended the session.
    Kicked,
    /// An operator banned this user.
    Banned,
    /// The session has a newer connection.
    TakenOver,
    /// The input is not a packet.
    BadPacket,
    /// The input is larger than a limit.
    TooLarge,
    /// The server does not speak this version.
    UnsupportedVersion,
}

impl ByeCode {
    /// Every code, in the order of the table in the specification.
    pub const ALL: [Self; 15] = [
        Self::ServerRestart,
        Self::Overloaded,
        Self::RateLimited,
        Self::HelloTimeout,
        Self::PeerSilent,
        Self::SlowPeer,
        Self::ChallengeFailed,
        Self::TokenExpired,
        Self::Unauthorized,
        Self::Kicked,
        Self::Banned,
        Self::TakenOver,
        Self::BadPacket,
        Self::TooLarge,
        Self::UnsupportedVersion,
    ];

    /// The WebSocket close code for this code (RFC 6455 §7.4.2, private use).
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::ServerRestart => 4001,
            Self::Overloaded => 4002,
            Self::RateLimited => 4003,
            Self::HelloTimeout => 4010,
            Self::PeerSilent => 4011,
            Self::SlowPeer => 4012,
            Self::ChallengeFailed => 4013,
            Self::TokenExpired => 4101,
            Self::Unauthorized => 4102,
            Self::Kicked => 4103,
            Self::Banned => 4104,
            Self::TakenOver => 4105,
            Self::BadPacket => 4201,
            Self::TooLarge => 4202,
            Self::UnsupportedVersion => 4203,
        }
    }

    /// The code for a close code, if the `bye` itself was lost.
    #[must_use]
    pub fn from_close_code(close_code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.close_code() == close_code)
    }

    /// Whether and when a client may reconnect after it.
    #[must_use]
    pub const fn reconnect(self) -> Reconnect {
        match self {
            Self::ServerRestart | Self::Overloaded | Self::RateLimited | Self::ChallengeFailed => {
                Reconnect::Later
            }
            Self::HelloTimeout | Self::PeerSilent | Self::SlowPeer | Self::TokenExpired => Reconnect::Now,
            _ => Reconnect::Never,
        }
    }

    /// The code on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ServerRestart => "server_restart",
            Self::Overloaded => "overloaded",
            Self::RateLimited => "rate_limited",
            Self::HelloTimeout => "hello_timeout",
            Self::PeerSilent => "peer_silent",
            Self::SlowPeer => "slow_peer",
            Self::ChallengeFailed => "challenge_failed",
            Self::TokenExpired => "token_expired",
            Self::Unauthorized => "unauthorized",
            Self::Kicked => "kicked",
            Self::Banned => "banned",
            Self::TakenOver => "taken_over",
            Self::BadPacket => "bad_packet",
            Self::TooLarge => "too_large",
            Self::UnsupportedVersion => "unsupported_version",
        }
    }
}

/// The code of a received `bye`: a later version of the protocol may send codes unknown to this one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AnyByeCode {
    /// A code of this version.
    Known(ByeCode),
    /// Any other code, as on the wire. The packet's `reconnect` says what to do.
    Other(String),
}

impl AnyByeCode {
    /// The code, if this version knows it.
    #[must_use]
    pub const fn known(&self) -> Option<ByeCode> {
        match self {
            Self::Known(code) => Some(*code),
            Self::Other(_) => None,
        }
    }

    /// The code on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(code) => code.as_str(),
            Self::Other(code) => code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_matches_its_close_code() {
        for code in ByeCode::ALL {
            assert_eq!(serde_json::to_string(&code).expect("a word"), format!("\"{}\"", code.as_str()));
            assert_eq!(ByeCode::from_close_code(code.close_code()), Some(code));
            let expected_range = match code.reconnect() {
                Reconnect::Now | Reconnect::Later if code != ByeCode::TokenExpired => 4000..4100,
                _ => 4100..4300,
            };
            assert!(expected_range.contains(&code.close_code()), "{code:?}");
        }
        assert_eq!(ByeCode::from_close_code(1006), None);
    }

    #[test]
    fn unknown_code_is_read_and_written_unchanged() {
        for (text, known) in [("\"kicked\"", Some(ByeCode::Kicked)), ("\"moved_house\"", None)] {
            let code: AnyByeCode = serde_json::from_str(text).expect("any word is a code");
            assert_eq!(code.known(), known);
            assert_eq!(format!("\"{}\"", code.as_str()), text);
            assert_eq!(serde_json::to_string(&code).expect("a word"), text);
        }
        assert!(serde_json::from_str::<AnyByeCode>("4103").is_err(), "a number is no word");
    }

    #[test]
    fn close_code_range_matches_known_codes() {
        for code in ByeCode::ALL.into_iter().filter(|code| *code != ByeCode::TokenExpired) {
            let stays_away = code.reconnect() == Reconnect::Never;
            let range = Reconnect::of_close_range(i64::from(code.close_code()));
            assert_eq!(range, Some(if stays_away { Reconnect::Never } else { Reconnect::Now }), "{code:?}");
        }
        assert_eq!([3999, 4300].map(Reconnect::of_close_range), [None, None]);
    }
}
