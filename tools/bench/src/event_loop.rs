//! The connections of a load and the one loop that serves them: epoll, edge-triggered, on one thread.
//!
//! Start at [`EventLoop::open`] and [`EventLoop::poll`].

use std::{
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use mio::{Events, Interest, Poll, Token, net::TcpStream};
use rustls::ClientConfig;
use socket2::{Domain, Socket, Type};
use tautline_websocket::{ClientRequest, encode_text};

use super::{
    args::Target,
    connection::{Connection, MASK, Observer, Plan, SubscribedChannel},
    progress::Progress,
    protocols::{Opening, Protocol},
    source,
    wire::Wire,
};

/// Events that are taken from the kernel at once: after so many others get a turn.
const EVENTS_MAX: usize = 256;
/// More than the longest message of a gateway, a welcome of 512 KiB.
const BUFFER_BYTES: usize = 1024 * 1024;
/// What a connect answers that does not wait.
const IN_PROGRESS: i32 = rustix::io::Errno::INPROGRESS.raw_os_error();
/// Nothing that is waited for takes longer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What a new connection says, and what it reads.
pub(super) struct ConnectSpec {
    pub first_messages: FirstMessages,
    /// How many answers make it online.
    pub answers: u8,
    pub reads: Option<Rc<SubscribedChannel>>,
}

/// What follows the handshake: packets, hello first; or how another server is spoken to, and where.
pub(super) enum FirstMessages {
    Packets(String),
    Other(Opening),
}

impl From<String> for FirstMessages {
    fn from(packets: String) -> Self {
        Self::Packets(packets)
    }
}

impl From<Opening> for ConnectSpec {
    fn from(opening: Opening) -> Self {
        Self { answers: opening.answers, first_messages: FirstMessages::Other(opening), reads: None }
    }
}

pub(super) struct EventLoop {
    pub connections: Vec<Connection>,
    poll: Poll,
    events: Events,
    buffer: Box<[u8]>,
    address: SocketAddr,
    path: String,
    host: String,
    protocol: Protocol,
    receive_buffer_bytes: Option<usize>,
    sleepless: bool,
    tls: Option<Arc<ClientConfig>>,
}

impl EventLoop {
    pub(super) fn new(target: &Target) -> anyhow::Result<Self> {
        Ok(Self {
            connections: Vec::new(),
            poll: Poll::new().context("cannot make an epoll")?,
            events: Events::with_capacity(EVENTS_MAX),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            address: target.address,
            path: target.path.clone(),
            host: target.host.clone(),
            protocol: target.protocol,
            receive_buffer_bytes: None,
            sleepless: target.sleepless,
            tls: target.tls.clone(),
        })
    }

    /// Lines whose own end of the kernel holds no more than this.
    pub(super) fn with_receive_buffer(target: &Target, bytes: usize) -> anyhow::Result<Self> {
        Ok(Self { receive_buffer_bytes: Some(bytes), ..Self::new(target)? })
    }

    /// Begins to connect one more connection.
    pub(super) fn dial(&mut self, connect_spec: ConnectSpec) -> anyhow::Result<usize> {
        let index = self.connections.len();
        let stream = self.connect().with_context(|| format!("cannot connect to {}", self.address))?;
        let wire = Wire::new(stream, self.tls.as_ref())?;
        let mut nonce = [7; 16];
        nonce[..8].copy_from_slice(&(index as u64).to_be_bytes());
        let (path, first_messages) = match connect_spec.first_messages {
            FirstMessages::Packets(packets) => {
                let mut first_messages = Vec::new();
                encode_text(&mut first_messages, &packets, Some(MASK));
                (None, first_messages)
            }
            FirstMessages::Other(opening) => (Some(opening.path), opening.frames),
        };
        let request = ClientRequest {
            host: &self.host,
            path: path.as_deref().unwrap_or(&self.path),
            protocols: self.protocol.protocols(),
            headers: &[],
            nonce,
        };
        let mut bytes = Vec::new();
        let handshake = request.encode(&mut bytes)?;
        let plan = Plan { request: bytes, handshake, first_messages, answers: connect_spec.answers };
        let mut connection = Connection::new(index, self.protocol, wire, plan, connect_spec.reads);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(connection.stream(), Token(index), interest)?;
        self.connections.push(connection);
        Ok(index)
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if self.address.ip().is_loopback() && self.address.is_ipv4() {
            source::bind(&socket)?;
        }
        if let Some(bytes) = self.receive_buffer_bytes {
            // Before it connects: the window is negotiated by then.
            socket.set_recv_buffer_size(bytes)?;
        }
        match socket.connect(&self.address.into()) {
            Err(error) if error.raw_os_error() != Some(IN_PROGRESS) => Err(error),
            _ => Ok(TcpStream::from_std(socket.into())),
        }
    }

    /// Opens connections, at most `at_once` at a time, until all of them are online.
    pub(super) fn open<S: Observer>(
        &mut self,
        count: usize,
        at_once: usize,
        progress: &Progress,
        observer: &mut S,
        connect_spec: impl Fn(usize) -> ConnectSpec,
    ) -> anyhow::Result<()> {
        let first = self.connections.len();
        let mut online = first;
        progress.begin("opening connections", count);
        let begin = Instant::now();
        while online < first + count {
            while self.connections.len() < first + count && self.connections.len() - online < at_once {
                self.dial(connect_spec(self.connections.len() - first))?;
            }
            self.poll(observer, Duration::from_millis(100))?;
            // They come online about in the order in which they were dialled.
            while self.connections.get(online).is_some_and(Connection::is_online) {
                online += 1;
            }
            progress.at(online - first);
            ensure!(begin.elapsed() < TIMEOUT, "only {online} of {count} connections opened in {TIMEOUT:?}");
        }
        Ok(())
    }

    /// Waits for events and hands out what they bring. Returns how many there were.
    pub(super) fn poll<S: Observer>(&mut self, observer: &mut S, wait: Duration) -> anyhow::Result<usize> {
        let wait = if self.sleepless { Duration::ZERO } else { wait };
        if let Err(error) = self.poll.poll(&mut self.events, Some(wait)) {
            let interrupted = error.kind() == std::io::ErrorKind::Interrupted;
            return if interrupted { Ok(0) } else { Err(error).context("cannot wait for sockets") };
        }
        let mut count = 0;
        for event in &self.events {
            count += 1;
            let ended = event.is_read_closed() || event.is_error();
            self.connections[event.token().0].poll(&mut self.buffer, ended, observer)?;
        }
        Ok(count)
    }

    /// SubscribedChannel what lies in the socket of a connection that slept.
    pub(super) fn resume_reading<S: Observer>(
        &mut self,
        index: usize,
        observer: &mut S,
    ) -> anyhow::Result<()> {
        let connection = &mut self.connections[index];
        connection.stalled = false;
        connection.poll(&mut self.buffer, false, observer)
    }

    /// Goes on until something is true.
    pub(super) fn poll_until<S: Observer>(
        &mut self,
        observer: &mut S,
        what: &str,
        mut is_true: impl FnMut(&Self, &S) -> bool,
    ) -> anyhow::Result<()> {
        let begin = Instant::now();
        while !is_true(self, observer) {
            self.poll(observer, Duration::from_millis(100))?;
            if begin.elapsed() > TIMEOUT {
                bail!("{what}: not within {TIMEOUT:?}");
            }
        }
        Ok(())
    }
}
