//! Carries the bytes of one connection between two sockets and its link. Decides nothing: what arrives, when, and how it
//! ends is the link's to say.

use std::io;

use bytes::{Buf, Bytes};
use tautline_netem::{Arrival, Ending, LinkState, Way};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use super::connection_handle::ConnectionHandle;
use super::network::Network;

/// One of the two sockets.
struct End {
    /// `None` once it was reset, by us or by the peer.
    socket: Option<TcpStream>,
    /// What has arrived for this end and did not fit into its socket yet.
    unwritten: Bytes,
    /// The peer has closed its side.
    read_out: bool,
}

/// The two sockets of a connection, and the link between them.
pub(super) struct Relay<'a> {
    network: &'a Network,
    handle: &'a ConnectionHandle,
    client: End,
    upstream: End,
    /// Where bytes rest between a socket and the link. As large as the largest chunk that rules ask for.
    scratch: Box<[u8]>,
}

/// No chunk is larger (see `Rules::chunk_bytes_max`).
const SCRATCH_BYTES: usize = 16 * 1024;

impl<'a> Relay<'a> {
    pub(super) fn new(
        network: &'a Network,
        handle: &'a ConnectionHandle,
        client: TcpStream,
        upstream: TcpStream,
    ) -> Self {
        let scratch = vec![0; SCRATCH_BYTES].into_boxed_slice();
        Self { network, handle, client: End::new(client), upstream: End::new(upstream), scratch }
    }

    /// Carries until both ends are done.
    pub(super) async fn run(mut self) {
        loop {
            for way in Way::BOTH {
                self.deliver(way).await;
            }
            if self.is_done() {
                return;
            }
            self.something_to_do().await;
            for way in Way::BOTH {
                self.take_in(way);
            }
        }
    }

    /// Waits for a socket, for the next arrival, or for a fault.
    async fn something_to_do(&self) {
        let (wake_at, room_up, room_down) = {
            let link = self.handle.link();
            // An end that cannot take what it has is not asked to take more: its socket wakes us, not the clock.
            let next = |way| if self.target(way).is_full() { None } else { link.next_arrival(way) };
            let wake_at = [next(Way::Up), next(Way::Down), link.next_step()].into_iter().flatten().min();
            (wake_at, link.has_room(Way::Up), link.has_room(Way::Down))
        };
        let alarm = async {
            match wake_at {
                Some(at) => tokio::time::sleep_until(self.network.instant(at)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.client.ready(room_up) => {}
            () = self.upstream.ready(room_down) => {}
            () = alarm => {}
            () = self.handle.changed.notified() => {}
        }
    }

    /// Reads once from the sender of this direction, as much as the link has room for.
    fn take_in(&mut self, way: Way) {
        let now = self.network.now();
        let source = if way == Way::Up { &mut self.client } else { &mut self.upstream };
        // Held over the read, which does not wait, so that new rules cannot take the room away in between.
        let mut link = self.handle.link();
        let room = link.room_bytes(way).min(SCRATCH_BYTES);
        let Some(socket) = source.socket.as_ref().filter(|_| room > 0 && !source.read_out) else { return };
        match socket.try_read(&mut self.scratch[..room]) {
            Ok(0) => {
                source.read_out = true;
                link.end(now, way, Ending::Fin);
            }
            Ok(count) => {
                let chunk = Bytes::copy_from_slice(&self.scratch[..count]);
                link.push(now, way, chunk).expect("there was room, and the lock was held since");
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => {
                drop(link);
                self.lose(way);
            }
        }
    }

    /// Hands what has arrived to the far end of this direction, as much as its socket takes.
    async fn deliver(&mut self, way: Way) {
        loop {
            let target = self.target_mut(way);
            if !target.write_out() {
                // The far end is gone; what it would have sent back ends here.
                self.lose(way.back());
            }
            let full = self.target(way).is_full();
            if full && !self.handle.link().reset_is_due(self.network.now(), way) {
                return;
            }
            let arrival = self.handle.link().poll(self.network.now(), way);
            let target = self.target_mut(way);
            match arrival {
                Some(Arrival::Segment(bytes)) => target.unwritten = bytes,
                Some(Arrival::End(Ending::Fin)) => target.finish().await,
                Some(Arrival::End(Ending::Reset)) => target.reset(),
                None => return,
            }
        }
    }

    /// The sender of this direction died. The far end hears of it if the network lets it.
    fn lose(&mut self, way: Way) {
        let source = self.target_mut(way.back());
        source.reset();
        self.handle.link().end(self.network.now(), way, Ending::Reset);
    }

    /// Whether nothing is left to carry: each end is gone or has said all it will, and nothing is on its way; or both have
    /// been told that it is over.
    fn is_done(&self) -> bool {
        let link = self.handle.link();
        let written = !self.client.is_full() && !self.upstream.is_full();
        let silent = self.client.is_silent() && self.upstream.is_silent() && link.is_empty();
        written && (silent || link.state() == LinkState::Over)
    }

    fn target(&self, way: Way) -> &End {
        if way == Way::Up { &self.upstream } else { &self.client }
    }

    fn target_mut(&mut self, way: Way) -> &mut End {
        if way == Way::Up { &mut self.upstream } else { &mut self.client }
    }
}

impl End {
    fn new(socket: TcpStream) -> Self {
        Self { socket: Some(socket), unwritten: Bytes::new(), read_out: false }
    }

    /// Waits until the socket can do what is wanted of it.
    async fn ready(&self, room: bool) {
        let reading = (room && !self.read_out).then_some(Interest::READABLE);
        let writing = self.is_full().then_some(Interest::WRITABLE);
        let wanted = match (reading, writing) {
            (Some(reading), Some(writing)) => Some(reading | writing),
            (wanted, None) | (None, wanted) => wanted,
        };
        match (&self.socket, wanted) {
            // An error here shows again in the read or the write that follows, and is dealt with there.
            (Some(socket), Some(interest)) => drop(socket.ready(interest).await),
            _ => std::future::pending().await,
        }
    }

    /// Writes what the socket takes now. False if the socket died over it.
    fn write_out(&mut self) -> bool {
        let Some(socket) = &self.socket else {
            self.unwritten.clear();
            return true;
        };
        while !self.unwritten.is_empty() {
            match socket.try_write(&self.unwritten) {
                Ok(count) => self.unwritten.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
        true
    }

    fn is_full(&self) -> bool {
        !self.unwritten.is_empty()
    }

    fn is_silent(&self) -> bool {
        self.socket.is_none() || self.read_out
    }

    /// Closes our side in order.
    async fn finish(&mut self) {
        if let Some(socket) = &mut self.socket {
            // Fails only when the peer is gone already.
            drop(socket.shutdown().await);
        }
    }

    /// Closes the socket by force: the peer sees a reset.
    fn reset(&mut self) {
        self.unwritten.clear();
        if let Some(socket) = self.socket.take() {
            reset(socket);
        }
    }
}

/// Closes a socket so that its peer sees a reset (TCP RST) rather than the end of a stream.
pub(super) fn reset(socket: TcpStream) {
    if let Err(error) = socket.set_zero_linger() {
        tracing::warn!(%error, "a connection will see an orderly close instead of a reset");
    }
}
