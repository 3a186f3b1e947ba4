//! The session: its state, the entry points, and the clock. `connect` opens a connection, `liveness` keeps it and
//! `disconnect` ends it; `online` has the packets on an open one.

use std::collections::VecDeque;

use serde::Serialize;

use super::{
    DropCause, Input, LocalError, Options, Output, Settlement, State,
    backoff::Backoff,
    heartbeat::Heartbeat,
    identity::Identity,
    outbox::{Outbox, Settled},
    random::Random,
    refresh::Refresh,
    storage::Storage,
    subscription::Subscriptions,
};
use crate::{
    Limits, Now,
    json::{self, Marks},
};

/// What the app wants of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// Nothing just now: the next request or subscription dials.
    Idle,
    /// To be connected.
    Up,
    /// To stay down until the app says otherwise.
    Stopped(DropCause),
    /// To be over.
    Closed,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The socket is not open yet.
    Dialing,
    /// `hello` is said.
    Greeting,
    /// The server wants a login, which is being fetched.
    Challenged,
    /// Welcome.
    Online,
}

/// The live socket.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) number: u64,
    pub(super) stage: Stage,
    /// Until when the stage must be passed, before `Online`. Monotonic milliseconds.
    pub(super) deadline_ms: u64,
}

/// A socket that was told to close, and may still hold a slot.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) socket: u64,
    pub(super) until_ms: u64,
}

/// One client's side of a session, without I/O. See [`super`] for how to drive it.
///
/// The same options, seed and inputs give the same outputs, on any machine and in both languages.
#[derive(Debug)]
pub struct Session {
    pub(super) options: Options,
    pub(super) random: Random,
    outputs: VecDeque<Output>,
    /// Packets of this drain, for the live socket.
    message: Vec<u8>,
    pub(super) goal: Goal,
    pub(super) state: State,
    pub(super) socket: Option<Socket>,
    pub(super) sockets_made: u64,
    pub(super) closing: Vec<Closing>,
    /// When the answer to `fetch_auth` is due, while one is out.
    pub(super) auth_due_ms: Option<u64>,
    pub(super) hidden_since_ms: Option<u64>,
    pub(super) network_kind: Option<String>,
    /// What the waits for an answer are multiplied with: more on a weak network.
    pub(super) timeout_factor: u64,
    /// The end of the wait that was announced last.
    pub(super) waiting_until_ms: u64,
    pub(super) online_since_ms: u64,
    /// When the app last used the line.
    pub(super) active_ms: u64,
    pub(super) message_bytes_max: usize,
    pub(super) backoff: Backoff,
    pub(super) heartbeat: Heartbeat,
    pub(super) identity: Identity,
    pub(super) refresh: Refresh,
    pub(super) outbox: Outbox,
    pub(super) subscriptions: Subscriptions,
    pub(super) storage: Storage,
}

impl Session {
    /// A session that has not begun: [`Input::Connect`], a request or a subscription begins it.
    #[must_use]
    pub fn new(options: Options, seed: u32) -> Self {
        Self {
            options: options.bounded(),
            random: Random::new(seed),
            outputs: VecDeque::new(),
            message: Vec::new(),
            goal: Goal::Idle,
            state: State::Idle,
            socket: None,
            sockets_made: 0,
            closing: Vec::new(),
            auth_due_ms: None,
            hidden_since_ms: None,
            network_kind: None,
            timeout_factor: 1,
            waiting_until_ms: 0,
            online_since_ms: 0,
            active_ms: 0,
            message_bytes_max: Limits::default().message_bytes_max,
            backoff: Backoff::default(),
            heartbeat: Heartbeat::default(),
            identity: Identity::default(),
            refresh: Refresh::default(),
            outbox: Outbox::new(),
            subscriptions: Subscriptions::default(),
            storage: Storage::default(),
        }
    }

