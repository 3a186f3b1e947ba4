//! Settings that can be used and are hardly meant: `tautline check` prints them, and `serve` logs them.
//!
//! Start at [`Settings::findings`]. Each has cost an evening of debugging.

use tautline_hub::{Access, ChannelRule, PresenceMode};
use tautline_process::units::whole_ms;
use tautline_protocol::ChannelName;

use super::{AUTH_SECRET, Durability, Engine, Environment, Settings};

/// How alike two names are from which on one is taken for a slip of the other: 1 is the same.
const ALIKE_MIN: f64 = 0.85;

impl Settings {
    /// All that is hardly meant, each in one line that names the setting and says what it does.
    #[must_use]
    pub fn findings(&self, environment: &Environment) -> Vec<String> {
        let mut findings = environment.findings();
        findings.extend(self.secrets_in.as_deref().and_then(tautline_files::open_to_others));
        findings.extend(self.login_findings());
        findings.extend(self.rule_findings());
        findings.extend(self.limit_findings());
        findings
    }

    fn login_findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        if let Some(secret) = &self.hs256_secret
            && secret.expose().trim() != secret.expose()
        {
            findings.push(format!(
                "{AUTH_SECRET} or [auth] hs256_secret begins or ends with white space, often the new line at the end of \
                 a file: tokens that are signed without it are refused"
            ));
        }
        if self.guests && self.allowed_origins.is_empty() && !self.dev {
            findings.push(
                "guests are let in, and [server] allowed_origins names no origin: every web page may connect as a guest, in \
                 the browser of every visitor"
                    .to_owned(),
            );
        }
        if self.dev || self.hs256_secret.is_some() {
            return findings;
        }
        if !self.guests {
            findings.push(format!(
                "nobody can connect: set {AUTH_SECRET} or [auth] hs256_secret, or let guests in with [auth] guests"
            ));
        }
        for rule in self.channels.iter().filter(|rule| !is_of_inboxes(rule)) {
            for (act, access) in [("subscribe", rule.subscribe), ("publish", rule.publish)] {
                if access == Access::Token {
                    findings.push(format!(
                        "channels {:?}: {act} = \"token\" opens it to nobody, for no token is accepted without a secret \
                         ({AUTH_SECRET} or [auth] hs256_secret)",
                        rule.pattern.as_str()
                    ));
                }
            }
        }
        findings
    }

    fn rule_findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        // With `--dev` the last rule is ours, and all of them are opened.
        let of_file = self.channels.len() - usize::from(self.dev);
        for (index, rule) in self.channels[..of_file].iter().enumerate() {
            let pattern = rule.pattern.as_str();
            // Rules of inboxes and of other channels are never asked for each other's.
            let mut earlier =
                self.channels[..index].iter().filter(|other| is_of_inboxes(other) == is_of_inboxes(rule));
            if let Some(first) = earlier.find(|other| other.pattern.covers(&rule.pattern)) {
                findings.push(format!(
                    "channels {pattern:?}: this rule never holds, for {:?} stands before it and matches all of its \
                     channels; the first match counts",
                    first.pattern.as_str()
                ));
            }
            if is_of_inboxes(rule) && has_more_than_history(rule) && !self.dev {
                findings.push(format!(
                    "channels {pattern:?}: inboxes take nothing but `history` from a rule; its other words do nothing"
                ));
            }
            let message = self.limits.protocol.message_bytes_max;
            if rule.retention.bytes < message {
                findings.push(format!(
                    "channels {pattern:?}: history keeps {} bytes, and one message may have {message} \
                     (message_bytes_max): it would not be kept",
                    rule.retention.bytes
                ));
            }
            if self.engine == Engine::Memory && rule.retention.bytes > self.limits.engine.log_bytes_max {
                findings.push(format!(
                    "channels {pattern:?}: one channel may keep {} bytes, and the whole node {} (log_bytes_max)",
                    rule.retention.bytes, self.limits.engine.log_bytes_max
                ));
            }
        }
        findings
    }

    fn limit_findings(&self) -> Vec<String> {
        let (limits, hub, engine, drain) =
            (&self.limits.protocol, &self.limits.hub, &self.limits.engine, &self.drain);
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
                hub.appends_bytes_max < limits.message_bytes_max,
                "appends_bytes_max is smaller than message_bytes_max: the largest publications are always refused",
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
                self.gateway.connections_max > hub.sessions_max,
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
            (relaxed_memory, "durability = \"relaxed\" does nothing with engine = \"memory\""),
        ];
        checks.into_iter().filter(|(is_odd, _)| *is_odd).map(|(_, words)| words.to_owned()).collect()
    }
}

