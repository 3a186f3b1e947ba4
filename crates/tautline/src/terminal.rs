//! What `listen`, `call` and `publish` share: who goes where, and a line that tells a person at a terminal how it fares.
//!
//! Start at `Terminal::open`.

use std::{
    convert::Infallible,
    future::Future,
    io::{self, Write as _},
    sync::mpsc::{SyncSender, sync_channel},
    thread,
};

use anyhow::{Context as _, bail};
use serde_json::value::RawValue;
use tautline_client::{Client, ClientEvent, ClientOptions, Dropped, Login, RequestError, State};
use tautline_process::{
    log::say,
    secret::Secret,
    signals::{Ending, Signals},
};
use tokio::sync::{
    broadcast::{self, error::RecvError},
    oneshot,
};
use tracing::Level;

use crate::config::TOKEN;

/// Where to go, and as whom.
#[derive(Clone, Debug, clap::Args)]
pub struct Visit {
    /// The gateway: wss://host, or ws://host:port; without a path it is /connect. http and https are taken as ws and wss.
    #[arg(value_name = "URL", value_parser = url)]
    pub url: String,
    /// A token (JWT) that says who comes; better in the environment, where other users of this machine do not see it.
    /// Without one a guest comes.
    #[arg(long, value_name = "TOKEN", env = TOKEN, hide_env_values = true, value_parser = secret)]
    pub token: Option<Secret>,
    /// Come as a guest, also where there is a token in the environment.
    #[arg(long)]
    pub guest: bool,
}

/// A line and the person who waits for it.
pub(crate) struct Terminal {
    pub line: Client,
    url: String,
    events: broadcast::Receiver<ClientEvent>,
    signals: Signals,
    printer: Printer,
    last_drop: Option<Dropped>,
    was_online: bool,
}

/// What became of a line for stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Printed {
    Done,
    /// Nobody reads it any more (`… | head`).
    Unread,
    /// A signal came while it waited for a reader.
    Ending(Ending),
}

/// What happens beside that which was asked for.
pub(crate) enum Aside {
    Dropped(Dropped),
    Ending(Ending),
}

impl Terminal {
    pub(crate) fn open(visit: &Visit) -> anyhow::Result<Self> {
        let signals = Signals::listen().context("cannot listen for signals")?;
        let login = match &visit.token {
            Some(token) if !visit.guest => Login::token(token.expose()),
            _ => Login::guest(),
        };
        let line = Client::connect(ClientOptions::new(&visit.url, login))?;
        let (url, events) = (visit.url.clone(), line.events());
        let printer = Printer::start().context("cannot start the thread that prints")?;
        Ok(Self { line, url, events, signals, printer, last_drop: None, was_online: false })
    }

    /// Prints a line on stdout. The line to the gateway lives on while nobody reads.
    pub(crate) async fn print(&mut self, text: String) -> anyhow::Result<Printed> {
        tokio::select! {
            printed = self.printer.print(text) => match printed {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Printed::Unread),
                printed => printed.map(|()| Printed::Done).context("cannot print"),
            },
            ending = self.signals.next() => Ok(Printed::Ending(ending)),
        }
    }

    /// Waits for the next thing to know. What is for people is told on stderr already. Safe to cancel.
    ///
    /// # Errors
    /// When the line will not come back by itself.
    pub(crate) async fn aside(&mut self) -> anyhow::Result<Aside> {
        loop {
            let event = tokio::select! {
                event = self.events.recv() => event,
                ending = self.signals.next() => return Ok(Aside::Ending(ending)),
            };
            match event {
                Ok(ClientEvent::Welcome(welcome)) => {
                    if self.was_online {
                        let how = if welcome.resumed { "resumed" } else { "a new session" };
                        say(Level::INFO, &format!("back on the line ({how})"));
                    }
                    self.was_online = true;
                }
                Ok(ClientEvent::Dropped(dropped)) => {
                    say(Level::WARN, &describe(&dropped));
                    self.last_drop = Some(dropped.clone());
                    return Ok(Aside::Dropped(dropped));
                }
                Ok(ClientEvent::State(State::Stopped(cause))) => {
                    let why = self.last_drop.as_ref().map_or(cause.as_str().to_owned(), describe);
                    bail!("{}: {why}; it is of no use to try again without another token or URL", self.url);
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => bail!("{}: the line is closed", self.url),
            }
        }
    }

    /// Waits for what was asked, and closes the line. The other outcome is an exit code: somebody has pressed Ctrl-C.
    pub(crate) async fn settle<T>(
        &mut self,
        what: &str,
        request: impl Future<Output = Result<T, RequestError>>,
    ) -> anyhow::Result<Result<T, u8>> {
        tokio::pin!(request);
        let outcome = loop {
            tokio::select! {
                // What is known already is told before it ends.
                biased;
                aside = self.aside() => match aside {
                    Ok(Aside::Dropped(_)) => {}
                    Ok(Aside::Ending(ending)) => {
                        let words = "given up; if it was sent already, it may be done all the same";
                        say(Level::WARN, &format!("{what}: {words}"));
                        break Ok(Err(ending.exit_code()));
                    }
                    Err(error) => break Err(error),
                },
                settled = &mut request => break settled.map(Ok).map_err(|error| refusal(what, error)),
            }
        };
        self.line.close().await;
        outcome
    }
}

