//! Settings that can be used and are hardly meant: `tautline check` prints them, and `serve` logs them.
//!
//! Start at [`Settings::findings`]. Each has cost an evening of debugging.

use tautline_hub::{Access, ChannelRule, Place, PresenceMode};
use tautline_protocol::ChannelName;

use super::{AUTH_SECRET, AUTH_SECRET_OLD, Engine, Environment, Settings};

impl Settings {
    /// All that is hardly meant, each in one line that names the setting and says what it does.
    #[must_use]
    pub fn findings(&self, environment: &Environment) -> Vec<String> {
        let mut findings = environment.findings();
        findings.extend(self.secrets_in.iter().filter_map(|file| tautline_files::open_to_others(file)));
        findings.extend(self.listen_findings());
        findings.extend(self.login_findings());
        findings.extend(self.rule_findings());
        findings.extend(self.hook_findings());
        findings.extend(self.limit_findings());
        if self.plain.enabled {
            findings.extend(self.plain.findings());
        }
        findings
    }

    fn login_findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        let secrets = [
            (&self.hs256_secret, AUTH_SECRET, "hs256_secret"),
            (&self.hs256_secret_old, AUTH_SECRET_OLD, "hs256_secret_old"),
        ];
        for (secret, variable, key) in secrets {
            if secret.as_ref().is_some_and(|secret| secret.expose().trim() != secret.expose()) {
                findings.push(format!(
                    "{variable} or [auth] {key} begins or ends with white space, often the new line at the end of \
                     a file: tokens that are signed without it are refused"
                ));
            }
        }
        if self.guests && self.allowed_origins.is_empty() && !self.dev {
            findings.push(
                "guests are let in, and [server] allowed_origins names no origin: every web page may connect as a guest, in \
                 the browser of every visitor"
                    .to_owned(),
            );
        }
        let has_tokens =
            self.hs256_secret.is_some() || !self.tokens.keys.is_empty() || !self.tokens.jwks.is_empty();
        if self.dev || has_tokens {
            return findings;
        }
        if self.has_login_hook() {
            return findings;
        }
        if !self.guests && self.logins.is_empty() {
            findings.push(format!(
                "nobody can connect: set {AUTH_SECRET} or [auth] hs256_secret, name a provider in [[login]], let guests in \
                 with [auth] guests, or ask the app's back end with [[hooks]] on \"connect\""
            ));
        }
        for rule in self.channels.iter().filter(|rule| !is_of_inboxes(rule)) {
            for (act, access) in accesses(rule) {
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
            let has_guest = rule.pattern.has(Place::Guest);
            for (act, _) in accesses(rule).filter(|(_, access)| *access == Access::Guest && !has_guest) {
                findings.push(format!(
                    "channels {pattern:?}: {act} = \"guest\" opens it to nobody, for the pattern has no `$guest` that \
                     says which guest"
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
}

fn is_of_inboxes(rule: &ChannelRule) -> bool {
    rule.pattern.as_str().starts_with(ChannelName::USER_PREFIX)
}

/// The options of a rule that say who has a permission, as far as they are set.
pub(super) fn accesses(rule: &ChannelRule) -> impl Iterator<Item = (&'static str, Access)> {
    let set = [
        ("subscribe", Some(rule.subscribe)),
        ("publish", Some(rule.publish)),
        ("history_access", rule.history_access),
        ("presence_access", rule.presence_access),
    ];
    set.into_iter().filter_map(|(option, access)| Some((option, access?)))
}

fn has_more_than_history(rule: &ChannelRule) -> bool {
    accesses(rule).any(|(_, access)| access != Access::None) || rule.presence != PresenceMode::Off || rule.ack
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::{
        super::{Flags, Loaded},
        *,
    };

    const SECRET: &str = "[auth]\nhs256_secret = \"0123456789abcdef0123456789abcdef\"\n";

    pub(in crate::config) fn findings_in(file: &str, variables: &[(&str, &str)]) -> Vec<String> {
        let environment = Environment::of(variables.iter().copied());
        let loaded = Loaded::of(Some(Path::new("tautline.toml")), file, &Flags::default(), &environment);
        loaded.map_err(|error| error.to_string()).unwrap().settings.findings(&environment)
    }

    /// The one finding in a file that is in order but for this.
    pub(in crate::config) fn finding_in(more: &str) -> String {
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
        for (first, second) in [
            ("*", "news"),
            ("room:*", "room:vip:*"),
            ("news", "news"),
            ("a*", "a"),
            ("order:*", "order:$user:*"),
        ] {
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
    fn secret_with_newline_is_reported_and_hidden() {
        let secret = "0123456789abcdef0123456789abcdef\n";
        let in_file = "[auth]\nhs256_secret = \"0123456789abcdef0123456789abcdef\\n\"";
        let old = findings_in(SECRET, &[(AUTH_SECRET_OLD, secret)]);
        for findings in [findings_in("", &[(AUTH_SECRET, secret)]), findings_in(in_file, &[]), old] {
            assert_eq!(findings.len(), 1, "{findings:#?}");
            assert!(findings[0].contains("white space") && !findings[0].contains("0123"), "{findings:#?}");
        }
    }
}
