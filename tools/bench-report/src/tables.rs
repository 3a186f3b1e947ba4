//! What is read from the measurements, and what each figure should be.

use super::{
    goals,
    measurements::{CPU_CALL, CPU_DELIVERY, Measured, Results},
    numbers::grouped,
};

/// One table of the page, with a chart of its own.
pub struct Table {
    /// Its name among files.
    pub slug: &'static str,
    pub title: &'static str,
    pub about: &'static str,
    pub rows: Vec<Row>,
}

/// One figure beside its goal.
pub struct Row {
    pub what: String,
    pub unit: &'static str,
    pub goal: Option<f64>,
    /// `None`: not taken.
    pub measured: Option<Measured>,
}

const PER_DELIVERY: &str = "CPU s per 1M deliveries";
/// What a delivery may cost in many channels, in times of what it costs in one.
const CHANNELS: f64 = 1.2;
const COUNTS: [u32; 5] = [1, 10, 100, 1000, 15_000];

/// All tables, in the order of the page.
pub fn all(results: &Results) -> Vec<Table> {
    let read = Read(results);
    vec![read.idle(), read.fanout(), read.calls(), read.latency(), read.handshakes(), read.slow()]
        .into_iter()
        .chain(read.growth())
        .collect()
}

struct Read<'a>(&'a Results);

