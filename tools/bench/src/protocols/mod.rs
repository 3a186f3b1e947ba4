//! How other servers are spoken to, so that the same load measures them: what a connection says to be ready, how it publishes, and
//! how a publication is recognised.
//!
//! Start at [`Protocol`]. Each publication carries its number at the front of its payload, so that one that is lost, doubled or
//! overtaken is noticed at servers that count nothing. FirstMessages are read one by one ([`Protocol::next`]) out of messages, or out
//! of a stream whose frames mean nothing.

use anyhow::ensure;
use clap::ValueEnum;
use tautline_websocket::{encode_binary, encode_ping, encode_text};

use super::connection::MASK;

mod mqtt;
mod nats;
mod payload;
mod plain;
mod socket_io;

pub(super) use self::payload::{NUMBER_BYTES, Payload};

/// What a server speaks inside of its WebSocket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// Tautline's own
    #[default]
    Tautline,
    /// Text messages: what is said at /publish reaches everybody at /subscribe, /echo says it again; all begin with "ready"
    Ws,
    /// Engine.IO 4: events `publish` and `echo`, answered by `publication` and `echo`; a subscriber says so in its query
    SocketIo,
    /// nginx with nchan: /subscribe and /publish, each with ?channel=
    Nchan,
    /// NATS' text protocol in binary frames
    Nats,
    /// MQTT 3.1.1 in binary frames, at quality of service 0
    Mqtt,
}

/// What a connection is there for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role<'a> {
    Subscriber(&'a str),
    Publisher(&'a str),
    /// It is sent what it says.
    Echo(&'a str),
}

/// One thing that a server said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A publication, or an echo, with the number in its payload.
    Message { number: u64 },
    /// One of the answers that make a connection ready; once it is, that to a ping.
    Ready,
    /// It wants this answer.
    Asks(&'static [u8]),
    /// Nothing that matters here.
    Nothing,
}

/// How a connection introduces itself.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    pub path: String,
    /// Frames behind the handshake.
    pub frames: Vec<u8>,
    /// How many answers make it ready.
    pub answers: u8,
}

impl Protocol {
    pub(super) fn is_ours(self) -> bool {
        self == Self::Tautline
    }

    /// The subprotocol that is asked for.
    pub(super) fn protocols(self) -> &'static [&'static str] {
        if self == Self::Mqtt { &["mqtt"] } else { &[] }
    }

    /// Whether frames are pieces of a stream, so that a word may lie across them and a frame may hold many.
    pub(super) fn is_stream(self) -> bool {
        matches!(self, Self::Nats | Self::Mqtt)
    }

    /// # Errors
    /// When the server has no such thing.
    pub(super) fn open(self, role: Role<'_>) -> anyhow::Result<Opening> {
        let (path, first_messages, answers) = match self {
            Self::Tautline => unreachable!("our own connections begin with a hello"),
            Self::Ws => (plain::path(role), Vec::new(), 1),
            Self::SocketIo => (socket_io::path(role), Vec::new(), 1),
            Self::Nchan => {
                ensure!(!matches!(role, Role::Echo(_)), "nchan has no echo");
                // It keeps a channel's first publications for those who come late, so that nobody waits for an answer.
                (plain::path_in_channel(role), Vec::new(), 0)
            }
            Self::Nats => ("/".to_owned(), nats::hello(role), 1),
            Self::Mqtt => {
                let (first_messages, answers) = mqtt::hello(role);
                ("/mqtt".to_owned(), first_messages, answers)
            }
        };
        let mut frames = Vec::new();
        if !first_messages.is_empty() {
            self.frame(&mut frames, &first_messages);
        }
        Ok(Opening { path, frames, answers })
    }

    /// Appends what publishes a payload: a message, or a piece of the stream.
    pub(super) fn publish(self, out: &mut Vec<u8>, channel: &str, payload: &[u8]) {
        match self {
            Self::Tautline => unreachable!("our own connections publish with an id"),
            Self::Ws | Self::Nchan => out.extend_from_slice(payload),
            Self::SocketIo => socket_io::event(out, "publish", payload),
            Self::Nats => nats::publish(out, channel, payload),
            Self::Mqtt => mqtt::publish(out, channel, payload),
        }
    }

    /// Appends what is answered with the same payload.
    pub(super) fn ask(self, out: &mut Vec<u8>, channel: &str, payload: &[u8]) {
        match self {
            Self::SocketIo => socket_io::event(out, "echo", payload),
            // Who subscribed to what it publishes is sent it.
            _ => self.publish(out, channel, payload),
        }
    }

    /// Appends a frame that asks whether the server is there, by the WebSocket's own ping where the protocol has none for clients.
    pub(super) fn ping(self, out: &mut Vec<u8>) {
        match self {
            Self::Tautline => encode_text(out, r#"{"ping":{}}"#, Some(MASK)),
            Self::Ws | Self::Nchan | Self::SocketIo => encode_ping(out, b"", Some(MASK)),
            Self::Nats => self.frame(out, nats::PING),
            Self::Mqtt => self.frame(out, &mqtt::PING),
        }
    }

    /// Appends a message as a frame of a client.
    pub(super) fn frame(self, out: &mut Vec<u8>, message: &[u8]) {
        if self.is_stream() {
            encode_binary(out, message, Some(MASK));
        } else {
            encode_text(out, std::str::from_utf8(message).expect("payloads are text"), Some(MASK));
        }
    }

    /// The first thing that was said and its length; `None` while it is incomplete.
    ///
    /// # Errors
    /// When the server does not speak like this, or refuses.
    pub(super) fn next(self, bytes: &[u8]) -> anyhow::Result<Option<(Said, usize)>> {
        match self {
            _ if bytes.is_empty() => Ok(None),
            Self::Tautline => unreachable!("our own packets are read by the connection"),
            Self::Ws => Ok(Some((plain::read(bytes)?, bytes.len()))),
            Self::Nchan => Ok(Some((plain::read_or_ignore(bytes), bytes.len()))),
            Self::SocketIo => Ok(Some((socket_io::read(bytes)?, bytes.len()))),
            Self::Nats => nats::next(bytes),
            Self::Mqtt => mqtt::next(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use tautline_websocket::apply_mask;

    use super::*;

    #[test]
    fn each_protocol_reads_its_own_publications() {
        // Servers hand payloads on; only what stands around them differs.
        let mut payload = Payload::new(128);
        for (protocol, around) in [(Protocol::Ws, ("", "")), (Protocol::Nchan, ("", ""))] {
            let mut out = Vec::new();
            protocol.publish(&mut out, "news", payload.numbered(71));
            assert_eq!(out.len(), around.0.len() + 128);
            assert_eq!(protocol.next(&out).unwrap(), Some((Said::Message { number: 71 }, 128)));
        }
    }

    #[test]
    fn streams_use_binary_and_messages_text_frames() {
        let framed = |protocol: Protocol| {
            let mut out = Vec::new();
            protocol.frame(&mut out, b"hey");
            apply_mask(&mut out[6..], MASK);
            out
        };
        assert_eq!(framed(Protocol::Nats), b"\x82\x83\x07\x01\x09\x04hey");
        assert_eq!(framed(Protocol::SocketIo), b"\x81\x83\x07\x01\x09\x04hey");
    }

    #[test]
    fn nchan_has_no_echo_to_be_measured() {
        assert_eq!(Protocol::Nchan.open(Role::Echo("x")).unwrap_err().to_string(), "nchan has no echo");
    }
}
