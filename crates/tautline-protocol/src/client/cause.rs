//! Why a line was lost, in one word.

use crate::ByeCode;

/// Why a connection ended (protocol, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropCause {
    /// The app closed the line.
    ClosedByApp,
    /// The app was in the background.
    Background,
    /// There is no network.
    NetworkLost,
    /// The network is another one.
    NetworkChanged,
    /// Nothing came, not even the answer to a ping.
    PeerSilent,
    /// No welcome in time.
    ConnectTimeout,
    /// The server restarts.
    ServerRestart,
    /// The session has a newer connection.
    TakenOver,
    /// An operator ended the session.
    Kicked,
    /// The login was refused, or could not be had.
    AuthFailed,
    /// The host's list of allowed domains lacks this one.
    DomainNotAllowed,
    /// TLS could not be agreed on.
    TlsFailed,
    /// The name was not found.
    DnsFailed,
    /// The host allows no more sockets.
    SlotsExhausted,
    /// The server, or something before it, turned the connection away.
    Refused,
    /// One end said what the other does not understand.
    ProtocolError,
    /// Nobody said why, or the server did in a word that this version does not know.
    Unknown,
}

impl DropCause {
    /// Every cause.
    pub const ALL: [Self; 17] = [
        Self::ClosedByApp,
        Self::Background,
        Self::NetworkLost,
        Self::NetworkChanged,
        Self::PeerSilent,
        Self::ConnectTimeout,
        Self::ServerRestart,
        Self::TakenOver,
        Self::Kicked,
        Self::AuthFailed,
        Self::DomainNotAllowed,
        Self::TlsFailed,
        Self::DnsFailed,
        Self::SlotsExhausted,
        Self::Refused,
        Self::ProtocolError,
        Self::Unknown,
    ];

    /// The cause as it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClosedByApp => "closed_by_app",
            Self::Background => "background",
            Self::NetworkLost => "network_lost",
            Self::NetworkChanged => "network_changed",
            Self::PeerSilent => "peer_silent",
            Self::ConnectTimeout => "connect_timeout",
            Self::ServerRestart => "server_restart",
            Self::TakenOver => "taken_over",
            Self::Kicked => "kicked",
            Self::AuthFailed => "auth_failed",
            Self::DomainNotAllowed => "domain_not_allowed",
            Self::TlsFailed => "tls_failed",
            Self::DnsFailed => "dns_failed",
            Self::SlotsExhausted => "slots_exhausted",
            Self::Refused => "refused",
            Self::ProtocolError => "protocol_error",
            Self::Unknown => "unknown",
        }
    }

    /// The cause that a server's last word stands for.
    pub(super) const fn of_bye(code: ByeCode) -> Self {
        match code {
            ByeCode::ServerRestart => Self::ServerRestart,
            ByeCode::Overloaded | ByeCode::RateLimited => Self::Refused,
            ByeCode::HelloTimeout => Self::ConnectTimeout,
            ByeCode::PeerSilent => Self::PeerSilent,
            ByeCode::ChallengeFailed | ByeCode::TokenExpired | ByeCode::Unauthorized => Self::AuthFailed,
            ByeCode::Kicked | ByeCode::Banned => Self::Kicked,
            ByeCode::TakenOver => Self::TakenOver,
            ByeCode::SlowPeer | ByeCode::BadPacket | ByeCode::TooLarge | ByeCode::UnsupportedVersion => {
                Self::ProtocolError
            }
        }
    }
}
