//! `tautline listen`: what is published in channels, on stdout as it comes.
//!
//! Start at [`run`]. What happens to the line is told on stderr, so that stdout can be piped.

use std::process::ExitCode;

use anyhow::bail;
use serde::Serialize;
use serde_json::value::RawValue;
use tautline_client::{Gap, ReadFrom, SubscriptionEvent};
use tokio::sync::mpsc;

use crate::terminal::{Aside, Terminal, Visit, print};

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

/// Prints until somebody presses Ctrl-C, or nobody reads it any more.
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
        let is_read = tokio::select! {
            aside = terminal.aside() => match aside? {
                Aside::Ending(_) => false,
                Aside::Dropped(dropped) => !json || print_json(&Told::Drop {
                    cause: dropped.cause.as_str(),
                    code: dropped.code,
                    reason: dropped.reason.as_deref(),
                    message: dropped.message.as_deref(),
                })?,
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
                    tell(&told, json)?
                }
                SubscriptionEvent::Gap(gap) => tell(&Told::Gap(&gap), json)?,
                SubscriptionEvent::Ended { code, message } => {
                    if json {
                        print_json(&Told::Ended { channel: &channel, code: code.as_str(), message: &message })?;
                    }
                    bail!("channel {channel:?}: {}: {message}", code.as_str());
                }
                _ => true,
            },
        };
        if !is_read {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn tell(told: &Told<'_>, json: bool) -> anyhow::Result<bool> {
    match told {
        _ if json => print_json(told),
        Told::Publication { channel, offset, at, data, from, .. } => {
            let from = from.map(|user| format!(" {user}:")).unwrap_or_default();
            print(&format!("{} {channel} {offset}{from} {}", utc(*at), data.get()))
        }
        Told::Gap(gap) => {
            let reason = serde_json::to_value(gap.reason)?;
            let reason = reason.as_str().unwrap_or_default();
            print(&format!(
                "-- gap in {} ({reason}): what followed {} may be missing; goes on behind {}",
                gap.channel, gap.after, gap.cursor.offset
            ))
        }
        Told::Drop { .. } | Told::Ended { .. } => Ok(true),
    }
}

fn print_json(told: &Told<'_>) -> anyhow::Result<bool> {
    print(&serde_json::to_string(told)?)
}

/// Wall milliseconds as RFC 3339 in UTC, which is the same on every machine that prints it.
fn utc(at: u64) -> String {
    let (days, ms) = (at / 86_400_000, at % 86_400_000);
    // Days since 0000-03-01: years that begin in March have their leap day at the end.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    let (seconds, ms) = (ms / 1_000, ms % 1_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_in_utc_across_leap_days_and_centuries() {
        for (at, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_763_666_008_100, "2025-11-20T19:13:28.100Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(utc(at), text);
        }
    }

    #[test]
    fn a_line_of_json_carries_the_data_to_the_letter() {
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
}
