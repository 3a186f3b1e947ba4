//! An open WebSocket: bytes in, messages out, and the other way round.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use tautline_protocol::{
    Format,
    client::{DropCause, SocketClosed},
    msgpack,
};
use tautline_websocket::{Decoder, Event, Role, encode_binary, encode_close, encode_pong, encode_text};
use tokio::{
    io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::{dial::Opened, random::Random, stream::Stream, tls};

/// The largest message that is taken: a welcome may have 512 KiB, a page of history half as much.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Read at once.
const READ_BYTES: usize = 16 * 1024;

/// How long a closing handshake may take; then the socket goes without it.
const FAREWELL: Duration = Duration::from_secs(2);

/// RFC 6455, section 7.4.1: unacceptable data.
const CLOSE_UNSUPPORTED: u16 = 1003;

/// A line with frames on it.
#[derive(Debug)]
pub(crate) struct Socket {
    pub number: u64,
    format: Format,
    stream: Stream,
    decoder: Decoder,
    /// What came and is not decoded yet.
    unread: Vec<u8>,
    /// Frames that the kernel has not taken yet. Bounded by what the session lets out at once.
    unsent: Vec<u8>,
}

impl Socket {
    pub(crate) fn new(number: u64, opened: Opened, format: Format) -> Self {
        let decoder = Decoder::new(Role::Client, MESSAGE_BYTES_MAX);
        Self { number, format, stream: opened.stream, decoder, unread: opened.unread, unsent: Vec::new() }
    }

    /// Queues a message: lines of json, in the format of the line.
    pub(crate) fn send(&mut self, text: &str, random: &mut Random) {
        let key = Some(random.bytes());
        match self.format {
            Format::Json => encode_text(&mut self.unsent, text, key),
            Format::Msgpack => {
                encode_binary(&mut self.unsent, &msgpack::from_json(text.as_bytes()), key);
            }
        }
    }

    /// Moves bytes in both directions as far as they go without waiting, once there is something to move. Nothing is read
    /// unless `wants_read`. Safe to cancel: what was moved is noted before anything else is waited for.
    pub(crate) async fn drive_io(&mut self, wants_read: bool) -> Result<(), Lost> {
        if wants_read && !self.unread.is_empty() {
            return Ok(());
        }
        if !wants_read && self.unsent.is_empty() && !self.stream.holds_back() {
            // An error is still to be noticed: the peer may be gone.
            self.stream.failed().await?;
            return Err(Lost::ended());
        }
        poll_fn(|cx| self.poll_io(cx, wants_read)).await
    }

    fn poll_io(&mut self, cx: &mut Context<'_>, wants_read: bool) -> Poll<Result<(), Lost>> {
        let is_out = self.poll_write(cx)?.is_ready();
        if !wants_read {
            return if is_out { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        // Reading into what is reserved spares the zeroes. The future holds nothing from one poll to the next.
        self.unread.reserve(READ_BYTES);
        match ready!(pin!(self.stream.read_buf(&mut self.unread)).poll(cx)) {
            Ok(0) => Poll::Ready(Err(Lost::ended())),
            Ok(_) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }

    /// Ready when everything has gone out.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let taken = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unsent))?;
            self.unsent.drain(..taken);
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Decodes what was read: each message goes to `on_message` as lines of json, pings are answered.
    pub(crate) fn decode(
        &mut self,
        random: &mut Random,
        mut on_message: impl FnMut(&str),
    ) -> Result<(), Lost> {
        let mut bytes = std::mem::take(&mut self.unread);
        let mut unread = bytes.as_mut_slice();
        loop {
            let event = match self.decoder.decode(&mut unread) {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => {
                    encode_close(&mut self.unsent, Some(error.close_code()), "", Some(random.bytes()));
                    return Err(Lost::broken(error.close_code(), error.to_string()));
                }
            };
            match event {
                Event::Text(text) if self.format == Format::Json => on_message(text),
                Event::Binary(message) if self.format == Format::Msgpack => {
                    on_message(&msgpack::to_json(message));
                }
                Event::Ping(payload) => encode_pong(&mut self.unsent, payload, Some(random.bytes())),
                Event::Pong(_) => {}
                Event::Text(_) | Event::Binary(_) => {
                    encode_close(&mut self.unsent, Some(CLOSE_UNSUPPORTED), "", Some(random.bytes()));
                    return Err(Lost::broken(
                        CLOSE_UNSUPPORTED,
                        format!("a message of another format, where {} was agreed on", self.format.as_str()),
                    ));
                }
                Event::Close { code, reason } => {
                    let lost = Lost::closed(code, reason);
                    encode_close(&mut self.unsent, code, "", Some(random.bytes()));
                    return Err(lost);
                }
            }
        }
        // Kept for the next read, so that a busy line does not allocate each time.
        bytes.clear();
        self.unread = bytes;
        Ok(())
    }

    /// Queues a close frame.
    pub(crate) fn close(&mut self, code: u16, random: &mut Random) {
        encode_close(&mut self.unsent, Some(code), "", Some(random.bytes()));
    }

    /// Sends what is queued, waits for the peer to hang up, and is gone after [`FAREWELL`] in any case.
    pub(crate) async fn farewell(mut self) {
        let goodbye = async {
            self.stream.write_all(&self.unsent).await?;
            self.stream.shutdown().await?;
            // The peer's last words have no reader any more.
            let mut unheard = [0; 1024];
            while self.stream.read(&mut unheard).await? > 0 {}
            io::Result::Ok(())
        };
        // Whatever went wrong, the socket is dropped now.
        let _ = timeout(FAREWELL, goodbye).await;
    }
}

/// How a socket ended.
#[derive(Debug)]
pub(crate) struct Lost {
    code: Option<i64>,
    reason: Option<String>,
    message: Option<String>,
    cause: Option<DropCause>,
}

impl Lost {
    fn ended() -> Self {
        let message = "the connection ended without a close frame".to_owned();
        Self { code: None, reason: None, message: Some(message), cause: None }
    }

    fn broken(code: u16, message: String) -> Self {
        Self {
            code: Some(code.into()),
            reason: None,
            message: Some(message),
            cause: Some(DropCause::ProtocolError),
        }
    }

    fn closed(code: Option<u16>, reason: &str) -> Self {
        let reason = (!reason.is_empty()).then(|| reason.to_owned());
        Self { code: code.map(i64::from), reason, message: None, cause: None }
    }

    /// What the session is told.
    pub(crate) fn socket_closed(self, socket: u64) -> SocketClosed {
        SocketClosed {
            socket,
            code: self.code,
            reason: self.reason,
            message: self.message,
            cause: self.cause,
            held: false,
        }
    }
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            // TLS that ended without its own goodbye. What was on its way is asked for again, however the line was lost.
            return Self::ended();
        }
        let code = error.raw_os_error().map(i64::from);
        let cause = tls::fault(&error).map(|_| DropCause::TlsFailed);
        Self { code, reason: None, message: Some(error.to_string()), cause }
    }
}
