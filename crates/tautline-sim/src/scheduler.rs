//! The wires of a world: what is due next, and everything that happens at one moment. A second half of [`World`].
//! Start at [`World::settle`].

use std::{sync::Arc, task::Waker, time::Duration};

use tautline_hub::Output;
use tautline_netem::{Arrival, Direction, Ending, Fault, Link, Way};
use tautline_protocol::client::{Input, SocketClosed};

use crate::{
    phone::{Phone, Sent},
    server::{Server, life_of_login},
    socket::{Frame, HostEvent, Socket, Woken},
    world::{Closing, DialBehavior, World},
};

/// How long a line is dead in one direction after it has lost a trapped packet.
const LOST_MS: u64 = 4_000;

/// How long what was said on a closed socket is held on its way, in milliseconds.
const LATE_MS: (u64, u64) = (1_000, 20_000);

impl World {
    pub(crate) fn link_now(&self) -> Duration {
        Duration::from_millis(self.now_ms)
    }

    pub(crate) fn next_moment(&self) -> u64 {
        let phones = self.phones.iter().flat_map(|phone| {
            let sockets = phone.sockets.values().flat_map(|socket| {
                let link = socket
                    .link
                    .poll_timeout()
                    .map(|at| u64::try_from(at.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX));
                // What a peer that does not read leaves in the link is due, and waits for the peer.
                let reads = socket.peer.as_ref().is_none_or(tautline_hub::Peer::wants_input);
                let link = link.filter(|at| reads || *at > self.now_ms);
                let dial = socket.dial.map(|(at, _)| at);
                let peer = socket.peer.as_ref().map(tautline_hub::Peer::poll_timeout);
                [link, dial, peer, socket.report_close_at].into_iter().flatten()
            });
            sockets.chain(phone.next_timeout(self.now_ms))
        });
        phones.min().unwrap_or(u64::MAX).min(self.server.next_timeout())
    }

    /// Names what is due, for a world that is stuck.
    pub(crate) fn due(&self) -> String {
        let mut due = Vec::new();
        for (number, phone) in self.phones.iter().enumerate() {
            if phone.next_timeout(self.now_ms).is_some_and(|at| at <= self.now_ms) {
                due.push(format!("phone {number}: timeout"));
            }
            for (socket, it) in &phone.sockets {
                let (link, dial) = (it.link.poll_timeout(), it.dial);
                let peer = it.peer.as_ref().map(|peer| (peer.poll_timeout(), peer.wants_input()));
                due.push(format!(
                    "phone {number}, socket {socket}: link {link:?} {:?}, dial {dial:?}, peer {peer:?}",
                    it.link.state()
                ));
            }
        }
        due.join("; ")
    }

    /// Lets everything happen that is due, until nothing more happens at this moment.
    pub(crate) fn settle(&mut self) {
        let mut rounds = 0;
        loop {
            rounds += 1;
            assert!(rounds < 100_000, "the world does not come to rest at {} ms", self.now_ms);
            self.server.advance(self.now());
            let mut busy = false;
            let phones = self.phones.len();
            let first = if self.shuffle { self.rng.below(phones as u64) } else { 0 };
            for phone in 0..phones {
                busy |= self.settle_phone((phone + usize::try_from(first).expect("few")) % phones);
            }
            if !busy {
                break;
            }
        }
        self.pushed.append(&mut self.server.take_pushed());
    }

    fn settle_phone(&mut self, phone: usize) -> bool {
        let timeout_first = self.shuffle && self.rng.chance(0.5);
        let mut busy = timeout_first && self.settle_timeout(phone);
        let mut next = 0;
        while let Some(number) = self.phones[phone].sockets.range(next..).next().map(|(number, _)| *number) {
            next = number + 1;
            busy |= self.settle_socket(phone, number);
        }
        busy || !timeout_first && self.settle_timeout(phone)
    }

    fn settle_socket(&mut self, phone: usize, number: u64) -> bool {
        let mut busy = self.settle_dial(phone, number);
        // The server may look at what it has to say before it looks at what has arrived.
        let speaks_first = self.shuffle && self.rng.chance(0.5);
        if speaks_first {
            busy |= self.settle_peer(phone, number);
        }
        busy |= self.settle_up(phone, number);
        if !speaks_first {
            busy |= self.settle_peer(phone, number);
        }
        busy |= self.settle_down(phone, number);
        if self.phones[phone].sockets.get(&number).is_some_and(|socket| socket.is_over(self.now_ms)) {
            self.phones[phone].sockets.remove(&number);
        }
        busy
    }

    fn settle_timeout(&mut self, phone: usize) -> bool {
        let due = self.phones[phone].next_timeout(self.now_ms).is_some_and(|at| at <= self.now_ms);
        if due {
            self.tell(phone, Input::Timeout);
        }
        due
    }

