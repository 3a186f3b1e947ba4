//! One WebSocket of the load: a small struct, because there are twenty thousand of them.
//!
//! Start at [`Connection::poll`]. It checks what it is sent: publications belong to its channel and their offsets rise by one,
//! or a gap stands between them.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::Shutdown,
    rc::Rc,
    time::Instant,
};

use anyhow::{Context as _, bail, ensure};
use mio::net::TcpStream;
use socket2::SockRef;
use tautline_websocket::{ClientHandshake, encode_pong, encode_text};

use super::{
    frames::{self, Kind},
    protocols::{Protocol, Said},
    wire::Wire,
};

/// A client's frames are masked; with which key is all the same to a server.
pub(super) const MASK: [u8; 4] = [7, 1, 9, 4];

/// What a connection has heard.
pub(super) enum Event<'a> {
    /// The last of what it waited for after its hello: it holds a ticket, and knows the epoch of what it subscribed to.
    Online {
        ticket: Option<&'a str>,
        epoch: Option<&'a str>,
    },
    /// The next publication of its channel.
    Publication {
        offset: u64,
    },
    /// Publications that the log no longer keeps.
    Gap,
    /// An `ok`.
    Reply {
        id: u64,
    },
    Pong,
}

/// Takes what connections hear.
pub(super) trait Observer {
    /// # Errors
    /// When this should not have been heard: the run is over.
    fn on_event(&mut self, connection: &mut Connection, event: Event<'_>, now: Instant)
    -> anyhow::Result<()>;
}

/// The channel that a connection reads.
pub(super) struct SubscribedChannel {
    pub number: usize,
    /// How each of its publications begins, up to the offset.
    prefix: Vec<u8>,
}

impl SubscribedChannel {
    pub(super) fn new(number: usize, name: &str) -> Rc<Self> {
        Rc::new(Self { number, prefix: format!(r#"{{"pub":{{"channel":"{name}","offset":"#).into_bytes() })
    }
}

/// What a connection does once it is connected.
pub(super) struct Plan {
    pub request: Vec<u8>,
    pub handshake: ClientHandshake,
    /// Said behind the handshake, in frames: hello, and perhaps a subscription with id 1.
    pub first_messages: Vec<u8>,
    /// How many answers make it online: the welcome, and the reply to the subscription.
    pub answers: u8,
}

enum Phase {
    Connecting(Box<Plan>),
    Upgrading(Box<Plan>),
    Opening { answers: u8 },
    Online,
    Gone,
}

pub(super) struct Connection {
    pub index: usize,
    protocol: Protocol,
    pub reads: Option<Rc<SubscribedChannel>>,
    /// The last offset it was sent.
    pub offset: u64,
    /// Where it began to read.
    pub began: u64,
    pub publications: u64,
    pub gaps: u64,
    /// Offsets that gaps stood for.
    pub skipped: u64,
    /// When it was dialled.
    pub dialled: Instant,
    /// While it sleeps, nothing is read: a phone in a tunnel.
    pub stalled: bool,
    wire: Wire,
    phase: Phase,
    ticket: Option<Box<str>>,
    /// The front of a frame whose end has not come.
    held: Vec<u8>,
    unsent: Vec<u8>,
    /// The front of a word of a stream whose end has not come.
    word: Vec<u8>,
}

impl Connection {
    pub(super) fn new(
        index: usize,
        protocol: Protocol,
        wire: Wire,
        plan: Plan,
        reads: Option<Rc<SubscribedChannel>>,
    ) -> Self {
        Self {
            index,
            protocol,
            reads,
            offset: 0,
            began: 0,
            publications: 0,
            gaps: 0,
            skipped: 0,
            dialled: Instant::now(),
            stalled: false,
            wire,
            phase: Phase::Connecting(Box::new(plan)),
            ticket: None,
            held: Vec::new(),
            unsent: Vec::new(),
            word: Vec::new(),
        }
    }

    pub(super) fn stream(&mut self) -> &mut TcpStream {
        self.wire.tcp()
    }

    pub(super) fn is_online(&self) -> bool {
        matches!(self.phase, Phase::Online)
    }

    /// Sends packets, as one message.
    pub(super) fn say(&mut self, packets: &str) -> anyhow::Result<()> {
        encode_text(&mut self.unsent, packets, Some(MASK));
        self.flush()
    }

    /// Sends frames as they are.
    pub(super) fn send(&mut self, frames: &[u8]) -> anyhow::Result<()> {
        self.unsent.extend_from_slice(frames);
        self.flush()
    }

    /// Hangs up without a word: a reset, as after a tunnel, which leaves nothing behind in the kernel either.
    pub(super) fn cut(&mut self) {
        // Where it fails the connection was gone already.
        drop(SockRef::from(&*self.wire.tcp()).set_linger(Some(std::time::Duration::ZERO)));
        self.phase = Phase::Gone;
    }

    /// Takes part in one event of its socket.
    pub(super) fn poll<S: Observer>(
        &mut self,
        buffer: &mut [u8],
        ended: bool,
        observer: &mut S,
    ) -> anyhow::Result<()> {
        if let Phase::Connecting(_) = self.phase {
            self.connected()?;
        }
        self.flush()?;
        if self.stalled || matches!(self.phase, Phase::Gone | Phase::Connecting(_)) {
            return Ok(());
        }
        loop {
            let held = self.held.len();
            buffer[..held].copy_from_slice(&self.held);
            let room = buffer.len() - held;
            ensure!(room > 0, "a message of more than {} bytes", buffer.len());
            let read = match self.wire.read(&mut buffer[held..]) {
                Ok(0) => bail!("the server hung up on connection {}", self.index),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(error).with_context(|| format!("connection {} was lost", self.index));
                }
            };
            self.held.clear();
            let filled = held + read;
            let used = self.consume(&buffer[..filled], Instant::now(), observer)?;
            self.held.extend_from_slice(&buffer[used..filled]);
            // Less than there was room for: the socket is empty, and tells us when it is not.
            if read < room && !ended && self.wire.reads_all() {
                return Ok(());
            }
        }
    }

    fn connected(&mut self) -> anyhow::Result<()> {
        if let Some(error) = self.wire.tcp().take_error()? {
            return Err(error).context("cannot connect");
        }
        match self.wire.tcp().peer_addr() {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
            Err(error) => return Err(error).context("cannot connect"),
        }
        if let Phase::Connecting(plan) = std::mem::replace(&mut self.phase, Phase::Gone) {
            self.unsent.extend_from_slice(&plan.request);
            self.phase = Phase::Upgrading(plan);
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let mut sent = 0;
        while sent < self.unsent.len() {
            match self.wire.write(&self.unsent[sent..]) {
                Ok(bytes) => sent += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("connection {} was lost", self.index));
                }
            }
        }
        self.unsent.drain(..sent);
        match self.wire.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                return Err(error).with_context(|| format!("connection {} was lost", self.index));
            }
            _ => {}
        }
        Ok(())
    }

