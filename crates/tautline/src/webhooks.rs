//! Webhooks: those that run, for the HTTP API, and `tautline webhooks`, which asks it.
//!
//! Start at [`run`].

use std::process::ExitCode;

use serde_json::{Value, json};
use tautline_backend::{
    ApiClient,
    events::{self, WebhookFigures, WebhookHandle},
};
use tautline_gateway::{WebhookCommand, WebhookControl, WebhookState, WebhookStatus};
use tautline_process::{escape, log::announce, secret::Secret};

use crate::{config::API_KEY, terminal::secret};

/// What to do with the webhooks of a gateway.
#[derive(Clone, Debug, clap::Args)]
pub struct WebhooksArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// List them, with what is in their logs and what became of the last attempt.
    List(Access),
    /// Send events again, from an offset on, with the same ids and bytes.
    Replay {
        #[command(flatten)]
        of: OneWebhook,
        /// The offset of the first event: the number at the end of its id.
        #[arg(value_name = "OFFSET")]
        from: u64,
    },
    /// Try again at once, also where it was off.
    Enable(OneWebhook),
    /// Send no more; events stay in the log.
    Disable(OneWebhook),
}

/// Where the gateway is, and a key of its API.
#[derive(Clone, Debug, clap::Args)]
struct Access {
    /// The gateway, like https://gateway.example or http://127.0.0.1:8000.
    #[arg(value_name = "URL")]
    url: String,
    /// A key of the HTTP API; better in the environment, where other users of this machine do not see it.
    #[arg(long, value_name = "KEY", env = API_KEY, hide_env_values = true, value_parser = secret)]
    key: Secret,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct OneWebhook {
    #[command(flatten)]
    access: Access,
    /// The name of the webhook.
    #[arg(value_name = "WEBHOOK")]
    webhook: String,
}

/// Asks the gateway, and prints its answer.
///
/// # Errors
/// When it refuses, or does not answer.
pub async fn run(args: WebhooksArgs) -> anyhow::Result<ExitCode> {
    let (access, path, body) = match args.what {
        What::List(access) => (access, "webhooks", None),
        What::Replay { of, from } => {
            (of.access, "webhooks/replay", Some(json!({"webhook": of.webhook, "from": from})))
        }
        What::Enable(of) => (of.access, "webhooks/enable", Some(json!({"webhook": of.webhook}))),
        What::Disable(of) => (of.access, "webhooks/disable", Some(json!({"webhook": of.webhook}))),
    };
    let client = ApiClient::new(&access.url, access.key)?;
    let answer = match &body {
        None => client.get(path).await?,
        Some(body) => client.post(path, body).await?,
    };
    if access.json {
        announce(&escape::json(&answer.to_string()));
    } else {
        let all = answer["webhooks"].as_array().cloned().unwrap_or_else(|| vec![answer.clone()]);
        all.iter().for_each(|webhook| announce(&line_of(webhook)));
    }
    Ok(ExitCode::SUCCESS)
}

/// `shop: active at 41, 3 behind (1,200 ms)`.
fn line_of(webhook: &Value) -> String {
    let text = |member: &str| webhook[member].as_str().unwrap_or("?");
    let number = |member: &str| webhook[member].as_u64().unwrap_or(0);
    let (name, state, offset, lag) = (text("name"), text("state"), number("offset"), number("lag"));
    let mut line = format!("{name}: {state} at {offset}, {lag} behind");
    let mut add = |words: String| line.push_str(&words);
    if lag > 0 {
        add(format!(" ({} ms)", number("lag_ms")));
    }
    if number("failures") > 0 {
        add(format!(", {} failures: {}", number("failures"), text("last_error")));
    }
    if let Some(retry_in_ms) = webhook["retry_in_ms"].as_u64() {
        add(format!("; next attempt in {} s", retry_in_ms.div_ceil(1_000)));
    }
    for (member, words) in [("expired", "expired"), ("lost", "lost"), ("waiting", "not stored yet")] {
        if number(member) > 0 {
            add(format!(", {} {words}", number(member)));
        }
    }
    line
}

/// The webhooks that run, as the HTTP API sees them.
pub(crate) struct RunningWebhooks(pub(crate) WebhookHandle);

impl WebhookControl for RunningWebhooks {
    fn list(&self) -> Vec<WebhookStatus> {
        self.0.figures().into_iter().map(status_of).collect()
    }

    fn command(&self, name: &str, command: WebhookCommand) -> Option<WebhookStatus> {
        let command = match command {
            WebhookCommand::Replay { from } => events::WebhookCommand::Replay { from },
            WebhookCommand::Enable => events::WebhookCommand::Resume,
            WebhookCommand::Disable => events::WebhookCommand::Off,
        };
        self.0.command(name, command).map(status_of)
    }
}

fn status_of(figures: WebhookFigures) -> WebhookStatus {
    WebhookStatus {
        name: figures.name,
        state: match figures.state {
            events::WebhookState::Active => WebhookState::Active,
            events::WebhookState::Retrying => WebhookState::Retrying,
            events::WebhookState::Off => WebhookState::Off,
        },
        offset: figures.offset,
        lag: figures.lag,
        lag_ms: figures.lag_ms,
        failures: figures.failures,
        retry_in_ms: figures.retry_in_ms,
        last_error: figures.last_error,
        expired: figures.expired,
        lost: figures.lost,
        waiting: figures.waiting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_says_how_a_webhook_stands() {
        let webhook =
            json!({"name": "shop", "state": "active", "offset": 41, "lag": 0, "lag_ms": 0, "failures": 0});
        assert_eq!(line_of(&webhook), "shop: active at 41, 0 behind");
        let webhook = json!({
            "name": "shop", "state": "retrying", "offset": 41, "lag": 3, "lag_ms": 1200, "failures": 2,
            "last_error": "the receiver answered 500", "retry_in_ms": 4001, "expired": 7, "lost": 0, "waiting": 1,
        });
        assert_eq!(
            line_of(&webhook),
            "shop: retrying at 41, 3 behind (1200 ms), 2 failures: the receiver answered 500; next attempt in 5 s, \
             7 expired, 1 not stored yet"
        );
    }
}
