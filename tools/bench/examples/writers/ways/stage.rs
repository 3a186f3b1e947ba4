//! What all ways have in common: the sockets, the reader's process, and the books.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use rustix::{
    thread::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
};
use socket2::SockRef;

use super::Args;

/// A payload of 128 bytes, what the protocol says around it, and the header of its frame.
pub(crate) const MESSAGE_BYTES: usize = 190;
/// Sockets that are written to before others get their turn.
pub(crate) const CHUNK: usize = 256;
/// As the gateway has it: what a slow peer may cost the kernel.
const SEND_BUFFER_BYTES: usize = 20 * 1024;
/// The kernel moves what a full socket holds, and probes whether its peer has room: then a little more goes in.
const FILLINGS: usize = 5;
const FILLING_LASTS: Duration = Duration::from_millis(300);

/// Where a way performs.
pub(crate) struct Stage {
    /// Those of a channel stand together. They do not block.
    pub(crate) sockets: Vec<TcpStream>,
    /// The reader asks here for each publication.
    pub(crate) control: TcpStream,
    pub(crate) score: Score,
    reader: Child,
}

/// When a publication is due, in which channel, and what the writer's process has used meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Score {
    /// Sockets of a channel.
    pub(crate) per_channel: usize,
    channels: usize,
    /// Of a channel, those that somebody reads.
    read: usize,
    interval: Duration,
    warm_up: u32,
    publications: u32,
    cues: u32,
    random: u64,
    begun: Duration,
    used: Duration,
}

/// What a way has cost in one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) cpu_ns: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Stage {
    pub(crate) fn set(args: &Args) -> anyhow::Result<Self> {
        ensure!(
            args.channels > 0 && args.sockets.is_multiple_of(args.channels),
            "channels must be of one size"
        );
        let per_channel = args.sockets / args.channels;
        ensure!(args.stalled < per_channel, "somebody must read");
        pin(args.writer_core)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let reader = Command::new(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .arg(format!("--reads-from={}", listener.local_addr()?))
            .spawn()?;
        let (control, _) = listener.accept()?;
        control.set_nodelay(true)?;
        let accept = |_| {
            let (socket, _) = listener.accept()?;
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER_BYTES)?;
            anyhow::Ok(socket)
        };
        let sockets: Vec<_> = (0..args.sockets).map(accept).collect::<Result<_, _>>()?;
        let read = per_channel - args.stalled;
        let stalled = || sockets.chunks(per_channel).flat_map(|channel| &channel[read..]);
        for _ in 0..if args.stalled > 0 { FILLINGS } else { 0 } {
            stalled().try_for_each(fill)?;
            sleep(FILLING_LASTS);
        }
        let publications = u32::try_from(args.deliveries.div_ceil(read))?;
        let score = Score {
            per_channel,
            channels: args.channels,
            read,
            interval: args.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate)),
            warm_up: publications.div_ceil(4),
            publications,
            cues: 0,
            random: 0x9e37_79b9_7f4a_7c15,
            begun: Duration::ZERO,
            used: Duration::ZERO,
        };
        Ok(Self { sockets, control, score, reader })
    }

    /// Tells the reader what is to come.
    pub(crate) fn begin(&mut self) -> anyhow::Result<()> {
        self.score.cues = 0;
        let Score { warm_up, publications, interval, .. } = self.score;
        let order = [warm_up, publications, u32::try_from(interval.as_micros())?];
        Ok(self.control.write_all(&order.map(u32::to_le_bytes).concat())?)
    }

    /// The channel of the next publication once the reader asks for it; nothing once all have been read.
    pub(crate) fn next(&mut self) -> anyhow::Result<Option<usize>> {
        self.control.read_exact(&mut [0])?;
        Ok(self.score.next())
    }

    /// Hears from the reader how long everything took.
    pub(crate) fn end(mut self) -> anyhow::Result<(Self, Outcome)> {
        let mut latency = || -> anyhow::Result<f64> {
            let mut ns = [0; 8];
            self.control.read_exact(&mut ns)?;
            Ok(u64::from_le_bytes(ns) as f64 / 1e6)
        };
        let (p50_ms, p99_ms) = (latency()?, latency()?);
        let deliveries = f64::from(self.score.publications) * self.score.read as f64;
        let cpu_ns = self.score.used.as_secs_f64() * 1e9 / deliveries;
        Ok((self, Outcome { cpu_ns, p50_ms, p99_ms }))
    }

    /// The reader ends when nobody tells it anything more.
    pub(crate) fn strike(mut self) -> anyhow::Result<()> {
        drop(self.control);
        ensure!(self.reader.wait()?.success(), "the reader failed");
        Ok(())
    }
}

impl Score {
    /// The reader has asked once more: for a publication in this channel, or for nothing, as it is over.
    pub(crate) fn next(&mut self) -> Option<usize> {
        if self.cues == self.warm_up {
            self.begun = cpu();
        }
        if self.cues == self.warm_up + self.publications {
            self.used = cpu().saturating_sub(self.begun);
            return None;
        }
        self.cues += 1;
        // xorshift64
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random >> 32).ok().map(|random| random % self.channels)
    }
}

pub(crate) fn pin(core: usize) -> anyhow::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).with_context(|| format!("there is no core {core}"))
}

/// Writes until the socket takes no more.
fn fill(mut socket: &TcpStream) -> anyhow::Result<()> {
    loop {
        match socket.write(&[0; MESSAGE_BYTES]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// What this process has used, all threads.
fn cpu() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.cast_unsigned(), u32::try_from(used.tv_nsec).expect("less than a second"))
}