/// An error that says what a person may do next.
fn refusal(what: &str, error: RequestError) -> anyhow::Error {
    let advice = if error.in_doubt() {
        "; nobody can tell whether it was done: look before you ask again"
    } else {
        ""
    };
    anyhow::anyhow!("{what}: {error}{advice}")
}

/// A drop in one line.
fn describe(dropped: &Dropped) -> String {
    let begin = if dropped.online { "line lost" } else { "no line" };
    let mut text = format!("{begin}: {}", dropped.cause.as_str());
    for word in [&dropped.reason, &dropped.message].into_iter().flatten().filter(|word| !word.is_empty()) {
        text = text + ", " + word;
    }
    text
}

/// A line, and where to tell what became of it.
type Order = (String, oneshot::Sender<io::Result<()>>);

/// Prints on a thread of its own: where nobody reads, only that thread waits. It ends with the process.
struct Printer(SyncSender<Order>);

impl Printer {
    fn start() -> io::Result<Self> {
        // One line at a time: the next is not asked for before this one is printed.
        let (orders, taken) = sync_channel::<Order>(1);
        thread::Builder::new().name("print".to_owned()).spawn(move || {
            for (line, done) in taken {
                // Where nobody waits any more the process is about to end.
                let _ = done.send(writeln!(io::stdout(), "{line}"));
            }
        })?;
        Ok(Self(orders))
    }

    async fn print(&self, line: String) -> io::Result<()> {
        let (done, printed) = oneshot::channel();
        let gone = || io::Error::other("the thread that prints is gone");
        self.0.try_send((line, done)).map_err(|_| gone())?;
        printed.await.map_err(|_| gone())?
    }
}

/// Reads the JSON that a person typed, and keeps it to the letter.
pub(crate) fn json(text: &str) -> Result<Box<RawValue>, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("not JSON: {error}; a text has its own quotes, like '\"hello\"'"))
}

pub(crate) fn secret(text: &str) -> Result<Secret, Infallible> {
    // A token holds no white space: it is the new line of the file that it was read from.
    Ok(Secret::new(text.trim()))
}

fn url(text: &str) -> Result<String, String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let scheme = match scheme {
        "ws" | "http" => "ws",
        "wss" | "https" => "wss",
        _ => return Err("write ws://host:port, or wss://host where there is TLS".to_owned()),
    };
    // What is copied from a browser ends in `/`, and nobody serves WebSockets there.
    let path = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(path);
    let target = target
        .strip_prefix('/')
        .filter(|rest| rest.is_empty() || rest.starts_with(['?', '#']))
        .unwrap_or(target);
    Ok(format!("{scheme}://{authority}{target}"))
}

#[cfg(test)]
mod tests {
    use tautline_client::LocalError;

    use super::*;

    #[test]
    fn a_url_is_taken_as_it_was_copied() {
        for (typed, meant) in [
            ("http://127.0.0.1:8000", "ws://127.0.0.1:8000"),
            ("https://rt.example.com/", "wss://rt.example.com"),
            ("wss://rt.example.com/?format=json", "wss://rt.example.com?format=json"),
            ("ws://rt.example.com/line/connect", "ws://rt.example.com/line/connect"),
        ] {
            assert_eq!(url(typed).as_deref(), Ok(meant));
        }
        assert!(url("rt.example.com").unwrap_err().contains("wss://"));
    }

    #[test]
    fn in_doubt_is_not_reported_as_failure() {
        let doubtful = refusal("call pay", RequestError::Local(LocalError::Timeout)).to_string();
        assert_eq!(
            doubtful,
            "call pay: no reply came in time; nobody can tell whether it was done: look before you ask again"
        );
        let unsent = refusal("call pay", RequestError::Local(LocalError::Expired)).to_string();
        assert_eq!(unsent, "call pay: no session was open in time to send it");
    }

    #[test]
    fn unquoted_text_argument_is_refused() {
        assert_eq!(json("{\"a\":  1.50}").unwrap().get(), "{\"a\":  1.50}");
        assert!(json("hello").unwrap_err().contains("own quotes"));
    }
}
