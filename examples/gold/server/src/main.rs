//! `tautline-gold`: serves the game on one port.

mod login_args;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Parser;
use login_args::LoginArgs;
use tautline_gold::{Limits, Options, Server};
use tautline_process::{log, log::LogArgs, signals::Signals, socket};

/// Serves Gold, a game for two to four phones.
#[derive(Debug, Parser)]
#[command(name = "tautline-gold", version)]
struct Cli {
    /// Where to listen; port 0 takes any free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8010", value_parser = socket::parse_listen)]
    listen: SocketAddr,
    /// The folder of rooms, results and logs
    #[arg(long, value_name = "DIR", default_value = "target/gold")]
    data: PathBuf,
    /// The folder of the built page (`npm run build` in examples/gold/web makes it)
    #[arg(long, value_name = "DIR", default_value = "examples/gold/web/dist")]
    page: PathBuf,
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    log: LogArgs,
}

fn main() -> ExitCode {
    let program = || {
        let cli = Cli::parse();
        cli.log.start();
        tautline_process::runtime()?.block_on(run(cli))?;
        Ok(ExitCode::SUCCESS)
    };
    tautline_process::run(program, |_| ExitCode::FAILURE)
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let limits = Limits::default();
    let login = cli.login.options().await?;
    let options = Options { listen: cli.listen, data: cli.data, page: cli.page, limits, login };
    let mut server = Server::start(options).await?;
    log::announce(&format!("open http://{}", server.address()));
    tokio::select! {
        served = server.serve() => served,
        ending = signals.next() => {
            tracing::info!("{}: games go on with the next start", ending.name());
            server.stop().await;
            Ok(())
        }
    }
}
