//! The program `tautline-chaos`: [`tautline_chaos`] on the command line.

use std::process::ExitCode;

use clap::Parser;
use tautline_chaos::ChaosArgs;
use tautline_process::log::LogArgs;

#[derive(Parser)]
#[command(name = "tautline-chaos", version)]
struct Cli {
    #[command(flatten)]
    chaos: ChaosArgs,
    #[command(flatten)]
    log: LogArgs,
}

fn main() -> ExitCode {
    let program = || {
        let cli = Cli::parse();
        cli.log.start();
        tautline_process::runtime()?.block_on(tautline_chaos::run(cli.chaos))?;
        Ok(ExitCode::SUCCESS)
    };
    tautline_process::run(program, |_| ExitCode::FAILURE)
}
