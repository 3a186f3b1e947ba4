//! Retention of a log.

use std::sync::Arc;

use tautline_protocol::ChannelName;

/// The retention of a channel's log: the oldest publications are dropped once any of the three is exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Publications. Default 1,000.
    pub count: usize,
    /// Bytes, encoded. Default 1 MiB.
    pub bytes: usize,
    /// Milliseconds. Default one hour.
    pub age_ms: u64,
}

impl Retention {
    /// Nothing is kept.
    pub const NOTHING: Self = Self { count: 0, bytes: 0, age_ms: 0 };
}

impl Default for Retention {
    fn default() -> Self {
        Self { count: 1000, bytes: 1024 * 1024, age_ms: 3600 * 1000 }
    }
}

/// Reports the retention of each channel. Cheap to clone.
#[derive(Clone)]
pub struct RetentionOf(Arc<dyn Fn(&ChannelName) -> Retention + Send + Sync>);

impl RetentionOf {
    /// Calls `retention_of`, from any thread.
    pub fn new(retention_of: impl Fn(&ChannelName) -> Retention + Send + Sync + 'static) -> Self {
        Self(Arc::new(retention_of))
    }

    /// The same for all channels.
    #[must_use]
    pub fn all(retention: Retention) -> Self {
        Self::new(move |_| retention)
    }

    /// The retention of this channel.
    #[must_use]
    pub fn get(&self, channel: &ChannelName) -> Retention {
        (self.0)(channel)
    }
}

impl std::fmt::Debug for RetentionOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RetentionOf(…)")
    }
}