    /// A dial, or a close that the client asked for, ends.
    fn settle_dial(&mut self, phone: usize, number: u64) -> bool {
        let now = self.now();
        let Some(socket) = self.phones[phone].sockets.get_mut(&number) else { return false };
        if socket.report_close_at.take_if(|at| *at <= now.mono_ms).is_some() {
            socket.reported = true;
            self.host(
                phone,
                HostEvent::Closed(SocketClosed {
                    socket: number,
                    code: Some(1000),
                    ..SocketClosed::default()
                }),
            );
            return true;
        }
        let Some((_, answered)) = socket.dial.take_if(|(at, _)| *at <= now.mono_ms) else { return false };
        if socket.client_done {
            return true;
        }
        if answered {
            socket.open = true;
            socket.peer = Some(self.server.hub.peer(now, Waker::from(Arc::clone(&socket.woken))));
            self.host(phone, HostEvent::Open(number));
        } else {
            socket.client_done = true;
            socket.reported = true;
            let message = Some("connection refused".to_owned());
            self.host(
                phone,
                HostEvent::Closed(SocketClosed { socket: number, message, ..SocketClosed::default() }),
            );
        }
        true
    }

    /// What arrives at the server. All that has arrived is read before anything is answered, as one read of a socket may
    /// bring it.
    fn settle_up(&mut self, phone: usize, number: u64) -> bool {
        let mut busy = false;
        while self.read_up(phone, number) {
            busy = true;
        }
        busy
    }

    fn read_up(&mut self, phone: usize, number: u64) -> bool {
        let (now, at) = (self.now(), self.link_now());
        let Some(socket) = self.phones[phone].sockets.get_mut(&number) else { return false };
        let reads = socket.peer.as_ref().is_none_or(tautline_hub::Peer::wants_input);
        if !reads && !socket.link.reset_is_due(at, Way::Up) {
            return false;
        }
        let Some(arrival) = socket.link.poll(at, Way::Up) else { return false };
        let Some(peer) = &mut socket.peer else { return true };
        match arrival {
            Arrival::Segment(Frame::Text(text)) => {
                self.late += u64::from(socket.client_done);
                peer.handle_message(now, &text);
                socket.woken.wake_now();
            }
            Arrival::Segment(Frame::Close { .. }) | Arrival::End(_) => {
                peer.handle_lost(now);
                socket.peer = None;
                socket.link.end(at, Way::Down, Ending::Fin);
            }
        }
        true
    }

    /// What the server does by itself, and says.
    fn settle_peer(&mut self, phone: usize, number: u64) -> bool {
        let (now, at) = (self.now(), self.link_now());
        let Phone { sockets, login_until_ms, .. } = &mut self.phones[phone];
        let Some(socket) = sockets.get_mut(&number) else { return false };
        let Some(peer) = &mut socket.peer else { return false };
        let due = peer.poll_timeout() <= now.mono_ms;
        if due {
            peer.handle_timeout(now);
        }
        if !socket.woken.take() && !due {
            return false;
        }
        while let Some(peer) = &mut socket.peer {
            if !socket.link.has_room(Way::Down) {
                // Not now: what it has to say stays in the logs, and it is asked again when the link moves.
                socket.woken.wake_now();
                return due;
            }
            match peer.poll_output(now) {
                None => break,
                Some(Output::Message(bytes)) => {
                    let text = String::from_utf8(bytes.to_vec()).expect("packets are text");
                    self.largest_down = self.largest_down.max(text.len());
                    let may_speak = login_until_ms.is_none_or(|until_ms| now.mono_ms <= until_ms)
                        || self.clock_off_ms != 0;
                    assert!(may_speak || says_no(&text), "phone {phone} is served without a login: {text}");
                    if self.trap.take_if(|(whose, what)| *whose == phone && text.contains(*what)).is_some() {
                        let direction = Direction::Down;
                        socket.link.apply(at, Fault::HalfOpen { direction, for_ms: Some(LOST_MS) });
                    }
                    socket.link.push(at, Way::Down, Frame::Text(text)).expect("has_room() was asked");
                }
                Some(Output::Authenticate(question, reply)) => {
                    let life_ms = life_of_login(&question.auth).unwrap_or(u64::MAX);
                    let until_ms = now.mono_ms.saturating_add(life_ms);
                    *login_until_ms = Some(login_until_ms.unwrap_or(0).max(until_ms));
                    let result = Server::check(now, &question.auth);
                    self.server.back_end.authenticate(now, result, reply);
                }
                Some(Output::Authorize(question, reply)) => {
                    self.server.back_end.authorize(now, &question, reply);
                }
                Some(Output::Call(call)) => self.server.run_call(now, call),
                Some(Output::Close { code, reason }) => {
                    let close = Frame::Close { code, reason: reason.to_owned() };
                    socket.link.push(at, Way::Down, close).ok();
                    socket.link.end(at, Way::Down, Ending::Fin);
                    peer.handle_lost(now);
                    socket.peer = None;
                }
            }
        }
        true
    }

