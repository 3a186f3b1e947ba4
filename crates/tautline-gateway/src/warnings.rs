//! What comes up again and again while something is at its ceiling, and is logged when it begins and when it is over.

use tautline_hub::LogOnce;
use tautline_protocol::Now;
use tracing::{info, warn};

/// All that a gateway warns of.
#[derive(Debug)]
pub(crate) struct Warnings {
    pub(crate) accept: Warning,
    pub(crate) http_connections: Warning,
    pub(crate) address: Warning,
    pub(crate) connections: Warning,
    pub(crate) calls: Warning,
    pub(crate) sessions: Warning,
}

/// One of them, and its words.
#[derive(Debug)]
pub(crate) struct Warning {
    once: LogOnce,
    words: &'static str,
}

impl Default for Warnings {
    fn default() -> Self {
        let cause = |words| Warning { once: LogOnce::new(), words };
        Self {
            accept: cause("cannot accept connections"),
            http_connections: cause(
                "there are as many HTTP connections as there may be (http_connections_max): more are closed",
            ),
            address: cause(
                "an address has as many connections as it may have (connections_per_address_max): more are closed",
            ),
            connections: cause(
                "there are as many WebSockets as there may be (connections_max): more are refused",
            ),
            calls: cause(
                "as many methods run as may run (calls_running_max): more calls are answered `overloaded`",
            ),
            sessions: cause(
                "clients are told to come again later: there are as many sessions as there may be (sessions_max), or more \
                 come than are let in at once (new_sessions_per_ms_max)",
            ),
        }
    }
}

impl Warning {
    /// Notes that it came up, and warns where it has just begun.
    pub(crate) fn note(&self, now: Now, detail: impl FnOnce() -> String) {
        if self.once.note(now.mono_ms) {
            warn!(detail = detail(), "{}", self.words);
        }
    }

    fn log_end(&self, now: Now) {
        if let Some(times) = self.once.take_over(now.mono_ms) {
            info!(times, "over: {}", self.words);
        }
    }
}

impl Warnings {
    /// Tells of those that are over. To be called about once a second.
    pub(crate) fn log_ends(&self, now: Now) {
        let Self { accept, http_connections, address, connections, calls, sessions } = self;
        [accept, http_connections, address, connections, calls, sessions]
            .into_iter()
            .for_each(|cause| cause.log_end(now));
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
    fn a_ceiling_that_is_reached_is_one_line_and_its_end_another() {
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