    /// SubscribedChannel what is whole, and says how much that was.
    fn consume<S: Observer>(
        &mut self,
        bytes: &[u8],
        now: Instant,
        observer: &mut S,
    ) -> anyhow::Result<usize> {
        let mut used = 0;
        if let Phase::Upgrading(plan) = &self.phase {
            let Some(accepted) = plan.handshake.read(bytes).context("no WebSocket was opened")? else {
                return Ok(0);
            };
            used = accepted.head_bytes;
            self.unsent.extend_from_slice(&plan.first_messages);
            let answers = plan.answers;
            self.phase = Phase::Opening { answers };
            self.flush()?;
            // Most connections never say so much again.
            self.unsent.shrink_to_fit();
            if answers == 0 {
                self.answered(b"", now, observer)?;
            }
        }
        while let Some((kind, payload, length)) = frames::next(&bytes[used..], self.protocol.is_stream())? {
            used += length;
            match kind {
                Kind::Text | Kind::Binary | Kind::Continuation if !self.protocol.is_ours() => self
                    .listen(payload, now, observer)
                    .with_context(|| format!("connection {}", self.index))?,
                Kind::Text => frames::packets(payload)
                    .try_for_each(|packet| self.hear(packet, now, observer))
                    .with_context(|| format!("connection {}", self.index))?,
                Kind::Ping => {
                    encode_pong(&mut self.unsent, payload, Some(MASK));
                    self.flush()?;
                }
                Kind::Pong if !self.protocol.is_ours() => observer.on_event(self, Event::Pong, now)?,
                Kind::Pong => {}
                Kind::Binary | Kind::Continuation => {
                    bail!("connection {} was sent what is no text", self.index)
                }
                Kind::Close => {
                    bail!("connection {} was closed: {}", self.index, String::from_utf8_lossy(payload))
                }
            }
        }
        Ok(used)
    }

