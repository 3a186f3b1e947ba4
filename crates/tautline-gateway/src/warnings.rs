//! Warnings about ceilings: logged once when a ceiling is reached and once when that is over, however often
//! it happens.

use std::sync::atomic::{AtomicU64, Ordering};

use tautline_hub::LogOnce;
use tautline_protocol::Now;
use tracing::{info, warn};

/// All warnings of a gateway.
#[derive(Debug)]
pub(crate) struct Warnings {
    pub(crate) accept: Warning,
    pub(crate) http_connections: Warning,
    pub(crate) address: Warning,
    pub(crate) handshakes: Warning,
    pub(crate) untrusted_proxy: Warning,
    pub(crate) proxy_header: Warning,
    pub(crate) connections: Warning,
    pub(crate) calls: Warning,
    pub(crate) sessions: Warning,
}

/// One of them, with its text.
#[derive(Debug)]
pub(crate) struct Warning {
    once: LogOnce,
    /// Occurrences since the start.
    times: AtomicU64,
    /// A limit, or what cannot be done; for logs, and always the same.
    cause: &'static str,
    words: &'static str,
}

impl Default for Warnings {
    fn default() -> Self {
        let warning = |cause, words| Warning { cause, once: LogOnce::new(), times: AtomicU64::new(0), words };
        Self {
            accept: warning("accept", "cannot accept connections"),
            http_connections: warning(
                "http_connections_max",
                "HTTP connections are at their ceiling (http_connections_max); closing new ones",
            ),
            address: warning(
                "connections_per_address_max",
                "an address has as many connections as it may have (connections_per_address_max); closing new ones",
            ),
            handshakes: warning(
                "handshakes_per_address_max",
                "an address opens as many connections at once as it may (handshakes_per_address_max); closing new ones",
            ),
            untrusted_proxy: warning(
                "untrusted_proxy",
                "a listener with proxy_protocol takes connections from trusted_proxies alone; closing others",
            ),
            proxy_header: warning(
                "proxy_header",
                "a trusted proxy sends no valid header of the PROXY protocol; closing its connections",
            ),
            connections: warning(
                "connections_max",
                "WebSockets are at their ceiling (connections_max); refusing new ones",
            ),
            calls: warning(
                "calls_running_max",
                "running methods are at their ceiling (calls_running_max); answering calls with `overloaded`",
            ),
            sessions: warning(
                "sessions_max",
                "sessions are at their ceiling (sessions_max), or too many clients connect at once (new_sessions_per_ms_max); \
                 telling new clients to come back later",
            ),
        }
    }
}

impl Warning {
    /// Counts one occurrence, and warns where it is the first.
    pub(crate) fn note(&self, now: Now, detail: impl FnOnce() -> String) {
        self.times.fetch_add(1, Ordering::Relaxed);
        if self.once.note(now.mono_ms) {
            warn!(event = "warning_begun", cause = self.cause, detail = detail(), "{}", self.words);
        }
    }

    /// How often it has happened since the start.
    pub(crate) fn times(&self) -> u64 {
        self.times.load(Ordering::Relaxed)
    }

    fn log_end(&self, now: Now) {
        if let Some(times) = self.once.take_over(now.mono_ms) {
            info!(event = "warning_over", cause = self.cause, times, "over: {}", self.words);
        }
    }
}

impl Warnings {
    /// Logs the warnings that are over. Call it about once a second.
    pub(crate) fn log_ends(&self, now: Now) {
        let Self {
            accept,
            http_connections,
            address,
            handshakes,
            untrusted_proxy,
            proxy_header,
            connections,
            calls,
            sessions,
        } = self;
        [
            accept,
            http_connections,
            address,
            handshakes,
            untrusted_proxy,
            proxy_header,
            connections,
            calls,
            sessions,
        ]
        .into_iter()
        .for_each(|warning| warning.log_end(now));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use super::*;

    /// Keeps what is logged.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn repeated_warning_logs_its_start_and_end() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(log, || {
            let warnings = Warnings::default();
            for ms in 0..1000 {
                warnings.accept.note(Now::new(ms, 0), || "too many open files".to_owned());
                warnings.log_ends(Now::new(ms, 0));
            }
            warnings.log_ends(Now::new(60_000, 0));
            warnings.log_ends(Now::new(61_000, 0));
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let logged: Vec<_> = text.lines().collect();
        assert_eq!(logged.len(), 2, "{text}");
        assert!(logged[0].contains("WARN") && logged[0].contains("too many open files"), "{text}");
        assert!(logged[1].contains("over: cannot accept") && logged[1].contains("times=1000"), "{text}");
    }
}
