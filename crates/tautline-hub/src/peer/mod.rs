//! The server's end of one connection, without a socket.
//!
//! Start at [`Peer::handle_message`] and [`Peer::poll_output`]. The shell that owns the socket feeds whole
//! messages and the time. After every input and every wake it drains [`Peer::poll_output`] for
//! as long as the socket takes bytes. `stage` says how far the connection has come. `opening` authenticates the
//! client, `lookup` asks the engine about its channels, `ownership` which node has its session, `attach` gives it a session; `requests` and
//! `subscriptions` handle its requests, `delivery` sends replies and publications.

mod action;
mod attach;
mod authorize;
mod delivery;
mod history;
mod lookup;
mod opening;
mod output;
mod ownership;
mod rare;
mod rates;
mod requests;
mod stage;
mod story;
mod subscriptions;

use std::{net::IpAddr, sync::Arc, task::Waker};

use tautline_engine::budget::Holder;
use tautline_protocol::{
    ByeCode, ErrorCode, Format, Now, RequestId, json, msgpack,
    packet::{
        ErrorBody, Request, Verb,
        client::ClientPacket,
        server::{Bye, Pong},
    },
    server::Opening,
};

pub use self::output::{CallRequest, Output, ReplyTo};
pub(crate) use self::rates::TOO_MANY;
use self::{
    rare::RareState,
    stage::{BYE_RECEIVED, Stage},
};
use crate::{
    Hub,
    mailbox::{PeerMailbox, connection_number},
    session::taken_over,
    story::{StoryKind, of_bye},
    sync::Ordering,
};

/// The server's end of one connection.
pub struct Peer {
    hub: Hub,
    mailbox: Arc<PeerMailbox>,
    stage: Stage,
    /// When the last message of the client arrived, in monotonic milliseconds.
    heard_ms: u64,
    /// Control packets to send before any publication, encoded as json.
    control: Vec<u8>,
    /// Input that cannot be read yet.
    held: Option<Box<Held>>,
    rare: Option<Box<RareState>>,
    /// The address of the client.
    holder: Holder,
    /// The client announced that it goes away.
    paused: bool,
    /// Requests that its rates have refused since they last took one.
    refusals: u8,
}

/// Text whose packets before `read` were processed.
struct Held {
    text: String,
    read: usize,
}

impl Hub {
    /// A peer for a new json connection; `waker` is woken when [`Peer::poll_output`] has something new.
    #[must_use]
    pub fn peer(&self, now: Now, waker: Waker) -> Peer {
        self.peer_in(Format::Json, now, waker)
    }

    /// A peer for a new connection in this format.
    #[must_use]
    pub fn peer_in(&self, format: Format, now: Now, waker: Waker) -> Peer {
        // The address is unknown: the connection gets budget shares of its own.
        let nth = self.0.next_connection.load(Ordering::Relaxed);
        self.peer_of(self.holder(&nth.to_le_bytes()), format, now, waker)
    }

    /// A peer for a new connection from a client's own address, or in IPv6 its network
    /// ([`crate::client_network`]).
    #[must_use]
    pub fn peer_from(&self, address: IpAddr, format: Format, now: Now, waker: Waker) -> Peer {
        let holder = self.holder(address.to_string().as_bytes());
        self.peer_of(holder, format, now, waker).with_address(address)
    }

    /// A peer for a new connection from an address; a guest uses that address's budget shares.
    #[must_use]
    pub fn peer_of(&self, address: Holder, format: Format, now: Now, waker: Waker) -> Peer {
        let nth = self.0.next_connection.fetch_add(1, Ordering::Relaxed);
        let connection = connection_number(nth, format);
        self.0.connections.fetch_add(1, Ordering::Relaxed);
        Peer::new(self.clone(), PeerMailbox::new(connection, waker), address, now)
    }
}

impl Peer {
    /// The client's own address, or in IPv6 its network ([`crate::client_network`]): sessions show it, and it may be
    /// banned. Give none that many clients share.
    #[must_use]
    pub fn with_address(mut self, address: IpAddr) -> Self {
        self.rare.get_or_insert_default().address = Some(address);
        self
    }

    pub(crate) fn new(hub: Hub, mailbox: Arc<PeerMailbox>, holder: Holder, now: Now) -> Self {
        Self {
            stage: Stage::Opening(Opening::new(now, hub.limits())),
            hub,
            mailbox,
            heard_ms: now.mono_ms,
            control: Vec::new(),
            held: None,
            rare: None,
            holder,
            paused: false,
            refusals: 0,
        }
    }

