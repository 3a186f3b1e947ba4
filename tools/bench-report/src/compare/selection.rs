//! Which servers are measured, and in which scenarios: all, or those that were named.

use anyhow::{Result, ensure};

use super::{
    peers::{PEERS, Peer},
    scenarios::{SCENARIOS, Scenario},
};

/// In the order of the rows, and of the columns.
pub struct Selection {
    pub peers: Vec<&'static Peer>,
    pub scenarios: Vec<&'static Scenario>,
}

impl Selection {
    /// Beginnings of names, of servers and scenarios alike; where there is none of one kind, all of it are meant. Tautline is
    /// always measured, too, because the others are held against it.
    ///
    /// # Errors
    /// When nothing has such a name.
    pub fn of(only: &[String]) -> Result<Self> {
        let is_named =
            |name: &str, word: &String| name.to_lowercase().starts_with(word.to_lowercase().as_str());
        let named = |name: &str| only.iter().any(|word| is_named(name, word));
        for word in only {
            let mut names =
                PEERS.iter().map(|peer| peer.name).chain(SCENARIOS.iter().map(|scenario| scenario.name));
            ensure!(
                names.any(|name| is_named(name, word)),
                "--only {word:?}: no server and no scenario has such a name (see cargo xtask bench --list)"
            );
        }
        let all_peers = !PEERS.iter().any(|peer| named(peer.name));
        let all_scenarios = !SCENARIOS.iter().any(|scenario| named(scenario.name));
        Ok(Self {
            peers: PEERS.iter().filter(|peer| all_peers || named(peer.name) || peer.is_ours()).collect(),
            scenarios: SCENARIOS.iter().filter(|it| all_scenarios || named(it.name)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(only: &[&str]) -> (Vec<&'static str>, Vec<&'static str>) {
        let only: Vec<_> = only.iter().map(|word| (*word).to_owned()).collect();
        let selection = Selection::of(&only).unwrap();
        let peers = selection.peers.iter().map(|peer| peer.name).collect();
        (peers, selection.scenarios.iter().map(|scenario| scenario.name).collect())
    }

    #[test]
    fn everything_is_meant_where_nothing_is_named() {
        let (peers, scenarios) = chosen(&[]);
        assert_eq!((peers.len(), scenarios.len()), (PEERS.len(), SCENARIOS.len()));
        assert_eq!(chosen(&["echo"]).0.len(), PEERS.len());
    }

    #[test]
    fn named_server_is_measured_beside_tautline() {
        assert_eq!(
            chosen(&["uweb", "echo", "idle"]),
            (vec!["Tautline", "uWebSockets"], vec!["idle", "echo"])
        );
        assert_eq!(chosen(&["tautline", "fanout-one"]), (vec!["Tautline"], vec!["fanout-one"]));
    }

    #[test]
    fn a_name_that_nothing_has_is_refused() {
        let refused =
            Selection::of(&["echo".to_owned(), "apache".to_owned()]).err().map(|error| error.to_string());
        assert!(refused.is_some_and(|text| text.contains("apache")));
    }
}