impl Read<'_> {
    fn row(&self, what: &str, unit: &'static str, goal: Option<f64>, measurement: &str, figure: &str) -> Row {
        Row { what: what.to_owned(), unit, goal, measured: self.0.figure(measurement, figure) }
    }

    fn ratio(&self, what: &str, goal: Option<f64>, measurements: [&str; 2], figure: &str) -> Row {
        Row { what: what.to_owned(), unit: "times", goal, measured: self.0.ratio(measurements, figure) }
    }

    fn idle(&self) -> Table {
        let (each, after) = ("resident_bytes_each", "resident_bytes_each_after_burst");
        let mut rows = vec![
            self.row("10,000 connections", "bytes each", Some(goals::IDLE_BYTES), "idle-10000", each),
            self.row(
                "10,000 connections, after a burst",
                "bytes each",
                Some(goals::IDLE_BYTES),
                "idle-10000",
                after,
            ),
            self.row("19,000 connections", "bytes each", Some(goals::IDLE_BYTES), "idle-19000", each),
            self.row(
                "19,000 connections, after a burst",
                "bytes each",
                Some(goals::IDLE_BYTES),
                "idle-19000",
                after,
            ),
            self.row(
                "heartbeats every 25 s, 19,000 connections",
                "µs of CPU a second each",
                Some(goals::HEARTBEAT_US),
                "idle-19000",
                "heartbeat_cpu_us_per_s_each",
            ),
            self.row(
                "heartbeats every 25 s, as a million send them: 40,000 a second",
                "µs of CPU a second each",
                Some(goals::HEARTBEAT_US),
                "idle-19000",
                "heartbeat_cpu_us_per_s_each_of_a_million",
            ),
        ];
        // A line through the smallest and the largest: what one more connection costs, and what is there without any.
        let [small, large] =
            ["idle-1000", "idle-19000"].map(|measurement| self.0.figure(measurement, "resident_mib_in_all"));
        for (count, what) in [(100_000.0, "100,000 connections"), (1_000_000.0, "1,000,000 connections")] {
            let line = small.zip(large).map(|(small, large)| {
                let slope = (large.median - small.median) / 18_000.0;
                exactly(small.median + slope * (count - 1000.0))
            });
            let what = format!("{what}, by the slope from 1,000 to 19,000");
            rows.push(Row { what, unit: "MiB resident in all", goal: None, measured: line });
        }
        Table {
            slug: "idle",
            title: "Idle connections",
            about: "Each a guest's with a session and one subscription, all in one channel. The burst is 20 messages of 4 KiB to everybody; \
                    memory is looked at when it did not fall for 3 s.",
            rows,
        }
    }

    fn fanout(&self) -> Table {
        Table {
            slug: "fanout",
            title: "Fan-out",
            about: "One publisher. \"In flight\" are publications that not every subscriber has yet: the publisher sends the next one only while \
                    there are fewer. Channels are held against one channel in which nothing can be joined either, and whose subscribers' kernels \
                    acknowledge in the same way: on loopback an acknowledgement that is sent at once is the server's CPU, and one is sent at once \
                    by who has heard nothing for a fifth of a second (ADR 0018).",
            rows: vec![
                self.row(
                    "1 → 1,000, 16 in flight",
                    PER_DELIVERY,
                    Some(goals::FANOUT),
                    "fanout",
                    CPU_DELIVERY,
                ),
                self.row(
                    "1 → 1,000, one in flight",
                    PER_DELIVERY,
                    Some(goals::FANOUT_ONE),
                    "fanout-one",
                    CPU_DELIVERY,
                ),
                self.row(
                    "1 → 10,000, 8 in flight",
                    PER_DELIVERY,
                    Some(goals::FANOUT_10000),
                    "fanout-10000",
                    CPU_DELIVERY,
                ),
                self.row(
                    "1 → 1,000, 16 in flight, on two cores",
                    PER_DELIVERY,
                    None,
                    "fanout-two-cores",
                    CPU_DELIVERY,
                ),
                self.ratio("two cores against one", Some(1.25), ["fanout-two-cores", "fanout"], CPU_DELIVERY),
                self.row(
                    "100 channels of 10, at random, 16 in flight",
                    PER_DELIVERY,
                    None,
                    "channels-100",
                    CPU_DELIVERY,
                ),
                self.ratio(
                    "100 channels of 10 against one of 1,000",
                    Some(CHANNELS),
                    ["channels-100", "fanout-one"],
                    CPU_DELIVERY,
                ),
                self.row(
                    "1,000 channels of 10, at random, 16 in flight",
                    PER_DELIVERY,
                    None,
                    "channels",
                    CPU_DELIVERY,
                ),
                self.row(
                    "one channel of 10,000, 4 a second",
                    PER_DELIVERY,
                    None,
                    "crowd-10000-rarely",
                    CPU_DELIVERY,
                ),
                self.row(
                    "one channel of 10,000, one in flight",
                    PER_DELIVERY,
                    None,
                    "crowd-10000",
                    CPU_DELIVERY,
                ),
                self.ratio(
                    "1,000 channels of 10 against one of 10,000, 4 a second",
                    Some(CHANNELS),
                    ["channels", "crowd-10000-rarely"],
                    CPU_DELIVERY,
                ),
                self.ratio(
                    "1,000 channels of 10 against one of 10,000, one in flight",
                    None,
                    ["channels", "crowd-10000"],
                    CPU_DELIVERY,
                ),
                self.row("one channel of 10, 16 in flight", PER_DELIVERY, None, "fanout-10", CPU_DELIVERY),
                self.row(
                    "one channel of 10, one in flight",
                    PER_DELIVERY,
                    None,
                    "fanout-10-one",
                    CPU_DELIVERY,
                ),
            ],
        }
    }

    fn calls(&self) -> Table {
        let unit = "CPU s per 1M calls";
        Table {
            slug: "calls",
            title: "Calls and publications",
            about: "100 connections; requests have ids, replies are kept until they are seen. `publish` has nobody subscribed, and its latency \
                    ends with the reply.",
            rows: vec![
                self.row("echo, one in flight a connection", unit, Some(goals::ECHO), "echo", CPU_CALL),
                self.row("echo, 16 in flight a connection", unit, None, "echo-16", CPU_CALL),
                self.row(
                    "publish → own reply, 10,000 a second, p99",
                    "ms",
                    Some(1.0),
                    "publish",
                    "latency_p99_ms",
                ),
                self.row(
                    "publish, 10,000 a second",
                    "CPU s per 1M publications",
                    None,
                    "publish",
                    "server_cpu_s_per_1m_publications",
                ),
            ],
        }
    }

    fn latency(&self) -> Table {
        let measurement = "fanout-bystanders";
        Table {
            slug: "latency",
            title: "Latency",
            about: "From the moment at which a publication was due to each delivery. The quiet channel has 10 subscribers and 10 publications a second; the full \
                    one has 10,000 and 8 publications in flight.",
            rows: vec![
                self.row("1 → 1,000, 10 a second, p50", "ms", None, "fanout-slowly", "latency_p50_ms"),
                self.row(
                    "1 → 1,000, 10 a second, p99",
                    "ms",
                    Some(goals::LATENCY_P99_MS),
                    "fanout-slowly",
                    "latency_p99_ms",
                ),
                self.row(
                    "a quiet channel beside a full one, p50",
                    "ms",
                    None,
                    measurement,
                    "bystander_p50_ms",
                ),
                self.row(
                    "a quiet channel beside a full one, p99",
                    "ms",
                    Some(20.0),
                    measurement,
                    "bystander_p99_ms",
                ),
            ],
        }
    }

    fn handshakes(&self) -> Table {
        let us = "µs of CPU each";
        Table {
            slug: "handshakes",
            title: "Handshakes and storms",
            about: "15,000 clients are cut at the same moment and all dial again half a second later, without any back-off; a new client comes \
                    every 20 ms meanwhile. A client waits from its dial to its welcome.",
            rows: vec![
                self.row(
                    "a guest: upgrade, hello, subscription",
                    us,
                    Some(50.0),
                    "storm",
                    "opening_cpu_us_each",
                ),
                self.row(
                    "a token: upgrade, hello, JWT checked, subscription",
                    us,
                    Some(50.0),
                    "storm-tokens",
                    "opening_cpu_us_each",
                ),
                self.row("a ticket: upgrade, resume, welcome", us, Some(50.0), "storm", "resume_cpu_us_each"),
                self.row("a connection that is cut", us, None, "storm", "cut_cpu_us_each"),
                self.row("all 15,000 online", "s", Some(3.0), "storm", "all_online_s"),
                self.row(
                    "all 15,000 online, 5 publications behind",
                    "s",
                    None,
                    "storm-behind",
                    "all_online_s",
                ),
                self.row("the longest wait of a new client", "ms", Some(100.0), "storm", "newcomer_max_ms"),
            ],
        }
    }

    fn slow(&self) -> Table {
        Table {
            slug: "slow",
            title: "Slow readers",
            about: "100 subscribers of a channel with 500 publications a second stop reading, beside 100 that go on. The kernel's memory is that of \
                    both ends. Those who wake get what the channel still keeps, and one gap for the rest.",
            rows: vec![
                self.row("kernel", "bytes each", Some(65_536.0), "slow", "kernel_bytes_each_stalled"),
                self.row("gateway", "bytes each", Some(1024.0), "slow", "resident_bytes_each_stalled"),
                self.row("the others' p99 while all read", "ms", None, "slow", "p99_ms_all_awake"),
                self.row("the others' p99 beside them", "ms", None, "slow", "p99_ms_beside_stalled"),
                self.row(
                    "heard by each when it wakes",
                    "publications",
                    None,
                    "slow",
                    "publications_each_when_woken",
                ),
                self.row("told to each when it wakes", "gaps", None, "slow", "gaps_each_when_woken"),
            ],
        }
    }

    fn growth(&self) -> [Table; 3] {
        [
            self.growing(
                ("growth-connections", "Growth: calls over connections"),
                "`echo`, 5,000 calls a second in all, dealt out among the connections.",
                ("calls", "connections", "CPU s per 1M calls", CPU_CALL),
                Some(1.3),
            ),
            self.growing(
                ("growth-channels", "Growth: channels"),
                "5,000 publications a second in all, in channels at random, with one subscriber each.",
                ("news", "channels", PER_DELIVERY, CPU_DELIVERY),
                Some(1.3),
            ),
            self.growing(
                ("growth-subscribers", "Growth: subscribers of one channel"),
                "One publication in flight: the fewer share its cost, the larger is the part of each.",
                ("crowd", "subscribers", PER_DELIVERY, CPU_DELIVERY),
                // No goal: one subscriber pays alone for what a thousand share.
                None,
            ),
        ]
    }

    fn growing(
        &self,
        (slug, title): (&'static str, &'static str),
        about: &'static str,
        (measurements, units, unit, figure): (&str, &str, &'static str, &str),
        goal: Option<f64>,
    ) -> Table {
        let mut rows: Vec<_> = COUNTS
            .iter()
            .map(|count| {
                let what = format!(
                    "{} {}",
                    grouped(*count),
                    if *count == 1 { units.trim_end_matches('s') } else { units }
                );
                self.row(&what, unit, None, &format!("{measurements}-{count}"), figure)
            })
            .collect();
        let medians: Vec<_> = rows.iter().filter_map(|row| row.measured).map(|it| it.median).collect();
        let spread = (medians.len() == COUNTS.len()).then(|| {
            let (most, least) = (
                medians.iter().copied().fold(0.0, f64::max),
                medians.iter().copied().fold(f64::MAX, f64::min),
            );
            exactly(most / least)
        });
        rows.push(Row {
            what: "the dearest against the cheapest".to_owned(),
            unit: "times",
            goal,
            measured: spread,
        });
        Table { slug, title, about, rows }
    }
}

/// What was computed has no spread of its own.
fn exactly(median: f64) -> Measured {
    Measured { median, least: median, most: median }
}

/// Whether a row is where it should be, if it has a goal and was measured.
pub fn meets(row: &Row) -> Option<bool> {
    row.goal.zip(row.measured).map(|(goal, measured)| measured.median <= goal)
}
