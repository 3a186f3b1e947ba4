//! The world: one virtual clock that everything shares, and the wires between phones and server.

use std::{collections::BTreeMap, sync::Arc, task::Waker, time::Duration};

use tautline_hub::{Output, Retention};
use tautline_netem::{Arrival, Ending, Fault, Link, Rng, Rules, Way};
use tautline_protocol::{
    Limits, Now,
    client::{Input, Options, SocketClosed},
};

use crate::{
    phone::{HostEvent, Phone, Sent},
    server::Server,
    socket::{Frame, Socket, Woken},
};

/// Wall time at which every world begins.
const BEGIN_WALL_MS: u64 = 1_763_666_000_000;
/// A client's closing socket holds its slot at most this long.
const CLOSE_WAIT_MS: u64 = 2_000;

/// Steps that may be taken at one moment: more means that somebody asks to be called again and again.
const STEPS_AT_ONCE_MAX: u32 = 1_000;

/// What a world is made with.
#[derive(Clone, Debug, Default)]
pub struct WorldConfig {
    /// Everything random follows from it.
    pub seed: u64,
    /// The server's ceilings.
    pub limits: Limits,
    /// What channels keep.
    pub retention: Retention,
    /// How bad the links are all the time.
    pub rules: Rules,
    /// Channels that the witness watches.
    pub channels: Vec<String>,
}

/// What a dial meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Air {
    /// The server.
    #[default]
    Clear,
    /// A refusal.
    Refusing,
    /// Nothing, ever.
    Dead,
}

/// Phones, links and a server.
pub struct World {
    /// The phones, by number.
    pub phones: Vec<Phone>,
    /// What each phone's dials meet.
    pub air: Vec<Air>,
    pub(crate) server: Server,
    pub(crate) rng: Rng,
    now_ms: u64,
    rules: Rules,
    seed: u64,
    sockets_made: u64,
    steps_at_once: u32,
}

impl World {
    /// A world without phones.
    #[must_use]
    pub fn new(config: WorldConfig) -> Self {
        let WorldConfig { seed, limits, retention, rules, channels } = config;
        let now = Now::new(0, BEGIN_WALL_MS);
        let server = Server::new(now, seed, limits, retention, &channels);
        let rng = Rng::stream(seed, 1);
        Self {
            phones: Vec::new(),
            air: Vec::new(),
            server,
            rng,
            now_ms: 0,
            rules,
            seed,
            sockets_made: 0,
            steps_at_once: 0,
        }
    }