    /// What arrives at the phone.
    fn settle_down(&mut self, phone: usize, number: u64) -> bool {
        let at = self.link_now();
        let Some(socket) = self.phones[phone].sockets.get_mut(&number) else { return false };
        let Some(arrival) = socket.link.poll(at, Way::Down) else { return false };
        // Room was made.
        socket.woken.wake_now();
        if socket.client_done {
            // A host may go on handing over messages of a socket that was closed, until it is rid of it.
            if let Arrival::Segment(Frame::Text(text)) = arrival
                && socket.open
                && socket.report_close_at.is_some()
            {
                self.host(phone, HostEvent::Message(number, text));
            }
            return true;
        }
        let mut closed = SocketClosed { socket: number, ..SocketClosed::default() };
        match arrival {
            Arrival::Segment(Frame::Text(text)) => {
                self.host(phone, HostEvent::Message(number, text));
                return true;
            }
            Arrival::Segment(Frame::Close { code, reason }) => {
                closed.code = Some(i64::from(code));
                closed.reason = Some(reason);
            }
            Arrival::End(_) => closed.code = Some(1006),
        }
        socket.client_done = true;
        socket.reported = true;
        socket.link.end(at, Way::Up, Ending::Fin);
        self.host(phone, HostEvent::Closed(closed));
        true
    }

    fn host(&mut self, phone: usize, event: HostEvent) {
        let now = self.phone_now(phone);
        let sent = self.phones[phone].host(now, event);
        self.after_phone(phone, sent);
    }

    /// Carries out what a session wants of the wire.
    pub(crate) fn after_phone(&mut self, phone: usize, sent: Vec<Sent>) {
        let at = self.link_now();
        for Sent { socket, text } in sent {
            let strange = self.phones[phone].input_mutator.is_some();
            let socket = self.phones[phone].sockets.get_mut(&socket);
            let Some(socket) = socket.filter(|socket| socket.open && !socket.client_done) else {
                // A strange phone may come back without having heard what befell its socket.
                assert!(strange, "sent on a socket that is not open");
                continue;
            };
            // A host takes what it is given; its own buffer is not the client's concern.
            socket.link.push(at, Way::Up, Frame::Text(text)).ok();
        }
        for number in std::mem::take(&mut self.phones[phone].closes) {
            self.close(phone, number);
        }
        for number in std::mem::take(&mut self.phones[phone].dials) {
            self.dial(phone, number);
        }
        if !self.phones[phone].device.is_alive() {
            self.abandon_sockets(phone);
        }
    }

    fn close(&mut self, phone: usize, number: u64) {
        let at = self.link_now();
        // Hosts report a close late, or never.
        let report_in = match self.closing {
            Closing::ByChance => self.rng.chance(0.7).then(|| self.rng.between(0, 1500)),
            Closing::After(ms) => Some(ms),
            Closing::Never => None,
        };
        let late_ms = self.arrives_late.then(|| self.rng.between(LATE_MS.0, LATE_MS.1));
        let now_ms = self.now_ms;
        let Some(socket) = self.phones[phone].sockets.get_mut(&number) else { return };
        if socket.client_done {
            return;
        }
        if late_ms.is_some() {
            socket.link.apply(at, Fault::Stall { direction: Direction::Up, for_ms: late_ms });
        }
        socket.client_done = true;
        socket.closed_at = Some(now_ms);
        socket.report_close_at = report_in.map(|ms| now_ms + ms);
        socket.link.push(at, Way::Up, Frame::Close { code: 1000, reason: String::new() }).ok();
        socket.link.end(at, Way::Up, Ending::Fin);
    }

    fn dial(&mut self, phone: usize, number: u64) {
        let slots = self.phones[phone].slots;
        assert!(self.sockets(phone) < slots, "phone {phone} holds more than {slots} sockets");
        self.sockets_made += 1;
        let round_trip_ms = 2 * self.rules.latency_ms + self.rng.below(self.rules.jitter_ms + 1);
        let dial = match self.dial_behavior[phone] {
            DialBehavior::Clear => Some((self.now_ms + round_trip_ms, true)),
            DialBehavior::Refusing => Some((self.now_ms + round_trip_ms, false)),
            DialBehavior::Dead => None,
        };
        let socket = Socket {
            link: Link::new(
                self.rules.clone(),
                self.seed ^ self.sockets_made.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            ),
            dial,
            open: false,
            client_done: false,
            closed_at: None,
            report_close_at: None,
            reported: false,
            peer: None,
            woken: Arc::new(Woken::default()),
        };
        assert!(
            self.phones[phone].sockets.insert(number, socket).is_none(),
            "socket {number} was dialled twice"
        );
    }
}

/// What is said to a client whose login has expired.
fn says_no(text: &str) -> bool {
    text.lines().all(|packet| [r#"{"bye""#, r#"{"challenge""#].iter().any(|no| packet.starts_with(no)))
}
