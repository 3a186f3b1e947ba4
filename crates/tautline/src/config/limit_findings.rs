//! Limits that contradict each other, or leave no room for what they limit.
//!
//! Start at [`Settings::limit_findings`]. Each row is a relation that should not hold, and its effect.

use std::time::Duration;

use tautline_hub::{NodeLimits, budget::RESERVED_PART};
use tautline_process::units::whole_ms;

use super::{Durability, Engine, Settings};

/// The room that any packet with a name, a token or a ticket in it needs.
const PACKET_BYTES: usize = 1024;
/// How wrong the clocks of many devices are.
const CLOCK_ERROR_MS: u64 = 3_600_000;
/// A proxy keeps its connections at least this long.
const SHORTEST_IDLE: Duration = Duration::from_secs(1);

impl Settings {
    /// Limits that make no sense beside each other.
    pub(super) fn limit_findings(&self) -> Vec<String> {
        let (gateway, drain) = (&self.gateway, &self.drain);
        let NodeLimits { protocol: limits, hub, engine, .. } = &self.limits;
        let noticed_ms = limits.ping_ms.saturating_add(limits.pong_ms);
        let relaxed_memory = self.engine == Engine::Memory && self.durability == Durability::Relaxed;
        let checks = [
            (
                limits.park_ms <= noticed_ms,
                "park_ms is not longer than ping_ms and pong_ms together: a session ends before its client has noticed \
                 that the line is dead, and nothing is ever resumed",
            ),
            (
                limits.ticket_ms < limits.park_ms,
                "ticket_ms is shorter than park_ms: a session is kept for longer than anybody can come back to it",
            ),
            (
                hub.admission_wait_ms >= limits.hello_ms,
                "admission_wait_ms is not shorter than hello_ms: who waits for a turn is let go before it comes",
            ),
            (
                limits.replies_unseen_bytes_max > hub.replies_bytes_max,
                "replies_unseen_bytes_max is larger than replies_bytes_max: one session may take what is there for all",
            ),
            (
                limits.replies_unseen_bytes_max < limits.message_bytes_max,
                "replies_unseen_bytes_max is smaller than message_bytes_max: the answer to one large call is too much",
            ),
            (
                limits.replies_unseen_max < limits.requests_in_flight_max,
                "replies_unseen_max is smaller than requests_in_flight_max: the answers to what may be asked at once \
                 are too many",
            ),
            (
                hub.appends_bytes_max - hub.appends_bytes_max / RESERVED_PART < limits.message_bytes_max,
                "appends_bytes_max, less the eighth for the back end, is smaller than message_bytes_max: the largest publications are always refused",
            ),
            (
                hub.calls_bytes_max < limits.message_bytes_max + PACKET_BYTES,
                "calls_bytes_max is smaller than message_bytes_max: the largest calls are always refused",
            ),
            (
                limits.hello_bytes_max < PACKET_BYTES,
                "hello_bytes_max leaves no room for a token or a ticket: nobody can connect",
            ),
            (
                hub.replies_floor_bytes > limits.replies_unseen_bytes_max,
                "replies_floor_bytes is larger than replies_unseen_bytes_max: no reply is ever bound to a share alone",
            ),
            (
                hub.tail_bytes_max > engine.log_bytes_max,
                "tail_bytes_max is larger than log_bytes_max: one channel may take what is there for all",
            ),
            (
                limits.channels_max > engine.channel_count_max,
                "channels_max is larger than channel_count_max: one connection may use up the channels of all",
            ),
            (
                gateway.connections_max > hub.sessions_max,
                "connections_max is larger than sessions_max: the connections beyond it never get a session",
            ),
            (
                drain.spread >= drain.timeout,
                "[drain] spread is not shorter than timeout: the last clients are cut before they are told to go",
            ),
            (
                limits.call_ms_max > whole_ms(drain.timeout),
                "call_ms_max is longer than [drain] timeout: calls that run are cut by a restart",
            ),
            (
                limits.message_bytes_max < PACKET_BYTES,
                "message_bytes_max leaves no room for a request: clients can do nothing",
            ),
            (
                limits.welcome_bytes_max < PACKET_BYTES,
                "welcome_bytes_max leaves no room for a ticket and a channel: clients lose their subscriptions with each \
                 reconnect",
            ),
            (
                limits.hellos_max < 2,
                "hellos_max is 1: a client that is challenged, because its ticket is too old, cannot answer",
            ),
            (
                limits.auth_age_ms < limits.park_ms,
                "auth_age_ms is shorter than park_ms: a login without an expiry ends before its session is given up",
            ),
            (
                limits.attempt_ahead_ms < CLOCK_ERROR_MS,
                "attempt_ahead_ms is shorter than the clocks of many devices are wrong: they lose take-overs to \
                 connections that are dead",
            ),
            (
                whole_ms(gateway.backend_timeout) >= limits.challenge_ms,
                "backend_timeout is not shorter than challenge_ms: a client is closed while its login is being checked",
            ),
            (
                hub.presence_seats_max < limits.channels_max,
                "presence_seats_max is smaller than channels_max: one connection may take what is there for all",
            ),
            (
                hub.presence_bytes_max < PACKET_BYTES,
                "presence_bytes_max leaves no room for a change: nobody is told of a join or a leave",
            ),
            (
                hub.pages_connection_max > hub.pages_max,
                "pages_connection_max is larger than pages_max: one connection may take what is there for all",
            ),
            (
                hub.replies_floor_bytes > hub.replies_bytes_max / RESERVED_PART,
                "replies_floor_bytes is larger than the last eighth of replies_bytes_max, out of which it is given",
            ),
            (
                gateway.http_connections_max < 2 || gateway.connections_max < 2,
                "http_connections_max or connections_max is 1: one client keeps all others out",
            ),
            (
                gateway.api_body_bytes_max < limits.message_bytes_max,
                "api_body_bytes_max is smaller than message_bytes_max: a back end may publish less than a client",
            ),
            (
                gateway.compression && gateway.compression_bytes_min > limits.welcome_bytes_max,
                "compression_bytes_min is larger than any message: compression = true does nothing",
            ),
            (
                gateway.http_idle_timeout < SHORTEST_IDLE,
                "http_idle_timeout is shorter than a second: connections of proxies close under their requests",
            ),
            (
                self.logins.iter().any(|login| login.timeout >= gateway.backend_timeout),
                "[[login]] timeout is not shorter than backend_timeout: a login is given up before its vendor has answered",
            ),
            (relaxed_memory, "durability = \"relaxed\" does nothing with engine = \"memory\""),
        ];
        checks.into_iter().filter(|(is_odd, _)| *is_odd).map(|(_, words)| words.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::findings::tests::finding_in;

    #[test]
    fn senseless_limits_are_reported_by_name() {
        for (text, named) in [
            ("[limits]\npark_ms = 30_000", "park_ms"),
            ("[limits]\nticket_ms = 60_000", "ticket_ms"),
            ("[limits]\nadmission_wait_ms = 10_000", "admission_wait_ms"),
            ("[limits]\nreplies_bytes_max = \"512KiB\"", "replies_bytes_max"),
            ("[limits]\nreplies_unseen_bytes_max = \"32KiB\"", "replies_unseen_bytes_max"),
            ("[limits]\nreplies_unseen_max = 100", "replies_unseen_max"),
            ("[limits]\nappends_bytes_max = \"32KiB\"", "appends_bytes_max"),
            ("[limits]\ncalls_bytes_max = \"1KiB\"", "calls_bytes_max"),
            ("[limits]\nhello_bytes_max = 10", "hello_bytes_max"),
            ("[limits]\nreplies_floor_bytes = \"2MiB\"", "replies_floor_bytes"),
            ("[limits]\nlog_bytes_max = \"32KiB\"", "tail_bytes_max"),
            ("[limits]\nchannel_count_max = 1000", "channels_max"),
            ("[limits]\nsessions_max = 1000", "connections_max"),
            ("[limits]\nappends_bytes_max = \"70KiB\"", "appends_bytes_max"),
            ("[limits]\nmessage_bytes_max = 10", "message_bytes_max"),
            ("[limits]\nwelcome_bytes_max = 100", "welcome_bytes_max"),
            ("[limits]\nhellos_max = 1", "hellos_max"),
            ("[limits]\nauth_age_ms = \"1m\"", "auth_age_ms"),
            ("[limits]\nattempt_ahead_ms = 1", "attempt_ahead_ms"),
            ("[server]\nbackend_timeout = \"40s\"", "backend_timeout"),
            ("[limits]\npresence_seats_max = 1", "presence_seats_max"),
            ("[limits]\npresence_bytes_max = 1", "presence_bytes_max"),
            ("[limits]\npages_max = 1", "pages_connection_max"),
            (
                "[limits]\nreplies_bytes_max = \"1MiB\"\nreplies_floor_bytes = \"200KiB\"",
                "replies_floor_bytes",
            ),
            ("[server]\nhttp_connections_max = 1", "http_connections_max"),
            ("[server]\napi_body_bytes_max = 1000", "api_body_bytes_max"),
            ("[server]\ncompression = true\ncompression_bytes_min = \"1GiB\"", "compression_bytes_min"),
            ("[server]\nhttp_idle_timeout = \"75ms\"", "http_idle_timeout"),
            ("[drain]\nspread = \"30s\"", "spread"),
            ("[limits]\ncall_ms_max = 60_000", "call_ms_max"),
            (
                "[[login]]\nprovider = \"wechat\"\napp_id = \"wx1\"\napp_secret = \"s\"\ntimeout = \"5s\"",
                "[[login]] timeout",
            ),
            ("[server]\nengine = \"memory\"\ndurability = \"relaxed\"", "durability"),
            ("[[channels]]\nmatch = \"a\"\nhistory = { bytes = \"1KiB\" }", "message_bytes_max"),
            (
                "[server]\nengine = \"memory\"\n[[channels]]\nmatch = \"a\"\nhistory = { bytes = \"2GiB\" }",
                "log_bytes_max",
            ),
            ("[[channels]]\nmatch = \"user:*\"\nsubscribe = \"any\"", "inboxes"),
            ("[[channels]]\nmatch = \"user:*\"\nhistory_access = \"any\"", "inboxes"),
            ("[[channels]]\nmatch = \"cart:*\"\npublish = \"guest\"", "$guest"),
        ] {
            let finding = finding_in(text);
            assert!(finding.contains(named), "{text}: {finding}");
        }
    }
}
