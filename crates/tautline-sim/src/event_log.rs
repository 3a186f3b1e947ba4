//! Events of a history as lines of text: time, who, what happened.

use tautline_protocol::client::{DropCause, State};

/// Packets are shortened to so many characters.
const PACKET_CHARS_MAX: usize = 600;
/// Words of so many characters are tickets.
const TICKET_CHARS_MIN: usize = 80;

/// Receives the events, a line at a time.
pub type EventSink = fn(&str);

/// Something worth a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The line's state changed.
    State(State),
    /// A connection, or a dial, ended.
    Drop(DropCause),
    /// The session is open; whether it went on.
    Welcome(bool),
    /// A socket was dialled.
    Dial,
    /// A message was sent.
    Sent(String),
    /// A message came.
    Received(String),
    /// A socket was told to close.
    CloseSocket,
    /// A login was asked for; whether a new one.
    FetchAuth(bool),
}

impl Event {
    /// The message, where one was sent.
    #[must_use]
    pub fn sent(&self) -> Option<&str> {
        match self {
            Self::Sent(text) => Some(text),
            _ => None,
        }
    }
}

impl Event {
    /// As it is told.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::State(State::Waiting { retry_at }) => format!("waits until {retry_at} to dial again"),
            Self::State(state) => format!("is {}", state.as_str()),
            Self::Drop(cause) => format!("lost its line, as it thinks because of {cause:?}"),
            Self::Welcome(true) => "is welcome, and its session goes on".to_owned(),
            Self::Welcome(false) => "is welcome, in a new session".to_owned(),
            Self::Dial => "dials".to_owned(),
            Self::Sent(text) => format!("says    {}", shorten(text)),
            Self::Received(text) => format!("is told {}", shorten(text)),
            Self::CloseSocket => "closes its socket".to_owned(),
            Self::FetchAuth(true) => "asks the app for a new login".to_owned(),
            Self::FetchAuth(false) => "asks the app for a login".to_owned(),
        }
    }
}

/// The beginning of each packet, and of each ticket in it.
fn shorten(text: &str) -> String {
    let ticket = |word: &str| match word.len() > TICKET_CHARS_MIN && word.is_ascii() && !word.contains(' ') {
        true => format!("{}…", &word[..6]),
        false => word.to_owned(),
    };
    let packet = |line: &str| {
        let line = line.split('"').map(ticket).collect::<Vec<_>>().join("\"");
        match line.char_indices().nth(PACKET_CHARS_MAX) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    };
    let packets: Vec<String> = text.lines().map(packet).collect();
    packets.join("\n                            ")
}
