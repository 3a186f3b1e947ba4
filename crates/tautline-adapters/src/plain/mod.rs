//! The plain endpoint: clients that do not implement Tautline's protocol (protocol, section 8).
//!
//! Start at [`Plain::handle_text`]. Each account of a connection has a peer of its own, which the shell makes
//! and which does everything that needs the hub. After every input the shell drains
//! [`Plain::poll_command`] at once, and [`Plain::poll_output`] for as long as the socket takes bytes: a peer
//! is asked for its next message only when there is no output left, so that nothing queues up here.

mod account;
mod config;
mod findings;
mod from_client;
mod from_peer;
mod read;
mod renewal;
mod write;

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use serde_json::value::RawValue;
use tautline_protocol::{
    ByeCode, Limits, Now,
    packet::{Auth, server::Bye},
};

pub use self::config::{Heartbeat, Names, PlainConfig, path_error};
use self::{
    account::{Account, Inbox, RunningCall, Stage},
    read::{Inbound, Message},
    renewal::Renewal,
    write::{Answer, Refusal},
};

/// Outputs that wait for the socket; at more the client is not read.
const OUTPUTS_MAX: usize = 64;

/// An account of a connection; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountId(u32);

/// Work for the shell, or for the peer of an account.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Make a peer for this account, in json.
    Open(AccountId),
    /// Feed these packets to the account's peer.
    Packet(AccountId, String),
    /// Drop the account's peer.
    Drop(AccountId),
}

/// Something to be sent to the client.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// A text message.
    Text(Bytes),
    /// A ping frame (RFC 6455 §5.5.2) with this payload, behind everything before it.
    Ping([u8; 8]),
    /// A close frame, the last output.
    Close {
        /// RFC 6455 §7.4.
        code: u16,
        /// A word or two.
        reason: &'static str,
    },
}

/// One connection of the plain endpoint.
#[derive(Debug)]
pub struct Plain {
    config: Arc<PlainConfig>,
    accounts: Vec<Account>,
    last_account: u32,
    logins: usize,
    commands: VecDeque<Command>,
    outputs: VecDeque<Output>,
    /// A message of a peer that is not translated yet.
    reading: Option<Reading>,
    renewal: Option<Renewal>,
    ping: PingState,
    ping_ms: u64,
    /// When the last message or pong of the client arrived, in monotonic milliseconds.
    heard_ms: u64,
    /// Until when an account is needed, in monotonic milliseconds.
    login_deadline_ms: u64,
    is_closed: bool,
}

#[derive(Debug)]
struct Reading {
    account: AccountId,
    message: Bytes,
    read: usize,
}

/// The last ping frame. One is on its way at a time.
#[derive(Debug, Default)]
struct PingState {
    number: u64,
    is_under_way: bool,
}

impl Plain {
    /// A connection that was opened just now.
    #[must_use]
    pub fn new(config: Arc<PlainConfig>, limits: &Limits, now: Now) -> Self {
        let mut plain = Self {
            config,
            accounts: Vec::new(),
            last_account: 0,
            logins: 0,
            commands: VecDeque::new(),
            outputs: VecDeque::new(),
            reading: None,
            renewal: None,
            ping: PingState::default(),
            ping_ms: limits.ping_ms,
            heard_ms: now.mono_ms,
            login_deadline_ms: 0,
            is_closed: false,
        };
        plain.restart_login_deadline();
        plain
    }

    /// Takes the query of the URL, which may carry a token.
    pub fn handle_query(&mut self, query: &str) {
        let Some(name) = self.config.token_parameter.clone() else { return };
        let value = |pair: &str| Some(pair.strip_prefix(&*name)?.strip_prefix('=')?.to_owned());
        if let Some(token) = query.split('&').find_map(value) {
            self.log_in(Auth::Token { token }, None);
        }
    }

