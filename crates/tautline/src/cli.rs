//! The command line: what can be asked, and with which exit code it ends.
//!
//! 0: done. 1: it could not be done. 2: it was not understood (flags, file, environment), and nothing was started.

use std::{io::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use tautline_process::{
    escape,
    log::{self, LogArgs},
    runtime, socket,
};
use tautline_protocol::ChannelName;
use tracing::warn;

#[cfg(feature = "console")]
use crate::admin::{self, AdminCommand};
use crate::{
    call::{self, CallArgs, PublishArgs},
    check_as::{self, Asking},
    config::{self, ConfigError, EXAMPLE, Engine, Environment, Flags, Loaded, Schema},
    doctor, engine,
    listen::{self, ListenArgs},
    mock::{self, MockArgs},
    serve, token,
    webhooks::{self, WebhooksArgs},
};

/// It was not understood, and nothing was started.
const EXIT_USAGE: u8 = 2;
/// How long a server that has ended waits for its last threads.
const RUNTIME_WAIT: Duration = Duration::from_secs(2);

/// Realtime messaging for phones on bad networks: channels that lose nothing.
#[derive(Debug, Parser)]
#[command(name = "tautline", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway: HTTP API and WebSocket on one port.
    Serve(ServeArgs),
    /// Read the configuration and the environment as `serve` would, and tell what is wrong or hardly meant.
    Check(CheckArgs),
    /// Print the configuration: the defaults, its JSON Schema, or what counts and where it comes from.
    Config(ConfigArgs),
    /// Make a token (JWT, HS256) that lets a user in, and print it.
    Token(token::TokenArgs),
    /// Void every ticket: each client has to log in again. The gateway must be stopped.
    RevokeAll(RevokeAllArgs),
    /// Run a login service for development: it takes codes without an app id.
    Mock(MockArgs),
    /// Print what is published in channels, as it comes.
    Listen(ListenArgs),
    /// Call a method of the back end, and print the answer.
    Call(CallArgs),
    /// Publish in a channel, and print where in its log it went.
    Publish(PublishArgs),
    /// List the webhooks of a gateway, send their events again, and switch them on and off.
    Webhooks(WebhooksArgs),
    /// Examine what the gateway depends on.
    Doctor(DoctorArgs),
    /// List, add and remove the accounts of the console, and set their passwords.
    #[cfg(feature = "console")]
    Admin(AdminArgs),
}

#[cfg(feature = "console")]
#[derive(Debug, Args)]
struct AdminArgs {
    #[command(subcommand)]
    what: AdminCommand,
    #[command(flatten)]
    sources: SourceArgs,
}

#[derive(Debug, Args)]
struct DoctorArgs {
    #[command(subcommand)]
    what: doctor::Examined,
    #[command(flatten)]
    sources: SourceArgs,
    /// The engine to examine. [default: as the configuration says]
    #[arg(long, value_name = "ENGINE", value_parser = config::parse_engine, global = true)]
    engine: Option<Engine>,
}

#[derive(Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    sources: SourceArgs,
    /// Where to listen; port 0 takes any free one. [default: 127.0.0.1:8000]
    #[arg(long, value_name = "IP:PORT", value_parser = socket::parse_listen)]
    listen: Option<SocketAddr>,
    /// Where channels and their logs live: `memory`, `disk:` and a folder, or the URL of a Redis. [default:
    /// disk:./tautline-data]
    #[arg(long, value_name = "ENGINE", value_parser = config::parse_engine)]
    engine: Option<Engine>,
    /// For development: open everything to everybody.
    #[arg(long)]
    dev: bool,
}

/// Where options come from, beside variables.
#[derive(Debug, Args)]
struct SourceArgs {
    /// The configuration file (TOML); none: the environment alone. Also TAUTLINE_CONFIG.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Any option, such as limits.park_ms=1h; may be repeated.
    #[arg(long, value_name = "SECTION.OPTION=VALUE")]
    set: Vec<String>,
}

