//! Reads the configuration again, on SIGHUP and when one of its files changes, and applies what can change in a running server.
//!
//! Start at [`Reloader::run`]. A configuration with a fault changes nothing. Each part is replaced at once, and the parts one
//! after the other (ADR 0027).

use std::time::Duration;

use anyhow::Context as _;
use tautline_gateway::Gateway;
use tautline_process::log;
use tokio::{
    signal::unix::Signal,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tracing::{error, info, warn};

use crate::{
    config::{Environment, Flags, Loaded, Settings},
    logins,
    tls::CertificateStore,
    watched::Watched,
};

/// How often files are compared. A change is read once two comparisons in a row have found the same.
const COMPARE_EVERY: Duration = Duration::from_secs(1);

/// Options that are applied while the server runs: these, and those inside of them. All others count from the next start on.
const RELOADED: [&str; 8] =
    ["channels", "api.keys", "api.key", "auth", "login", "rates", "server.allowed_origins", "log.filter"];
/// Options inside of them that are not: what was opened before is not counted by them.
const NOT_RELOADED: [&str; 2] = ["rates.connections_per_user_max", "rates.connections_per_user_beyond"];

/// What is needed to read the configuration again, and what it was before.
pub(crate) struct Reloader {
    pub(crate) flags: Flags,
    pub(crate) environment: Environment,
    pub(crate) gateway: Gateway,
    /// As the server started.
    pub(crate) started: Loaded,
    /// As it was read last.
    pub(crate) running: Loaded,
    /// Those of listeners with TLS, where there are any.
    pub(crate) certificates: Option<CertificateStore>,
}

/// The options that have changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// They hold from now on.
    pub applied: Vec<String>,
    /// They hold from the next start on.
    pub not_applied: Vec<String>,
}

impl Reloader {
    /// Reloads until it is aborted.
    pub(crate) async fn run(mut self, mut hangups: Signal) {
        let mut comparisons = interval(COMPARE_EVERY);
        comparisons.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watched = Watched::new(&self.running.files);
        loop {
            let is_asked = tokio::select! {
                received = hangups.recv() => match received {
                    Some(()) => true,
                    None => return,
                },
                _ = comparisons.tick() => false,
            };
            // Files may be on a network that is slow.
            let looked = spawn_blocking(move || {
                watched = self.look(is_asked, watched);
                (self, watched)
            });
            (self, watched) = looked.await.expect("a reload does not panic");
        }
    }

    /// Reloads where it is asked for or a file has changed. What is watched from now on.
    fn look(&mut self, is_asked: bool, mut watched: Watched) -> Watched {
        if watched.compare() || is_asked {
            // As the files are before they are read: what changes meanwhile is read again.
            watched = Watched::new(&self.running.files);
            self.reload_and_tell(if is_asked { "SIGHUP" } else { "a file has changed" });
            if watched.files() != self.running.files {
                watched = Watched::new(&self.running.files);
            }
        }
        if let Some(certificates) = &mut self.certificates {
            certificates.look(is_asked);
        }
        watched
    }

    fn reload_and_tell(&mut self, why: &str) {
        match self.reload() {
            Err(error) => error!(
                "{why}: the configuration was not reloaded, and all settings stay as they were: {error:#}"
            ),
            Ok(Changes { applied, not_applied }) => {
                match applied.as_slice() {
                    [] => info!("{why}: configuration reloaded, nothing to apply"),
                    applied => info!("{why}: configuration reloaded, applied: {}", applied.join(", ")),
                }
                if !not_applied.is_empty() {
                    warn!("changed, and applied with the next start only: {}", not_applied.join(", "));
                }
                for finding in self.running.settings.findings(&self.environment) {
                    warn!("{finding}");
                }
            }
        }
    }

