//! Reads both clocks of the host; nothing else in this crate does.

use std::{
    sync::OnceLock,
    time::{Instant, SystemTime},
};

use tautline_protocol::Now;

/// Counts monotonic milliseconds from its own start.
#[derive(Debug)]
pub(crate) struct Clock {
    begin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { begin: Instant::now() }
    }

    pub(crate) fn now(&self) -> Now {
        // A clock set before 1970 reads as 1970: logins are then refused, which is better than a panic.
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let whole_ms = |ms: u128| u64::try_from(ms).expect("milliseconds fit in 64 bits for an age");
        Now::new(whole_ms(self.begin.elapsed().as_millis()), whole_ms(wall.as_millis()))
    }
}

/// Microseconds since this process first asked, for measuring alone.
pub(crate) fn stopwatch_us() -> u64 {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let passed = BEGIN.get_or_init(Instant::now).elapsed();
    u64::try_from(passed.as_micros()).expect("microseconds fit in 64 bits for an age")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_starts_at_zero_wall_time_in_1970() {
        let now = Clock::start().now();
        assert!(now.mono_ms < 60_000);
        assert!(now.wall_ms > 1_700_000_000_000);
    }
}
