//! The last word on a connection: why it ends, and whether to come back (protocol, section 7).

use serde::{Deserialize, Serialize};

/// When a client that was told `bye` may dial again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reconnect {
    /// At once, still subject to the client's back-off.
    Now,
    /// After `retry_after_ms`.
    Later,
    /// Not without something new from the app.
    Never,
}

/// Why the server ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ByeCode {
    /// The server drains: come back later, to this node or another.
    ServerRestart,
    /// The server sheds load.
    Overloaded,
    /// This client asked too much in too short a time.
    RateLimited,
    /// No `hello` in time.
    HelloTimeout,
    /// The client was silent for longer than two pings and their pong.
    PeerSilent,
    /// The client does not say what it has `seen`.
    SlowPeer,
    /// A challenged client did not answer with a good `hello`.
    ChallengeFailed,
    /// The authentication behind the session has expired.
    TokenExpired,
    /// The login was refused.
    Unauthorized,
    /// An operator ended the session.
    Kicked,
    /// An operator keeps this user out.
    Banned,
    /// The session has a newer connection.
    TakenOver,
    /// What came is not a packet.
    BadPacket,
    /// What came is larger than a limit.
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

    /// The WebSocket close code that repeats this code (RFC 6455 §7.4.2, private use).
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

    /// The code behind a close code, where the `bye` itself was lost.
    #[must_use]
    pub fn from_close_code(close_code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.close_code() == close_code)
    }

    /// What a client may do after it.
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

    /// The code as it stands on the wire.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_said_the_same_way_in_a_packet_and_in_a_close_frame() {
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
}
