//! `tautline listen`: what is published in channels, on stdout as it comes.
//!
//! Start at [`run`]. What happens to the line is told on stderr, so that stdout can be piped.

use std::process::ExitCode;

use anyhow::bail;
use serde::Serialize;
use serde_json::value::RawValue;
use tautline_client::{Gap, ReadFrom, SubscriptionEvent};
use tautline_process::{escape, utc};
use tokio::sync::mpsc;

use crate::terminal::{Aside, Printed, Terminal, Visit};

/// Events of all channels that wait to be printed; what follows waits in the gateway's log.
const UNPRINTED_MAX: usize = 64;

/// What to listen to.
#[derive(Clone, Debug, clap::Args)]
pub struct ListenArgs {
    #[command(flatten)]
    visit: Visit,
    /// The channels.
    #[arg(value_name = "CHANNEL", required = true)]
    channels: Vec<String>,
    /// Where to begin: with what comes, or with the oldest that is kept.
    #[arg(long, value_enum, default_value_t = Begin::Now)]
    from: Begin,
    /// Print one JSON object a line: publications, gaps, drops and ends, told apart by `type`.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Begin {
    Now,
    Start,
}

/// One thing that happened.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Told<'a> {
    Publication {
        channel: &'a str,
        epoch: &'a str,
        offset: u64,
        at: u64,
        data: &'a RawValue,
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tags: Option<&'a RawValue>,
    },
    Gap(&'a Gap),
    Drop {
        cause: &'a str,
        code: Option<i64>,
        reason: Option<&'a str>,
        message: Option<&'a str>,
    },
    Ended {
        channel: &'a str,
        code: &'a str,
        message: &'a str,
    },
}

/// Prints until Ctrl-C, or until stdout is closed.
///
/// # Errors
/// When a channel may not be read, or the line will not come back.
pub async fn run(args: ListenArgs) -> anyhow::Result<ExitCode> {
    let mut terminal = Terminal::open(&args.visit)?;
    let (events, mut told) = mpsc::channel(UNPRINTED_MAX);
    for channel in &args.channels {
        let from = if args.from == Begin::Now { ReadFrom::Now } else { ReadFrom::Start };
        let mut subscription = terminal.line.subscribe(channel, from).await?;
        let (channel, events) = (channel.clone(), events.clone());
        tokio::spawn(async move {
            while let Some(event) = subscription.next().await {
                if events.send((channel.clone(), event)).await.is_err() {
                    return;
                }
            }
        });
    }
    drop(events);

    let outcome = listen(&mut terminal, &mut told, args.json).await;
    terminal.line.close().await;
    outcome
}

async fn listen(
    terminal: &mut Terminal,
    told: &mut mpsc::Receiver<(String, SubscriptionEvent)>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    loop {
        let line = tokio::select! {
            aside = terminal.aside() => match aside? {
                Aside::Ending(_) => return Ok(ExitCode::SUCCESS),
                // People have read it on stderr.
                Aside::Dropped(_) if !json => continue,
                Aside::Dropped(dropped) => line_of(&Told::Drop {
                    cause: dropped.cause.as_str(),
                    code: dropped.code,
                    reason: dropped.reason.as_deref(),
                    message: dropped.message.as_deref(),
                }, json)?,
            },
            Some((channel, event)) = told.recv() => match event {
                SubscriptionEvent::Publication(publication) => {
                    let told = Told::Publication {
                        channel: &channel,
                        epoch: &publication.epoch,
                        offset: publication.offset,
                        at: publication.at,
                        data: &publication.data,
                        from: publication.from.as_deref(),
                        tags: publication.tags.as_deref(),
                    };
                    line_of(&told, json)?
                }
                SubscriptionEvent::Gap(gap) => line_of(&Told::Gap(&gap), json)?,
                SubscriptionEvent::Ended { code, message } => {
                    if json {
                        let told = Told::Ended { channel: &channel, code: code.as_str(), message: &message };
                        terminal.print(line_of(&told, json)?).await?;
                    }
                    bail!("channel {channel:?}: {}: {message}", code.as_str());
                }
                _ => continue,
            },
        };
        if terminal.print(line).await? != Printed::Done {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// What is printed of it: no control characters, whatever the peer sent.
fn line_of(told: &Told<'_>, json: bool) -> anyhow::Result<String> {
    let text = match told {
        Told::Publication { channel, offset, at, data, from, .. } if !json => {
            let from = from.map(|user| format!(" {user}:")).unwrap_or_default();
            format!("{} {channel} {offset}{from} {}", utc(*at), escape::json(data.get()))
        }
        Told::Gap(gap) if !json => {
            let reason = serde_json::to_value(gap.reason)?;
            let reason = reason.as_str().unwrap_or_default();
            format!(
                "-- gap in {} ({reason}): what followed {} may be missing; goes on behind {}",
                gap.channel, gap.after, gap.cursor.offset
            )
        }
        _ => return Ok(escape::json(&serde_json::to_string(told)?).into_owned()),
    };
    Ok(escape::line(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_line_carries_the_data_unchanged() {
        let data = RawValue::from_string("{\"a\":  1.50}".to_owned()).unwrap();
        let told = Told::Publication {
            channel: "room:7",
            epoch: "k3",
            offset: 4,
            at: 1,
            data: &data,
            from: None,
            tags: None,
        };
        let expected =
            r#"{"type":"publication","channel":"room:7","epoch":"k3","offset":4,"at":1,"data":{"a":  1.50}}"#;
        assert_eq!(serde_json::to_string(&told).unwrap(), expected);
    }

    #[test]
    fn hostile_text_moves_no_terminal_cursor() {
        let data = RawValue::from_string("{\n\"a\": \"\u{9b}2J\u{202e}\"}".to_owned()).unwrap();
        for (json, expected) in [
            (false, "1970-01-01T00:00:00.001Z a\\u{1b}]0;b 4 \\u{7f}: { \"a\": \"\\u009b2J\\u202e\"}"),
            (
                true,
                r#"{"type":"publication","channel":"a\u001b]0;b","epoch":"\u202ek","offset":4,"at":1,"data":{ "a": "\u009b2J\u202e"},"from":"\u007f"}"#,
            ),
        ] {
            let told = Told::Publication {
                channel: "a\u{1b}]0;b",
                epoch: "\u{202e}k",
                offset: 4,
                at: 1,
                data: &data,
                from: Some("\u{7f}"),
                tags: None,
            };
            assert_eq!(line_of(&told, json).unwrap(), expected);
        }
    }
}
