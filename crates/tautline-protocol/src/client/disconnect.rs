//! How a line is lost, and why; what follows is decided by [`Session::advance`] (protocol, sections 6 and 7).

use super::{
    DropCause, Dropped, LocalError, Output, Session, SocketClosed,
    backoff::Advice,
    identity::FirstDrop,
    session::{Closing, Goal},
};
use crate::{AnyByeCode, ByeCode, Now, Reconnect, RequestId, json::Marks, packet::server::Bye};

impl Session {
    pub(super) fn socket_closed(&mut self, now: Now, closed: SocketClosed) {
        if !closed.held {
            self.closing.retain(|closing| closing.socket != closed.socket);
        }
        if self.socket.as_ref().is_none_or(|socket| socket.number != closed.socket) {
            return;
        }
        if let Some(code) =
            closed.code.and_then(|code| u16::try_from(code).ok()).and_then(ByeCode::from_close_code)
        {
            // The packet was lost on its way, its code was not.
            let Bye { message, reconnect, retry_after_ms, attempt, .. } =
                Bye::new(code, closed.reason.unwrap_or_default());
            let bye = Bye { code: AnyByeCode::Known(code), message, reconnect, retry_after_ms, attempt };
            self.take_bye(now, None, bye, !closed.held);
            return;
        }
        let dropped = Dropped {
            code: closed.code,
            reason: closed.reason.clone(),
            message: closed.message.clone(),
            ..self.dropped(self.cause_of(&closed))
        };
        if closed.code.and_then(Reconnect::of_close_range) == Some(Reconnect::Never) {
            self.goal = Goal::Stopped(dropped.cause);
        }
        self.lose(now, dropped, !closed.held);
    }

    fn cause_of(&self, closed: &SocketClosed) -> DropCause {
        if closed.code.and_then(Reconnect::of_close_range).is_some() {
            // A word of the server's, of a later version: the host knows no better.
            return DropCause::Unknown;
        }
        if self.is_hidden() {
            return DropCause::Background;
        }
        if self.backoff.is_offline() {
            return DropCause::NetworkLost;
        }
        closed.cause.or_else(|| self.heartbeat.probe_cause()).unwrap_or(match closed.code {
            Some(1002 | 1003 | 1007 | 1009) => DropCause::ProtocolError,
            _ => DropCause::Unknown,
        })
    }

    pub(super) fn bye(&mut self, now: Now, id: Option<RequestId>, bye: Bye<AnyByeCode>) {
        self.take_bye(now, id, bye, false);
    }

    fn take_bye(&mut self, now: Now, id: Option<RequestId>, bye: Bye<AnyByeCode>, already_closed: bool) {
        let welcomed = self.is_online();
        let known = bye.code.known();
        let mut never = bye.reconnect == Reconnect::Never;
        match (known, bye.attempt, id) {
            (Some(ByeCode::TakenOver), Some(highest), _) if !welcomed && !self.identity.contested => {
                self.identity.contest(highest);
                never = false;
            }
            (Some(ByeCode::ChallengeFailed | ByeCode::TokenExpired | ByeCode::Unauthorized), ..)
            | (Some(ByeCode::Kicked | ByeCode::Banned), ..) => self.identity.refused(),
            (
                Some(code @ (ByeCode::BadPacket | ByeCode::TooLarge | ByeCode::UnsupportedVersion)),
                _,
                Some(id),
            ) => {
                self.fail_request(id, code, bye.message.clone());
                never = false;
            }
            _ => {}
        }
        let cause = known.map_or(DropCause::Unknown, DropCause::of_bye);
        if never {
            self.goal = Goal::Stopped(cause);
        }
        let advice = Advice { later: bye.reconnect == Reconnect::Later, after_ms: bye.retry_after_ms };
        let dropped = Dropped {
            code: known.map(|code| i64::from(code.close_code())),
            reason: Some(bye.code.as_str().to_owned()),
            message: Some(bye.message).filter(|message| !message.is_empty()),
            ..self.dropped(cause)
        };
        self.lose_for(now, dropped, advice, already_closed);
    }

    pub(super) fn dropped(&self, cause: DropCause) -> Dropped {
        Dropped { cause, online: self.is_online(), code: None, reason: None, message: None }
    }

    /// Gives a connection, or an attempt at one, up.
    pub(super) fn drop_line(&mut self, now: Now, dropped: Dropped) {
        self.lose(now, dropped, false);
    }

    fn lose(&mut self, now: Now, dropped: Dropped, already_closed: bool) {
        self.lose_for(now, dropped, Advice::default(), already_closed);
    }

    fn lose_for(&mut self, now: Now, dropped: Dropped, advice: Advice, already_closed: bool) {
        self.detach(now, already_closed);
        self.backoff.schedule(now.mono_ms, advice, &mut self.random, &self.options);
        if self.identity.first_drop.is_none() {
            let first = FirstDrop { dropped: dropped.clone(), since_ms: now.mono_ms, dials: 0 };
            self.identity.first_drop = Some(first);
        }
        self.emit(Output::Drop(dropped));
    }

    /// Detaches from the live socket: never waits for the host, which may say nothing for minutes.
    pub(super) fn detach(&mut self, now: Now, already_closed: bool) {
        self.flush();
        if self.is_online() {
            // A refresh that is under way is about this connection.
            self.auth_due_ms = None;
            if now.mono_ms >= self.online_since_ms + self.options.stable_ms {
                self.backoff.reset();
            }
        }
        if let Some(socket) = self.socket.take()
            && !already_closed
        {
            let until_ms = now.mono_ms + self.options.close_wait_ms;
            self.closing.push(Closing { socket: socket.number, until_ms });
            self.emit(Output::CloseSocket { socket: socket.number });
        }
        self.heartbeat.end();
        self.outbox.end();
        self.subscriptions.end();
    }

    /// The session is over: the server can forget it.
    pub(super) fn queue_bye(&mut self, now: Now) {
        if !self.is_online() {
            return;
        }
        // What the app has handled is told before there is nobody left to tell it.
        if self.subscriptions.acks_wait() {
            self.ping(now);
        }
        self.queue_packet(now, Marks::default(), "bye", &serde_json::Map::new());
    }

    pub(super) fn close(&mut self, now: Now) {
        self.queue_bye(now);
        if self.socket.is_some() {
            let dropped = self.dropped(DropCause::ClosedByApp);
            self.drop_line(now, dropped);
        }
        self.goal = Goal::Closed;
        let settled = self.outbox.settle_all(LocalError::Closed);
        self.settle(settled);
        self.subscriptions.clear();
    }
}
