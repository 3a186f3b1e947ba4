//! The way to a welcome: dialling, logging in, saying hello (protocol, section 3).
//!
//! Start at [`Session::advance`]: the one place that decides what a session without a connection does.

use serde_json::value::RawValue;

use super::{
    DropCause, Dropped, Output, Session, State,
    online::raw,
    session::{Goal, Socket, Stage},
};
use crate::{
    Now,
    json::Marks,
    packet::{
        Auth,
        server::{AuthRefreshed, ErrorBody},
    },
};

impl Session {
    /// Takes the next step towards the goal. Called after every input, while the line is not online.
    pub(super) fn advance(&mut self, now: Now) {
        match self.goal {
            Goal::Idle => self.set_state(State::Idle),
            Goal::Stopped(cause) => self.set_state(State::Stopped(cause)),
            Goal::Closed => self.set_state(State::Closed),
            Goal::Up if self.socket.is_some() => self.set_state(State::Connecting),
            Goal::Up if self.is_hidden() => self.set_state(State::Hidden),
            Goal::Up if now.mono_ms < self.backoff.retry_at() => self.wait(now),
            Goal::Up => self.dial(now),
        }
    }

    fn wait(&mut self, now: Now) {
        if self.backoff.is_offline() {
            return self.set_state(State::Offline);
        }
        let until_ms = self.backoff.retry_at();
        // The two clocks need not run in step: one wait is announced once.
        if !matches!(self.state, State::Waiting { .. }) || self.waiting_until_ms != until_ms {
            self.waiting_until_ms = until_ms;
            self.set_state(State::Waiting { retry_at: now.wall_ms.saturating_add(until_ms - now.mono_ms) });
        }
    }

    fn dial(&mut self, now: Now) {
        self.set_state(State::Connecting);
        if self.identity.needs_auth(now.mono_ms) {
            self.fetch_auth(now);
            return;
        }
        self.closing.retain(|closing| closing.until_ms > now.mono_ms);
        if self.closing.len() >= self.options.slots {
            return;
        }
        self.sockets_made += 1;
        let deadline_ms = now.mono_ms + self.options.connect_timeout_ms * self.timeout_factor;
        self.socket = Some(Socket { number: self.sockets_made, stage: Stage::Dialing, deadline_ms });
        if let Some(first) = &mut self.identity.first_drop {
            first.dials += 1;
        }
        self.emit(Output::Dial { socket: self.sockets_made });
    }

    fn fetch_auth(&mut self, now: Now) {
        if self.auth_due_ms.is_none() {
            self.auth_due_ms = Some(now.mono_ms + self.options.auth_timeout_ms);
            self.emit(Output::FetchAuth { renew: self.identity.renew });
        }
    }

    /// The app wants the line; `again` also where it was told never to come back.
    pub(super) fn request_connection(&mut self, again: bool) {
        if self.goal == Goal::Idle || again {
            self.goal = Goal::Up;
            self.backoff.retry_now();
        }
    }

    pub(super) fn auth_came(&mut self, now: Now, auth: Auth) {
        if self.auth_due_ms.take().is_none() {
            return;
        }
        if self.is_online() {
            return self.refresh_with(auth);
        }
        self.identity.set_auth(now.mono_ms, auth);
        if self.socket.as_ref().is_some_and(|socket| socket.stage == Stage::Challenged) {
            self.hello(now);
        }
    }

    pub(super) fn auth_failed(&mut self, now: Now, message: Option<String>) {
        if self.auth_due_ms.take().is_none() {
            return;
        }
        if self.is_online() {
            self.refresh_failed(now, None);
        } else if self.goal == Goal::Up {
            self.drop_line(now, Dropped { message, ..self.dropped(DropCause::AuthFailed) });
        }
    }

    /// When the login must be refreshed on the open connection, or the app has taken too long to give one.
    pub(super) fn refresh_deadline(&self) -> Option<u64> {
        self.auth_due_ms.or(self.refresh.due_ms()).filter(|_| self.is_online())
    }

    pub(super) fn refresh_timeout(&mut self, now: Now) {
        if self.auth_due_ms.is_some() {
            return self.auth_failed(now, None);
        }
        self.refresh.stop();
        self.auth_due_ms = Some(now.mono_ms + self.options.auth_timeout_ms);
        // The app's last login is the one that expires.
        self.emit(Output::FetchAuth { renew: true });
    }

    /// Only a token can be sent on an open connection: another login is asked for when this one has expired.
    fn refresh_with(&mut self, auth: Auth) {
        if matches!(auth, Auth::Token { .. }) {
            self.outbox.push_auth(raw(&auth));
        }
    }

    pub(super) fn refresh_failed(&mut self, now: Now, after_ms: Option<u64>) {
        self.refresh.failed(now.mono_ms, after_ms, &mut self.random, &self.options);
    }

    /// The answer to an `auth` request.
    pub(super) fn refreshed(&mut self, now: Now, result: Result<&RawValue, ErrorBody>) {
        let after_ms = match result.map(|body| serde_json::from_str::<AuthRefreshed>(body.get())) {
            Ok(Ok(AuthRefreshed { expires_at, ticket })) => {
                self.identity.set_ticket(ticket);
                if self.refresh.is_later(expires_at) {
                    return self.refresh.renewed(now.mono_ms, expires_at, &mut self.random);
                }
                None
            }
            Ok(Err(_)) => None,
            Err(error) => error.retry_after_ms,
        };
        self.refresh_failed(now, after_ms);
    }

    pub(super) fn socket_open(&mut self, now: Now, number: u64) {
        if self
            .socket
            .as_ref()
            .is_some_and(|socket| socket.number == number && socket.stage == Stage::Dialing)
        {
            self.hello(now);
        }
    }

    fn hello(&mut self, now: Now) {
        let deadline_ms = now.mono_ms + self.options.connect_timeout_ms * self.timeout_factor;
        let Some(socket) = &mut self.socket else { return };
        if socket.stage == Stage::Challenged {
            socket.deadline_ms = deadline_ms;
        }
        socket.stage = Stage::Greeting;
        let seen = self.outbox.seen();
        self.heartbeat.on_seen_reported(seen);
        let is_resuming = self.identity.has_ticket();
        let cursors = self.subscriptions.cursors(is_resuming, self.options.hello_bytes_max);
        let hello = self.identity.hello(now, seen, cursors, &mut self.random, &self.options);
        self.queue_packet(now, Marks::default(), "hello", &hello);
    }

    /// The ticket is no good: a login is needed on this same connection.
    pub(super) fn challenged(&mut self, now: Now) {
        self.identity.refused();
        if let Some(socket) = &mut self.socket {
            socket.stage = Stage::Challenged;
            socket.deadline_ms = now.mono_ms + self.options.auth_timeout_ms;
        }
        self.fetch_auth(now);
    }
}