    fn hear<S: Observer>(&mut self, packet: &[u8], now: Instant, observer: &mut S) -> anyhow::Result<()> {
        if let Some(reads) = &self.reads
            && let Some(rest) = packet.strip_prefix(reads.prefix.as_slice())
        {
            let offset = frames::number(rest).context("a publication without an offset")?;
            let expected = self.offset + 1;
            ensure!(offset == expected, "offset {offset} came where {expected} was next");
            self.offset = offset;
            self.publications += 1;
            return observer.on_event(self, Event::Publication { offset }, now);
        }
        if let Some(rest) = packet.strip_prefix(b"{\"id\":") {
            let id = frames::number(rest).context("a reply without a number")?;
            ensure!(memchr::memmem::find(rest, b",\"ok\":").is_some(), "{}", String::from_utf8_lossy(packet));
            if let Phase::Opening { .. } = self.phase {
                return self.answered(packet, now, observer);
            }
            return observer.on_event(self, Event::Reply { id }, now);
        }
        match packet.get(2..5) {
            Some(b"wel") => {
                self.ticket = frames::text(packet, "ticket").map(Into::into);
                self.answered(packet, now, observer)
            }
            Some(b"pon") => observer.on_event(self, Event::Pong, now),
            Some(b"gap") => {
                // The first offset is that of the cursor: `after` has a name of its own.
                let to = frames::after(packet, "offset").and_then(frames::number);
                let to = to.context("a gap without an offset")?;
                self.gaps += 1;
                self.skipped += to.saturating_sub(self.offset);
                self.offset = to;
                observer.on_event(self, Event::Gap, now)
            }
            Some(b"tic") => Ok(()),
            _ => bail!("not expected: {}", String::from_utf8_lossy(packet)),
        }
    }

    /// SubscribedChannel what another server says, word by word; the front of one waits for its end.
    fn listen<S: Observer>(&mut self, payload: &[u8], now: Instant, observer: &mut S) -> anyhow::Result<()> {
        let mut word = std::mem::take(&mut self.word);
        if !word.is_empty() {
            word.extend_from_slice(payload);
        }
        let bytes = if word.is_empty() { payload } else { word.as_slice() };
        let mut used = 0;
        while let Some((said, length)) = self.protocol.next(&bytes[used..])? {
            used += length;
            self.take(said, now, observer)?;
        }
        self.word.extend_from_slice(&bytes[used..]);
        Ok(())
    }

