//! A phone: the client's session, its sockets, its host with the habits of mini-program hosts, and an app.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::value::RawValue;
use tautline_protocol::{
    Now,
    client::{Input, NewRequest, Options, Output, RequestVerb, Session, State},
    packet::Auth,
};

use crate::{
    app::{App, Look},
    device::Device,
    event_log::{Event, EventSink},
    input_mutator::InputMutator,
    socket::{HostEvent, Socket},
    trace::Recorder,
};

/// JavaScript runs this long after the app went to the background.
const FREEZE_AFTER_MS: u64 = 5_000;

/// What a client says that has nothing to do.
pub(crate) const HANGS_UP: &str = r#"{"pause":{"reason":"idle"}}"#;

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
    /// Its app has no new login before the last one has expired.
    pub refreshes_nothing: bool,
    /// Until when the login is good that the server accepted last, in monotonic milliseconds, while no clock jumps.
    pub(crate) login_until_ms: Option<u64>,
    /// The channels that it wants.
    pub wanted: BTreeSet<String>,
    pub(crate) number: usize,
    pub(crate) device: Device,
    pub(crate) options: Options,
    /// How far its wall clock is off, in milliseconds.
    pub(crate) clock_off_ms: i64,
    pub(crate) event_sink: Option<EventSink>,
    /// Where its world is recorded: what its sessions were told, and did.
    pub(crate) recorder: Option<Recorder>,
    /// Where it is strange: by chance its line is told what no server says, and so nothing is asked of what its app hears.
    pub(crate) input_mutator: Option<InputMutator>,
    /// The time of its last input, for the event log.
    now_ms: u64,
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

/// What a session wants to be sent.
pub(crate) struct Sent {
    pub(crate) socket: u64,
    pub(crate) text: String,
}

