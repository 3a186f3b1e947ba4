//! The part of the page that stands beside others: one table, one chart, and what has to be said of each server.

use std::fmt::Write as _;

use super::{super::page::number, standing::Standing};
use crate::bench::chart::{Bar, draw_bars};

/// The chart's name among files.
pub const SLUG: &str = "compare";

const CPU_DELIVERY: &str = "server_cpu_s_per_1m_deliveries";
const RATE: &str = "deliveries_per_s";
/// Below this share of its core the server was held back: by the load, or by others on the machine. What the load itself used says
/// nothing, because it never sleeps where it has a core of its own.
const BUSY: f64 = 0.9;
/// The longest bar stands for so many times our own figure.
const TIMES_MAX: f64 = 100.0;
/// The shortest, for one that is cheaper.
const TIMES_MIN: f64 = 0.25;

const ABOUT: &str = "\
The same load, in the same run: `cargo xtask bench --compare`. Each server is fresh for each figure, has one process or one worker, and \
runs on core 0 while the load runs on core 1; compression is off everywhere, payloads are 128 bytes. In brackets: times Tautline's figure. A \
rate with ≥ left the server CPU to spare: the load, or others on the machine, held it back. NATS, nchan and mosquitto are spoken to over their WebSockets (MQTT at quality of \
service 0); ws, socket.io and tornado run the few lines of `xtask/peers`. They promise different things: in Tautline's figures are \
ids, replies, a log and its cursors, and tickets for those who come back.";

const LEFT_OUT: &str = "\
- uWebSockets.js is not on npm's registry, and so not measured here. Elsewhere, on a similar machine, its figures were: 0.45 KB idle; 1 → 1,000 \
with 16 in flight 0.58 s and 1.43M deliveries a second, one in flight 4.8 s; 1 → 10,000 1.3 s and 734,000; 173,000 echoes a second.\n";

/// A column: its head, whose figure it is, and what one of the page's units has of the load's.
struct Column {
    head: &'static str,
    scenario: &'static str,
    figure: &'static str,
    per_unit: f64,
    is_rate: bool,
}

const fn column(head: &'static str, scenario: &'static str, figure: &'static str) -> Column {
    Column { head, scenario, figure, per_unit: 1.0, is_rate: false }
}

const fn rate(head: &'static str, scenario: &'static str, figure: &'static str) -> Column {
    Column { is_rate: true, ..column(head, scenario, figure) }
}

static COLUMNS: [Column; 8] = [
    Column { per_unit: 1024.0, ..column("idle, KB each", "idle", "resident_bytes_each") },
    column("1 → 1,000, 16 in flight: CPU", "fanout", CPU_DELIVERY),
    rate("deliveries/s", "fanout", RATE),
    column("1 → 1,000, one in flight: CPU", "fanout-one", CPU_DELIVERY),
    column("1 → 10,000, 8 in flight: CPU", "fanout-10000", CPU_DELIVERY),
    rate("deliveries/s", "fanout-10000", RATE),
    column("echo: CPU", "echo", "server_cpu_s_per_1m_calls"),
    rate("echoes/s", "echo", "answers_per_s"),
];

/// The section of the page. Servers stand in the order in which they were measured, Tautline first.
pub fn section(others: &[Standing]) -> String {
    let runs = others.iter().map(Standing::runs).max().unwrap_or(0);
    let runs = if runs > 1 { format!("medians of {runs} runs") } else { "single runs".to_owned() };
    let heads: Vec<_> = COLUMNS.iter().map(|column| column.head).collect();
    let mut text = format!(
        "\n## Beside others\n\n{ABOUT}\n\n![Beside others: CPU for deliveries](performance/{SLUG}.svg)\n\n\
         CPU is in seconds for a million deliveries, or echoes; {runs}.\n\n| | {} |\n|---|{}\n",
        heads.join(" | "),
        "--:|".repeat(COLUMNS.len())
    );
    let ours = others.iter().find(|it| it.name == "Tautline");
    for standing in others.iter().filter(|it| it.missing.is_none()) {
        let cells: Vec<_> = COLUMNS.iter().map(|column| cell(column, standing, ours)).collect();
        let _ = writeln!(text, "| {} | {} |", standing.name, cells.join(" | "));
    }
    let versions = others.iter().filter(|it| it.missing.is_none());
    let versions: Vec<_> = versions.map(|it| format!("{} {}", it.name, it.version)).collect();
    let _ = writeln!(text, "\n- Versions: {}.", versions.join("; "));
    for standing in others {
        if let Some(why) = &standing.missing {
            let _ = writeln!(text, "- {} is not there: {why}", standing.name);
        }
        for (scenario, count, why) in standing.failures() {
            let times = if count > 1 { format!(" ({count} runs)") } else { String::new() };
            let _ = writeln!(text, "- {}, {scenario}{times}: {why}", standing.name);
        }
    }
    text + LEFT_OUT
}

