//! What a shell tells the session.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{DropCause, Stored};
use crate::{ReadFrom, packet::Auth};

/// One fact. Sockets are known by the numbers that [`super::Output::Dial`] gave them; what comes from one that is no longer
/// the live one changes nothing, but that its end frees a slot.
#[derive(Debug)]
pub enum Input<'a> {
    /// The app wants a connection. Also "try again now", and the way out of [`super::State::Stopped`].
    Connect,
    /// The app is done, for good.
    Close,
    /// The app's login, as [`super::Output::FetchAuth`] asked for.
    Auth(Auth),
    /// The app has no login just now, and why.
    AuthFailed {
        /// The reason, for people.
        message: Option<String>,
    },
    /// A socket is open.
    SocketOpen {
        /// Which.
        socket: u64,
    },
    /// A message came.
    SocketMessage {
        /// On which socket.
        socket: u64,
        /// The whole text of it.
        text: &'a str,
    },
    /// A socket is gone, or its dial has failed.
    SocketClosed(SocketClosed),
    /// The app asks for something.
    Request(NewRequest),
    /// The app no longer waits for a request.
    Cancel {
        /// The number that the request came with.
        request: u64,
    },
    /// The app wants a channel.
    Subscribe {
        /// Its name.
        channel: String,
        /// Where to begin.
        from: ReadFrom,
    },
    /// The app does not want a channel any more.
    Unsubscribe {
        /// Its name.
        channel: String,
    },
    /// The app's handler for a publication has returned.
    Handled {
        /// The publication's channel.
        channel: String,
        /// The log's epoch, as the publication said.
        epoch: String,
        /// The publication's offset.
        offset: u64,
    },
    /// Another user logs in: everything of the last one is settled and forgotten. The next login is fetched as at first.
    Login,
    /// The app came to the foreground.
    Show,
    /// The app went to the background.
    Hide,
    /// What the host says about the network.
    Network {
        /// Whether there is one.
        online: bool,
        /// Which kind; a change of this word is a change of network.
        kind: Option<String>,
        /// Answers take their time on it, and are waited for twice as long.
        weak: bool,
    },
    /// There is storage, and this is what it held; none where it held nothing, or nothing that could be read.
    ///
    /// The first input of all, else it is ignored. Without it nothing is ever stored.
    Restore(Option<Box<Stored>>),
    /// What [`super::Session::poll_store`] gave could not be written. The session goes on without storage.
    StoreFailed,
    /// [`super::Session::poll_timeout`] has passed.
    Timeout,
}

/// How a socket ended, as far as the host says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketClosed {
    /// Which socket.
    pub socket: u64,
    /// The raw close code or error code.
    pub code: Option<i64>,
    /// The raw reason.
    pub reason: Option<String>,
    /// What else the host said.
    pub message: Option<String>,
    /// What the shell takes it for, where the host's words allow it.
    pub cause: Option<DropCause>,
    /// It is lost, but the host still counts it: the session closes it, and its slot is free when it is told to be closed
    /// without this.
    pub held: bool,
}

/// A request of the app's.
#[derive(Clone, Debug)]
pub struct NewRequest {
    /// A number of the shell's choice, never used twice.
    pub request: u64,
    /// What is asked.
    pub verb: RequestVerb,
    /// The verb's body, as on the wire.
    pub body: Box<RawValue>,
    /// How long it may wait for its answer, in milliseconds; [`super::Options::request_ttl_ms`] where absent.
    pub ttl_ms: Option<u64>,
    /// Executing it twice does no harm: where the session was lost it is sent again rather than left in doubt.
    pub idempotent: bool,
    /// May be dropped unsent where the outbox is full.
    pub volatile: bool,
}

/// What an app can ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestVerb {
    /// Append to a channel.
    Publish,
    /// Ask a method of the back end.
    Call,
    /// Read a page of a log.
    History,
    /// Who is subscribed?
    Presence,
}

impl RequestVerb {
    /// The verb on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Call => "call",
            Self::History => "history",
            Self::Presence => "presence",
        }
    }

    /// True for the verbs that are executed at most once for an id.
    pub(super) const fn at_most_once(self) -> bool {
        matches!(self, Self::Publish | Self::Call)
    }
}