impl Phone {
    pub(crate) fn new(number: usize, options: Options, seed: u32) -> Self {
        Self {
            background_after_ms: options.background_after_ms,
            slots: options.slots,
            session: Session::new(options.clone(), seed),
            app: App::default(),
            events: Vec::new(),
            dialled_at_ms: Vec::new(),
            auth: Some(Auth::Guest { guest: true }),
            refreshes_nothing: false,
            login_until_ms: None,
            wanted: BTreeSet::new(),
            number,
            device: Device::default(),
            options,
            clock_off_ms: 0,
            event_sink: None,
            recorder: None,
            input_mutator: None,
            now_ms: 0,
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
        if self.is_frozen(now_ms) || !self.device.is_alive() {
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
        if verb == RequestVerb::History {
            let look = Look { body: body.to_owned(), asked_ms: now.mono_ms, pages: Vec::new() };
            self.app.looks.insert(request, look);
        }
        let body = RawValue::from_string(body.to_owned()).expect("the app asks in JSON");
        let new = NewRequest { request, verb, body, ttl_ms, idempotent, volatile };
        (request, self.feed(now, Input::Request(new)))
    }

    /// Something that the host tells; held back while frozen.
    pub(crate) fn host(&mut self, now: Now, event: HostEvent) -> Vec<Sent> {
        if !self.device.is_alive() {
            return Vec::new();
        }
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
        let mut sent = Vec::new();
        if !self.device.is_alive() {
            return sent;
        }
        self.now_ms = now.mono_ms;
        self.tell(now, input);
        loop {
            let store = self.session.poll_store();
            if let (Some(recorder), Some(store)) = (&mut self.recorder, &store) {
                recorder.note_store(store);
            }
            if !self.device.keep(store) {
                break;
            }
            let Some(output) = self.session.poll_output() else { break };
            if let Some(recorder) = &mut self.recorder {
                recorder.note_output(&output);
            }
            self.carry_out(now, output, &mut sent);
        }
        sent
    }

    fn tell(&mut self, now: Now, input: Input<'_>) {
        if let Some(recorder) = &mut self.recorder {
            recorder.note_input(now, &input);
        }
        self.session.handle_input(now, input);
    }

    fn take_host_event(&mut self, now: Now, event: HostEvent) -> Vec<Sent> {
        let event = match &mut self.input_mutator {
            Some(mutator) => mutator.mutate(event),
            None => event,
        };
        match event {
            HostEvent::Open(socket) => self.feed(now, Input::SocketOpen { socket }),
            HostEvent::Message(socket, text) => {
                self.note(Event::Received(text.clone()));
                self.feed(now, Input::SocketMessage { socket, text: &text })
            }
            HostEvent::Closed(closed) => self.feed(now, Input::SocketClosed(closed)),
        }
    }

    /// From now on it is written down what happens to its session, which has not begun yet.
    pub(crate) fn record(&mut self, seed: u32) {
        let mut recorder = Recorder::default();
        recorder.begin(self.options.clone(), seed);
        self.recorder = Some(recorder);
    }

    fn begin(&mut self, options: Options, seed: u32) {
        if let Some(recorder) = &mut self.recorder {
            recorder.begin(options.clone(), seed);
        }
        self.session = Session::new(options, seed);
    }

    /// The app was destroyed, and another begins with what the device still has. Its sockets bear other numbers to the world.
    pub(crate) fn begin_again(&mut self, options: Options, seed: u32) {
        self.begin(options, seed);
        self.hidden_since = None;
        self.backlog.clear();
        self.dials.clear();
        self.closes.clear();
    }

    pub(crate) fn note(&mut self, event: Event) {
        if let Some(event_sink) = self.event_sink {
            event_sink(&format!("{:>7} ms phone {}: {}", self.now_ms, self.number, event.describe()));
        }
        self.events.push(event);
    }

    fn carry_out(&mut self, now: Now, output: Output, sent: &mut Vec<Sent>) {
        match output {
            Output::FetchAuth { renew } => {
                self.note(Event::FetchAuth(renew));
                let in_vain = self.refreshes_nothing && self.session.state() == State::Online;
                let answer = match self.auth.clone().filter(|_| !in_vain) {
                    Some(auth) => Input::Auth(auth),
                    None => Input::AuthFailed { message: None },
                };
                self.tell(now, answer);
            }
            Output::Dial { socket } => self.note_dial(now, socket),
            Output::Send { socket, text } => {
                let has_work = self.app.waiting > 0 || !self.wanted.is_empty();
                let may_end = !has_work || self.input_mutator.is_some() || !text.contains(HANGS_UP);
                assert!(may_end, "phone {} hangs up, and has something to do", self.number);
                self.note(Event::Sent(text.clone()));
                sent.push(Sent { socket, text });
            }
            Output::CloseSocket { socket } => {
                self.note(Event::CloseSocket);
                self.closes.push(socket);
            }
            Output::Publication(publication) => {
                if self.input_mutator.is_none() {
                    self.app.publication(&publication);
                }
                let (channel, epoch, offset) = (publication.channel, publication.epoch, publication.offset);
                self.tell(now, Input::Handled { channel, epoch, offset });
            }
            Output::Presence(..) => {}
            _ if self.input_mutator.is_some() && tells_the_app(&output) => {}
            Output::Settled { request, result } => {
                self.app.settled(request, &result);
                self.app.looked(request, now.mono_ms, &result);
            }
            Output::Gap(gap) => self.app.gap(&gap),
            Output::Subscribed { channel, cursor, .. } => self.app.subscribed(&channel, &cursor, now.mono_ms),
            Output::Unsubscribed { channel, code, .. } => self.app.unsubscribed(&channel, &code),
            Output::Welcome(welcome) => self.note(Event::Welcome(welcome.resumed)),
            Output::Drop(dropped) => self.note(Event::Drop(dropped.cause)),
            Output::State(state) => self.note(Event::State(state)),
        }
    }

    fn note_dial(&mut self, now: Now, socket: u64) {
        let hidden_ms = self.hidden_since.map_or(0, |since| now.mono_ms - since);
        let may = hidden_ms < self.background_after_ms || !self.options.background;
        assert!(may, "dialled while hidden for {hidden_ms} ms");
        self.note(Event::Dial);
        self.dialled_at_ms.push(now.mono_ms);
        self.dials.push(socket);
    }
}

/// True for what an app that is not asked about anything need not hear.
const fn tells_the_app(output: &Output) -> bool {
    matches!(
        output,
        Output::Settled { .. } | Output::Gap(_) | Output::Subscribed { .. } | Output::Unsubscribed { .. }
    )
}
