//! Decides when to ping, and when to give up on a silent peer (protocol, section 6, promise 1).
//!
//! Start at [`Heartbeat::deadline`]. It also keeps account of what waits to be reported with a ping: `seen` and acks.

use super::DropCause;

/// Replies after which `seen` is reported at once (protocol, section 4).
const REPLIES_UNREPORTED_MAX: u32 = 256;

/// A ping that has not been answered.
#[derive(Debug)]
struct Ping {
    deadline_ms: u64,
    /// What the silence means, if it lasts.
    cause: DropCause,
}

/// The pulse of one connection. All times are monotonic milliseconds.
#[derive(Debug, Default)]
pub(super) struct Heartbeat {
    ping_ms: u64,
    pong_ms: u64,
    last_sent_ms: u64,
    last_received_ms: u64,
    outstanding: Option<Ping>,
    /// Pings of this connection without a pong.
    unanswered: u32,
    /// Since when something waits to be reported.
    report_since_ms: Option<u64>,
    replies_unreported: u32,
    /// The `seen` that the server was last told.
    pub(super) seen_reported: u64,
}

impl Heartbeat {
    /// A connection begins, with the times that its welcome brought.
    pub(super) fn begin(&mut self, now_ms: u64, ping_ms: u64, pong_ms: u64) {
        *self = Self {
            ping_ms,
            pong_ms,
            last_sent_ms: now_ms,
            last_received_ms: now_ms,
            seen_reported: self.seen_reported,
            ..Self::default()
        };
    }

    pub(super) const fn on_sent(&mut self, now_ms: u64) {
        self.last_sent_ms = now_ms;
    }

    /// A packet came. Any packet answers a ping; a probe is over when every ping has its pong. Other packets may have been on
    /// their way before the network was lost: they give a probe more time, until `probe_due_ms`, since its pong waits behind
    /// them, and prove nothing.
    pub(super) fn on_received(&mut self, now_ms: u64, is_pong: bool, probe_due_ms: u64) {
        self.last_received_ms = now_ms;
        if is_pong {
            self.unanswered = self.unanswered.saturating_sub(1);
        }
        match &mut self.outstanding {
            Some(ping) if ping.cause != DropCause::PeerSilent && self.unanswered > 0 => {
                ping.deadline_ms = ping.deadline_ms.max(probe_due_ms);
            }
            outstanding => *outstanding = None,
        }
    }

    /// The connection is gone, and whatever was asked on it.
    pub(super) fn end(&mut self) {
        self.outstanding = None;
    }

    pub(super) const fn on_reply(&mut self) {
        self.replies_unreported += 1;
    }

    /// The server has been told how far everything is settled.
    pub(super) const fn on_seen_reported(&mut self, seen: u64) {
        self.seen_reported = seen;
        self.replies_unreported = 0;
    }

    /// Keeps account of since when there is something to report.
    pub(super) fn on_report(&mut self, now_ms: u64, waiting: bool) {
        self.report_since_ms = if waiting { self.report_since_ms.or(Some(now_ms)) } else { None };
    }

    /// True when so many replies are unsaid that the report cannot wait for its time.
    pub(super) fn report_is_urgent(&self) -> bool {
        self.outstanding.is_none()
            && self.report_since_ms.is_some()
            && self.replies_unreported >= REPLIES_UNREPORTED_MAX
    }

    /// A ping leaves now, and its answer may take so many times as long as usual. One that is outstanding already gets no
    /// more time.
    pub(super) fn pinged(&mut self, now_ms: u64, timeout_factor: u64) {
        let deadline_ms = now_ms.saturating_add(self.pong_ms.saturating_mul(timeout_factor));
        self.unanswered += 1;
        self.outstanding.get_or_insert(Ping { deadline_ms, cause: DropCause::PeerSilent });
    }

    /// Shortens the wait for the answer to the ping that is outstanding, and says what its silence would mean.
    pub(super) fn probe(&mut self, deadline_ms: u64, cause: DropCause) {
        if let Some(ping) = &mut self.outstanding {
            ping.deadline_ms = ping.deadline_ms.min(deadline_ms);
            ping.cause = cause;
        }
    }

    /// What a probe under way would give as the cause.
    pub(super) fn probe_cause(&self) -> Option<DropCause> {
        self.outstanding.as_ref().map(|ping| ping.cause).filter(|cause| *cause != DropCause::PeerSilent)
    }

    /// When to look again: the deadline of a ping, or the time for the next one.
    pub(super) fn deadline(&self, report_ms: u64) -> u64 {
        if let Some(ping) = &self.outstanding {
            return ping.deadline_ms;
        }
        let silent = self.last_sent_ms.min(self.last_received_ms).saturating_add(self.ping_ms);
        self.report_since_ms.map_or(silent, |since| silent.min(since + report_ms))
    }

    /// The cause to drop the line for, once the deadline has passed; none means that it is time to ping.
    pub(super) fn verdict(&self) -> Option<DropCause> {
        self.outstanding.as_ref().map(|ping| ping.cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beating() -> Heartbeat {
        let mut heartbeat = Heartbeat::default();
        heartbeat.begin(0, 25_000, 8_000);
        heartbeat
    }

    #[test]
    fn one_way_traffic_does_not_hide_silence_the_other_way() {
        let mut heartbeat = beating();
        heartbeat.on_received(20_000, false, 0);
        assert_eq!(heartbeat.deadline(5_000), 25_000);
        heartbeat.on_sent(20_000);
        assert_eq!(heartbeat.deadline(5_000), 45_000);
    }

    #[test]
    fn many_unreported_replies_are_reported_at_once_but_not_over_an_open_ping() {
        let mut heartbeat = beating();
        (0..REPLIES_UNREPORTED_MAX).for_each(|_| heartbeat.on_reply());
        assert!(!heartbeat.report_is_urgent(), "seen has not moved");
        heartbeat.on_report(1_000, true);
        assert!(heartbeat.report_is_urgent());
        heartbeat.pinged(1_000, 1);
        assert!(!heartbeat.report_is_urgent());
        heartbeat.on_received(1_100, false, 0);
        heartbeat.on_seen_reported(256);
        assert!(!heartbeat.report_is_urgent());
    }

    #[test]
    fn probe_only_shortens_the_wait() {
        let mut heartbeat = beating();
        heartbeat.pinged(25_000, 1);
        heartbeat.probe(40_000, DropCause::NetworkLost);
        assert_eq!(heartbeat.deadline(5_000), 33_000);
        heartbeat.probe(27_000, DropCause::Background);
        assert_eq!((heartbeat.deadline(5_000), heartbeat.verdict()), (27_000, Some(DropCause::Background)));
        heartbeat.on_received(26_000, true, 28_000);
        assert_eq!(heartbeat.verdict(), None);
    }

    #[test]
    fn probe_gets_time_from_packets_and_ends_with_its_pong() {
        let mut heartbeat = beating();
        heartbeat.pinged(25_000, 1);
        heartbeat.pinged(25_100, 1);
        heartbeat.probe(27_100, DropCause::NetworkLost);
        heartbeat.on_received(25_200, false, 27_200);
        heartbeat.on_received(25_300, true, 27_300);
        assert_eq!((heartbeat.deadline(5_000), heartbeat.verdict()), (27_300, Some(DropCause::NetworkLost)));
        heartbeat.on_received(25_400, true, 27_400);
        assert_eq!(heartbeat.verdict(), None);
    }
}
