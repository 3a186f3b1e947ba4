//! The part of the page that stands beside others: tables, a chart, and what has to be said of each server.

use std::fmt::Write as _;

use super::{
    super::numbers::number,
    columns::{Column, DELIVERIES, OURS, THE_REST},
    peer_results::PeerResults,
    scenarios::SLUG,
    uws,
};
use crate::chart::{Bar, draw_bars};

/// The longest bar stands for so many times our own figure.
const TIMES_MAX: f64 = 100.0;
/// The shortest, for one that is cheaper.
const TIMES_MIN: f64 = 0.25;

const ABOUT: &str = "\
The same load, in the same run: `cargo xtask bench --compare`. Each server is fresh for each figure, has one process or one worker, and \
runs on core 0 while the load runs on core 1; compression is off everywhere, payloads are 128 bytes. After a second that warms up 3 s are measured (6 s with \
10,000 subscribers, 10 s of heartbeats, 20 s of latency). NATS, nchan and mosquitto are spoken to \
over their WebSockets (MQTT at quality of service 0); uWebSockets, ws, socket.io and tornado run the few lines of `tools/bench-report/peers`, uWebSockets as Bun \
brings it. They promise different things: in Tautline's figures are ids, replies, a log and its cursors, and tickets for those who come back.";

/// What the columns hold; how many runs there were stands in front.
const CELLS: &str = "Behind ×: times Tautline's figure. All servers take their turns in a scenario before the next one begins, and \
each is held against Tautline in the same run, because the machine is not equally quick all the time; the median of these ratios is shown.";

const DELIVERIES_ABOUT: &str = "CPU is in seconds for a million deliveries. A rate with ≥ left the server CPU to spare: the load, or \
others on the machine, held it back.";

const REST_ABOUT: &str = "Memory is what each connection from the 1,000th to the 10,000th adds. CPU is in seconds for a million echoes. Heartbeats are µs of CPU a second for each connection that sends one every \
25 s: from 10,000 connections, and as often as from a million. NATS and MQTT have a ping of their own, as Tautline does; the others answer that of \
the WebSocket, which no browser and no mini program can send. The last column is the latency of deliveries, from when each was due.";

/// The sections of the page. Servers stand in the order in which they were measured, Tautline first.
pub fn section(others: &[PeerResults]) -> String {
    let there: Vec<_> = others.iter().filter(|it| it.missing.is_none()).collect();
    let mut text = format!(
        "\n## Beside others\n\n{ABOUT}\n\n![Beside others: CPU for deliveries](performance/{SLUG}.svg)\n\n{} {CELLS}\n",
        runs(others)
    );
    table(&mut text, DELIVERIES_ABOUT, &DELIVERIES, &there);
    table(&mut text, REST_ABOUT, &THE_REST, &there);
    let versions: Vec<_> = there.iter().map(|it| format!("{} {}", it.name, it.version)).collect();
    let _ = writeln!(text, "\n- Versions: {}.", versions.join("; "));
    for results in others {
        if let Some(why) = &results.missing {
            let _ = writeln!(text, "- {} is not there: {why}", results.name);
        }
        for (scenario, count, why) in results.failures() {
            let times = if count > 1 { format!(" ({count} runs)") } else { String::new() };
            let _ = writeln!(text, "- {}, {scenario}{times}: {why}", results.name);
        }
    }
    text + &uws::section(others)
}

fn table(text: &mut String, about: &str, columns: &[Column], rows: &[&PeerResults]) {
    let heads: Vec<_> = columns.iter().map(|column| column.head).collect();
    let line = "--:|".repeat(columns.len());
    let _ = write!(text, "\n{about}\n\n| | {} |\n|---|{line}\n", heads.join(" | "));
    for results in rows {
        let cells: Vec<_> = columns.iter().map(|column| column.cell(results)).collect();
        let _ = writeln!(text, "| {} | {} |", results.name, cells.join(" | "));
    }
}