    /// Adds a phone and returns its number.
    pub fn add_phone(&mut self, mut options: Options) -> usize {
        let number = self.phones.len();
        options.instance = format!("phone{number}-");
        let seed = u32::try_from(self.rng.below(1 << 32)).expect("32 bits");
        self.phones.push(Phone::new(options, seed));
        self.air.push(Air::Clear);
        number
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Now {
        Now::new(self.now_ms, BEGIN_WALL_MS + self.now_ms)
    }

    /// Every log as the server had it, by channel; offsets begin at 1.
    #[must_use]
    pub fn logs(&self) -> &BTreeMap<String, Vec<String>> {
        &self.server.witness.logs
    }

    /// How often each call was executed, by its payload.
    #[must_use]
    pub fn executed(&self) -> &BTreeMap<String, u32> {
        &self.server.executed
    }

    /// Tells a phone's session something.
    pub fn tell(&mut self, phone: usize, input: Input<'_>) {
        let now = self.now();
        let sent = self.phones[phone].feed(now, input);
        self.after_phone(phone, sent);
    }

    /// The phone's app goes to the background; its host kills the sockets after five seconds, and may tell nobody.
    pub fn hide(&mut self, phone: usize, kill: Option<Fault>) {
        let now = self.now();
        if let Some(kill) = kill {
            self.fault(phone, kill);
        }
        let sent = self.phones[phone].hide(now);
        self.after_phone(phone, sent);
    }

    /// The phone's app comes back.
    pub fn show(&mut self, phone: usize) {
        let (now, backlog_first) = (self.now(), self.rng.chance(0.5));
        let sent = self.phones[phone].show(now, backlog_first);
        self.after_phone(phone, sent);
    }

    /// A request of a phone's app.
    pub fn ask(
        &mut self,
        phone: usize,
        verb: tautline_protocol::client::RequestVerb,
        body: &str,
        payload: &str,
        ttl_ms: Option<u64>,
    ) {
        let now = self.now();
        let sent = self.phones[phone].ask(now, verb, body, payload, ttl_ms);
        self.after_phone(phone, sent);
    }

    /// Something happens to every live link of a phone.
    pub fn fault(&mut self, phone: usize, fault: Fault) {
        let at = self.link_now();
        for socket in self.phones[phone].sockets.values_mut() {
            socket.link.apply(at, fault);
        }
        self.settle();
    }

    /// Every fault of a phone's links ends.
    pub fn heal(&mut self, phone: usize) {
        let at = self.link_now();
        self.air[phone] = Air::Clear;
        for socket in self.phones[phone].sockets.values_mut() {
            socket.link.heal(at);
        }
        self.settle();
    }

    /// Every connection is told to come back, spread over `spread_ms`.
    pub fn drain(&mut self, spread_ms: u64) {
        self.server.hub.drain(spread_ms);
        self.server.hub.reopen();
        self.settle();
    }

    /// Goes to the next moment at which something happens, but not past `until_ms`, and lets it happen. False: it is
    /// `until_ms`, and nothing happened.
    pub fn step(&mut self, until_ms: u64) -> bool {
        let next = self.next_moment();
        if next > until_ms {
            self.now_ms = until_ms;
            return false;
        }
        self.steps_at_once = if next > self.now_ms { 0 } else { self.steps_at_once + 1 };
        assert!(
            self.steps_at_once < STEPS_AT_ONCE_MAX,
            "time stands still at {} ms: something is due and not done: {}",
            self.now_ms,
            self.due()
        );
        self.now_ms = next.max(self.now_ms);
        self.settle();
        true
    }

    /// Lets time pass.
    pub fn advance(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        while self.step(until) {}
    }

    fn link_now(&self) -> Duration {
        Duration::from_millis(self.now_ms)
    }

    fn next_moment(&self) -> u64 {
        let phones = self.phones.iter().flat_map(|phone| {
            let sockets = phone.sockets.values().flat_map(|socket| {
                let link = socket
                    .link
                    .poll_timeout()
                    .map(|at| u64::try_from(at.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX));
                let dial = socket.dial.map(|(at, _)| at);
                let peer = socket.peer.as_ref().map(tautline_hub::Peer::poll_timeout);
                [link, dial, peer, socket.report_close_at].into_iter().flatten()
            });
            sockets.chain(phone.next_timeout(self.now_ms))
        });
        phones.min().unwrap_or(u64::MAX).min(self.server.next_timeout())
    }

    /// Names what is due, for a story that is stuck.
    fn due(&self) -> String {
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
    fn settle(&mut self) {
        let mut rounds = 0;
        loop {
            rounds += 1;
            assert!(rounds < 100_000, "the world does not come to rest at {} ms", self.now_ms);
            self.server.advance(self.now());
            let mut busy = false;
            for phone in 0..self.phones.len() {
                busy |= self.settle_phone(phone);
            }
            if !busy {
                return;
            }
        }
    }

    fn settle_phone(&mut self, phone: usize) -> bool {
        let mut busy = false;
        let numbers: Vec<u64> = self.phones[phone].sockets.keys().copied().collect();
        for number in numbers {
            busy |= self.settle_dial(phone, number);
            busy |= self.settle_up(phone, number);
            busy |= self.settle_peer(phone, number);
            busy |= self.settle_down(phone, number);
            if self.phones[phone].sockets.get(&number).is_some_and(Socket::is_over) {
                self.phones[phone].sockets.remove(&number);
            }
        }
        let due = self.phones[phone].next_timeout(self.now_ms).is_some_and(|at| at <= self.now_ms);
        if due {
            self.tell(phone, Input::Timeout);
        }
        busy || due
    }

    /// A dial, or a close that the client asked for, ends.
    fn settle_dial(&mut self, phone: usize, number: u64) -> bool {
        let now = self.now();
        let Some(socket) = self.phones[phone].sockets.get_mut(&number) else { return false };
        if socket.report_close_at.take_if(|at| *at <= now.mono_ms).is_some() {
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
            let message = Some("connection refused".to_owned());
            self.host(
                phone,
                HostEvent::Closed(SocketClosed { socket: number, message, ..SocketClosed::default() }),
            );
        }
        true
    }

    /// What arrives at the server.
    fn settle_up(&mut self, phone: usize, number: u64) -> bool {
        let (now, at) = (self.now(), self.link_now());
        let Some(socket) = self.phones[phone].sockets.get_mut(&number) else { return false };
        let reads = socket.peer.as_ref().is_none_or(tautline_hub::Peer::wants_input);
        if !reads && !socket.link.reset_is_due(at, Way::Up) {
            return false;
        }
        let Some(arrival) = socket.link.poll(at, Way::Up) else { return false };
        let Some(peer) = &mut socket.peer else { return true };
        match arrival {
            Arrival::Parcel(Frame::Text(text)) => {
                peer.handle_message(now, &text);
                socket.woken.wake_now();
            }
            Arrival::Parcel(Frame::Close { .. }) | Arrival::End(_) => {
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
        let Some(socket) = self.phones[phone].sockets.get_mut(&number) else { return false };
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
                    socket.link.push(at, Way::Down, Frame::Text(text)).expect("has_room() was asked");
                }
                Some(Output::Login(auth)) => peer.handle_login(now, Server::check(&auth)),
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
            return true;
        }
        let mut closed = SocketClosed { socket: number, ..SocketClosed::default() };
        match arrival {
            Arrival::Parcel(Frame::Text(text)) => {
                self.host(phone, HostEvent::Message(number, text));
                return true;
            }
            Arrival::Parcel(Frame::Close { code, reason }) => {
                closed.code = Some(i64::from(code));
                closed.reason = Some(reason);
            }
            Arrival::End(_) => closed.code = Some(1006),
        }
        socket.client_done = true;
        socket.link.end(at, Way::Up, Ending::Fin);
        self.host(phone, HostEvent::Closed(closed));
        true
    }

    fn host(&mut self, phone: usize, event: HostEvent) {
        let now = self.now();
        let sent = self.phones[phone].host(now, event);
        self.after_phone(phone, sent);
    }

    /// Carries out what a session wants of the wire.
    fn after_phone(&mut self, phone: usize, sent: Vec<Sent>) {
        let at = self.link_now();
        for Sent { socket, text } in sent {
            let socket = self.phones[phone].sockets.get_mut(&socket).expect("sent on a socket that exists");
            assert!(socket.open && !socket.client_done, "sent on a socket that is not open");
            // A host takes what it is given; its own buffer is not the client's concern.
            socket.link.push(at, Way::Up, Frame::Text(text)).ok();
        }
        for number in std::mem::take(&mut self.phones[phone].closes) {
            self.close(phone, number);
        }
        for number in std::mem::take(&mut self.phones[phone].dials) {
            self.dial(phone, number);
        }
    }

    fn close(&mut self, phone: usize, number: u64) {
        let at = self.link_now();
        // Hosts report a close late, or never.
        let report_in = if self.rng.chance(0.7) { Some(self.rng.between(0, 1500)) } else { None };
        let now_ms = self.now_ms;
        let Some(socket) = self.phones[phone].sockets.get_mut(&number) else { return };
        if socket.client_done {
            return;
        }
        socket.client_done = true;
        socket.closed_at = Some(now_ms);
        socket.report_close_at = report_in.map(|ms| now_ms + ms);
        socket.link.push(at, Way::Up, Frame::Close { code: 1000, reason: String::new() }).ok();
        socket.link.end(at, Way::Up, Ending::Fin);
    }

    fn dial(&mut self, phone: usize, number: u64) {
        let held = self.phones[phone].sockets.values().filter(|socket| match socket.closed_at {
            None => !socket.client_done,
            Some(at) => socket.report_close_at.is_some() && self.now_ms < at + CLOSE_WAIT_MS,
        });
        assert!(held.count() < 2, "phone {phone} holds more than two sockets");
        self.sockets_made += 1;
        let round_trip_ms = 2 * self.rules.latency_ms + self.rng.below(self.rules.jitter_ms + 1);
        let dial = match self.air[phone] {
            Air::Clear => Some((self.now_ms + round_trip_ms, true)),
            Air::Refusing => Some((self.now_ms + round_trip_ms, false)),
            Air::Dead => None,
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
            peer: None,
            woken: Arc::new(Woken::default()),
        };
        assert!(
            self.phones[phone].sockets.insert(number, socket).is_none(),
            "socket {number} was dialled twice"
        );
    }
}
