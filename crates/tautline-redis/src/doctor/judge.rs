//! What the facts about a server mean. No I/O.
//!
//! Start at [`judge`].

use std::collections::HashMap;

use super::{Finding, Grade, finding};
use crate::{Acknowledge, RedisOptions, address::Mode};

/// The oldest version with the commands that are used.
const VERSION_MIN: (u64, u64) = (6, 2);
/// A clock that differs by more is worth a word.
const CLOCK_MS_MAX: u64 = 1_000;

/// What a server said of itself; what it refused to say is missing.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// `INFO`, by name.
    pub(super) info: HashMap<String, String>,
    /// `CONFIG GET`, by name.
    pub(super) config: HashMap<String, String>,
    /// Its clock ahead of ours, in milliseconds.
    pub(super) clock_ms: Option<i64>,
}

/// What the facts mean.
pub(super) fn judge(facts: &Facts, options: &RedisOptions) -> Vec<Finding> {
    let info = |name: &str| facts.info.get(name).map(String::as_str);
    let number = |name: &str| info(name).and_then(|text| text.parse::<u64>().ok());
    let mut findings = Vec::new();
    let mut find = |grade, what, words: String| findings.push(finding(grade, what, words));
    let (name, version) = match info("valkey_version") {
        Some(version) => ("Valkey", Some(version)),
        None => ("Redis", info("redis_version")),
    };
    match version.map(|version| (version, parse_version(version))) {
        Some((version, Some(parsed))) if parsed < VERSION_MIN => {
            find(Grade::Fault, "version", format!("{name} {version}: 6.2 is needed"));
        }
        Some((version, _)) => find(Grade::Good, "version", format!("{name} {version}")),
        None => find(Grade::Warning, "version", "it does not say (INFO is refused)".to_owned()),
    }
    let mode = match (&options.url.mode, info("redis_mode")) {
        (Mode::Cluster(_), Some("cluster")) => {
            (Grade::Good, "a cluster: one slot for each partition".to_owned())
        }
        (Mode::Cluster(_), mode) => {
            (Grade::Fault, format!("it is no cluster ({})", mode.unwrap_or("unknown")))
        }
        (_, Some("cluster")) => {
            (Grade::Warning, "a cluster: name it redis+cluster://, so that all nodes are asked".to_owned())
        }
        (Mode::Sentinel { name, .. }, _) => (Grade::Good, format!("by Sentinels, the primary of {name}")),
        (Mode::Single(_), _) => (Grade::Good, "one server, or a proxy".to_owned()),
    };
    find(mode.0, "mode", mode.1);
    match info("maxmemory_policy") {
        Some("noeviction") => {
            find(Grade::Good, "memory", "noeviction: beyond maxmemory publishes are refused".to_owned())
        }
        Some(policy) => {
            let words = format!("maxmemory-policy {policy} may delete parts of logs: set noeviction");
            let none = number("maxmemory") == Some(0);
            find(if none { Grade::Warning } else { Grade::Fault }, "memory", words);
        }
        None => find(
            Grade::Warning,
            "memory",
            "it does not say its maxmemory-policy: it must be noeviction".to_owned(),
        ),
    }
    match (info("aof_enabled"), facts.config.get("appendfsync").map(String::as_str)) {
        (Some("1"), Some("always")) => find(Grade::Good, "persistence", "every write is synced".to_owned()),
        (Some("1"), _) => find(
            Grade::Good,
            "persistence",
            "appended commands, synced each second: a crash may lose one".to_owned(),
        ),
        (Some(_), _) => {
            let words = "no file of appended commands: a restart loses what the last snapshot does not have; set appendonly yes";
            find(Grade::Warning, "persistence", words.to_owned());
        }
        (None, _) => find(Grade::Warning, "persistence", "it does not say".to_owned()),
    }
    let replicas = number("connected_slaves");
    match (replicas, options.acknowledge) {
        (Some(0), Acknowledge::Replica) => {
            find(
                Grade::Fault,
                "replicas",
                "none, and acknowledge = \"replica\": every publish would be in doubt".to_owned(),
            );
        }
        (Some(0), Acknowledge::Primary) => {
            find(Grade::Warning, "replicas", "none: if this server is lost, so are its logs".to_owned());
        }
        (Some(count), _) => {
            let writes = facts.config.get("min-replicas-to-write").map(String::as_str);
            match writes {
                Some("0") => find(
                    Grade::Warning,
                    "replicas",
                    format!(
                        "{count}; set min-replicas-to-write 1, so that a primary that is cut off takes no writes"
                    ),
                ),
                _ => find(Grade::Good, "replicas", count.to_string()),
            }
        }
        (None, _) => find(Grade::Warning, "replicas", "it does not say".to_owned()),
    }
    if let Some(ahead) = facts.clock_ms {
        let grade = if ahead.unsigned_abs() > CLOCK_MS_MAX { Grade::Warning } else { Grade::Good };
        find(grade, "clock", format!("{ahead} ms ahead of this machine (it is not used)"));
    }
    findings
}

fn parse_version(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(info: &[(&str, &str)]) -> Facts {
        let usual =
            [("redis_version", "7.0.15"), ("redis_mode", "standalone"), ("maxmemory_policy", "noeviction")];
        let rest = [("aof_enabled", "1"), ("connected_slaves", "1"), ("maxmemory", "100")];
        let all = usual.iter().chain(&rest).chain(info);
        Facts {
            info: all.map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            ..Facts::default()
        }
    }

    fn options(url: &str) -> RedisOptions {
        RedisOptions::new(url.parse().expect("a valid URL"))
    }

    fn worst(facts: &Facts, options: &RedisOptions) -> (Grade, &'static str) {
        let worst = judge(facts, options).into_iter().max_by_key(|finding| finding.grade).expect("some");
        (worst.grade, worst.what)
    }

    #[test]
    fn well_kept_server_has_no_fault() {
        assert_eq!(worst(&facts(&[]), &options("redis://a")).0, Grade::Good);
    }

    #[test]
    fn what_loses_or_refuses_publications_is_found() {
        let one = options("redis://a");
        for (info, found) in [
            (("redis_version", "6.0.16"), (Grade::Fault, "version")),
            (("maxmemory_policy", "allkeys-lru"), (Grade::Fault, "memory")),
            (("aof_enabled", "0"), (Grade::Warning, "persistence")),
            (("connected_slaves", "0"), (Grade::Warning, "replicas")),
            (("redis_mode", "cluster"), (Grade::Warning, "mode")),
        ] {
            assert_eq!(worst(&facts(&[info]), &one), found);
        }
        assert_eq!(worst(&facts(&[]), &options("redis+cluster://a")), (Grade::Fault, "mode"));
        let replica = RedisOptions { acknowledge: Acknowledge::Replica, ..one };
        assert_eq!(worst(&facts(&[("connected_slaves", "0")]), &replica), (Grade::Fault, "replicas"));
    }

    #[test]
    fn server_that_says_nothing_is_only_warned_about() {
        assert_eq!(worst(&Facts::default(), &options("redis://a")).0, Grade::Warning);
    }
}
