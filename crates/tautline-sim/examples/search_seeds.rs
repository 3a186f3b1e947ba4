//! Runs many storms and prints those that break a promise; or prints the events of one of them. `cargo xtask sim` does so.
//!
//! A line `done N` says how far it is, a line `found SEED: …` what it found; the last one what a history contained.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::Mutex,
};

use tautline_sim::{Summary, log_storm, run_storm};

/// Seeds between two lines that say how far it is.
const REPORT_EVERY: u64 = 500;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["trace", seed] => tell(number(seed)),
        ["search", from, seeds, jobs] => search(number(from), number(seeds), number(jobs), 1),
        ["search", from, seeds, jobs, every] => {
            search(number(from), number(seeds), number(jobs), number(every).max(1))
        }
        _ => {
            eprintln!("usage: search_seeds trace SEED | search_seeds search FROM SEEDS JOBS [EVERY]");
            ExitCode::FAILURE
        }
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

fn tell(seed: u64) -> ExitCode {
    let summary = log_storm(seed, |line| println!("{line}"));
    println!("every promise was kept; {summary}");
    ExitCode::SUCCESS
}

/// What all jobs have come to.
#[derive(Default)]
struct Tally {
    next: u64,
    done: u64,
    sum: Summary,
    found: u64,
}

#[expect(clippy::disallowed_methods, reason = "each world is pure; several of them may run at once")]
fn search(from: u64, seeds: u64, jobs: u64, every: u64) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let tally = Mutex::new(Tally { next: from, ..Tally::default() });
    let lock = || tally.lock().expect("nobody panics with it");
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = {
                        let mut tally = lock();
                        if tally.next >= from + seeds * every {
                            return;
                        }
                        tally.next += every;
                        tally.next - every
                    };
                    let outcome = catch_unwind(AssertUnwindSafe(|| run_storm(seed)));
                    let mut tally = lock();
                    tally.done += 1;
                    match outcome {
                        Ok(summary) => tally.sum.add(&summary),
                        Err(panic) => {
                            tally.found += 1;
                            println!("found {seed}: {}", words_of(&*panic));
                        }
                    }
                    if tally.done % REPORT_EVERY == 0 {
                        println!("done {}", tally.done);
                    }
                }
            });
        }
    });
    let tally = lock();
    println!("{} of {} storms broke a promise; {}", tally.found, tally.done, tally.sum);
    if tally.found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
    words.lines().collect::<Vec<_>>().join(" ").chars().take(400).collect()
}
