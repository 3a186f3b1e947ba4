//! `tautline call` and `tautline publish`: one request, its answer on stdout.

use std::process::ExitCode;

use serde_json::value::RawValue;
use tautline_client::RequestOptions;
use tautline_process::escape;

use crate::terminal::{Printed, Terminal, Visit, json};

/// What to ask of the back end.
#[derive(Clone, Debug, clap::Args)]
pub struct CallArgs {
    #[command(flatten)]
    visit: Visit,
    /// The method.
    #[arg(value_name = "METHOD")]
    method: String,
    /// What it is given, like '{"order":17}'.
    #[arg(value_name = "JSON", default_value = "null", value_parser = json)]
    data: Box<RawValue>,
}

/// What to publish.
#[derive(Clone, Debug, clap::Args)]
pub struct PublishArgs {
    #[command(flatten)]
    visit: Visit,
    /// The channel.
    #[arg(value_name = "CHANNEL")]
    channel: String,
    /// What to publish, like '{"text":"hello"}'.
    #[arg(value_name = "JSON", value_parser = json)]
    data: Box<RawValue>,
}

/// Calls a method, and prints the answer's data, to the letter but for characters that a terminal would obey.
///
/// # Errors
/// When it was refused, or nobody knows what became of it.
pub async fn run(args: CallArgs) -> anyhow::Result<ExitCode> {
    let mut terminal = Terminal::open(&args.visit)?;
    let line = terminal.line.clone();
    let call = line.call_with::<Box<RawValue>>(&args.method, &args.data, RequestOptions::default());
    let answer = terminal.settle(&format!("call {}", args.method), call).await?;
    finish(&mut terminal, answer.map(|data| data.get().to_owned())).await
}

/// Publishes, and prints where in the log it went.
///
/// # Errors
/// When it was refused, or nobody knows what became of it.
pub async fn publish(args: PublishArgs) -> anyhow::Result<ExitCode> {
    let mut terminal = Terminal::open(&args.visit)?;
    let line = terminal.line.clone();
    let published = terminal
        .settle(&format!("publish to {}", args.channel), line.publish(&args.channel, &args.data))
        .await?;
    let answer = match published {
        Ok(published) => Ok(serde_json::to_string(&published)?),
        Err(code) => Err(code),
    };
    finish(&mut terminal, answer).await
}

async fn finish(terminal: &mut Terminal, answer: Result<String, u8>) -> anyhow::Result<ExitCode> {
    Ok(match answer {
        Ok(answer) => match terminal.print(escape::json(&answer).into_owned()).await? {
            Printed::Done | Printed::Unread => ExitCode::SUCCESS,
            Printed::Ending(ending) => ExitCode::from(ending.exit_code()),
        },
        Err(code) => ExitCode::from(code),
    })
}
