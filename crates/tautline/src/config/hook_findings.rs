//! Findings about `[[hooks]]`, and about rules that leave the answer to them.
//!
//! Start at [`Settings::hook_findings`].

use tautline_backend::HookKind;
use tautline_hub::Access;

use super::{Settings, findings::accesses};

impl Settings {
    pub(super) fn hook_findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for rule in &self.channels {
            for (act, _) in accesses(rule).filter(|(_, access)| *access == Access::Backend) {
                let kind = act.trim_end_matches("_access");
                if !self.hooks.iter().flat_map(|hook| &hook.on).any(|on| on.as_str() == kind) {
                    findings.push(format!(
                        "channels {:?}: {act} = \"backend\" opens it to nobody, for no [[hooks]] section has \
                         {kind:?} in its `on`",
                        rule.pattern.as_str()
                    ));
                }
            }
        }
        let longest = self.gateway.backend_timeout;
        for hook in &self.hooks {
            if hook.timeout.is_some_and(|timeout| timeout > longest) && hook.on != [HookKind::Call] {
                findings.push(format!(
                    "hooks on {:?}: `timeout` is longer than [server] backend_timeout, which ends the question \
                     first",
                    hook.on.iter().map(|kind| kind.as_str()).collect::<Vec<_>>()
                ));
            }
        }
        findings
    }

    /// Whether a hook lets clients in.
    pub(super) fn has_login_hook(&self) -> bool {
        self.hooks.iter().any(|hook| hook.on.contains(&HookKind::Connect))
    }
}

#[cfg(test)]
mod tests {
    use super::super::findings::tests::{finding_in, findings_in};

    fn hook(on: &str) -> String {
        format!(
            "[[hooks]]\non = {on}\nurl = \"https://shop.example/\"\n\
             secrets = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]\n"
        )
    }

    #[test]
    fn rule_for_the_back_end_without_hook_is_reported() {
        let rule = "[[channels]]\nmatch = \"room:*\"\npublish = \"backend\"\n";
        let finding = finding_in(rule);
        assert!(finding.contains("publish = \"backend\" opens it to nobody"), "{finding}");
        let finding = finding_in(&format!("{rule}{}", hook("[\"subscribe\", \"call\"]")));
        assert!(finding.contains("publish"), "{finding}");
        let history = "[[channels]]\nmatch = \"room:*\"\nhistory_access = \"backend\"\n";
        assert!(finding_in(history).contains("\"history\""));
    }

    #[test]
    fn hook_that_is_slower_than_its_question_is_reported() {
        let slow = format!("{}timeout = \"9s\"\n", hook("\"publish\""));
        assert!(finding_in(&slow).contains("backend_timeout"));
    }

    #[test]
    fn hook_on_connect_lets_clients_in() {
        assert_eq!(findings_in(&hook("\"connect\""), &[]), [""; 0]);
        assert!(findings_in(&hook("\"call\""), &[])[0].contains("nobody can connect"));
    }
}
