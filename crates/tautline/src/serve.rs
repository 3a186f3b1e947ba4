//! `tautline serve`: builds the gateway from settings, runs it, and takes it down politely.
//!
//! Start at [`run`]. What is decided here is only what a process does: files, signals, and the lines it prints.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use tautline_backend::{Hooks, events::Webhooks};
use tautline_gateway::{Gateway, Hosts};
use tautline_process::{
    log,
    signals::{Ending, Signals},
    socket::raise_open_files_limit,
};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tracing::{Level, info, warn};

use crate::{
    config::{DrainSettings, Environment, Flags, Loaded, Settings, TICKET_KEYS},
    console::Console,
    engine::Logs,
    logins::Logins,
    metrics,
    reload::Reloader,
    sockets::BoundSocket,
    starting::answer_while,
    tls::CertificateStore,
    webhooks::RunningWebhooks,
};

/// How long the engine may take to store the last events, and how often it is asked whether it has.
const EVENTS_WAIT: Duration = Duration::from_secs(5);
const EVENTS_EVERY: Duration = Duration::from_millis(10);

/// Runs until a signal comes, then drains. A second signal ends it at once.
///
/// # Errors
/// When it cannot listen, or stops accepting.
pub async fn run(loaded: Loaded, flags: Flags, environment: Environment) -> anyhow::Result<ExitCode> {
    let settings = loaded.settings.clone();
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    if let Err(why) = raise_open_files_limit() {
        warn!(event = "open_files_limit", "{why}");
    }
    let certificates = match settings.tls.is_empty() {
        true => None,
        false => Some(CertificateStore::load(settings.tls.clone()).context("cannot serve TLS")?),
    };
    let sockets =
        settings.listeners().into_iter().map(BoundSocket::bind).collect::<anyhow::Result<Vec<_>>>()?;
    // The others answer once the gateway serves; until then connections wait in the kernel.
    let plain: Vec<_> = sockets.iter().filter_map(BoundSocket::plain_tcp).collect();
    let of = settings.clone();
    let mut logs = match answer_while(move || Logs::open(&of), &plain, signals.next()).await? {
        Ok(logs) => logs,
        Err(ending) => return Ok(ExitCode::from(ending.exit_code())),
    };
    let logins = Logins::new(&settings)?;
    let gateway = build(&settings, &mut logs, &logins.hooks)?;
    logs.listen(&gateway);
    let webhooks = start_webhooks(&settings, &gateway)?;
    let mut console = Console::start(&settings, &gateway)?;
    announce(&settings, &sockets, logs.keeps_keys());
    console.announce(&sockets);
    let tls = certificates.as_ref().map(CertificateStore::tls);
    metrics::add(&gateway, webhooks.handle(), tls.clone());
    let (mut serving, mut files) = (JoinSet::new(), Vec::new());
    for socket in sockets {
        let (listener, file) = socket.into_listener(tls.as_ref(), console.router());
        serving.spawn(gateway.serve(listener));
        files.extend(file);
    }
    let changing_keys = logs.change_keys(&gateway);
    let reloader = Reloader::new((flags, environment), gateway.clone(), loaded, logins, certificates);
    let reloading = signals.take_hangups().map(|hangups| tokio::spawn(reloader.run(hangups)));

    let ending = tokio::select! {
        ending = signals.next() => {
            info!(event = "drain_signal", "{}: draining; a second signal ends it at once", ending.name());
            Ok(drain(&settings.drain, &gateway, &mut signals).await)
        }
        spread = console.drain_asked() => {
            info!(event = "drain_signal", "the console: draining; a signal ends it at once");
            let settings = DrainSettings { spread, ..settings.drain };
            Ok(drain(&settings, &gateway, &mut signals).await)
        }
        () = logs.died() => {
            drain(&settings.drain, &gateway, &mut signals).await;
            Err(anyhow!("a thread of the store has panicked: nothing is stored before this process is started anew"))
        }
        Some(served) = serving.join_next() => {
            let served = served.context("the accept loop panicked").and_then(|it| it.context("cannot accept any more"));
            served.map(|()| ExitCode::SUCCESS)
        }
    };
    changing_keys.inspect(AbortHandle::abort);
    reloading.inspect(JoinHandle::abort);
    drop(files);
    let closing = async {
        store_events(&gateway).await;
        webhooks.stop().await;
        logs.close().await;
    };
    if let Some(signal) = unless_signalled(closing, signals.next()).await {
        warn!(
            event = "exit_at_once",
            "{}: exiting at once; the next start recovers the store as after a kill",
            signal.name()
        );
        return Ok(ExitCode::from(signal.exit_code()));
    }
    ending
}

