//! This process writes on one core, a process of its own reads on the other and never sleeps. Start at [`Way`]. The ways take
//! turns, so that what else the machine does meets all of them; what is compared is what a way costs against the floor of its
//! own round.

mod bare;
mod reader;
mod ring;
mod stage;
mod tasks;

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};

use self::stage::{Outcome, Stage};

/// Measures the ways to hand one message to many sockets.
#[derive(Clone, Debug, Parser)]
struct Args {
    /// Sockets in all
    #[arg(long, default_value_t = 1000)]
    sockets: usize,
    /// Channels that they are dealt out to; each publication goes to one of them, at random
    #[arg(long, default_value_t = 1)]
    channels: usize,
    /// Sockets of each channel that nobody reads, and that are full before it begins
    #[arg(long, default_value_t = 0)]
    stalled: usize,
    /// Publications a second. Without it the next one begins when the last one was read by all
    #[arg(long)]
    rate: Option<f64>,
    /// Deliveries that are counted, of each way and round; before them come a quarter as many that are not
    #[arg(long, default_value_t = 300_000)]
    deliveries: usize,
    /// How often each way has its turn
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Only these
    #[arg(long, value_delimiter = ',')]
    ways: Vec<Way>,
    #[arg(long, default_value_t = 0)]
    writer_core: usize,
    #[arg(long, default_value_t = 1)]
    reader_core: usize,
    /// This process is the reader of that one
    #[arg(long, hide = true)]
    reads_from: Option<SocketAddr>,
}

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    /// One thread and one system call a socket, nothing else: what the kernel costs
    Floor,
    /// A task a connection, woken by the publisher, reads the log and writes: what Tautline does
    Tasks,
    /// The same, but a task adds its send to a ring that is submitted when the others have had their turn, or at 256
    TasksRing,
    /// The publisher's task writes to all sockets
    Direct,
    /// The same with what it takes to be right: each socket behind a lock, with its place, beside a task that reads it
    DirectLocked,
    /// A task a channel, woken by the publisher, writes to all of its sockets
    ChannelTask,
    /// `io_uring`, 256 sends a submission
    Ring,
    /// The same with registered files, for one thread, completions only when asked for
    RingTuned,
    /// The same, 64 sends a submission
    RingTuned64,
}

pub(super) fn compare() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(address) = args.reads_from {
        return reader::run(&args, address);
    }
    let ways = if args.ways.is_empty() { Way::value_variants() } else { &args.ways };
    let mut stage = Stage::set(&args)?;
    let mut outcomes = vec![Vec::new(); ways.len()];
    for round in 1..=args.rounds {
        for turn in 0..ways.len() {
            // Each begins a round once, so that nobody always follows the same one.
            let number = (turn + round) % ways.len();
            let way = ways[number];
            eprint!("\rround {round} of {}: {way:?}                ", args.rounds);
            let outcome;
            (stage, outcome) = perform(way, stage).with_context(|| format!("{way:?}"))?;
            outcomes[number].push(outcome);
        }
    }
    eprintln!("\r{}", " ".repeat(40));
    let floor = ways.iter().position(|way| *way == Way::Floor).unwrap_or_default();
    println!("| | CPU a delivery, ns | least – most | of the first | p50, ms | p99, ms |");
    println!("|---|--:|--:|--:|--:|--:|");
    for (way, of_way) in ways.iter().zip(&outcomes) {
        let all = |figure: fn(&Outcome) -> f64| sorted(of_way.iter().map(figure));
        let cpu = all(|outcome| outcome.cpu_ns);
        let ratios = sorted(of_way.iter().zip(&outcomes[floor]).map(|(of, floor)| of.cpu_ns / floor.cpu_ns));
        let name = way.to_possible_value().context("no way is skipped")?;
        println!(
            "| {} | {:.0} | {:.0} – {:.0} | {:.3} | {:.2} | {:.2} |",
            name.get_name(),
            median(&cpu),
            cpu[0],
            cpu[cpu.len() - 1],
            median(&ratios),
            median(&all(|outcome| outcome.p50_ms)),
            median(&all(|outcome| outcome.p99_ms)),
        );
    }
    stage.strike()
}

fn perform(way: Way, stage: Stage) -> anyhow::Result<(Stage, Outcome)> {
    match way {
        Way::Floor => bare::send(stage),
        Way::Ring => bare::ring(stage, 256, false),
        Way::RingTuned => bare::ring(stage, 256, true),
        Way::RingTuned64 => bare::ring(stage, 64, true),
        Way::Tasks | Way::TasksRing | Way::Direct | Way::DirectLocked | Way::ChannelTask => {
            tasks::run(way, stage)
        }
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2])
}
