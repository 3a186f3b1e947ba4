//! `[console]` of the configuration.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;
use tautline_hub::StoryConfig;
use tautline_protocol::units;

/// Every limit and option of the console.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ConsoleOptions {
    /// Whether there is a console. Default false; with `--dev` there is one.
    pub enabled: bool,
    /// The folder of accounts and audit log. Default: the engine's folder, or `./tautline-data`.
    #[cfg_attr(feature = "schema", schemars(with = "PathBuf"))]
    pub folder: Option<PathBuf>,
    /// Origins of the console's pages beside its own host, for proxies that change `Host`. Default none.
    pub origins: Vec<String>,
    /// How long somebody who does nothing stays signed in. Default 30 minutes.
    #[serde(with = "units::Wait")]
    pub session_idle: Duration,
    /// How long anybody stays signed in. Default 12 hours.
    #[serde(with = "units::Wait")]
    pub session_age_max: Duration,
    /// How long it is kept what a user went through. Default 24 hours.
    #[serde(with = "units::Wait")]
    pub story_keep: Duration,
    /// Bytes of memory for that, of all users; beyond it those are forgotten who did nothing for the longest time.
    /// Default 64 MiB.
    #[serde(with = "units::Bytes")]
    pub story_bytes_max: usize,
    /// The size of the audit log beyond which its older half is dropped. Default 16 MiB.
    #[serde(with = "units::Bytes")]
    pub audit_bytes_max: usize,
}

impl ConsoleOptions {
    /// What stories may take.
    #[must_use]
    pub fn stories(&self) -> StoryConfig {
        let keep_ms = u64::try_from(self.story_keep.as_millis()).unwrap_or(u64::MAX);
        StoryConfig { keep_ms, bytes_max: self.story_bytes_max, ..StoryConfig::default() }
    }
}

impl Default for ConsoleOptions {
    fn default() -> Self {
        Self {
            enabled: false,
            folder: None,
            origins: Vec::new(),
            session_idle: Duration::from_secs(30 * 60),
            session_age_max: Duration::from_secs(12 * 3600),
            story_keep: Duration::from_secs(24 * 3600),
            story_bytes_max: 64 * 1024 * 1024,
            audit_bytes_max: 16 * 1024 * 1024,
        }
    }
}