    /// Reads everything first, then replaces the parts that have changed.
    pub(crate) fn reload(&mut self) -> anyhow::Result<Changes> {
        let mut loaded = Loaded::load(&self.flags, &self.environment)?;
        let (old, new) = (&self.running.settings, &mut loaded.settings);
        if let (Some(key), Some(_)) = (&old.dev_api_key, &new.dev_api_key) {
            // It was made for this run.
            (new.dev_api_key, new.api_keys) = (Some(key.clone()), old.api_keys.clone());
        }
        let (changed, since_start) =
            (self.running.values.changed(&loaded.values), self.started.values.changed(&loaded.values));
        self.apply(&loaded.settings)?;
        self.running = loaded;
        let started = &self.started.settings;
        let keeps_keys = started.ticket_keys.is_empty() || self.running.settings.ticket_keys.is_empty();
        // Without listeners that have certificates, and where the engine keeps the keys of tickets, there is nothing to replace.
        let beside = [("tls", self.certificates.is_some()), ("tickets.keys", !keeps_keys)];
        let is_reloaded = |option: &str| {
            is_reloaded(option) || beside.iter().any(|(outer, reloads)| *reloads && is_in(option, outer))
        };
        Ok(Changes {
            applied: changed.into_iter().filter(|option| is_reloaded(option)).collect(),
            not_applied: since_start.into_iter().filter(|option| !is_reloaded(option)).collect(),
        })
    }

    /// The parts that can fail come first, and change nothing where they do.
    fn apply(&mut self, new: &Settings) -> anyhow::Result<()> {
        let (old, gateway) = (&self.running.settings, &self.gateway);
        let logins = match have_same_logins(old, new) {
            true => None,
            // The rest of them, such as the environment, is as it was at the start.
            false => Some(logins::backend(&Settings {
                environment: self.started.settings.environment.clone(),
                hooks: self.started.settings.hooks.clone(),
                ..new.clone()
            })?),
        };
        let certificates = match &self.certificates {
            Some(store) if old.tls != new.tls => Some(store.checked(&new.tls).context("[[tls]]")?),
            _ => None,
        };
        if (&old.api_keys, &old.scoped_api_keys) != (&new.api_keys, &new.scoped_api_keys) {
            gateway.set_api_keys(new.keys_of_api().context("[api]")?);
        }
        if let (Some(store), Some(read)) = (&mut self.certificates, certificates) {
            store.take(new.tls.clone(), read).context("[[tls]]")?;
        }
        if let Some(logins) = logins {
            gateway.set_backend(logins);
        }
        if old.allowed_origins != new.allowed_origins {
            gateway.set_allowed_origins(&new.allowed_origins);
        }
        if old.limits.rates != new.limits.rates {
            gateway.hub().set_rates(&new.limits.rates);
        }
        if old.channels != new.channels {
            gateway.hub().set_rules(new.channels.clone());
        }
        let has_keys = |settings: &Settings| !settings.ticket_keys.is_empty();
        if old.ticket_keys != new.ticket_keys && has_keys(&self.started.settings) && has_keys(new) {
            let keys: Vec<_> = new.ticket_keys.iter().map(|key| key.0).collect();
            gateway.hub().set_ticket_keys(&keys);
        }
        if old.log_filter != new.log_filter {
            log::set_filter(&new.log_filter);
        }
        Ok(())
    }
}

/// Only logins that have changed are replaced: what was fetched of the others, such as key sets, stays.
fn have_same_logins(old: &Settings, new: &Settings) -> bool {
    let of = |settings: &Settings| {
        let Settings { guests, hs256_secret, hs256_secret_old, tokens, logins, .. } = settings.clone();
        (guests, hs256_secret, hs256_secret_old, tokens, logins)
    };
    of(old) == of(new)
}

fn is_reloaded(option: &str) -> bool {
    let is_any = |outer: &[&str]| outer.iter().any(|outer| is_in(option, outer));
    is_any(&RELOADED) && !is_any(&NOT_RELOADED)
}

/// Whether an option is this one, or inside of it.
fn is_in(option: &str, outer: &str) -> bool {
    option.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