/// Delivers events as the settings say. Before there are connections, so that none is missed.
fn start_webhooks(settings: &Settings, gateway: &Gateway) -> anyhow::Result<Webhooks> {
    let of = gateway.clone();
    let clock = move || of.control(|_, now| now);
    let webhooks = Webhooks::start(gateway.hub(), &settings.webhooks, clock);
    let webhooks = webhooks.context("cannot serve webhooks")?;
    gateway.set_webhooks(RunningWebhooks(webhooks.handle()));
    Ok(webhooks)
}

/// Waits until the engine has stored the last events. It may be unable to: then the next process finds in the journal
/// which sessions are open.
async fn store_events(gateway: &Gateway) {
    let storing = async {
        while gateway.hub().events_waiting() > 0 {
            tokio::time::sleep(EVENTS_EVERY).await;
        }
    };
    if tokio::time::timeout(EVENTS_WAIT, storing).await.is_err() {
        warn!(
            event = "events_not_stored",
            events = gateway.hub().events_waiting(),
            "the last events could not be stored"
        );
    }
}

/// Waits until the store is closed, which takes as long as a foreign tool holds its file. `Some`: a signal came
/// first.
async fn unless_signalled(
    closing: impl Future<Output = ()>,
    signal: impl Future<Output = Ending>,
) -> Option<Ending> {
    tokio::select! {
        biased;
        () = closing => None,
        signal = signal => Some(signal),
    }
}

async fn drain(settings: &DrainSettings, gateway: &Gateway, signals: &mut Signals) -> ExitCode {
    let draining = async {
        gateway.mark_not_ready();
        tokio::time::sleep(settings.notice).await;
        gateway.drain(settings.spread, settings.timeout).await;
    };
    tokio::select! {
        () = draining => ExitCode::SUCCESS,
        ending = signals.next() => {
            warn!(event = "exit_at_once", "{}: ending at once", ending.name());
            ExitCode::from(ending.exit_code())
        }
    }
}

/// The gateway that these settings describe.
fn build(settings: &Settings, logs: &mut Logs, logins: &Arc<Hooks>) -> anyhow::Result<Gateway> {
    let mut builder = Gateway::builder()
        .config(settings.gateway.clone())
        .plain(settings.plain.clone())
        .limits(settings.limits.clone())
        .rules(settings.channels.clone())
        .node(settings.node.clone())
        .backend(Arc::clone(logins));
    if !settings.ticket_keys.is_empty() {
        builder = builder.ticket_keys(settings.ticket_keys.iter().map(|key| key.0).collect());
    }
    if !settings.allowed_origins.is_empty() {
        builder = builder.allowed_origins(&settings.allowed_origins);
    }
    builder = builder.api_keys(settings.keys_of_api().context("[api]")?);
    if settings.dev {
        builder = builder.hosts(hosts_of(settings));
        builder = builder.call("echo", |call| async move { Ok(call.data) });
    }
    logs.equip(builder)?.build().context("cannot build the gateway")
}

/// For which hosts something is answered that is open to everybody: this machine's own, or its network's where it was told to
/// listen there.
fn hosts_of(settings: &Settings) -> Hosts {
    let is_local = settings.listeners().iter().all(|listener| listener.address.is_of_this_machine());
    if is_local { Hosts::Loopback } else { Hosts::Network }
}

/// Tells people what they must know, then prints the one line on stdout that says it is ready.
fn announce(settings: &Settings, sockets: &[BoundSocket], keeps_keys: bool) {
    if settings.ticket_keys.is_empty() && !keeps_keys {
        info!(
            event = "ticket_keys_random",
            "ticket keys are made at random: sessions will not survive a restart ([tickets] keys, or {TICKET_KEYS})"
        );
    }
    if settings.dev {
        // Not a log line, so that no filter hides it.
        let key = match &settings.dev_api_key {
            Some(key) => format!("is `{}`, made for this run", key.expose()),
            None => "is the configured one".to_owned(),
        };
        let words = format!(
            "--dev: OPEN TO EVERYBODY. Guests may connect, subscribe to and publish in any channel, method `echo` \
             answers, the API key {key}. Not for production."
        );
        log::say(Level::WARN, &words);
        for address in sockets.iter().filter_map(|socket| socket.address) {
            if !address.ip().to_canonical().is_loopback() {
                warn!(event = "dev_reachable", "--dev, and {address} can be reached from other machines");
            }
        }
    }
    log::announce(&format!(
        "tautline {} listening on {} (WebSocket at /connect, engine {})",
        env!("CARGO_PKG_VERSION"),
        sockets.iter().map(|socket| socket.url.as_str()).collect::<Vec<_>>().join(" "),
        settings.engine
    ));
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn signal_while_store_closes_ends_at_once() {
        let closing = pending();
        assert_eq!(unless_signalled(closing, ready(Ending::Terminate)).await, Some(Ending::Terminate));
        assert_eq!(unless_signalled(ready(()), pending()).await, None);
    }
}