    /// Takes a text message of the client.
    pub fn handle_text(&mut self, now: Now, text: &str) {
        if self.is_closed {
            return;
        }
        self.hear(now, false);
        let config = Arc::clone(&self.config);
        let names = &config.names;
        match read::read(&config, text) {
            Inbound::Heartbeat(answer) => self.send(Bytes::copy_from_slice(answer.as_bytes())),
            Inbound::TypedHeartbeat(message) => self.answer(&message, Ok(None)),
            Inbound::Invalid(why) => {
                self.send(Answer::unasked(&names.error, Refusal::new("bad_request", why)).write(names));
            }
            Inbound::Message(message) if *message.kind == *names.auth => self.handle_auth(&message),
            Inbound::Message(message) if *message.kind == *names.logout => self.handle_logout(&message),
            Inbound::Message(message) => self.handle_call(&message),
        }
    }

    /// Takes the payload of a pong frame.
    pub fn handle_pong(&mut self, now: Now, payload: &[u8]) {
        let is_answer = self.ping.is_under_way && *payload == self.ping.number.to_be_bytes();
        self.hear(now, is_answer);
        if is_answer {
            self.ping.is_under_way = false;
            self.ping_behind_pushes();
        }
    }

    /// Takes a message of an account's peer. The peer's next one is due when [`Self::poll_output`] has
    /// returned `None`.
    pub fn handle_message(&mut self, account: AccountId, message: Bytes) {
        debug_assert!(self.reading.is_none(), "the shell drains the outputs first");
        self.reading = Some(Reading { account, message, read: 0 });
    }

    /// The peer of an account has ended, with this close code and reason.
    pub fn handle_ended(&mut self, account: AccountId, code: u16, reason: &'static str) {
        let Some(mut ended) = self.remove(account) else { return };
        let bye = ended.bye.take();
        self.fail_calls(&mut ended);
        let goes_on = self.accounts.iter().any(|it| it.stage != Stage::Replaced);
        let is_last = ended.stage == Stage::Active && !goes_on;
        let refusal = bye.as_ref().map_or(Refusal::new(reason, ""), |bye| Refusal {
            code: bye.code.as_str(),
            words: &bye.message,
            retry_after_ms: bye.retry_after_ms,
        });
        // A close frame has no room for the time to wait.
        let has_wait = refusal.retry_after_ms.is_some_and(|wait_ms| wait_ms > 0);
        if ended.stage != Stage::Replaced && (!is_last || has_wait) {
            self.answer_login(Err(refusal), ended.user.as_deref());
        }
        if is_last {
            self.close(code, reason);
        }
    }

    /// The client has sent more than it may: it is told when to come again, and the connection is closed.
    pub fn handle_refused(&mut self, bye: &Bye) {
        let config = Arc::clone(&self.config);
        let code = bye.code.as_str();
        let refusal = Refusal { code, words: &bye.message, retry_after_ms: bye.retry_after_ms };
        self.send(Answer::unasked(&config.names.error, refusal).write(&config.names));
        self.close_with(bye.code);
    }

    /// The peer of an account has ended because the node drains. All of them end so, each once its calls are
    /// answered, and the client is told once, by the close frame behind the last.
    pub fn handle_drained(&mut self, account: AccountId) {
        if let Some(mut ended) = self.remove(account) {
            self.fail_calls(&mut ended);
        }
        self.handle_drain();
    }

    /// The node drains, which closes a connection without an account: no peer does.
    pub fn handle_drain(&mut self) {
        if self.accounts.is_empty() {
            self.close_with(ByeCode::ServerRestart);
        }
    }

    /// Advances the time; call when [`Self::poll_timeout`] is reached. An early call does nothing.
    pub fn handle_timeout(&mut self, now: Now) {
        if now.mono_ms < self.poll_timeout() {
            return;
        }
        if self.accounts.is_empty() {
            self.close_with(ByeCode::HelloTimeout);
        } else {
            self.send_ping();
        }
    }

    /// The deadline for [`Self::handle_timeout`], in monotonic milliseconds. A silent client is closed by the
    /// peers of its accounts.
    #[must_use]
    pub fn poll_timeout(&self) -> u64 {
        if self.is_closed {
            u64::MAX
        } else if self.accounts.is_empty() {
            self.login_deadline_ms
        } else if self.ping.is_under_way {
            u64::MAX
        } else {
            self.heard_ms + self.ping_ms
        }
    }

