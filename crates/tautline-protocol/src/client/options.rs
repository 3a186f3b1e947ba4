//! What an app may choose. Every wait and size of the client has its name here.

use super::snapshot::NUMBER_MAX;
use crate::packet::client::ClientInfo;

/// What gives way when the outbox is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutboxFull {
    /// The new request settles `overflow`.
    #[default]
    Reject,
    /// The oldest requests marked volatile and never sent settle `overflow`, until the new one fits.
    DropOldestVolatile,
}

/// The options of a [`super::Session`]. Times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Random text of the shell's own, at least 96 bits; begins every `key`. Default: empty.
    ///
    /// The seed has 32 bits only: among many guests two would meet, and a `key` opens a session.
    pub instance: String,
    /// Sent in `hello`, as it is.
    pub client: ClientInfo,
    /// Sockets that may exist at once, 1 or 2. Default 2.
    pub slots: usize,
    /// Obey `hide`. Default true; browsers say false.
    pub background: bool,
    /// From `hide` to `pause`. Default 4 s: mini-program hosts cut at 5 s.
    pub background_after_ms: u64,
    /// Wait for the answer to a probe. Default 2 s.
    pub probe_ms: u64,
    /// From `dial` to `welcome`, time for fetching a login apart. Default 10 s.
    pub connect_timeout_ms: u64,
    /// From `fetch_auth` to its answer. Default 30 s.
    pub auth_timeout_ms: u64,
    /// A closing socket holds its slot at most this long. Default 2 s.
    pub close_wait_ms: u64,
    /// Back-off: the unit that doubles. Default 500 ms.
    pub retry_base_ms: u64,
    /// Back-off: the ceiling. Default 30 s.
    pub retry_max_ms: u64,
    /// A connection that lived this long past `welcome` resets the back-off. Default 5 s.
    pub stable_ms: u64,
    /// Longest wait of `seen` and acks. Default 5 s.
    pub report_ms: u64,
    /// Hang up after so long without a subscription or request; 0 never does. Default 0.
    pub idle_ms: u64,
    /// Time to live of requests that do not say. Default 30 s.
    pub request_ttl_ms: u64,
    /// Requests that may be unsettled at once. Default 1,000.
    pub outbox_count_max: usize,
    /// What they may weigh together, in bytes. Default 256 KiB.
    pub outbox_bytes_max: usize,
    /// What gives way when one of the two is reached.
    pub outbox_full: OutboxFull,
    /// Largest `hello`, in bytes; cursors that do not fit are left out. Default 256 KiB.
    pub hello_bytes_max: usize,
    /// With storage: how long cursors and settled requests may wait to be written. Default 1 s.
    pub store_ms: u64,
    /// With storage: what is stored, in bytes; requests and cursors that do not fit are left out. Default 192 KiB: Alipay takes
    /// 200 KiB under one key.
    pub store_bytes_max: usize,
}

impl Options {
    /// The same, with waits that can be added to a clock, and stored.
    pub(super) fn bounded(mut self) -> Self {
        for wait_ms in [
            &mut self.background_after_ms,
            &mut self.probe_ms,
            &mut self.connect_timeout_ms,
            &mut self.auth_timeout_ms,
            &mut self.close_wait_ms,
            &mut self.retry_base_ms,
            &mut self.retry_max_ms,
            &mut self.stable_ms,
            &mut self.report_ms,
            &mut self.idle_ms,
            &mut self.request_ttl_ms,
            &mut self.store_ms,
        ] {
            *wait_ms = NUMBER_MAX.min(*wait_ms);
        }
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            instance: String::new(),
            client: ClientInfo::default(),
            slots: 2,
            background: true,
            background_after_ms: 4_000,
            probe_ms: 2_000,
            connect_timeout_ms: 10_000,
            auth_timeout_ms: 30_000,
            close_wait_ms: 2_000,
            retry_base_ms: 500,
            retry_max_ms: 30_000,
            stable_ms: 5_000,
            report_ms: 5_000,
            idle_ms: 0,
            request_ttl_ms: 30_000,
            outbox_count_max: 1_000,
            outbox_bytes_max: 256 * 1024,
            outbox_full: OutboxFull::Reject,
            hello_bytes_max: 256 * 1024,
            store_ms: 1_000,
            store_bytes_max: 192 * 1024,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Now,
        client::{Input, Session, SocketClosed},
        packet::Auth,
    };

    #[test]
    fn waits_without_end_do_not_overflow() {
        let endless = Options {
            background_after_ms: u64::MAX,
            probe_ms: u64::MAX,
            connect_timeout_ms: u64::MAX,
            auth_timeout_ms: u64::MAX,
            close_wait_ms: u64::MAX,
            retry_base_ms: u64::MAX,
            retry_max_ms: u64::MAX,
            stable_ms: u64::MAX,
            report_ms: u64::MAX,
            idle_ms: u64::MAX,
            request_ttl_ms: u64::MAX,
            store_ms: u64::MAX,
            ..Options::default()
        };
        let now = Now::new(1_000, 1_763_666_001_000);
        let mut session = Session::new(endless, 1);
        let welcome = r#"{"welcome":{"session":"s","ticket":"t","ticket_expires_at":1,"resumed":false,"ping_ms":18446744073709551615,"pong_ms":18446744073709551615,"park_ms":1,"max_message_bytes":65536,"now":1,"node":"n","channels":{}}}"#;
        let weak = || Input::Network { online: true, kind: None, weak: true };
        let lost = |socket| Input::SocketClosed(SocketClosed { socket, ..SocketClosed::default() });
        let life = [
            Input::Restore(None),
            weak(),
            Input::Connect,
            Input::Auth(Auth::Guest { guest: true }),
            Input::SocketOpen { socket: 1 },
            Input::SocketMessage { socket: 1, text: welcome },
            Input::Hide,
            Input::Show,
            Input::Network { online: false, kind: None, weak: true },
            Input::Timeout,
            lost(1),
            Input::Connect,
            lost(2),
            Input::Connect,
            lost(3),
        ];
        for input in life {
            session.handle_input(now, input);
            assert!(session.poll_timeout().is_none_or(|at| at > now.mono_ms), "due at once: {session:?}");
        }
    }
}
