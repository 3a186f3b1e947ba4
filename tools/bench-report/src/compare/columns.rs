//! What stands in a row of a server: figures over all runs, and how they stand to ours.

use super::{super::numbers::number, load::RESIDENT_BYTES_MORE, peer_results::PeerResults};
use crate::measurements::{CPU_CALL, CPU_DELIVERY, Measured};

/// The server that the others are held against.
pub const OURS: &str = "Tautline";
const RATE: &str = "deliveries_per_s";
/// Below this share of its core the server was held back: by the load, or by others on the machine. What the load itself used says
/// nothing, because it never sleeps where it has a core of its own.
const BUSY: f64 = 0.9;

/// A column: its head, whose figure it is, and how it is written.
pub struct Column {
    pub head: &'static str,
    pub scenario: &'static str,
    pub figure: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// With the least and the most beside the median.
    Cost,
    /// Bytes, as kilobytes.
    Memory,
    /// So many a second, which is a limit of the server only where it had no CPU to spare.
    Rate,
}

const fn column(kind: Kind, head: &'static str, scenario: &'static str, figure: &'static str) -> Column {
    Column { head, scenario, figure, kind }
}

pub static DELIVERIES: [Column; 5] = [
    column(Kind::Cost, "1 → 1,000, 16 in flight: CPU", "fanout", CPU_DELIVERY),
    column(Kind::Rate, "deliveries/s", "fanout", RATE),
    column(Kind::Cost, "1 → 1,000, one in flight: CPU", "fanout-one", CPU_DELIVERY),
    column(Kind::Cost, "1 → 10,000, 8 in flight: CPU", "fanout-10000", CPU_DELIVERY),
    column(Kind::Rate, "deliveries/s", "fanout-10000", RATE),
];

pub static THE_REST: [Column; 6] = [
    column(Kind::Memory, "idle, KB each", "idle", RESIDENT_BYTES_MORE),
    column(Kind::Cost, "heartbeats, 10,000: µs", "idle", "heartbeat_cpu_us_per_s_each"),
    column(Kind::Cost, "of a million: µs", "idle", "heartbeat_cpu_us_per_s_each_of_a_million"),
    column(Kind::Cost, "echo: CPU", "echo", CPU_CALL),
    column(Kind::Rate, "echoes/s", "echo", "answers_per_s"),
    column(Kind::Cost, "1 → 1,000, 10 a second: p99, ms", "fanout-slowly", "latency_p99_ms"),
];

impl Column {
    /// What the table says of a server.
    pub fn cell(&self, results: &PeerResults) -> String {
        let Some(measured) = results.figure(self.scenario, self.figure) else {
            let has_failed = results.failures().any(|(scenario, ..)| scenario == self.scenario);
            return if has_failed { "failed" } else { "–" }.to_owned();
        };
        let value = match self.kind {
            Kind::Cost => spread(measured, number),
            Kind::Memory => number(measured.median / 1024.0),
            Kind::Rate => {
                let share = results.figure(self.scenario, "server_cpu_share");
                let is_held_back = share.is_some_and(|share| share.median < BUSY);
                format!("{}{}", if is_held_back { "≥ " } else { "" }, large(measured.median))
            }
        };
        match self.times(results) {
            Some(times) => format!("{value} ×{}", number(times)),
            None => value,
        }
    }

    /// How many times our figure of the same run theirs is: the median, for others.
    pub fn times(&self, results: &PeerResults) -> Option<f64> {
        let pairs = results.pairs(self.scenario, self.figure).into_iter();
        let ratios = pairs.filter(|(_, ours)| *ours > 0.0).map(|(theirs, ours)| theirs / ours);
        Measured::of(ratios).filter(|_| results.name != OURS).map(|times| times.median)
    }
}

/// The median, with the least and the most where they differ from it.
pub fn spread(measured: Measured, write: impl Fn(f64) -> String) -> String {
    let [median, least, most] = [measured.median, measured.least, measured.most].map(write);
    if least == most { median } else { format!("{median} ({least}–{most})") }
}

/// Thousands and millions, as people read them.
fn large(value: f64) -> String {
    match value {
        millions if millions >= 1e6 => format!("{:.2}M", millions / 1e6),
        thousands if thousands >= 1e4 => format!("{:.0}k", thousands / 1e3),
        small => number(small),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(cpu: f64, share: f64) -> crate::measurements::Figures {
        let figures = [(CPU_DELIVERY, cpu), (RATE, 1_250_000.0), ("server_cpu_share", share)];
        figures.map(|(name, value)| (name.to_owned(), value)).into()
    }

    #[test]
    fn cell_holds_median_spread_and_ratio() {
        let mut results = PeerResults::new("slug", "other", String::new(), None);
        // The machine was slow in the second run, for both.
        for (theirs, ours) in [(2.0, 1.0), (6.0, 3.0), (3.0, 1.0)] {
            results.add("fanout", Ok(figures(theirs, 0.95)), Some(figures(ours, 0.8)));
        }
        assert_eq!(DELIVERIES[0].cell(&results), "3.00 (2.00–6.00) ×2.00");
        assert_eq!(DELIVERIES[1].cell(&results), "1.25M ×1.00");
        assert_eq!(DELIVERIES[2].cell(&results), "–");
    }

    #[test]
    fn rate_with_spare_cpu_is_a_minimum() {
        let mut results = PeerResults::new("slug", OURS, String::new(), None);
        results.add("fanout", Ok(figures(0.5, 0.8)), Some(figures(0.5, 0.8)));
        assert_eq!(DELIVERIES[0].cell(&results), "0.50");
        assert_eq!(DELIVERIES[1].cell(&results), "≥ 1.25M");
    }
}