    /// The format of the connection's packets.
    #[must_use]
    pub fn format(&self) -> Format {
        self.mailbox.format()
    }

    /// Takes a whole binary message, in msgpack.
    pub fn handle_binary(&mut self, now: Now, message: &[u8]) {
        self.handle_message(now, &msgpack::to_json(message));
    }

    /// Takes a whole text message.
    pub fn handle_message(&mut self, now: Now, message: &str) {
        if self.charge_message(now, message.len()) {
            self.handle_charged(now, message);
        }
    }

    /// Takes a whole message whose bytes are charged already, or were made by the shell.
    pub fn handle_charged(&mut self, now: Now, message: &str) {
        self.heard_ms = now.mono_ms;
        match &mut self.held {
            Some(held) => {
                held.text.push('\n');
                held.text.push_str(message);
            }
            None => {
                let read = self.read_packets(now, message);
                if read < message.len() {
                    self.held = Some(Box::new(Held { text: message[read..].to_owned(), read: 0 }));
                }
            }
        }
    }

    /// Advances the time; call when [`Peer::poll_timeout`] is reached. An early call does nothing.
    pub fn handle_timeout(&mut self, now: Now) {
        if now.mono_ms < self.poll_timeout() {
            return;
        }
        match &self.stage {
            Stage::Queued(waiting) if now.mono_ms >= waiting.until_ms => self.on_admission_timeout(now),
            Stage::Opening(_) | Stage::Queued(_) | Stage::Authenticating(_) | Stage::LoadingChannels(_) => {
                self.close_opening(now);
            }
            Stage::Active(open) if now.mono_ms >= open.auth_until_ms => {
                self.close_expired(now);
            }
            Stage::Active(_) if now.mono_ms >= self.silent_until_ms() => {
                self.close_with_bye(
                    now,
                    None,
                    Bye::new(ByeCode::PeerSilent, "the client was silent for too long"),
                );
            }
            Stage::Active(_) => self.send_fresh_ticket(now),
            // The engine is slow. This process treats the session as ended regardless.
            Stage::Leaving => self.stage = BYE_RECEIVED,
            Stage::Closing(_) | Stage::Closed => {}
        }
    }

    fn close_expired(&mut self, now: Now) {
        self.close_with_bye(now, None, bye_expired());
    }

    /// Closes a connection that has no `welcome` yet: the node drains, or the opening took too long.
    fn close_opening(&mut self, now: Now) {
        let Some(opening) = self.stage.opening() else { return };
        let bye = self.hub.draining().unwrap_or_else(|| opening.expired());
        self.close_with_bye(now, None, bye);
    }

    /// The socket is gone. Idempotent; dropping does the same.
    pub fn handle_lost(&mut self, now: Now) {
        self.detach(now);
        if !matches!(self.stage, Stage::Closed) {
            self.stage = Stage::Closed;
            self.control = Vec::new();
            self.held = None;
            self.return_pending_calls();
        }
    }

    /// The deadline for [`Peer::handle_timeout`], in monotonic milliseconds. Only a `hello` can move it
    /// earlier; other messages move it later, so a shell may check it lazily.
    #[must_use]
    pub fn poll_timeout(&self) -> u64 {
        if let Some(opening) = self.stage.opening() {
            return match &self.stage {
                _ if self.hub.is_draining() => 0,
                Stage::Queued(waiting) => opening.deadline_ms().min(waiting.until_ms),
                _ => opening.deadline_ms(),
            };
        }
        match &self.stage {
            Stage::Active(open) => self.silent_until_ms().min(open.auth_until_ms).min(open.ticket_due_ms),
            Stage::Leaving => self.silent_until_ms(),
            _ => u64::MAX,
        }
    }

