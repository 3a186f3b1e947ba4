//! The way in: from the socket through the decoder to the peer.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Buf as _;
use tautline_protocol::{Format, Now};
use tautline_websocket::{Event, encode_close, encode_pong};
use tokio::io::ReadBuf;

use super::{Connection, Step, buffers::Buffers, close_reason::CloseReason};
use crate::transport::stream::Stream;

/// RFC 6455 §7.4.1: a kind of data that cannot be accepted.
const UNSUPPORTED_DATA: u16 = 1003;

/// What became of trying to read.
pub(super) enum ReadOutcome {
    Done,
    /// The task is woken when there is something.
    Waiting,
    /// The peer has enough to do.
    InputPaused,
}

impl<S: Stream> Connection<S> {
    pub(super) fn wants_input(&self) -> bool {
        match &self.peer {
            Some(peer) if self.closing().is_none() => peer.wants_input(),
            _ => true,
        }
    }

    /// Reads once, and hands over what came.
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
            let left = self.take_bytes(now, &mut undecoded, &mut buffers.out.bytes);
            let taken = undecoded.len() - left;
            undecoded.advance(taken);
            if left > 0 {
                self.rare().undecoded = undecoded;
            }
            return Ok(ReadOutcome::Done);
        }
        let mut read = ReadBuf::new(&mut buffers.read);
        match Pin::new(&mut self.stream).poll_read(cx, &mut read) {
            Poll::Pending => Ok(ReadOutcome::Waiting),
            Poll::Ready(Err(error)) => Err(CloseReason::Io(error)),
            Poll::Ready(Ok(())) if read.filled().is_empty() => Err(CloseReason::Eof),
            Poll::Ready(Ok(())) => {
                let left = self.take_bytes(now, read.filled_mut(), &mut buffers.out.bytes);
                if left > 0 {
                    let undecoded = &read.filled()[read.filled().len() - left..];
                    self.rare().undecoded = undecoded.into();
                }
                Ok(ReadOutcome::Done)
            }
        }
    }

    /// Decodes `unread` for as long as the peer wants input, and says how many bytes at its end are left; what RFC 6455 wants
    /// answered is answered in `out`. A compressed message may be a thousand times as large as its frame: decoded ahead, what
    /// is read at once could be megabytes.
    fn take_bytes(&mut self, now: Now, mut unread: &mut [u8], out: &mut Vec<u8>) -> usize {
        loop {
            if !self.wants_input() {
                self.decoder.give_back();
                return unread.len();
            }
            // Who has said the last word still listens for the peer's, but neither acts nor answers.
            let is_open = match self.closing() {
                None => true,
                Some(closing) if closing.step == Step::AwaitingClose => false,
                Some(_) => return 0,
            };
            let peer = self.peer.as_mut().expect("begin() has made the peer");
            let format = peer.format();
            self.decoder.set_message_bytes_max(peer.message_bytes_max());
            let (code, words, why) = match self.decoder.decode(&mut unread) {
                Ok(None) => return 0,
                Ok(Some(Event::Text(text))) if is_open && format == Format::Json => {
                    peer.handle_message(now, text);
                    continue;
                }
                Ok(Some(Event::Binary(message))) if is_open && format == Format::Msgpack => {
                    peer.handle_binary(now, message);
                    continue;
                }
                Ok(Some(Event::Ping(payload))) if is_open => {
                    encode_pong(out, payload, None);
                    continue;
                }
                Ok(Some(Event::Ping(_) | Event::Pong(_))) => continue,
                Ok(Some(Event::Text(_) | Event::Binary(_))) if !is_open => continue,
                Ok(Some(Event::Text(_) | Event::Binary(_))) => {
                    let words = format!("this line speaks {}", format.as_str());
                    (Some(UNSUPPORTED_DATA), words, CloseReason::WrongMessageType)
                }
                Ok(Some(Event::Close { code, .. })) => (code, String::new(), CloseReason::ClosedByPeer(code)),
                Err(error) => (Some(error.close_code()), error.to_string(), CloseReason::Violation(error)),
            };
            if is_open {
                peer.handle_lost(now);
                encode_close(out, code, &words, None);
            }
            self.close(now, why, Step::ShuttingDown);
        }
    }
}