/// What is shown of how many runs: some may have failed, or have been taken again.
fn runs(others: &[PeerResults]) -> String {
    let counts = || others.iter().flat_map(PeerResults::runs);
    let (least, most) = (counts().min().unwrap_or(0), counts().max().unwrap_or(0));
    let spread = "in brackets the least and the most";
    match (least, most) {
        (_, 0 | 1) => "Single runs.".to_owned(),
        (least, most) if least == most => format!("Medians of {most} runs, {spread}."),
        (least, most) => format!("Medians of {least} to {most} runs, {spread}."),
    }
}

/// CPU of the widest column, against ours, on a logarithmic scale: a server is not seen beside one that needs fifty times as much.
pub fn chart(others: &[PeerResults]) -> String {
    let column = &DELIVERIES[0];
    let span = (TIMES_MAX / TIMES_MIN).ln();
    let part = |times: f64| ((times / TIMES_MIN).ln() / span).clamp(0.0, 1.0);
    let bars: Vec<_> = others
        .iter()
        .filter_map(|results| {
            let value = results.figure(column.scenario, column.figure)?.median;
            let (class, length, figure) = match column.times(results) {
                Some(times) => ("bar", part(times), format!("{} s (×{})", number(value), number(times))),
                None if results.name == OURS => ("bar good", part(1.0), format!("{} s", number(value))),
                // How it stands to ours, which this bar would show, is not known.
                None => return None,
            };
            Some(Bar { label: &results.name, length, class, figure })
        })
        .collect();
    let scale = "CPU for a million deliveries, 1 → 1,000 with 16 in flight; logarithmic, the dashed line is Tautline; shorter is better";
    draw_bars("Beside others", scale, &bars, Some(part(1.0)))
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::measurements::CPU_DELIVERY;
    use crate::measurements::Figures;

    fn cpu(value: f64) -> Figures {
        Figures::from([(CPU_DELIVERY.to_owned(), value)])
    }

    fn results(name: &str, values: &[f64]) -> PeerResults {
        let mut results = PeerResults::new("slug", name, "1.2".to_owned(), None);
        for value in values {
            results.add("fanout", Ok(cpu(*value)), Some(cpu(0.5)));
        }
        results
    }

    #[test]
    fn page_lists_figures_and_missing_servers() {
        let mut other = results("other", &[5.0]);
        other.add("echo", Err(anyhow!("lost: number 5 came where 4 was next")), None);
        let missing = PeerResults::new("slug", "gone", String::new(), Some("no apt".to_owned()));
        let text = section(&[results("Tautline", &[0.5]), other, missing]);
        assert!(text.contains("| Tautline | 0.50 | – | – | – | – |\n"), "{text}");
        assert!(text.contains("| other | 5.00 ×10.0 | – | – | – | – |\n"), "{text}");
        assert!(text.contains("| other | – | – | – | failed | failed | – |\n"), "{text}");
        assert!(text.contains("- other, echo: lost: number 5 came where 4 was next\n"), "{text}");
        assert!(text.contains("- gone is not there: no apt\n") && !text.contains("| gone |"), "{text}");
        assert!(text.contains("- Versions: Tautline 1.2; other 1.2."), "{text}");
    }

    #[test]
    fn page_states_the_number_of_runs() {
        assert_eq!(runs(&[results("Tautline", &[0.5])]), "Single runs.");
        let two = results("other", &[5.0, 6.0]);
        assert!(runs(std::slice::from_ref(&two)).starts_with("Medians of 2 runs,"));
        assert!(runs(&[results("Tautline", &[0.5]), two]).starts_with("Medians of 1 to 2 runs,"));
    }

    #[test]
    fn higher_cost_draws_a_longer_bar() {
        let svg = chart(&[results("Tautline", &[0.5]), results("other", &[5.0])]);
        assert!(svg.contains("5.00 s (×10.0)") && svg.contains("bar good"), "{svg}");
        // Four times a quarter of 400 times, and ten times that.
        assert!(svg.contains("width=\"60.2\"") && svg.contains("width=\"160.1\""), "{svg}");
    }
}
