//! The lines of a load and the one loop that serves them: epoll, edge-triggered, on one thread.
//!
//! Start at [`Fleet::open`] and [`Fleet::turn`].

use std::{
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use mio::{Events, Interest, Poll, Token, net::TcpStream};
use socket2::{Domain, Socket, Type};
use tautline_websocket::{ClientRequest, encode_text};

use super::{
    args::Target,
    dialect::{Dialect, Opening},
    line::{Line, MASK, Plan, Reads, Scene},
    progress::Progress,
    source,
};

/// Events that are taken from the kernel at once: after so many others get a turn.
const EVENTS_MAX: usize = 256;
/// More than the longest message of a gateway, a welcome of 512 KiB.
const BUFFER_BYTES: usize = 1024 * 1024;
/// What a connect answers that does not wait.
const IN_PROGRESS: i32 = rustix::io::Errno::INPROGRESS.raw_os_error();
/// Nothing that is waited for takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a new line says, and what it reads.
pub(super) struct Visit {
    pub words: Words,
    /// How many answers make it online.
    pub answers: u8,
    pub reads: Option<Rc<Reads>>,
}

/// What follows the handshake: packets, hello first; or how another server is spoken to, and where.
pub(super) enum Words {
    Packets(String),
    Other(Opening),
}

impl From<String> for Words {
    fn from(packets: String) -> Self {
        Self::Packets(packets)
    }
}

impl From<Opening> for Visit {
    fn from(opening: Opening) -> Self {
        Self { answers: opening.answers, words: Words::Other(opening), reads: None }
    }
}

pub(super) struct Fleet {
    pub lines: Vec<Line>,
    poll: Poll,
    events: Events,
    buffer: Box<[u8]>,
    address: SocketAddr,
    path: String,
    host: String,
    dialect: Dialect,
    receive_buffer_bytes: Option<usize>,
    sleepless: bool,
}

impl Fleet {
    pub(super) fn new(target: &Target) -> anyhow::Result<Self> {
        Ok(Self {
            lines: Vec::new(),
            poll: Poll::new().context("cannot make an epoll")?,
            events: Events::with_capacity(EVENTS_MAX),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            address: target.address,
            path: target.path.clone(),
            host: target.host.clone(),
            dialect: target.dialect,
            receive_buffer_bytes: None,
            sleepless: target.sleepless,
        })
    }

    /// Lines whose own end of the kernel holds no more than this.
    pub(super) fn with_receive_buffer(target: &Target, bytes: usize) -> anyhow::Result<Self> {
        Ok(Self { receive_buffer_bytes: Some(bytes), ..Self::new(target)? })
    }

    /// Begins to connect one more line.
    pub(super) fn dial(&mut self, visit: Visit) -> anyhow::Result<usize> {
        let index = self.lines.len();
        let stream = self.connect().with_context(|| format!("cannot connect to {}", self.address))?;
        let mut nonce = [7; 16];
        nonce[..8].copy_from_slice(&(index as u64).to_be_bytes());
        let (path, words) = match visit.words {
            Words::Packets(packets) => {
                let mut words = Vec::new();
                encode_text(&mut words, &packets, Some(MASK));
                (None, words)
            }
            Words::Other(opening) => (Some(opening.path), opening.frames),
        };
        let request = ClientRequest {
            host: &self.host,
            path: path.as_deref().unwrap_or(&self.path),
            protocols: self.dialect.protocols(),
            headers: &[],
            nonce,
        };
        let mut bytes = Vec::new();
        let handshake = request.encode(&mut bytes)?;
        let plan = Plan { request: bytes, handshake, words, answers: visit.answers };
        let mut line = Line::new(index, self.dialect, stream, plan, visit.reads);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(line.stream(), Token(index), interest)?;
        self.lines.push(line);
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

    /// Opens lines, at most `at_once` at a time, until all of them are online.
    pub(super) fn open<S: Scene>(
        &mut self,
        count: usize,
        at_once: usize,
        progress: &Progress,
        scene: &mut S,
        visit: impl Fn(usize) -> Visit,
    ) -> anyhow::Result<()> {
        let first = self.lines.len();
        let mut online = first;
        progress.begin("opening connections", count);
        let begin = Instant::now();
        while online < first + count {
            while self.lines.len() < first + count && self.lines.len() - online < at_once {
                self.dial(visit(self.lines.len() - first))?;
            }
            self.turn(scene, Duration::from_millis(100))?;
            // They come online about in the order in which they were dialled.
            while self.lines.get(online).is_some_and(Line::is_online) {
                online += 1;
            }
            progress.at(online - first);
            ensure!(
                begin.elapsed() < PATIENCE,
                "only {online} of {count} connections opened in {PATIENCE:?}"
            );
        }
        Ok(())
    }

    /// Waits for events and hands out what they bring. Returns how many there were.
    pub(super) fn turn<S: Scene>(&mut self, scene: &mut S, wait: Duration) -> anyhow::Result<usize> {
        let wait = if self.sleepless { Duration::ZERO } else { wait };
        if let Err(error) = self.poll.poll(&mut self.events, Some(wait)) {
            let interrupted = error.kind() == std::io::ErrorKind::Interrupted;
            return if interrupted { Ok(0) } else { Err(error).context("cannot wait for sockets") };
        }
        let mut count = 0;
        for event in &self.events {
            count += 1;
            let ended = event.is_read_closed() || event.is_error();
            self.lines[event.token().0].turn(&mut self.buffer, ended, scene)?;
        }
        Ok(count)
    }

    /// Reads what lies in the socket of a line that slept.
    pub(super) fn wake<S: Scene>(&mut self, index: usize, scene: &mut S) -> anyhow::Result<()> {
        let line = &mut self.lines[index];
        line.asleep = false;
        line.turn(&mut self.buffer, false, scene)
    }

    /// Goes on until something is true.
    pub(super) fn until<S: Scene>(
        &mut self,
        scene: &mut S,
        what: &str,
        mut is_true: impl FnMut(&Self, &S) -> bool,
    ) -> anyhow::Result<()> {
        let begin = Instant::now();
        while !is_true(self, scene) {
            self.turn(scene, Duration::from_millis(100))?;
            if begin.elapsed() > PATIENCE {
                bail!("{what}: not within {PATIENCE:?}");
            }
        }
        Ok(())
    }
}