    /// False: stop reading the socket until an output or a wake has changed that, and pass no further
    /// message. The peer accepts a message that a shell passes regardless, and holds it in memory.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        self.held.is_none() && !self.is_blocked()
    }

    /// Heap bytes of the held input.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held.as_ref().map_or(0, |held| size_of::<Held>() + held.text.capacity())
    }

    /// The largest message that the client may send now, in bytes.
    #[must_use]
    pub fn message_bytes_max(&self) -> usize {
        match self.stage {
            Stage::Opening(_) | Stage::Queued(_) | Stage::Authenticating(_) | Stage::LoadingChannels(_) => {
                self.hub.limits().hello_bytes_max
            }
            _ => self.hub.limits().message_bytes_max,
        }
    }

    fn silent_until_ms(&self) -> u64 {
        self.heard_ms + self.hub.limits().silence_ms()
    }

    /// True while no packet can be processed: the connection waits for admission, a login or the engine, the
    /// node drains, or replies accumulate.
    fn is_blocked(&self) -> bool {
        match &self.stage {
            Stage::Queued(_) | Stage::Authenticating(_) | Stage::LoadingChannels(_) => true,
            Stage::Active(_) => {
                let waits = |rare: &RareState| {
                    rare.subscribing.is_some() || rare.refreshing.is_some() || rare.deferred_bye.is_some()
                };
                self.rare.as_ref().is_some_and(|rare| waits(rare))
                    || self.control.len() >= self.hub.limits().batch_bytes_max
            }
            _ => false,
        }
    }

    /// True if this packet cannot be processed yet. Pings and repeated running calls never wait for a slow
    /// method.
    fn is_blocked_for(&mut self, now: Now, packet: &ClientPacket<'_>) -> bool {
        let Verb::Request(request) = &packet.verb else { return false };
        if self.rare.is_some() {
            // A fast engine may have completed the earlier requests by now.
            self.drain_mailbox(now);
            if self.is_full_of_held() && !matches!(request, Request::Call(_) | Request::Auth(_)) {
                return true;
            }
        }
        let Stage::Active(open) = &self.stage else { return false };
        match request {
            Request::Call(_) | Request::Publish(_) => {
                let Some(session) = open.session.owned_by(&self.mailbox) else { return false };
                session.ledger().running() as usize >= self.hub.limits().requests_in_flight_max
                    && packet.id.is_some_and(|id| !session.ledger().knows(id))
            }
            // Requests take effect in the order sent: these see earlier publications. One page at a time.
            Request::Subscribe(_) | Request::History(_) => {
                self.rare.as_ref().is_some_and(|rare| rare.engine_jobs > 0)
            }
            _ => false,
        }
    }

    /// Reads packets until one must wait. Returns the number of bytes read.
    fn read_packets(&mut self, now: Now, message: &str) -> usize {
        let mut read = 0;
        while read < message.len() {
            if self.is_blocked() {
                break;
            }
            let line_bytes = message[read..].find('\n');
            let line = &message[read..][..line_bytes.unwrap_or(message.len() - read)];
            for packet in json::packets(line).map(json::parse_client) {
                match packet {
                    Ok(packet) if self.is_blocked_for(now, &packet) => return read,
                    Ok(packet) => self.handle_packet(now, packet),
                    Err(bad) => self.close_with_bye(now, bad.id, Bye::new(ByeCode::BadPacket, bad.message)),
                }
            }
            read += line.len() + usize::from(line_bytes.is_some());
            if matches!(self.stage, Stage::Leaving | Stage::Closing(_) | Stage::Closed) {
                return message.len();
            }
        }
        read
    }

    fn handle_packet(&mut self, now: Now, packet: ClientPacket<'_>) {
        match &mut self.stage {
            Stage::Opening(_) => self.handle_opening_packet(now, packet),
            Stage::Active(_) => self.handle_open_packet(now, packet),
            Stage::Queued(_)
            | Stage::Authenticating(_)
            | Stage::LoadingChannels(_)
            | Stage::Leaving
            | Stage::Closing(_)
            | Stage::Closed => {}
        }
    }

    fn handle_open_packet(&mut self, now: Now, packet: ClientPacket<'_>) {
        let Stage::Active(open) = &mut self.stage else { return };
        let Some(mut session) = open.session.owned_by(&self.mailbox) else {
            return self.close_superseded(now);
        };
        if std::mem::take(&mut self.paused) {
            session.unpause(&self.hub, now);
        }
        if let Some(seen) = packet.seen {
            session.handle_seen(&self.hub, seen);
        }
        drop(session);
        match packet.verb {
            Verb::Request(request) => {
                let id = packet.id.expect("parse_client() rejects a request without an id");
                self.handle_request(now, id, packet.again, request);
            }
            Verb::BadRequest(words) => self.reject_request(now, packet.id, ErrorCode::BadRequest, words),
            Verb::Unknown(verb) => {
                let words = format!("unknown verb `{verb}`");
                self.reject_request(now, packet.id, ErrorCode::UnknownVerb, words);
            }
            Verb::Ping(ping) => {
                self.take_acks(&ping.acks);
                json::write_server(&mut self.control, "pong", &Pong { now: now.wall_ms });
            }
            Verb::Pause(_) => self.pause(now),
            Verb::Bye => self.handle_bye(now),
            Verb::Hello(_) => {
                self.close_with_bye(
                    now,
                    packet.id,
                    Bye::new(ByeCode::BadPacket, "a second `hello` on a welcomed connection"),
                );
            }
            _ => {}
        }
    }

    /// Rejects a request that is invalid however often it is sent: it is answered each time and never stored. It counts
    /// as a request, with an id or without one.
    fn reject_request(&mut self, now: Now, id: Option<RequestId>, code: ErrorCode, words: String) {
        let refused = self.charge_request(now, false).err();
        let Stage::Active(open) = &self.stage else { return };
        if let Some(id) = id
            && let Some(mut session) = open.session.owned_by(&self.mailbox)
            && session.receive_repeatable(id)
        {
            drop(session);
            let error = refused.clone().unwrap_or_else(|| ErrorBody::new(code, words));
            json::write_reply(&mut self.control, id, Err::<&(), _>(&error));
        }
        if let Some(refused) = refused {
            self.close_if_flooding(now, &refused);
        }
    }

    fn handle_bye(&mut self, now: Now) {
        let Stage::Active(open) = &self.stage else { return };
        let Some(session) = open.session.owned_by(&self.mailbox) else { return self.close_superseded(now) };
        let revocation = session.end_by_bye(&self.hub, now);
        self.detach(now);
        self.stage = BYE_RECEIVED;
        if let Some(revocation) = revocation {
            self.stage = Stage::Leaving;
            self.hub.keep_revocation(revocation, &self.mailbox);
            // A quick engine has kept it by now.
            self.drain_mailbox(now);
        }
    }

    /// A newer connection owns the session, or the session has ended: packets of this connection no longer
    /// count.
    fn close_superseded(&mut self, now: Now) {
        // The connection that took over has left a `bye` in the mailbox.
        self.drain_mailbox(now);
        self.close_with_bye(now, None, taken_over(None));
    }

    /// Sends `bye` and closes. Packets that the client sent after its last read one are not read.
    fn close_with_bye(&mut self, now: Now, id: Option<RequestId>, bye: Bye) {
        if matches!(self.stage, Stage::Leaving | Stage::Closing(_) | Stage::Closed) {
            return;
        }
        match id {
            Some(id) => {
                let updates = json::Marks { id: Some(id), ..json::Marks::default() };
                json::write_client(&mut self.control, updates, "bye", &bye);
            }
            None => json::write_server(&mut self.control, "bye", &bye),
        }
        self.hub.0.counters.count_bye(bye.code);
        self.tell(now, StoryKind::Bye, || of_bye(&bye));
        self.held = None;
        let close = Some((bye.code.close_code(), bye.code.as_str()));
        if let Stage::Active(open) = std::mem::replace(&mut self.stage, Stage::Closing(close)) {
            self.park(now, &open);
        }
    }

    /// Detaches the connection from its session.
    fn detach(&mut self, now: Now) {
        if matches!(self.stage, Stage::Active(_))
            && let Stage::Active(open) = std::mem::replace(&mut self.stage, Stage::Closing(None))
        {
            self.park(now, &open);
        }
    }

    /// Calls that the shell did not receive are returned to the ledger as not received.
    fn return_pending_calls(&mut self) {
        for output in self.rare.take().into_iter().flat_map(|rare| rare.pending_outputs) {
            if let Output::Call(call) = output {
                call.reply_to.take_back(self.mailbox.connection);
            }
        }
    }

    fn queue_output(&mut self, output: Output) {
        self.rare.get_or_insert_default().pending_outputs.push_back(output);
    }
}

fn bye_expired() -> Bye {
    Bye::new(ByeCode::TokenExpired, "the authentication has expired: reconnect with a new token")
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The time of the last message is precise enough: it only shortens parking slightly.
        self.detach(Now::new(self.heard_ms, 0));
        self.return_pending_calls();
        self.hub.connection_ended();
    }
}

// Idle memory per connection is a product figure, and a shell keeps one of these for each connection. On
// other platforms a lock may be larger.
#[cfg(all(target_os = "linux", not(shuttle)))]
const _: () = assert!(size_of::<Peer>() <= 136);

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stage = match &self.stage {
            Stage::Opening(_) => "opening",
            Stage::Queued(_) => "queued",
            Stage::Authenticating(_) => "authenticating",
            Stage::LoadingChannels(_) => "loading channels",
            Stage::Active(_) => "active",
            Stage::Leaving => "leaving",
            Stage::Closing(_) => "closing",
            Stage::Closed => "closed",
        };
        f.debug_struct("Peer")
            .field("connection", &self.mailbox.connection)
            .field("stage", &stage)
            .finish_non_exhaustive()
    }
}
