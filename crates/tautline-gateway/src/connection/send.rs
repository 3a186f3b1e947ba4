//! Output: from the peer into one write, for as long as the socket takes it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tautline_hub::{AuthorizeQuestion, Output};
use tautline_protocol::{ByeCode, Format, Now};
use tautline_websocket::{Opcode, encode_close, encode_ping};

use super::{
    CloseStep, Connection, after_ms, buffers::Buffers, close_reason::CloseReason, endpoint::EndpointOutput,
};
use crate::{
    calls,
    questions::{self, RunningQuestion},
    transport::stream::Stream,
};

impl<S: Stream> Connection<S> {
    /// Writes the peer's outputs until there are no more; pending while the socket takes no more.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        now: Now,
        buffers: &mut Buffers,
    ) -> Poll<Result<(), CloseReason>> {
        let mut must_flush = self.rare.as_ref().is_some_and(|rare| rare.needs_flush);
        loop {
            let has_more = self.gather(cx, now, buffers);
            if !buffers.out.bytes.is_empty() {
                must_flush = true;
                ready!(self.poll_write(cx, now, buffers))?;
            }
            if !has_more {
                break;
            }
        }
        if must_flush {
            self.flush(cx)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Nothing waits for it: a stream that cannot flush yet wakes the task when it can.
    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        let is_flushed = Pin::new(&mut self.stream).poll_flush(cx).map_err(CloseReason::Io)?.is_ready();
        if !is_flushed {
            self.rare().needs_flush = true;
        } else if let Some(rare) = &mut self.rare {
            rare.needs_flush = false;
        }
        Ok(())
    }

    /// Collects outputs for one write. True where the write is full and there may be more.
    fn gather(&mut self, cx: &mut Context<'_>, now: Now, buffers: &mut Buffers) -> bool {
        while self.closing().is_none() {
            if buffers.is_full() {
                return true;
            }
            let output = match self.endpoint().poll_output(now) {
                None => break,
                Some(EndpointOutput::Ping(payload)) => {
                    encode_ping(&mut buffers.out.bytes, &payload, None);
                    continue;
                }
                Some(EndpointOutput::Peer(output)) => output,
            };
            match output {
                Output::Message(message) => {
                    let opcode = opcode(self.endpoint().format());
                    let is_long = message.len() >= self.state().config.compression_bytes_min;
                    let deflate = self.decoder.deflate().filter(|_| is_long);
                    buffers.push(opcode, message, deflate);
                }
                Output::Authenticate(question, reply) => {
                    let address = self.permit.client().or_else(|| self.stream.address());
                    let state = Arc::clone(self.state());
                    let counted = self.permit.counted_address();
                    let login = questions::authenticate(state, now, question, reply, (counted, address));
                    self.ask(cx, Box::pin(login));
                }
                Output::Authorize(question, reply) => {
                    let question = AuthorizeQuestion { address: self.permit.counted_address(), ..question };
                    let state = Arc::clone(self.state());
                    self.ask(cx, Box::pin(questions::authorize(state, now, question, reply)));
                }
                Output::Call(request) => {
                    calls::start(self.state(), now, cx, request, self.permit.counted_address());
                }
                Output::Close { code, reason } => {
                    if reason == ByeCode::Overloaded.as_str() {
                        self.state().warnings.sessions.note(now, || "one was refused".to_owned());
                    }
                    encode_close(&mut buffers.out.bytes, Some(code), reason, None);
                    self.close(now, CloseReason::ClosedByServer { code, reason }, CloseStep::AwaitingClose);
                }
            }
        }
        false
    }

    /// Asks the back end. Many questions are answered at once and kept nowhere.
    fn ask(&mut self, cx: &mut Context<'_>, mut question: RunningQuestion) {
        if question.as_mut().poll(cx).is_pending() {
            self.rare().questions.push(question);
        }
    }

    /// Goes on with the questions to the back end. A closing connection gives them up.
    pub(super) fn poll_questions(&mut self, cx: &mut Context<'_>) {
        let Some(rare) = &mut self.rare else { return };
        if rare.closing.is_some() {
            rare.questions = Vec::new();
        }
        rare.questions.retain_mut(|question| question.as_mut().poll(cx).is_pending());
    }

    /// Writes all of `buffers.out`; the part that the socket does not take is kept.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        now: Now,
        buffers: &mut Buffers,
    ) -> Poll<Result<(), CloseReason>> {
        let out = &mut buffers.out;
        let mut sent = if self.stream.try_queue(cx, out) { out.bytes.len() } else { 0 };
        while sent < out.bytes.len() {
            match Pin::new(&mut self.stream).poll_write(cx, &out.bytes[sent..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(CloseReason::Eof)),
                Poll::Ready(Ok(bytes)) => sent += bytes,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(CloseReason::Io(error))),
                Poll::Pending => {
                    self.rare().unsent = out.unsent(sent..out.bytes.len());
                    self.rare().needs_flush = true;
                    out.clear();
                    self.wait_for_progress(now);
                    return Poll::Pending;
                }
            }
        }
        out.clear();
        Poll::Ready(Ok(()))
    }

    /// Takes over the bytes that the stream had queued and could not send.
    pub(super) fn take_unsent(&mut self, now: Now) {
        if let Some(earlier) = self.stream.take_unsent() {
            self.rare().unsent.prepend(earlier);
            self.wait_for_progress(now);
        }
    }

    /// Goes on with the bytes that the socket did not take before.
    pub(super) fn poll_unsent(&mut self, cx: &mut Context<'_>, now: Now) -> Poll<Result<(), CloseReason>> {
        let Some(rare) = &mut self.rare else { return Poll::Ready(Ok(())) };
        let bytes_before = rare.unsent.len();
        if rare.unsent.poll_write(cx, &mut self.stream).map_err(CloseReason::Io)?.is_pending() {
            if rare.unsent.len() < bytes_before {
                self.wait_for_progress(now);
            }
            return Poll::Pending;
        }
        rare.stalled_since_ms = None;
        if rare.closing.is_none() {
            rare.stall_deadline_ms = None;
        }
        Poll::Ready(Ok(()))
    }

    /// A slow peer has time for as long as it reads a little now and then; not so behind the close frame.
    fn wait_for_progress(&mut self, now: Now) {
        let until_ms = after_ms(now.mono_ms, self.state().config.stall_timeout);
        let rare = self.rare();
        rare.stalled_since_ms.get_or_insert(now.mono_ms);
        if rare.closing.is_none() {
            rare.stall_deadline_ms = Some(until_ms);
        }
    }
}

fn opcode(format: Format) -> Opcode {
    match format {
        Format::Json => Opcode::Text,
        Format::Msgpack => Opcode::Binary,
    }
}
