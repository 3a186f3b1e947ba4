//! The part of the page that stands beside uWebSockets: its figures are where some of our goals come from, so each of these goals
//! is held against what it needs here.

use std::fmt::Write as _;

use super::{
    super::{goals, numbers::number},
    columns::spread,
    load::RESIDENT_BYTES_MORE,
    peer_results::PeerResults,
    peers::UWEBSOCKETS,
};
use crate::measurements::{CPU_CALL, CPU_DELIVERY, Measured};

const ABOUT: &str = "\
Some goals come from figures of uWebSockets.js, taken elsewhere on a similar machine (0.45 KB idle; 1 → 1,000 with 16 in flight 0.58 s and 1.43M \
deliveries a second, one in flight 4.8 s; 1 → 10,000 1.3 s and 734,000; 173,000 echoes a second), others from loads like these. uWebSockets.js is not on \
npm's registry; Bun is, and its server is the same C++. Here it is measured in the same runs as Tautline, so that a slow machine can be told from a slow gateway: \
figures in bold miss the goal, and the last column is Tautline's figure over that of uWebSockets in each run, the median of them. Objects of Bun's \
JavaScript are part of what a connection takes.";

struct Goal {
    what: &'static str,
    unit: &'static str,
    most: f64,
    scenario: &'static str,
    figure: &'static str,
}

const fn goal(
    what: &'static str,
    unit: &'static str,
    most: f64,
    scenario: &'static str,
    figure: &'static str,
) -> Goal {
    Goal { what, unit, most, scenario, figure }
}

const PER_DELIVERY: &str = "CPU s per 1M deliveries";
const PER_HEARTBEAT: &str = "µs of CPU a second each";

static GOALS: [Goal; 8] = [
    goal("1 → 1,000, 16 in flight", PER_DELIVERY, goals::FANOUT, "fanout", CPU_DELIVERY),
    goal("1 → 1,000, one in flight", PER_DELIVERY, goals::FANOUT_ONE, "fanout-one", CPU_DELIVERY),
    goal("1 → 10,000, 8 in flight", PER_DELIVERY, goals::FANOUT_10000, "fanout-10000", CPU_DELIVERY),
    goal("echo", "CPU s per 1M echoes", goals::ECHO, "echo", CPU_CALL),
    goal("1 → 1,000, 10 a second, p99", "ms", goals::LATENCY_P99_MS, "fanout-slowly", "latency_p99_ms"),
    goal(
        "heartbeats, 10,000 connections",
        PER_HEARTBEAT,
        goals::HEARTBEAT_US,
        "idle",
        "heartbeat_cpu_us_per_s_each",
    ),
    goal(
        "heartbeats, as a million send them",
        PER_HEARTBEAT,
        goals::HEARTBEAT_US,
        "idle",
        "heartbeat_cpu_us_per_s_each_of_a_million",
    ),
    goal(
        "idle, from 1,000 to 10,000 connections",
        "bytes each",
        goals::IDLE_BYTES,
        "idle",
        RESIDENT_BYTES_MORE,
    ),
];

/// Nothing, where uWebSockets was not measured beside us.
pub fn section(others: &[PeerResults]) -> String {
    let rows: Vec<_> = others
        .iter()
        .filter(|it| it.name == UWEBSOCKETS)
        .flat_map(|theirs| {
            GOALS.iter().filter_map(|goal| row(goal, &theirs.pairs(goal.scenario, goal.figure)))
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\n## Beside {UWEBSOCKETS}\n\n{ABOUT}\n\n| | goal | {UWEBSOCKETS} here | Tautline in the same run | ratio | |\n|---|--:|--:|--:|--:|---|\n"
    );
    rows.iter().for_each(|row| text.push_str(row));
    text
}

fn row(goal: &Goal, pairs: &[(f64, f64)]) -> Option<String> {
    let theirs = Measured::of(pairs.iter().map(|(theirs, _)| *theirs))?;
    let ours = Measured::of(pairs.iter().map(|(_, ours)| *ours))?;
    let ratios = pairs.iter().filter(|(theirs, _)| *theirs > 0.0).map(|(theirs, ours)| ours / theirs);
    let ratio = Measured::of(ratios).map_or_else(String::new, |ratio| format!("×{}", spread(ratio, number)));
    let [theirs, ours] = [theirs, ours].map(|measured| {
        let text = spread(measured, number);
        if measured.median > goal.most { format!("**{text}**") } else { text }
    });
    let mut line = String::new();
    let _ = writeln!(
        line,
        "| {} | ≤ {} | {theirs} | {ours} | {ratio} | {} |",
        goal.what,
        number(goal.most),
        goal.unit
    );
    Some(line)
}

#[cfg(test)]
mod tests {
    use crate::measurements::Figures;

    use super::{
        super::{peers::PEERS, scenarios::SCENARIOS},
        *,
    };

    fn cpu(value: f64) -> Figures {
        Figures::from([(CPU_CALL.to_owned(), value)])
    }

    #[test]
    fn goal_is_shown_beside_both_figures() {
        let mut theirs = PeerResults::new("slug", UWEBSOCKETS, String::new(), None);
        for (uws, tautline) in [(6.0, 6.6), (8.0, 8.0), (6.4, 8.0)] {
            theirs.add("echo", Ok(cpu(uws)), Some(cpu(tautline)));
        }
        let text = section(&[theirs]);
        let row = "| echo | ≤ 6.70 | 6.40 (6.00–8.00) | **8.00 (6.60–8.00)** | ×1.10 (1.00–1.25) | CPU s per 1M echoes |\n";
        assert!(text.ends_with(row), "{text}");
    }

    #[test]
    fn without_it_there_is_no_section() {
        let other = PeerResults::new("slug", "other", String::new(), None);
        assert_eq!(section(&[other, PeerResults::new("slug", UWEBSOCKETS, String::new(), None)]), "");
    }

    #[test]
    fn every_goal_is_measured() {
        assert!(PEERS.iter().any(|peer| peer.name == UWEBSOCKETS));
        for goal in &GOALS {
            assert!(SCENARIOS.iter().any(|scenario| scenario.name == goal.scenario), "{}", goal.what);
        }
    }
}
