//! A phone: the client's session, its sockets, its host with the habits of mini-program hosts, and an app.

use std::collections::{BTreeMap, VecDeque};

use serde_json::value::RawValue;
use tautline_protocol::{
    Now,
    client::{DropCause, Input, NewRequest, Options, Output, RequestVerb, Session, SocketClosed, State},
    packet::Auth,
};

use crate::{app::App, socket::Socket};

/// JavaScript runs this long after the app went to the background.
const FREEZE_AFTER_MS: u64 = 5_000;

/// Something worth a line in a story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The line's state changed.
    State(State),
    /// A connection, or a dial, ended.
    Drop(DropCause),
    /// The session is open; whether it went on.
    Welcome(bool),
    /// A socket was dialled.
    Dial,
    /// A message was sent.
    Sent(String),
    /// A message came.
    Received(String),
    /// A socket was told to close.
    CloseSocket,
    /// A login was asked for; whether a new one.
    FetchAuth(bool),
}

impl Event {
    /// The message, where one was sent.
    #[must_use]
    pub fn sent(&self) -> Option<&str> {
        match self {
            Self::Sent(text) => Some(text),
            _ => None,
        }
    }
}

/// One phone.
pub struct Phone {
    /// The client.
    pub session: Session,
    /// What it is used for.
    pub app: App,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// When each dial was made, in monotonic milliseconds.
    pub dialled_at_ms: Vec<u64>,
    /// The login that it has.
    pub auth: Option<Auth>,
    pub(crate) sockets: BTreeMap<u64, Socket>,
    pub(crate) hidden_since: Option<u64>,
    /// What the host holds back while the app is frozen.
    backlog: VecDeque<HostEvent>,
    pub(crate) dials: Vec<u64>,
    pub(crate) closes: Vec<u64>,
    next_request: u64,
    background_after_ms: u64,
    /// Sockets that may exist at once.
    pub(crate) slots: usize,
}

/// A request that an app makes.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// What is asked.
    pub verb: RequestVerb,
    /// The verb's body, in JSON.
    pub body: &'a str,
    /// Text in it that no other request carries.
    pub payload: &'a str,
    /// How long it may wait, in milliseconds; none leaves it to the client's options.
    pub ttl_ms: Option<u64>,
    /// Executing it twice does no harm.
    pub idempotent: bool,
    /// May be dropped unsent where the outbox is full.
    pub volatile: bool,
}

/// What a host tells its app about a socket.
#[derive(Debug)]
pub(crate) enum HostEvent {
    Open(u64),
    Message(u64, String),
    Closed(SocketClosed),
}

/// What a session wants to be sent.
pub(crate) struct Sent {
    pub(crate) socket: u64,
    pub(crate) text: String,
}

impl Phone {
    pub(crate) fn new(options: Options, seed: u32) -> Self {
        Self {
            background_after_ms: options.background_after_ms,
            slots: options.slots,
            session: Session::new(options, seed),
            app: App::default(),
            events: Vec::new(),
            dialled_at_ms: Vec::new(),
            auth: Some(Auth::Guest { guest: true }),
            sockets: BTreeMap::new(),
            hidden_since: None,
            backlog: VecDeque::new(),
            dials: Vec::new(),
            closes: Vec::new(),
            next_request: 1,
        }
    }

    /// The line's state, as last told.
    #[must_use]
    pub fn state(&self) -> State {
        let told = self.events.iter().rev().find_map(|event| match event {
            Event::State(state) => Some(*state),
            _ => None,
        });
        told.unwrap_or(State::Idle)
    }

    /// True while the host does not run the app at all.
    pub(crate) fn is_frozen(&self, now_ms: u64) -> bool {
        self.hidden_since.is_some_and(|since| now_ms >= since + FREEZE_AFTER_MS)
    }

    /// When the app wants to be called.
    pub(crate) fn next_timeout(&self, now_ms: u64) -> Option<u64> {
        if self.is_frozen(now_ms) {
            return None;
        }
        let frozen_at = self.hidden_since.map_or(u64::MAX, |since| since + FREEZE_AFTER_MS);
        self.session.poll_timeout().filter(|at| *at < frozen_at)
    }