    fn take<S: Observer>(&mut self, said: Said, now: Instant, observer: &mut S) -> anyhow::Result<()> {
        match said {
            Said::Message { number } if self.reads.is_some() => {
                let next = self.offset + 1;
                ensure!(number <= next, "lost or overtaken: number {number} came where {next} was next");
                ensure!(number >= next, "doubled or late: number {number} came where {next} was next");
                self.offset = number;
                self.publications += 1;
                observer.on_event(self, Event::Publication { offset: number }, now)
            }
            Said::Message { number } => observer.on_event(self, Event::Reply { id: number }, now),
            Said::Ready if matches!(self.phase, Phase::Opening { .. }) => self.answered(b"", now, observer),
            Said::Ready => observer.on_event(self, Event::Pong, now),
            Said::Asks(answer) => {
                self.protocol.frame(&mut self.unsent, answer);
                self.flush()
            }
            Said::Nothing => Ok(()),
        }
    }

    /// One of the answers that make it online. Where it subscribes, or resumes, one of them says where its channel stands.
    fn answered<S: Observer>(&mut self, packet: &[u8], now: Instant, observer: &mut S) -> anyhow::Result<()> {
        let Phase::Opening { answers } = self.phase else { bail!("a second welcome") };
        if let Some(offset) = frames::after(packet, "offset").and_then(frames::number) {
            let recovering = frames::after(packet, "recovering").and_then(frames::number).unwrap_or(0);
            self.offset = offset - recovering;
            self.began = self.offset;
        }
        if answers > 1 {
            self.phase = Phase::Opening { answers: answers - 1 };
            return Ok(());
        }
        self.phase = Phase::Online;
        let ticket = self.ticket.take();
        let epoch = frames::text(packet, "epoch");
        observer.on_event(self, Event::Online { ticket: ticket.as_deref(), epoch }, now)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        drop(self.wire.tcp().shutdown(Shutdown::Both));
    }
}

#[cfg(test)]
mod tests {
    use tautline_websocket::{ClientRequest, encode_binary};

    use super::*;

    /// The numbers of what was heard.
    #[derive(Default)]
    struct Tally(Vec<u64>);

    impl Observer for Tally {
        fn on_event(&mut self, _: &mut Connection, event: Event<'_>, _: Instant) -> anyhow::Result<()> {
            if let Event::Publication { offset } = event {
                self.0.push(offset);
            }
            Ok(())
        }
    }

    fn subscriber_of_nats() -> Connection {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(nobody.local_addr().unwrap()).unwrap();
        let request = ClientRequest { host: "x", path: "/", protocols: &[], headers: &[], nonce: [0; 16] };
        let handshake = request.encode(&mut Vec::new()).unwrap();
        let plan = Plan { request: Vec::new(), handshake, first_messages: Vec::new(), answers: 0 };
        let mut connection = Connection::new(
            0,
            Protocol::Nats,
            Wire::Plain(stream),
            plan,
            Some(SubscribedChannel::new(0, "news")),
        );
        connection.phase = Phase::Online;
        connection
    }

    fn news(numbers: &[u64]) -> Vec<u8> {
        numbers.iter().flat_map(|number| format!("MSG news 1 12\r\n{number:012}\r\n").into_bytes()).collect()
    }

    #[test]
    fn stream_messages_may_span_frames() {
        let said = news(&[1, 2, 3]);
        for cut in 0..said.len() {
            let (mut connection, mut heard) = (subscriber_of_nats(), Tally::default());
            for piece in [&said[..cut], &said[cut..]] {
                let mut frame = Vec::new();
                encode_binary(&mut frame, piece, None);
                assert_eq!(connection.consume(&frame, Instant::now(), &mut heard).unwrap(), frame.len());
            }
            assert_eq!((heard.0.as_slice(), connection.offset), (&[1, 2, 3][..], 3), "cut at {cut}");
        }
    }

    #[test]
    fn lost_or_doubled_message_ends_the_run() {
        for (numbers, reason) in [([1, 3], "lost or overtaken"), ([1, 1], "doubled or late")] {
            let mut frame = Vec::new();
            encode_binary(&mut frame, &news(&numbers), None);
            let refused = subscriber_of_nats().consume(&frame, Instant::now(), &mut Tally::default());
            assert!(format!("{:#}", refused.unwrap_err()).contains(reason));
        }
    }
}
