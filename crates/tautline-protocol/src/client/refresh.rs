//! When to log in again on an open connection, before the login expires (protocol, section 4, `auth`).

use super::{Options, backoff::retry_delay_ms, random::Random};

/// The refresh leaves this much time before the expiry, where the life of the login has room for it. Milliseconds.
const MARGIN_MS: u64 = 30_000;

/// After a failure at least this part of the time until the expiry passes.
const PATIENCE: u64 = 8;

/// Longer lives are taken for this one, some thirty years, so that both languages count with the same numbers.
const LIFE_MS_MAX: u64 = 1_000_000_000_000;

/// Of the login that a welcome, or the answer to an `auth` request, was about. All times but one are monotonic.
#[derive(Debug, Default)]
pub(super) struct Refresh {
    /// When to ask the app for the next login; none: not at all.
    due_ms: Option<u64>,
    expires_ms: u64,
    /// The same by the server's wall clock.
    expires_at: u64,
    /// The server's wall clock, and ours at that moment.
    server_wall_ms: u64,
    read_at_ms: u64,
    failures: u32,
}

impl Refresh {
    /// A welcome came.
    pub(super) fn begin(
        &mut self,
        now_ms: u64,
        server_wall_ms: u64,
        expires_at: Option<u64>,
        random: &mut Random,
    ) {
        *self = Self { server_wall_ms, read_at_ms: now_ms, ..Self::default() };
        if let Some(expires_at) = expires_at {
            self.renewed(now_ms, expires_at, random);
        }
    }

    /// The login is good until then, by the server's wall clock: asks again after 70 to 90 % of that time.
    pub(super) fn renewed(&mut self, now_ms: u64, expires_at: u64, random: &mut Random) {
        let server_now = self.server_wall_ms.saturating_add(now_ms - self.read_at_ms);
        let life_ms = expires_at.saturating_sub(server_now).min(LIFE_MS_MAX);
        let spread_ms = life_ms * (700 + random.below(200)) / 1_000;
        let latest_ms = life_ms.saturating_sub(MARGIN_MS).max(life_ms / 2);
        self.due_ms = Some(now_ms + spread_ms.min(latest_ms));
        self.expires_ms = now_ms + life_ms;
        self.expires_at = expires_at;
        self.failures = 0;
    }

    /// True where a login lasts longer than the one before: the same one over and over refreshes nothing.
    pub(super) const fn is_later(&self, expires_at: u64) -> bool {
        expires_at > self.expires_at
    }

    /// There was no login, or the server refused it: tries again later, while there is time.
    pub(super) fn failed(
        &mut self,
        now_ms: u64,
        after_ms: Option<u64>,
        random: &mut Random,
        options: &Options,
    ) {
        self.failures += 1;
        let delay_ms = retry_delay_ms(self.failures, after_ms, random, options);
        // An app with a fixed token gives the same one each time, for days perhaps.
        let share_ms = self.expires_ms.saturating_sub(now_ms) / PATIENCE;
        let due_ms = now_ms.saturating_add(delay_ms.max(share_ms));
        self.due_ms = Some(due_ms).filter(|due| *due < self.expires_ms);
    }

    /// The app is being asked, or there is nothing to refresh any more.
    pub(super) const fn stop(&mut self) {
        self.due_ms = None;
    }

    pub(super) const fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due_ms(life_ms: u64) -> u64 {
        let mut refresh = Refresh::default();
        refresh.begin(1_000, 50_000, Some(50_000 + life_ms), &mut Random::new(9));
        refresh.due_ms().expect("a login that expires is refreshed") - 1_000
    }

    #[test]
    fn refresh_leaves_a_margin_or_half_a_short_life() {
        assert!((700_000..900_000).contains(&due_ms(1_000_000)));
        assert_eq!(due_ms(60_000), 30_000);
        assert_eq!(due_ms(20_000), 10_000);
        assert_eq!(due_ms(0), 0);
    }

    #[test]
    fn fixed_token_is_tried_some_forty_times() {
        let (mut refresh, mut random) = (Refresh::default(), Random::new(9));
        let (options, day_ms) = (Options::default(), 86_400_000);
        refresh.begin(0, 0, Some(day_ms), &mut random);
        let mut tries = 0;
        while let Some(due_ms) = refresh.due_ms() {
            refresh.failed(due_ms, None, &mut random, &options);
            tries += 1;
        }
        assert!((20..60).contains(&tries), "{tries} tries");
    }

    #[test]
    fn failed_refresh_backs_off_until_the_expiry() {
        let (mut refresh, mut random) = (Refresh::default(), Random::new(9));
        let options = Options::default();
        refresh.begin(0, 0, Some(100_000), &mut random);
        for ceiling_ms in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000] {
            refresh.failed(60_000, None, &mut random, &options);
            let delay_ms = refresh.due_ms().expect("there is time left") - 60_000;
            // An eighth of the time that is left.
            let ceiling_ms = options.retry_base_ms + ceiling_ms;
            assert!((5_000..ceiling_ms.max(5_001)).contains(&delay_ms), "{delay_ms} of {ceiling_ms}");
        }
        refresh.begin(0, 0, Some(100_000), &mut random);
        refresh.failed(60_000, Some(35_000), &mut random, &options);
        assert!((95_000..96_000).contains(&refresh.due_ms().expect("there is time left")));
        refresh.failed(99_900, None, &mut random, &options);
        assert_eq!(refresh.due_ms(), None);
    }
}
