//! Names and heartbeats that can be used and are hardly meant.
//!
//! Start at [`PlainConfig::findings`].

use super::config::{Heartbeat, Names, PlainConfig};

/// The fields of a login (protocol, section 3).
const LOGIN_FIELDS: [&str; 4] = ["token", "code", "provider", "guest"];
/// The field of an answer whose name is fixed.
const RETRY_AFTER: &str = "retry_after_ms";

impl PlainConfig {
    /// What keeps clients from logging in, or makes answers that no client can read: a line for each.
    #[must_use]
    pub fn findings(&self) -> Vec<String> {
        let names = &self.names;
        let received = [("kind", &*names.kind), ("id", &names.id), ("account", &names.account)];
        let types = [("auth", &*names.auth), ("logout", &names.logout)];
        let sent = names.sent();
        let mut findings = Vec::new();
        for (option, name) in received.iter().chain(&types).chain(&sent) {
            if name.is_empty() && *option != "id" {
                findings.push(format!("[plain.names] {option} is empty"));
            }
        }
        for (option, name) in received {
            if LOGIN_FIELDS.contains(&name) {
                findings.push(format!(
                    "[plain.names] {option} = {name:?} is a field of logins: no client can log in with it"
                ));
            }
        }
        findings.extend(same("received messages", &received));
        findings.extend(same("the types of received messages", &types));
        findings.extend(same("answers", &sent));
        for (option, name) in types {
            findings.extend(self.heartbeat_that_takes(name).map(|heartbeat| {
                format!(
                    "[plain] heartbeats: {heartbeat} takes every message of [plain.names] {option} = {name:?}"
                )
            }));
        }
        findings.dedup();
        findings
    }

    /// The heartbeat that comes before a message of this type.
    fn heartbeat_that_takes(&self, name: &str) -> Option<String> {
        self.heartbeats.iter().find_map(|heartbeat| match heartbeat {
            Heartbeat::Type { kind, .. } if **kind == *name => Some(format!("type = {name:?}")),
            // The end of a JSON object.
            Heartbeat::Text { text, .. } if matches!(&**text, "*" | "*}") => Some(format!("text = {text:?}")),
            _ => None,
        })
    }
}

impl Names {
    /// The fields of an answer.
    fn sent(&self) -> [(&'static str, &str); 8] {
        [
            ("answer_kind", &self.answer_kind),
            ("id", &self.id),
            ("code", &self.code),
            ("success", &self.success),
            ("user", &self.user),
            ("data", &self.data),
            ("words", &self.words),
            (RETRY_AFTER, RETRY_AFTER),
        ]
    }
}

/// Two options with one name.
fn same(of: &str, names: &[(&str, &str)]) -> Vec<String> {
    let mut findings = Vec::new();
    for (nth, (option, name)) in names.iter().enumerate() {
        let earlier = names[..nth].iter().find(|(_, other)| other == name && !name.is_empty());
        findings.extend(earlier.map(|(other, _)| {
            format!(
                "[plain.names] {other} and {option} are both {name:?}, in {of}: each needs a name of its own"
            )
        }));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change, and words of its finding.
    type Change<T> = (fn(&mut T), &'static str);

    fn findings(change: impl FnOnce(&mut PlainConfig)) -> Vec<String> {
        let mut config = PlainConfig::default();
        change(&mut config);
        config.findings()
    }

    #[test]
    fn default_names_have_no_findings() {
        assert_eq!(findings(|_| {}), [""; 0]);
        assert_eq!(findings(|config| config.names.gap.clear()), [""; 0], "nothing is told of gaps");
        let same_in_both = |config: &mut PlainConfig| config.names.answer_kind = config.names.kind.clone();
        assert_eq!(findings(same_in_both), [""; 0], "a message and its answer may name their type alike");
    }

    #[test]
    fn names_that_shut_all_out_are_found() {
        let changes: [Change<PlainConfig>; 9] = [
            (|config| config.names.auth = "ping".into(), "heartbeats: type = \"ping\" takes"),
            (|config| config.names.logout = "heartBeat".into(), "logout = \"heartBeat\""),
            (|config| config.names.auth = "logout".into(), "auth and logout are both"),
            (|config| config.names.kind = "token".into(), "kind = \"token\" is a field of logins"),
            (|config| config.names.account = "token".into(), "account = \"token\" is a field of logins"),
            (|config| config.names.kind = "$user".into(), "kind and account are both"),
            (|config| config.names.kind = "id".into(), "kind and id are both"),
            (|config| config.names.kind.clear(), "kind is empty"),
            (
                |config| config.heartbeats.push(Heartbeat::Text { text: "*}".into(), answer: "".into() }),
                "text = \"*}\" takes",
            ),
        ];
        for (change, words) in changes {
            let found = findings(change);
            assert!(found.iter().any(|finding| finding.contains(words)), "{words}: {found:?}");
        }
    }

    #[test]
    fn answer_with_two_fields_of_one_name_is_found() {
        let changes: [Change<Names>; 4] = [
            (|names| names.answer_kind = "code".into(), "answer_kind and code are both"),
            (|names| names.words = "retry_after_ms".into(), "words and retry_after_ms are both"),
            (|names| names.user = "data".into(), "user and data are both"),
            (|names| names.id = "msgType".into(), "answer_kind and id are both"),
        ];
        for (change, words) in changes {
            let found = findings(|config| change(&mut config.names));
            assert!(found.len() == 1 && found[0].contains(words), "{words}: {found:?}");
        }
    }
}
