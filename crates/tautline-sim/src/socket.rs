//! One WebSocket of a phone: a link with a client at one end and perhaps a server at the other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Wake,
};

use tautline_hub::Peer;
use tautline_netem::{Link, Segment};
use tautline_protocol::client::SocketClosed;

/// What a host tells its app about a socket.
#[derive(Debug)]
pub(crate) enum HostEvent {
    Open(u64),
    Message(u64, String),
    Closed(SocketClosed),
}

/// A client's closing socket holds its slot at most this long.
const CLOSE_WAIT_MS: u64 = 2_000;

/// What travels on a link: whole WebSocket messages, since what happens below them cannot be seen from above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Text(String),
    Close { code: u16, reason: String },
}

impl Segment for Frame {
    fn size_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Close { reason, .. } => 2 + reason.len(),
        }
    }
}

/// A socket from its dial until both ends are done with it.
pub(crate) struct Socket {
    pub(crate) link: Link<Frame>,
    /// When the dial ends, and whether it ends well; `None` while nobody answers it.
    pub(crate) dial: Option<(u64, bool)>,
    pub(crate) open: bool,
    /// The client has closed it, or was told that it is gone: nothing from it is handed over any more.
    pub(crate) client_done: bool,
    /// When the client asked the host to close it.
    pub(crate) closed_at: Option<u64>,
    /// When the host reports a close that the client asked for; hosts may never do it.
    pub(crate) report_close_at: Option<u64>,
    /// The host is rid of it, and has said so.
    pub(crate) reported: bool,
    pub(crate) peer: Option<Peer>,
    pub(crate) woken: Arc<Woken>,
}

impl Socket {
    /// True while the phone's host counts it as one of the sockets that the client may have: until its end was reported,
    /// or long enough ago that the client need not wait for the report.
    pub(crate) fn holds_slot(&self, now_ms: u64) -> bool {
        !self.reported && self.closed_at.is_none_or(|at| now_ms < at + CLOSE_WAIT_MS)
    }

    /// True when neither end will ever do anything with it again.
    pub(crate) fn is_over(&self, now_ms: u64) -> bool {
        self.client_done && self.peer.is_none() && self.report_close_at.is_none() && !self.holds_slot(now_ms)
    }
}

/// Remembers that somebody was woken.
#[derive(Default)]
pub(crate) struct Woken(AtomicBool);

impl Woken {
    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn wake_now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_now();
    }
}
