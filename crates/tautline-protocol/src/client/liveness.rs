//! Keeping a line, or leaving it on purpose: heartbeat, background, network, idleness (protocol, section 6).

use super::{
    DropCause, Session, State,
    session::{Goal, Stage},
};
use crate::{
    Now,
    json::Marks,
    packet::client::{Pause, Ping},
};

/// Waits on a weak network are so many times as long: an answer that comes late is better than another handshake.
const TIMEOUT_FACTOR_WEAK: u64 = 2;

impl Session {
    pub(super) fn hide(&mut self, now: Now) {
        if self.options.background && !self.is_hidden() {
            self.hidden_since_ms = Some(now.mono_ms);
        }
    }

    /// The time after `hide` is over: better to leave than to be cut.
    pub(super) fn go_hidden(&mut self, now: Now) {
        self.pause(now, "background");
        let dropped = self.dropped(DropCause::Background);
        self.drop_line(now, dropped);
    }

    pub(super) fn show(&mut self, now: Now) {
        let overdue = self.hide_deadline().is_some_and(|at| at <= now.mono_ms);
        self.hidden_since_ms = None;
        if overdue {
            // Timers froze: the host has cut the socket, whatever it looks like.
            let dropped = self.dropped(DropCause::Background);
            self.drop_line(now, dropped);
        }
        self.probe(now, DropCause::Background);
        self.backoff.retry_now();
    }

    pub(super) fn network(&mut self, now: Now, online: bool, kind: Option<String>, weak: bool) {
        let other_kind = kind.is_some() && self.network_kind.is_some() && kind != self.network_kind;
        let turned = online == self.backoff.is_offline();
        self.backoff.set_online(online);
        self.timeout_factor = if weak { TIMEOUT_FACTOR_WEAK } else { 1 };
        self.network_kind = kind.or(self.network_kind.take());
        if !turned && !other_kind {
            return;
        }
        if self.is_online() {
            self.probe(now, if online { DropCause::NetworkChanged } else { DropCause::NetworkLost });
        } else if online {
            if self.socket.is_some() {
                let dropped = self.dropped(DropCause::NetworkChanged);
                self.drop_line(now, dropped);
            }
            self.backoff.retry_now();
        } else if turned && self.goal == Goal::Up && self.socket.is_none() {
            self.backoff.slow_down(now.mono_ms);
        }
    }

    fn probe(&mut self, now: Now, cause: DropCause) {
        if !self.is_online() {
            return;
        }
        self.ping(now);
        self.heartbeat.probe(self.probe_due_ms(now), cause);
    }

    /// Until when a probe waits for its pong, from now on.
    pub(super) const fn probe_due_ms(&self, now: Now) -> u64 {
        now.mono_ms + self.options.probe_ms * self.timeout_factor
    }

    /// A ping, with everything that waits to be reported.
    pub(super) fn ping(&mut self, now: Now) {
        let seen = self.outbox.seen();
        let marks = Marks { seen: (seen > 0).then_some(seen), ..Marks::default() };
        let acks = self.subscriptions.take_acks();
        self.heartbeat.on_seen_reported(seen);
        self.queue_packet(now, marks, "ping", &Ping { acks });
        self.heartbeat.pinged(now.mono_ms, self.timeout_factor);
    }

    fn pause(&mut self, now: Now, reason: &str) {
        if !self.is_online() {
            return;
        }
        if self.has_report() {
            self.ping(now);
        }
        self.queue_packet(now, Marks::default(), "pause", &Pause { reason: reason.to_owned() });
    }

    /// Nobody needs the line: spare the phone.
    pub(super) fn go_idle(&mut self, now: Now) {
        self.pause(now, "idle");
        self.detach(now, false);
        self.goal = Goal::Idle;
    }

    pub(super) fn line_timeout(&mut self, now: Now) {
        let cause = match self.socket.as_ref().map(|socket| socket.stage) {
            Some(Stage::Online) => match self.heartbeat.verdict() {
                Some(cause) => cause,
                None => return self.ping(now),
            },
            Some(Stage::Dialing | Stage::Greeting) => DropCause::ConnectTimeout,
            Some(Stage::Challenged) | None => return self.fetch_timeout(now),
        };
        let dropped = self.dropped(if self.backoff.is_offline() { DropCause::NetworkLost } else { cause });
        self.drop_line(now, dropped);
    }

    fn fetch_timeout(&mut self, now: Now) {
        if self.auth_due_ms.is_some_and(|due| due <= now.mono_ms) {
            self.auth_failed(now, None);
        }
    }

    /// When the line itself needs attention.
    pub(super) fn line_deadline(&self) -> Option<u64> {
        match (&self.socket, self.state) {
            (Some(socket), _) if socket.stage == Stage::Online => {
                Some(self.heartbeat.deadline(self.options.report_ms))
            }
            (Some(socket), _) => Some(socket.deadline_ms),
            (None, State::Waiting { .. } | State::Offline) => Some(self.backoff.retry_at()),
            (None, State::Connecting) => {
                self.auth_due_ms.or_else(|| self.closing.iter().map(|closing| closing.until_ms).min())
            }
            (None, _) => None,
        }
    }

    pub(super) fn hide_deadline(&self) -> Option<u64> {
        let since = self.hidden_since_ms.filter(|_| self.socket.is_some())?;
        Some(since + self.options.background_after_ms)
    }

    pub(super) fn idle_deadline(&self) -> Option<u64> {
        let idle = self.options.idle_ms > 0
            && self.is_online()
            && self.outbox.is_empty()
            && self.subscriptions.is_quiet();
        idle.then_some(self.active_ms + self.options.idle_ms)
    }
}
