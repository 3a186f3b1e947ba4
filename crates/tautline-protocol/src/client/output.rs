//! What the session tells its shell to do, and to say.

use serde_json::value::RawValue;

use super::DropCause;
use crate::{
    Cursor, ErrorCode,
    packet::{
        ErrorBody,
        server::{Gap, PresenceChange, PresenceKind},
    },
};

/// One thing to do. Drain them all after every input.
#[derive(Debug)]
pub enum Output {
    /// Ask the app for a login.
    FetchAuth {
        /// The last one, or the ticket, was refused: do not hand out a cached one.
        renew: bool,
    },
    /// Open a WebSocket.
    Dial {
        /// Call it by this number.
        socket: u64,
    },
    /// Send one text message.
    Send {
        /// On which socket.
        socket: u64,
        /// The message.
        text: String,
    },
    /// Close a socket with 1000.
    CloseSocket {
        /// Which.
        socket: u64,
    },
    /// A request has its outcome; said exactly once for each.
    Settled {
        /// The number that the request came with.
        request: u64,
        /// The outcome.
        result: Settlement,
    },
    /// Hand a publication to the app, then feed [`super::Input::Handled`].
    Publication(PublicationEvent),
    /// Tell the app that publications may be missing: it should load its state afresh.
    Gap(Gap),
    /// A subscription is confirmed on this connection.
    Subscribed {
        /// The channel.
        channel: String,
        /// Where the app stands in it.
        cursor: Cursor,
        /// How many publications follow up to where the log stood.
        recovering: u64,
        /// The gateway has subscribed the channel by itself, and the app has not asked for it.
        by_server: bool,
    },
    /// A subscription has ended, and not by the app's wish.
    Unsubscribed {
        /// The channel.
        channel: String,
        /// For programs.
        code: ErrorCode,
        /// For people.
        message: String,
    },
    /// Somebody's presence changed.
    Presence(PresenceKind, PresenceChange),
    /// The session is open.
    Welcome(WelcomeEvent),
    /// A connection was lost, or a dial failed.
    Drop(Dropped),
    /// The line's state has changed.
    State(State),
}

/// The outcome of a request.
#[derive(Debug)]
pub enum Settlement {
    /// The `ok` body of the reply.
    Ok(Box<RawValue>),
    /// The server, or the back end behind it, refused.
    Refused(ErrorBody),
    /// Settled on this side.
    Local(LocalError),
}

/// Why a request was settled without a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocalError {
    /// It was sent, and no reply came in time.
    #[error("no reply came in time")]
    Timeout,
    /// It was never sent: no session was open in time.
    #[error("no session was open in time to send it")]
    Expired,
    /// The outbox was full.
    #[error("the outbox is full")]
    Overflow,
    /// It is larger than the server takes.
    #[error("the request is larger than a message may be")]
    TooLarge,
    /// The session was lost after it was sent: it may have been executed, or not.
    #[error("the session was lost after it was sent: it may have been executed, or not")]
    InDoubt,
    /// The app closed the line.
    #[error("the line is closed")]
    Closed,
    /// Another user has logged in.
    #[error("another user has logged in")]
    UserChanged,
    /// The app no longer waited.
    #[error("cancelled")]
    Cancelled,
}

impl LocalError {
    /// The code for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Expired => "expired",
            Self::Overflow => "overflow",
            Self::TooLarge => "too_large",
            Self::InDoubt => "in_doubt",
            Self::Closed => "closed",
            Self::UserChanged => "user_changed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A publication for the app.
#[derive(Debug)]
pub struct PublicationEvent {
    /// The channel.
    pub channel: String,
    /// The log's epoch.
    pub epoch: String,
    /// Its place in the log.
    pub offset: u64,
    /// When it was appended, in wall milliseconds.
    pub at: u64,
    /// The payload.
    pub data: Box<RawValue>,
    /// Which user published it.
    pub from: Option<String>,
    /// Labels of the publisher's.
    pub tags: Option<Box<RawValue>>,
    /// It may have been handed over before; only after the app itself was destroyed.
    pub redelivered: bool,
}

impl PublicationEvent {
    /// The session whose clients do not hand it to their app, where the tags name one.
    #[must_use]
    pub fn excluded(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Tags {
            #[serde(rename = "$exclude")]
            exclude: String,
        }
        let tags = self.tags.as_ref()?.get();
        serde_json::from_str::<Tags>(tags).ok().map(|tags| tags.exclude)
    }
}

/// What the app may want to know of a welcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WelcomeEvent {
    /// The session's id.
    pub session: String,
    /// Whose session it is; absent for guests.
    pub user: Option<String>,
    /// Whether the session went on.
    pub resumed: bool,
    /// The node that answered.
    pub node: String,
    /// The server's wall clock, in milliseconds.
    pub now: u64,
    /// How long the line was down, in milliseconds; 0 for the first time.
    pub offline_ms: u64,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Why.
    pub cause: DropCause,
    /// True when the connection had been welcome; else a dial failed.
    pub online: bool,
    /// The host's raw code, or the close code of a `bye`.
    pub code: Option<i64>,
    /// The host's raw reason, or the code of a `bye`.
    pub reason: Option<String>,
    /// What else was said.
    pub message: Option<String>,
}

/// Where the line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No connection, and none needed.
    Idle,
    /// On the way to a welcome.
    Connecting,
    /// Welcome.
    Online,
    /// Between two dials.
    Waiting {
        /// When the next one is due, in wall milliseconds.
        retry_at: u64,
    },
    /// The host says that there is no network.
    Offline,
    /// In the background.
    Hidden,
    /// Told never to come back by itself.
    Stopped(DropCause),
    /// Closed by the app, for good.
    Closed,
}

impl State {
    /// The state's name.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connecting => "connecting",
            Self::Online => "online",
            Self::Waiting { .. } => "waiting",
            Self::Offline => "offline",
            Self::Hidden => "hidden",
            Self::Stopped(_) => "stopped",
            Self::Closed => "closed",
        }
    }
}