    /// Where the line stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Takes one fact. Drain [`Self::poll_output`] afterwards.
    pub fn handle_input(&mut self, now: Now, input: Input<'_>) {
        if self.goal == Goal::Closed {
            self.handle_input_closed(input);
            return;
        }
        let hides = matches!(input, Input::Hide);
        match input {
            Input::Connect => self.request_connection(true),
            Input::Close => self.close(now),
            Input::Login => self.login(now),
            Input::Auth(auth) => self.auth_came(now, auth),
            Input::AuthFailed { message } => self.auth_failed(now, message),
            Input::SocketOpen { socket } => self.socket_open(now, socket),
            Input::SocketMessage { socket, text } => self.socket_message(now, socket, text),
            Input::SocketClosed(closed) => self.socket_closed(now, closed),
            Input::Request(new) => self.request(now, new),
            Input::Cancel { request } => {
                let settled = self.outbox.cancel(request);
                self.settle(settled);
            }
            Input::Subscribe { channel, from } => self.subscribe(now, channel, from),
            Input::Unsubscribe { channel } => self.unsubscribe(now, &channel),
            Input::Handled { channel, epoch, offset } => self.subscriptions.handled(&channel, &epoch, offset),
            Input::Show => self.show(now),
            Input::Hide => self.hide(now),
            Input::Network { online, kind, weak } => self.network(now, online, kind, weak),
            Input::Restore(stored) => self.restore(now, stored.map(|stored| *stored)),
            Input::StoreFailed => self.store_failed(),
            Input::Timeout => self.timeout(now),
        }
        if self.is_online() {
            self.pump(now);
        } else {
            self.advance(now);
        }
        self.flush();
        self.update_stored(now, hides);
    }

    /// The next thing to do; none when all is done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to feed [`Input::Timeout`], in monotonic milliseconds. None: no timer is needed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        if self.goal == Goal::Closed || (self.is_hidden() && self.socket.is_none()) {
            return None;
        }
        let deadlines = [
            self.outbox.next_expiry(),
            self.line_deadline(),
            self.hide_deadline(),
            self.idle_deadline(),
            self.refresh_deadline(),
            self.retry_deadline(),
            self.store_deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Nothing begins any more; a request that still comes is told so.
    fn handle_input_closed(&mut self, input: Input<'_>) {
        if let Input::Request(new) = input {
            self.settle(vec![(new.request, LocalError::Closed)]);
        }
    }

    fn timeout(&mut self, now: Now) {
        let settled = self.outbox.expire(now.mono_ms);
        self.settle(settled);
        self.retry_subscriptions(now);
        let is_due = |deadline: Option<u64>| deadline.is_some_and(|at| at <= now.mono_ms);
        if is_due(self.hide_deadline()) {
            self.go_hidden(now);
        } else if is_due(self.line_deadline()) {
            self.line_timeout(now);
        } else if is_due(self.refresh_deadline()) {
            self.refresh_timeout(now);
        } else if is_due(self.idle_deadline()) {
            self.go_idle(now);
        }
    }

    pub(super) fn is_online(&self) -> bool {
        self.socket.as_ref().is_some_and(|socket| socket.stage == Stage::Online)
    }

    pub(super) const fn is_hidden(&self) -> bool {
        self.hidden_since_ms.is_some()
    }

    pub(super) fn emit(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(super) fn set_state(&mut self, state: State) {
        if self.state != state {
            self.state = state;
            self.emit(Output::State(state));
        }
    }

    pub(super) fn settle(&mut self, settled: Settled) {
        for (request, error) in settled {
            self.emit(Output::Settled { request, result: Settlement::Local(error) });
        }
    }

    /// Adds a packet to the message of this drain. A message that would grow too large leaves first.
    pub(super) fn queue_packet(&mut self, now: Now, marks: Marks, verb: &str, body: &impl Serialize) {
        let before = self.message.len();
        json::write_client(&mut self.message, marks, verb, body);
        if before > 0 && self.message.len() > self.message_bytes_max {
            let packet = self.message.split_off(before);
            self.flush();
            self.message = packet;
        }
        self.heartbeat.on_sent(now.mono_ms);
    }

    /// Sends what has gathered. Called at the end of every input, and before a socket is closed.
    pub(super) fn flush(&mut self) {
        let Some(socket) = self.socket.as_ref().map(|socket| socket.number) else { return };
        if !self.message.is_empty() {
            let text = String::from_utf8(std::mem::take(&mut self.message)).expect("json is UTF-8");
            self.emit(Output::Send { socket, text });
        }
    }
}
