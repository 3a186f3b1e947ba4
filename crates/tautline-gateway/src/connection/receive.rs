//! Input: from the socket through the decoder to the peer.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Buf as _;
use tautline_protocol::{Format, Now};
use tautline_websocket::{Event, encode_close, encode_pong};
use tokio::io::ReadBuf;

use super::{CloseStep, Connection, buffers::Buffers, close_reason::CloseReason};
use crate::transport::stream::Stream;

/// RFC 6455 §7.4.1: data of a type that cannot be accepted.
const UNSUPPORTED_DATA: u16 = 1003;

/// The outcome of one attempt to read.
pub(super) enum ReadOutcome {
    Read,
    /// The socket has nothing; the task is woken when it has.
    Pending,
    /// The peer takes no input at present.
    InputPaused,
}

impl<S: Stream> Connection<S> {
    pub(super) fn wants_input(&self) -> bool {
        match &self.endpoint {
            Some(endpoint) if self.closing().is_none() => endpoint.wants_input(),
            _ => true,
        }
    }

    /// Reads once and feeds the bytes.
    pub(super) fn read(
        &mut self,
        cx: &mut Context<'_>,
        now: Now,
        buffers: &mut Buffers,
    ) -> Result<ReadOutcome, CloseReason> {
        if !self.wants_input() {
            return Ok(ReadOutcome::InputPaused);
        }
        if let Some(rare) = &mut self.rare
            && !rare.undecoded.is_empty()
        {
            let mut undecoded = std::mem::take(&mut rare.undecoded);
            let left = self.feed(now, &mut undecoded, &mut buffers.out.bytes);
            let taken = undecoded.len() - left;
            undecoded.advance(taken);
            if left > 0 {
                self.rare().undecoded = undecoded;
            }
            return Ok(ReadOutcome::Read);
        }
        let mut read = ReadBuf::new(&mut buffers.read);
        match Pin::new(&mut self.stream).poll_read(cx, &mut read) {
            Poll::Pending => Ok(ReadOutcome::Pending),
            Poll::Ready(Err(error)) => Err(CloseReason::Io(error)),
            Poll::Ready(Ok(())) if read.filled().is_empty() => Err(CloseReason::Eof),
            Poll::Ready(Ok(())) => {
                let left = self.feed(now, read.filled_mut(), &mut buffers.out.bytes);
                if left > 0 {
                    let undecoded = &read.filled()[read.filled().len() - left..];
                    self.rare().undecoded = undecoded.into();
                }
                Ok(ReadOutcome::Read)
            }
        }
    }

    /// Decodes `unread` for as long as the peer takes input, and returns how many bytes at its end are left.
    /// Answers control frames in `out`. A compressed message may be a thousand times as large as its frame:
    /// decoded ahead, one read could become megabytes.
    fn feed(&mut self, now: Now, mut unread: &mut [u8], out: &mut Vec<u8>) -> usize {
        loop {
            if !self.wants_input() {
                self.decoder.give_back();
                return unread.len();
            }
            // Behind its own close frame the connection waits for the peer's, but neither acts nor answers.
            let is_open = match self.closing() {
                None => true,
                Some(closing) if closing.step == CloseStep::AwaitingClose => false,
                Some(_) => return 0,
            };
            let endpoint = self.endpoint.as_mut().expect("init_endpoint() has made the endpoint");
            let format = endpoint.format();
            self.decoder.set_message_bytes_max(endpoint.message_bytes_max());
            let (code, words, reason) = match self.decoder.decode(&mut unread) {
                Ok(None) => return 0,
                Ok(Some(Event::Text(text))) if is_open && format == Format::Json => {
                    endpoint.handle_text(now, text);
                    self.end_handshake();
                    continue;
                }
                Ok(Some(Event::Binary(message))) if is_open && format == Format::Msgpack => {
                    endpoint.handle_binary(now, message);
                    self.end_handshake();
                    continue;
                }
                Ok(Some(Event::Ping(payload))) if is_open => {
                    encode_pong(out, payload, None);
                    continue;
                }
                Ok(Some(Event::Pong(payload))) if is_open => {
                    endpoint.handle_pong(now, payload);
                    // A client that logs in by its URL may never send a message.
                    if endpoint.has_account() {
                        self.end_handshake();
                    }
                    continue;
                }
                Ok(Some(Event::Ping(_) | Event::Pong(_))) => continue,
                Ok(Some(Event::Text(_) | Event::Binary(_))) if !is_open => continue,
                Ok(Some(Event::Text(_) | Event::Binary(_))) => {
                    let words = format!("this connection speaks {}", format.as_str());
                    (Some(UNSUPPORTED_DATA), words, CloseReason::WrongMessageType)
                }
                Ok(Some(Event::Close { code, .. })) => (code, String::new(), CloseReason::ClosedByPeer(code)),
                Err(error) => (Some(error.close_code()), error.to_string(), CloseReason::Violation(error)),
            };
            if is_open {
                endpoint.handle_lost(now);
                encode_close(out, code, &words, None);
            }
            self.close(now, reason, CloseStep::ShuttingDown);
        }
    }
}