fn cell(column: &Column, standing: &Standing, ours: Option<&Standing>) -> String {
    let Some(value) = standing.figure(column.scenario, column.figure) else {
        let has_failed = standing.failures().any(|(scenario, ..)| scenario == column.scenario);
        return if has_failed { "failed" } else { "–" }.to_owned();
    };
    let share = standing.figure(column.scenario, "server_cpu_share").unwrap_or(1.0);
    let mark = if column.is_rate && share < BUSY { "≥ " } else { "" };
    let value = format!("{mark}{}", large(value / column.per_unit));
    match times(column, standing, ours) {
        Some(times) => format!("{value} (×{})", number(times)),
        None => value,
    }
}

/// Thousands and millions, as people read them.
fn large(value: f64) -> String {
    match value {
        millions if millions >= 1e6 => format!("{:.2}M", millions / 1e6),
        thousands if thousands >= 1e4 => format!("{:.0}k", thousands / 1e3),
        small => number(small),
    }
}

/// A figure against ours, for others.
fn times(column: &Column, standing: &Standing, ours: Option<&Standing>) -> Option<f64> {
    let ours = ours.filter(|ours| ours.name != standing.name)?.figure(column.scenario, column.figure)?;
    let theirs = standing.figure(column.scenario, column.figure)?;
    (ours > 0.0).then(|| theirs / ours)
}

/// CPU of the widest column, against ours, on a logarithmic scale: a server is not seen beside one that needs fifty times as much.
pub fn chart(others: &[Standing]) -> String {
    let column = &COLUMNS[1];
    let ours = others.iter().find(|it| it.name == "Tautline");
    let span = (TIMES_MAX / TIMES_MIN).ln();
    let part = |times: f64| ((times / TIMES_MIN).ln() / span).clamp(0.0, 1.0);
    let bars: Vec<_> = others
        .iter()
        .filter_map(|standing| {
            let value = standing.figure(column.scenario, column.figure)?;
            let times = times(column, standing, ours);
            let figure = match times {
                Some(times) => format!("{} s (×{})", number(value), number(times)),
                None => format!("{} s", number(value)),
            };
            let class = if times.is_none() { "bar good" } else { "bar" };
            Some(Bar { label: &standing.name, length: part(times.unwrap_or(1.0)), class, figure })
        })
        .collect();
    let scale = "CPU for a million deliveries, 1 → 1,000 with 16 in flight; logarithmic, the dashed line is Tautline; shorter is better";
    draw_bars("Beside others", scale, &bars, Some(part(1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(name: &str, cpu: f64) -> Standing {
        let mut standing = Standing::new("slug", name, "1.2".to_owned(), None);
        let figures = [(CPU_DELIVERY, cpu), (RATE, 1_250_000.0), ("server_cpu_share", 0.8)];
        standing.add("fanout", figures.map(|(name, value)| (name.to_owned(), value)).into());
        standing
    }

    #[test]
    fn a_row_holds_medians_and_how_they_stand_to_ours() {
        let mut other = standing("other", 5.0);
        other.fail("echo", "lost: number 5 came where 4 was next".to_owned());
        let missing = Standing::new("slug", "gone", String::new(), Some("no apt".to_owned()));
        let text = section(&[standing("Tautline", 0.5), other, missing]);
        assert!(text.contains("| Tautline | – | 0.50 | ≥ 1.25M | – |"), "{text}");
        assert!(
            text.contains("| other | – | 5.00 (×10.0) | ≥ 1.25M (×1.00) | – | – | – | failed | failed |"),
            "{text}"
        );
        assert!(text.contains("- other, echo: lost: number 5 came where 4 was next\n"), "{text}");
        assert!(text.contains("- gone is not there: no apt\n") && !text.contains("| gone |"), "{text}");
        assert!(text.contains("- Versions: Tautline 1.2; other 1.2."), "{text}");
    }

    #[test]
    fn bars_of_others_are_longer_where_they_need_more() {
        let svg = chart(&[standing("Tautline", 0.5), standing("other", 5.0)]);
        assert!(svg.contains("5.00 s (×10.0)") && svg.contains("bar good"), "{svg}");
        // Four times a quarter of 400 times, and ten times that.
        assert!(svg.contains("width=\"60.2\"") && svg.contains("width=\"160.1\""), "{svg}");
    }
}
