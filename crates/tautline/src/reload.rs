//! Reads the configuration again, on SIGHUP and when one of its files changes, and applies what can change in a running server.
//!
//! Start at [`Reloader::run`]. A configuration with a fault changes nothing. Each part is replaced at once, and the parts one
//! after the other (ADR 0027).

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, bail};
use tautline_gateway::Gateway;
use tautline_process::log;
use tokio::{
    signal::unix::Signal,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::{error, info, warn};

use crate::{
    config::{Environment, Flags, Loaded, Settings},
    logins::Logins,
    tls::CertificateStore,
    watched::{Retry, Watched},
};

/// How often files are compared. A change is read once two comparisons in a row have found the same.
const COMPARE_EVERY: Duration = Duration::from_secs(1);

/// How long reading and comparing may take before it is told.
const SLOW_AFTER: Duration = Duration::from_secs(10);

/// Options that are applied while the server runs: these, and those inside of them. All others count from the next start on.
const RELOADED: [&str; 9] = [
    "channels",
    "api.keys",
    "api.key",
    "auth",
    "login",
    "hooks",
    "rates",
    "server.allowed_origins",
    "log.filter",
];

/// What is needed to read the configuration again, and what it was before.
pub(crate) struct Reloader {
    flags: Flags,
    environment: Environment,
    gateway: Gateway,
    /// As the server started.
    started: Loaded,
    /// As it was read last.
    running: Loaded,
    /// What answers the gateway's questions.
    logins: Logins,
    /// Those of listeners with TLS, where there are any.
    certificates: Option<CertificateStore>,
    retry: Retry,
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
    /// Of a server that has started with these settings.
    pub(crate) fn new(
        (flags, environment): (Flags, Environment),
        gateway: Gateway,
        loaded: Loaded,
        logins: Logins,
        certificates: Option<CertificateStore>,
    ) -> Self {
        let (started, running, retry) = (loaded.clone(), loaded, Retry::default());
        Self { flags, environment, gateway, started, running, logins, certificates, retry }
    }

    /// Reloads until it is aborted.
    pub(crate) async fn run(mut self, mut hangups: Signal) {
        let mut comparisons = interval(COMPARE_EVERY);
        comparisons.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watched;
        (self, watched) = blocking(move || {
            let watched = self.watch(SystemTime::now());
            (self, watched)
        })
        .await;
        loop {
            let is_asked = tokio::select! {
                received = hangups.recv() => match received {
                    Some(()) => true,
                    None => return,
                },
                _ = comparisons.tick() => false,
            };
            (self, watched) = blocking(move || {
                watched = self.look(is_asked, SystemTime::now(), watched);
                (self, watched)
            })
            .await;
        }
    }

    /// Reloads where it is asked for or a file has changed. What is watched from now on.
    fn look(&mut self, is_asked: bool, now: SystemTime, mut watched: Watched) -> Watched {
        let has_changed = watched.compare();
        if has_changed || is_asked || self.retry.is_due(now) {
            // As the files are before they are read: what changes meanwhile is read again.
            watched = Watched::new(&self.running.files);
            match (is_asked, has_changed) {
                (true, _) => self.reload_and_tell("SIGHUP", now, true),
                (false, true) => self.reload_and_tell("a file has changed", now, true),
                (false, false) => self.reload_and_tell("the last reload failed", now, false),
            }
            if watched.files() != self.running.files {
                watched = self.watch(now);
            }
        }
        if let Some(certificates) = &mut self.certificates {
            certificates.look(is_asked, now);
        }
        watched
    }

    /// Watches the files of the settings in use. What has changed since they were read, comparisons would never find.
    fn watch(&mut self, now: SystemTime) -> Watched {
        loop {
            let watched = Watched::new(&self.running.files);
            let loaded = Loaded::load(&self.flags, &self.environment);
            if loaded.is_err() || loaded.is_ok_and(|new| !self.running.values.changed(&new.values).is_empty())
            {
                self.reload_and_tell("a file has changed", now, true);
            }
            if watched.files() == self.running.files {
                return watched;
            }
        }
    }

    /// Tells of a failure that is no news only where it `is_loud`.
    fn reload_and_tell(&mut self, why: &str, now: SystemTime, is_loud: bool) {
        match self.reload() {
            Err(error) => {
                if self.retry.failed(now, format!("{error:#}")) || is_loud {
                    error!(
                        event = "reload_failed",
                        "{why}: the configuration was not reloaded, and all settings stay as they were: {error:#}"
                    );
                }
            }
            Ok(Changes { applied, not_applied }) => {
                self.retry.succeeded();
                match applied.as_slice() {
                    [] => info!(
                        event = "reload_without_change",
                        "{why}: configuration reloaded, nothing to apply"
                    ),
                    applied => info!(
                        event = "reload_applied",
                        "{why}: configuration reloaded, applied: {}",
                        applied.join(", ")
                    ),
                }
                if !not_applied.is_empty() {
                    warn!(
                        event = "reload_needs_restart",
                        "changed, and applied with the next start only: {}",
                        not_applied.join(", ")
                    );
                }
                for finding in self.running.settings.findings(&self.environment) {
                    warn!(event = "setting_suspect", "{finding}");
                }
            }
        }
    }

    /// Reads everything first, then replaces the parts that have changed.
    pub(crate) fn reload(&mut self) -> anyhow::Result<Changes> {
        let mut loaded = Loaded::load(&self.flags, &self.environment)?;
        if loaded.is_file_blank && !self.running.is_file_blank {
            // A full disk, or a program that is still writing. It would take all logins and all channels away.
            bail!("the configuration file is empty, and had settings before: a start takes it as it is");
        }
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
        // The environment is as it was at the start.
        let environment = self.started.settings.environment.clone();
        let logins = self.logins.reloaded(old, &Settings { environment, ..new.clone() })?;
        let certificates = match &self.certificates {
            Some(store) if old.tls != new.tls => {
                Some(store.checked(&new.tls, SystemTime::now()).context("[[tls]]")?)
            }
            _ => None,
        };
        let api_keys = match (&old.api_keys, &old.scoped_api_keys) == (&new.api_keys, &new.scoped_api_keys) {
            true => None,
            false => Some(new.keys_of_api().context("[api]")?),
        };
        // The last that can fail: behind it everything is taken.
        if let (Some(store), Some(read)) = (&mut self.certificates, certificates) {
            store.take(new.tls.clone(), read).context("[[tls]]")?;
        }
        if let Some(keys) = api_keys {
            gateway.set_api_keys(keys);
        }
        if let Some(logins) = logins {
            gateway.set_backend(Arc::clone(&logins.hooks));
            self.logins = logins;
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

/// Files may be on a network that is slow.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let mut working = spawn_blocking(work);
    let done = match timeout(SLOW_AFTER, &mut working).await {
        Ok(done) => done,
        Err(_) => {
            warn!(
                event = "reload_waits",
                "a file of the configuration cannot be read or compared for now: nothing is reloaded until it can"
            );
            working.await
        }
    };
    done.expect("a reload does not panic")
}

fn is_reloaded(option: &str) -> bool {
    let is_any = |outer: &[&str]| outer.iter().any(|outer| is_in(option, outer));
    is_any(&RELOADED)
}

/// Whether an option is this one, or inside of it.
fn is_in(option: &str, outer: &str) -> bool {
    option.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

    use super::*;
    use crate::watched::RETRY_EVERY;

    /// A file of its own for each test, and a server that runs with it.
    fn running_with(name: &str, text: &str) -> (PathBuf, Reloader) {
        let folder = std::env::temp_dir().join(format!("tautline-reload-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("tautline.toml");
        fs::write(&file, text).unwrap();
        let flags = Flags { config: Some(file), ..Flags::default() };
        let environment = Environment::of([]);
        let loaded = Loaded::load(&flags, &environment).unwrap_or_else(|error| panic!("{error}"));
        let gateway = Gateway::builder().guests(true).build().unwrap();
        let logins = Logins::new(&loaded.settings).unwrap();
        (folder, Reloader::new((flags, environment), gateway, loaded, logins, None))
    }

    #[tokio::test]
    async fn empty_file_replaces_no_settings() {
        let (folder, mut reloader) = running_with("empty", "[auth]\nguests = true\n");
        let file = folder.join("tautline.toml");
        for blank in ["", "\n \n", "# nothing yet\n"] {
            fs::write(&file, blank).unwrap();
            let error = reloader.reload().unwrap_err().to_string();
            assert!(error.contains("empty") && reloader.running.settings.guests, "{blank:?}: {error}");
        }
        fs::write(&file, "[auth]\n").unwrap();
        assert_eq!(reloader.reload().unwrap().applied, ["auth.guests"], "a section that is empty is meant");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn file_that_was_empty_may_stay_so() {
        let (folder, mut reloader) = running_with("was-empty", "");
        assert_eq!(reloader.reload().unwrap(), Changes::default());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn change_that_no_comparison_shows_is_read() {
        let (folder, mut reloader) = running_with("unseen", "[auth]\nguests = true\n");
        let (file, secret) = (folder.join("tautline.toml"), folder.join("secret"));
        let start = SystemTime::now();
        fs::write(&file, "[auth]\nguests = false\n").unwrap();
        let mut watched = reloader.watch(start);
        assert!(!reloader.running.settings.guests, "changed since it was read, and before it was watched");
        fs::write(&file, "[auth]\nguests = true\nhs256_secret = \"file:secret\"\n").unwrap();
        for _ in 0..2 {
            watched = reloader.look(false, start, watched);
        }
        fs::write(&secret, "0123456789abcdef0123456789abcdef").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        watched = reloader.look(false, start + RETRY_EVERY / 2, watched);
        assert_eq!(reloader.running.settings.hs256_secret, None);
        reloader.look(false, start + RETRY_EVERY, watched);
        assert!(reloader.running.settings.hs256_secret.is_some());
        fs::remove_dir_all(&folder).unwrap();
    }
}
