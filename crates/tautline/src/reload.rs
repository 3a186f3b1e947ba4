//! Reads the configuration again, on SIGHUP and when one of its files changes, and applies what can change in a running server.
//!
//! Start at [`Reloader::run`]. A configuration with a fault changes nothing. Each part is replaced at once, and the parts one
//! after the other (ADR 0027).

use std::{fs, path::PathBuf, time::Duration};

use anyhow::Context as _;
use tautline_gateway::Gateway;
use tokio::{
    signal::unix::Signal,
    time::{MissedTickBehavior, interval},
};
use tracing::{error, info, warn};

use crate::config::{Environment, Flags, Loaded};

/// How often files are compared. A change is read once two comparisons in a row have found the same, so that nobody's
/// half-written file is.
const COMPARE_EVERY: Duration = Duration::from_secs(1);

/// Options that are applied while the server runs: these, and those inside of them. All others count from the next start on.
const RELOADED: [&str; 4] = ["channels", "api.keys", "api.key", "server.allowed_origins"];

/// What is needed to read the configuration again, and what it was before.
pub(crate) struct Reloader {
    pub(crate) flags: Flags,
    pub(crate) environment: Environment,
    pub(crate) gateway: Gateway,
    /// As the server started.
    pub(crate) started: Loaded,
    /// As it was read last.
    pub(crate) running: Loaded,
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
            let why = tokio::select! {
                received = hangups.recv() => match received {
                    Some(()) => "SIGHUP",
                    None => return,
                },
                _ = comparisons.tick() => match watched.compare() {
                    true => "a file has changed",
                    false => continue,
                },
            };
            // As they are before they are read: what changes meanwhile is read again.
            let read = Watched::new(&self.running.files);
            self.reload_and_tell(why);
            watched = if read.files == self.running.files { read } else { Watched::new(&self.running.files) };
        }
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
        // The only part that can fail comes first.
        if (&old.api_keys, &old.scoped_api_keys) != (&new.api_keys, &new.scoped_api_keys) {
            self.gateway.set_api_keys(new.keys_of_api().context("[api]")?);
        }
        if old.allowed_origins != new.allowed_origins {
            self.gateway.set_allowed_origins(&new.allowed_origins);
        }
        if old.channels != new.channels {
            self.gateway.hub().set_rules(new.channels.clone());
        }
        self.running = loaded;
        Ok(Changes {
            applied: changed.into_iter().filter(|option| is_reloaded(option)).collect(),
            not_applied: since_start.into_iter().filter(|option| !is_reloaded(option)).collect(),
        })
    }
}

fn is_reloaded(option: &str) -> bool {
    let is_inside = |rest: &str| rest.is_empty() || rest.starts_with('.');
    RELOADED.into_iter().any(|outer| option.strip_prefix(outer).is_some_and(is_inside))
}

/// Files, and what they were when their content was read. They are compared, not subscribed to: that also sees a file behind
/// links that change (Kubernetes), one that is put in the place of another, and one on a network file system.
struct Watched {
    files: Vec<PathBuf>,
    read: Vec<Option<Stamp>>,
    seen: Vec<Option<Stamp>>,
}

/// What differs where the content does.
type Stamp = (Option<std::time::SystemTime>, u64, u64);

impl Watched {
    fn new(files: &[PathBuf]) -> Self {
        let stamps = stamps(files);
        Self { files: files.to_vec(), read: stamps.clone(), seen: stamps }
    }

    /// True where files have changed since they were read, and not since the last comparison.
    fn compare(&mut self) -> bool {
        let now = stamps(&self.files);
        let is_steady = now == self.seen;
        self.seen = now;
        is_steady && self.seen != self.read
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |file: &PathBuf| {
        let found = fs::metadata(file).ok()?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&found);
        #[cfg(not(unix))]
        let inode = 0;
        Some((found.modified().ok(), found.len(), inode))
    };
    files.iter().map(stamp).collect()
}
