//! Records storms and prints a trace for each app that ran in them: a vector in json, one a line. TypeScript runs them.
//!
//! Every other four storms are recorded with mutations.

use std::{
    io::{BufWriter, Write as _},
    process::ExitCode,
};

use tautline_sim::{Recording, record_storm};

/// There are so many kinds of storms, by their seed.
const KINDS: u64 = 4;

fn main() -> ExitCode {
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let [from, storms] = args[..] else {
        eprintln!("usage: traces FROM STORMS");
        return ExitCode::FAILURE;
    };
    let mut out = BufWriter::new(std::io::stdout().lock());
    for seed in from..from + storms {
        let recording =
            if (seed / KINDS).is_multiple_of(2) { Recording::Plain } else { Recording::WithMutations };
        for trace in record_storm(seed, recording) {
            if writeln!(out, "{trace}").is_err() {
                // Whoever reads has seen enough.
                return ExitCode::FAILURE;
            }
        }
    }
    if out.flush().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