    /// A request of the app's. Returns its number, and what has to be sent.
    pub(crate) fn ask(&mut self, now: Now, ask: Ask<'_>) -> (u64, Vec<Sent>) {
        let Ask { verb, body, payload, ttl_ms, idempotent, volatile } = ask;
        let request = self.next_request;
        self.next_request += 1;
        self.app.ask(request, verb.as_str(), payload);
        let body = RawValue::from_string(body.to_owned()).expect("the app asks in JSON");
        let new = NewRequest { request, verb, body, ttl_ms, idempotent, volatile };
        (request, self.feed(now, Input::Request(new)))
    }

    /// Something that the host tells; held back while frozen.
    pub(crate) fn host(&mut self, now: Now, event: HostEvent) -> Vec<Sent> {
        if self.is_frozen(now.mono_ms) {
            self.backlog.push_back(event);
            return Vec::new();
        }
        self.take_host_event(now, event)
    }

    /// The app comes back; hosts tell what they held back before or after that.
    pub(crate) fn show(&mut self, now: Now, backlog_first: bool) -> Vec<Sent> {
        self.hidden_since = None;
        let mut sent = Vec::new();
        if !backlog_first {
            sent.extend(self.feed(now, Input::Show));
        }
        while let Some(event) = self.backlog.pop_front() {
            sent.extend(self.take_host_event(now, event));
        }
        if backlog_first {
            sent.extend(self.feed(now, Input::Show));
        }
        sent
    }

    pub(crate) fn hide(&mut self, now: Now) -> Vec<Sent> {
        self.hidden_since = Some(now.mono_ms);
        self.feed(now, Input::Hide)
    }

    /// Feeds one input and does what the session says, but for the wire.
    pub(crate) fn feed(&mut self, now: Now, input: Input<'_>) -> Vec<Sent> {
        self.session.handle_input(now, input);
        self.drain(now)
    }

    fn take_host_event(&mut self, now: Now, event: HostEvent) -> Vec<Sent> {
        match event {
            HostEvent::Open(socket) => self.feed(now, Input::SocketOpen { socket }),
            HostEvent::Message(socket, text) => {
                self.events.push(Event::Received(text.clone()));
                self.feed(now, Input::SocketMessage { socket, text: &text })
            }
            HostEvent::Closed(closed) => self.feed(now, Input::SocketClosed(closed)),
        }
    }

    fn drain(&mut self, now: Now) -> Vec<Sent> {
        let mut sent = Vec::new();
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::FetchAuth { renew } => {
                    self.events.push(Event::FetchAuth(renew));
                    let answer = match self.auth.clone() {
                        Some(auth) => Input::Auth(auth),
                        None => Input::AuthFailed { message: None },
                    };
                    self.session.handle_input(now, answer);
                }
                Output::Dial { socket } => self.note_dial(now, socket),
                Output::Send { socket, text } => {
                    self.events.push(Event::Sent(text.clone()));
                    sent.push(Sent { socket, text });
                }
                Output::CloseSocket { socket } => {
                    self.events.push(Event::CloseSocket);
                    self.closes.push(socket);
                }
                Output::Settled { request, result } => self.app.settled(request, &result),
                Output::Publication(publication) => {
                    self.app.publication(&publication);
                    let (channel, epoch, offset) =
                        (publication.channel, publication.epoch, publication.offset);
                    self.session.handle_input(now, Input::Handled { channel, epoch, offset });
                }
                Output::Gap(gap) => self.app.gap(&gap),
                Output::Subscribed { channel, cursor, .. } => self.app.subscribed(&channel, &cursor),
                Output::Unsubscribed { channel, code, .. } => self.app.unsubscribed(&channel, &code),
                Output::Presence(..) => {}
                Output::Welcome(welcome) => self.events.push(Event::Welcome(welcome.resumed)),
                Output::Drop(dropped) => self.events.push(Event::Drop(dropped.cause)),
                Output::State(state) => self.events.push(Event::State(state)),
            }
        }
        sent
    }

    fn note_dial(&mut self, now: Now, socket: u64) {
        let hidden_ms = self.hidden_since.map_or(0, |since| now.mono_ms - since);
        assert!(hidden_ms < self.background_after_ms, "dialled while hidden for {hidden_ms} ms");
        self.events.push(Event::Dial);
        self.dialled_at_ms.push(now.mono_ms);
        self.dials.push(socket);
    }
}