    /// False: read nothing of the client until an output was taken, or the login in progress has ended.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        let is_logging_in =
            self.renewal.is_some() || self.accounts.iter().any(|it| it.stage == Stage::LoggingIn);
        self.outputs.len() < OUTPUTS_MAX && !is_logging_in
    }

    /// Whether the connection has an account, or one that logs in.
    #[must_use]
    pub fn has_account(&self) -> bool {
        !self.accounts.is_empty()
    }

    /// The next piece of work.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// The next thing to be sent.
    pub fn poll_output(&mut self) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            let Reading { account, message, read } = self.reading.take()?;
            let rest = &message[read..];
            let line_bytes = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |end| end + 1);
            self.handle_line(account, &message, &rest[..line_bytes]);
            if read + line_bytes < message.len() {
                self.reading = Some(Reading { account, read: read + line_bytes, message });
            } else {
                self.ping_behind_pushes();
            }
        }
    }

    /// The client has sent something; `arrived`: also the answer to the last ping.
    fn hear(&mut self, now: Now, arrived: bool) {
        self.heard_ms = now.mono_ms;
        for account in &mut self.accounts {
            if let Some(packet) = account.report(arrived) {
                self.commands.push_back(Command::Packet(account.id, packet));
            }
        }
    }

    /// A ping behind pushes: its pong says that they have arrived.
    fn ping_behind_pushes(&mut self) {
        if self.ping.is_under_way {
            return;
        }
        if self.accounts.iter().filter_map(|account| account.inbox.as_ref()).any(Inbox::needs_ping) {
            self.send_ping();
        }
    }

    fn send_ping(&mut self) {
        for inbox in self.accounts.iter_mut().filter_map(|account| account.inbox.as_mut()) {
            inbox.ping();
        }
        self.ping = PingState { number: self.ping.number + 1, is_under_way: true };
        self.outputs.push_back(Output::Ping(self.ping.number.to_be_bytes()));
    }

    fn answer(&mut self, message: &Message<'_>, result: Result<Option<&RawValue>, Refusal<'_>>) {
        self.answer_call(&RunningCall::of(message), result);
    }

    fn answer_call(&mut self, call: &RunningCall, result: Result<Option<&RawValue>, Refusal<'_>>) {
        let names = &self.config.names;
        let answer = Answer::to(names, &call.kind, result).id(call.id.as_deref()).write(names);
        self.send(answer);
    }

    fn refuse_account(&mut self, user: Option<&str>) {
        let refusal = Refusal::new("limit", "this connection has as many accounts as it may have");
        self.answer_login(Err(refusal), user);
    }

    /// Answers the calls of an account that is gone: they may have run.
    fn fail_calls(&mut self, ended: &mut Account) {
        for call in ended.take_calls() {
            let words = "the account's connection ended before the answer";
            self.answer_call(&call, Err(Refusal::new("in_doubt", words)));
        }
    }

    fn remove(&mut self, id: AccountId) -> Option<Account> {
        let place = self.place(id)?;
        self.commands.push_back(Command::Drop(id));
        let removed = self.accounts.remove(place);
        if removed.stage == Stage::Active {
            self.restart_login_deadline();
        }
        self.skip_renewal(id);
        Some(removed)
    }

    fn restart_login_deadline(&mut self) {
        let wait_ms = u64::try_from(self.config.auth_timeout.as_millis()).unwrap_or(u64::MAX);
        self.login_deadline_ms = self.heard_ms.saturating_add(wait_ms);
    }

    fn place(&self, id: AccountId) -> Option<usize> {
        self.accounts.iter().position(|account| account.id == id)
    }

    fn send(&mut self, text: Bytes) {
        self.outputs.push_back(Output::Text(text));
    }

    fn close_with(&mut self, code: ByeCode) {
        self.close(code.close_code(), code.as_str());
    }

    fn close(&mut self, code: u16, reason: &'static str) {
        if !std::mem::replace(&mut self.is_closed, true) {
            self.outputs.push_back(Output::Close { code, reason });
        }
    }
}