impl Environment {
    /// Variables that look like ours and are not.
    fn findings(&self) -> Vec<String> {
        self.strangers()
            .map(|stranger| match self.similar_to(stranger) {
                Some(known) => {
                    format!(
                        "environment variable {stranger} is not known and does nothing: is {known} meant?"
                    )
                }
                None => format!("environment variable {stranger} is not known and does nothing"),
            })
            .collect()
    }

    fn similar_to(&self, stranger: &str) -> Option<&'static str> {
        let likeness = |known: &str| {
            let (stranger, known) = (after_prefix(stranger), after_prefix(known));
            let is_part = stranger.contains(known) || known.contains(stranger);
            if is_part { 1.0 } else { strsim::jaro_winkler(stranger, known) }
        };
        let known = Self::KNOWN.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
        (likeness(known) >= ALIKE_MIN).then_some(known)
    }
}

/// All have the prefix, which would make them all alike.
fn after_prefix(name: &str) -> &str {
    name.strip_prefix(Environment::PREFIX).unwrap_or(name)
}

fn is_of_inboxes(rule: &ChannelRule) -> bool {
    rule.pattern.as_str().starts_with(ChannelName::USER_PREFIX)
}

fn has_more_than_history(rule: &ChannelRule) -> bool {
    rule.subscribe != Access::None
        || rule.publish != Access::None
        || rule.presence != PresenceMode::Off
        || rule.ack
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::file, *};

    const SECRET: &str = "[auth]\nhs256_secret = \"0123456789abcdef0123456789abcdef\"\n";

    fn findings_in(file: &str, variables: &[(&str, &str)]) -> Vec<String> {
        let environment = Environment::of(variables.iter().copied());
        let mut settings = Settings::default();
        settings.apply_file(file::File::parse(Path::new("tautline.toml"), file).unwrap());
        settings.apply_environment(&environment).unwrap();
        settings.findings(&environment)
    }

    /// The one finding in a file that is in order but for this.
    fn finding_in(more: &str) -> String {
        let findings = findings_in(&format!("{SECRET}{more}"), &[]);
        assert_eq!(findings.len(), 1, "{more}: {findings:#?}");
        findings.into_iter().next().unwrap()
    }

    #[test]
    fn the_example_with_a_secret_has_no_findings() {
        let example =
            include_str!("../../tautline.example.toml").replace("# hs256_secret = \"…\"", &SECRET[7..]);
        assert_eq!(findings_in(&example, &[]), [""; 0]);
    }

    #[test]
    fn a_rule_behind_a_wider_one_never_holds() {
        for (first, second) in [("*", "news"), ("room:*", "room:vip:*"), ("news", "news"), ("a*", "a")] {
            let rules = format!("[[channels]]\nmatch = \"{first}\"\n[[channels]]\nmatch = \"{second}\"\n");
            let finding = finding_in(&rules);
            assert!(finding.contains("never holds") && finding.contains(second), "{finding}");
        }
        for (first, second) in [("room:vip:*", "room:*"), ("news", "news:*"), ("*", "user:*"), ("a", "b")] {
            let rules =
                format!("{SECRET}[[channels]]\nmatch = \"{first}\"\n[[channels]]\nmatch = \"{second}\"\n");
            assert_eq!(findings_in(&rules, &[]), [""; 0]);
        }
    }

    #[test]
    fn token_rules_without_a_secret_are_reported() {
        let rule = "[[channels]]\nmatch = \"room:*\"\nsubscribe = \"token\"\npublish = \"token\"\n";
        let guests = "[server]\nallowed_origins = [\"https://shop.example\"]\n[auth]\nguests = true\n";
        let findings = findings_in(&format!("{guests}{rule}"), &[]);
        assert_eq!(findings.len(), 2, "{findings:#?}");
        assert!(
            findings[0].contains("\"room:*\": subscribe = \"token\" opens it to nobody"),
            "{findings:#?}"
        );
        let variables = [(AUTH_SECRET, "0123456789abcdef0123456789abcdef")];
        assert_eq!(findings_in(rule, &variables), [""; 0]);
        assert!(findings_in("", &[])[0].contains("nobody can connect"));
    }

    #[test]
    fn guests_without_listed_origins_are_found() {
        let finding = &findings_in("[auth]\nguests = true\n", &[])[0];
        assert!(finding.contains("allowed_origins") && finding.contains("every web page"), "{finding}");
    }

    #[test]
    fn mistyped_variable_is_reported_with_a_suggestion() {
        for (mistyped, meant) in [
            ("TAUTLINE_AUTH_SECRETS", Some("TAUTLINE_AUTH_SECRET")),
            ("TAUTLINE_SECRET", Some("TAUTLINE_AUTH_SECRET")),
            ("TAUTLINE_API_KEYS", Some("TAUTLINE_API_KEY")),
            ("TAUTLINE_LISTENS", Some("TAUTLINE_LISTEN")),
            ("TAUTLINE_LSITEN", Some("TAUTLINE_LISTEN")),
            ("TAUTLINE_MOTD", None),
        ] {
            let findings = findings_in(SECRET, &[(mistyped, "secret value")]);
            assert_eq!(findings.len(), 1, "{findings:#?}");
            assert!(findings[0].contains(mistyped) && !findings[0].contains("secret value"), "{findings:#?}");
            match meant {
                Some(meant) => assert!(findings[0].ends_with(&format!("is {meant} meant?")), "{findings:#?}"),
                None => assert!(findings[0].ends_with("does nothing"), "{findings:#?}"),
            }
        }
    }

    #[test]
    fn variables_that_kubernetes_sets_are_no_findings() {
        let variables = [
            ("TAUTLINE_SERVICE_HOST", "10.0.0.1"),
            ("TAUTLINE_SERVICE_PORT_HTTP", "8000"),
            ("TAUTLINE_PORT", "tcp://10.0.0.1:8000"),
            ("TAUTLINE_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ];
        assert_eq!(findings_in(SECRET, &variables), [""; 0]);
        assert_eq!(findings_in(SECRET, &[("TAUTLINE_PORT", "8000")]).len(), 1);
    }

    #[test]
    fn secret_with_newline_is_reported_and_hidden() {
        let secret = "0123456789abcdef0123456789abcdef\n";
        let in_file = "[auth]\nhs256_secret = \"0123456789abcdef0123456789abcdef\\n\"";
        for findings in [findings_in("", &[(AUTH_SECRET, secret)]), findings_in(in_file, &[])] {
            assert_eq!(findings.len(), 1, "{findings:#?}");
            assert!(findings[0].contains("white space") && !findings[0].contains("0123"), "{findings:#?}");
        }
    }

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
            ("[limits]\nlog_bytes_max = \"32KiB\"", "tail_bytes_max"),
            ("[limits]\nchannel_count_max = 1000", "channels_max"),
            ("[limits]\nsessions_max = 1000", "connections_max"),
            ("[drain]\nspread = \"30s\"", "spread"),
            ("[limits]\ncall_ms_max = 60_000", "call_ms_max"),
            ("[server]\nengine = \"memory\"\ndurability = \"relaxed\"", "durability"),
            ("[[channels]]\nmatch = \"a\"\nhistory = { bytes = \"1KiB\" }", "message_bytes_max"),
            (
                "[server]\nengine = \"memory\"\n[[channels]]\nmatch = \"a\"\nhistory = { bytes = \"2GiB\" }",
                "log_bytes_max",
            ),
            ("[[channels]]\nmatch = \"user:*\"\nsubscribe = \"any\"", "inboxes"),
        ] {
            let finding = finding_in(text);
            assert!(finding.contains(named), "{text}: {finding}");
        }
    }
}