#[derive(Debug, Args)]
struct ConfigArgs {
    #[command(flatten)]
    what: ConfigOutput,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct ConfigOutput {
    /// A file with every option and its default.
    #[arg(long)]
    default: bool,
    /// The JSON Schema of the file, for editors.
    #[arg(long)]
    schema: bool,
    /// What `serve` would use with the same flags, and where each value comes from. Secrets are hidden.
    #[arg(long)]
    show: bool,
}

#[derive(Debug, Args)]
struct CheckArgs {
    #[command(flatten)]
    sources: SourceArgs,
    /// Tell what this client may do in a channel instead: a user's id, `guest`, or a token (not verified).
    #[arg(long = "as", value_name = "CLIENT", requires = "channel", group = "asking")]
    client: Option<String>,
    /// The same for a user whose id is `guest` or looks like a token.
    #[arg(long = "as-user", value_name = "USER", requires = "channel", group = "asking")]
    user: Option<String>,
    /// The channel for `--as`.
    #[arg(long, value_name = "CHANNEL", requires = "asking", value_parser = channel)]
    channel: Option<ChannelName>,
}

#[derive(Debug, Args)]
struct RevokeAllArgs {
    /// The folder with the gateway's logs and the keys of its tickets. [default: as the configuration says]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// The configuration file (TOML) that the gateway is run with.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs what the command line of this process asks for.
#[must_use]
pub fn run() -> ExitCode {
    // Settings are the user's words; everything else is the machine's fault.
    let exit_code_of = |error: &anyhow::Error| {
        if error.is::<ConfigError>() { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE }
    };
    tautline_process::run(execute, exit_code_of)
}

fn execute() -> anyhow::Result<ExitCode> {
    // Prints usage, help and version by itself, and exits with 2 for flags that it does not know.
    let Cli { command, log } = Cli::parse();
    match command {
        Command::Serve(args) => run_serve(args, &log),
        Command::Check(args) => run_check(args),
        Command::Config(args) => run_config(args, &log),
        Command::Token(args) => run_token(&args),
        Command::RevokeAll(args) => run_revoke_all(args),
        Command::Mock(args) => at_terminal(&log, mock::run(args)),
        Command::Listen(args) => at_terminal(&log, listen::run(args)),
        Command::Call(args) => at_terminal(&log, call::run(args)),
        Command::Publish(args) => at_terminal(&log, call::publish(args)),
        Command::Webhooks(args) => at_terminal(&log, webhooks::run(args)),
        Command::Doctor(args) => run_doctor(args, &log),
        #[cfg(feature = "console")]
        Command::Admin(args) => run_admin(args, &log),
    }
}

impl SourceArgs {
    fn flags(self) -> Flags {
        Flags { config: self.config, set: self.set, ..Flags::default() }
    }
}

impl ServeArgs {
    fn flags(self, log: &LogArgs) -> Flags {
        let Self { sources, listen, engine, dev } = self;
        Flags {
            listen,
            engine,
            dev,
            log_format: log.format(),
            log_filter: log.filter().cloned(),
            ..sources.flags()
        }
    }
}

fn run_serve(args: ServeArgs, log_args: &LogArgs) -> anyhow::Result<ExitCode> {
    let flags = args.flags(log_args);
    let environment = Environment::of_process()?;
    let loaded = Loaded::load(&flags, &environment)?;
    log::start(&loaded.settings.log_filter, loaded.settings.log_format);
    for finding in loaded.settings.findings(&environment) {
        warn!(event = "setting_suspect", "{finding}");
    }
    environment.close_pipes();
    let runtime = runtime()?;
    let ended = runtime.block_on(serve::run(loaded, flags, environment));
    // A file system that does not answer holds up the thread that reads it.
    runtime.shutdown_timeout(RUNTIME_WAIT);
    ended
}

fn run_config(args: ConfigArgs, log: &LogArgs) -> anyhow::Result<ExitCode> {
    let text = if args.what.default {
        EXAMPLE.to_owned()
    } else if args.what.schema {
        Schema::get().to_text()
    } else {
        Loaded::load(&args.serve.flags(log), &Environment::of_process()?)?.values.show()
    };
    std::io::stdout().write_all(text.as_bytes()).context("cannot print")?;
    Ok(ExitCode::SUCCESS)
}

/// Code 0 where nothing is to be said, 1 where something is, 2 where `serve` would not start.
fn run_check(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let environment = Environment::of_process()?;
    let flags = args.sources.flags();
    let loaded = Loaded::load(&flags, &environment)?;
    let asking = args.client.as_deref().map(Asking::As).or(args.user.as_deref().map(Asking::AsUser));
    if let (Some(client), Some(channel)) = (asking, &args.channel) {
        let text = check_as::report(&loaded, client, channel)?;
        std::io::stdout().write_all(text.as_bytes()).context("cannot print")?;
        return Ok(ExitCode::SUCCESS);
    }
    let findings = loaded.settings.findings(&environment);
    let mut text: String = findings.iter().map(|finding| escape::line(finding).into_owned() + "\n").collect();
    if findings.is_empty() {
        text += "nothing to object to\n";
    }
    std::io::stdout().write_all(text.as_bytes()).context("cannot print")?;
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_doctor(args: DoctorArgs, log: &LogArgs) -> anyhow::Result<ExitCode> {
    log.start();
    let DoctorArgs { what: doctor::Examined::Redis, sources, engine } = args;
    let flags = Flags { engine, ..sources.flags() };
    doctor::run(&Loaded::load(&flags, &Environment::of_process()?)?.settings)
}

#[cfg(feature = "console")]
fn run_admin(args: AdminArgs, log: &LogArgs) -> anyhow::Result<ExitCode> {
    log.start();
    let AdminArgs { what, sources } = args;
    admin::run(what, &Loaded::load(&sources.flags(), &Environment::of_process()?)?.settings)
}

fn channel(text: &str) -> Result<ChannelName, String> {
    ChannelName::parse(text).map_err(|why| why.to_string())
}

fn run_token(args: &token::TokenArgs) -> anyhow::Result<ExitCode> {
    let flags = Flags { config: args.config.clone(), ..Flags::default() };
    let settings = Loaded::load(&flags, &Environment::of_process()?)?.settings;
    let token = token::make(args, settings.hs256_secret.as_ref())?;
    writeln!(std::io::stdout(), "{token}")?;
    Ok(ExitCode::SUCCESS)
}

fn run_revoke_all(args: RevokeAllArgs) -> anyhow::Result<ExitCode> {
    let flags = Flags { config: args.config, ..Flags::default() };
    let settings = Loaded::load(&flags, &Environment::of_process()?)?.settings;
    let folder = engine::revoke_all(&settings, args.data)?;
    writeln!(
        std::io::stdout(),
        "every ticket of {} is void: each client logs in again when it comes back",
        folder.display()
    )?;
    Ok(ExitCode::SUCCESS)
}

/// One thread is enough for one connection. The future does nothing before it is polled.
fn at_terminal(
    log: &LogArgs,
    command: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    log.start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(command)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn invalid_flag_is_refused_in_words() {
        let error = Cli::try_parse_from(["tautline", "serve", "--listen", "8000"]).unwrap_err().to_string();
        assert!(error.contains("write IP:port"), "{error}");
        let error = Cli::try_parse_from(["tautline", "serve", "--engine", "disk"]).unwrap_err().to_string();
        assert!(error.contains("a folder"), "{error}");
        let error =
            Cli::try_parse_from(["tautline", "serve", "--log", "tautline=loud"]).unwrap_err().to_string();
        assert!(error.contains("write a level"), "{error}");
    }
}
