//! The other end, a process of its own: reads on its core without ever sleeping, asks for the next publication, and notes how
//! long each delivery took from there.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::bail;
use mio::{Events, Interest, Poll, Token, net};
use socket2::{Domain, Socket, Type};

use super::{
    Args,
    stage::{MESSAGE_BYTES, pin},
};

/// Whoever is not read gets little room, so that it is soon full.
const STALLED_BUFFER_BYTES: usize = 4096;

pub(crate) fn run(args: &Args, address: SocketAddr) -> anyhow::Result<()> {
    pin(args.reader_core)?;
    let mut control = TcpStream::connect(address)?;
    control.set_nodelay(true)?;
    let per_channel = args.sockets / args.channels;
    let read = per_channel - args.stalled;
    let poll = Poll::new()?;
    let mut sockets = Vec::new();
    for number in 0..args.sockets {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        let is_read = number % per_channel < read;
        if !is_read {
            socket.set_recv_buffer_size(STALLED_BUFFER_BYTES)?;
        }
        socket.connect(&address.into())?;
        socket.set_nonblocking(true)?;
        let mut socket = net::TcpStream::from_std(socket.into());
        if is_read {
            poll.registry().register(&mut socket, Token(number), Interest::READABLE)?;
        }
        sockets.push(socket);
    }
    let mut hall = Hall { poll, events: Events::with_capacity(256), sockets, buffer: vec![0; 64 * 1024] };
    let mut order = [[0; 4]; 3];
    loop {
        match control.read_exact(order.as_flattened_mut()) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            done => done?,
        }
        let [warm_up, publications, interval_us] = order.map(u32::from_le_bytes);
        let interval = Duration::from_micros(interval_us.into());
        let mut latencies = Vec::new();
        let mut due = Instant::now();
        for number in 0..warm_up + publications {
            while Instant::now() < due {}
            due += interval;
            if number == warm_up {
                latencies.clear();
            }
            control.write_all(&[1])?;
            hall.hear(read, &mut latencies)?;
        }
        control.write_all(&[0])?;
        latencies.sort_unstable();
        for part in [50, 99] {
            let ns = latencies[(latencies.len() - 1) * part / 100];
            control.write_all(&u64::try_from(ns.as_nanos())?.to_le_bytes())?;
        }
    }
}

/// Those who listen.
struct Hall {
    poll: Poll,
    events: Events,
    sockets: Vec<net::TcpStream>,
    buffer: Vec<u8>,
}

impl Hall {
    /// Reads until so many have one message more.
    fn hear(&mut self, listeners: usize, latencies: &mut Vec<Duration>) -> anyhow::Result<()> {
        let begin = Instant::now();
        let mut missing_bytes = listeners * MESSAGE_BYTES;
        while missing_bytes > 0 {
            self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
            for event in &self.events {
                // A read that does not fill the buffer has emptied the socket.
                let bytes = self.sockets[event.token().0].read(&mut self.buffer)?;
                if bytes == 0 {
                    bail!("the writer is gone");
                }
                missing_bytes = missing_bytes.checked_sub(bytes).expect("one publication is in flight");
                latencies.push(begin.elapsed());
            }
        }
        Ok(())
    }
}
