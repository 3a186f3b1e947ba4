//! When to dial again (protocol, section 6, promise 2).

use super::{Options, random::Random};

/// How long the next dial waits where the host says that there is no network: at first, and at most. Hosts are wrong about
/// it, and some never take it back. Milliseconds.
const OFFLINE_MS: u64 = 5_000;
const OFFLINE_MS_MAX: u64 = 30_000;

/// What the server said about coming back; nothing, by default.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Advice {
    /// Not at once.
    pub(super) later: bool,
    /// Not before so many milliseconds have passed.
    pub(super) after_ms: Option<u64>,
}

/// How long to wait after failure `failures` (1, 2 …) in a row of something that is asked on an open connection: the base, or
/// what the server has said if that is longer, and full jitter under a doubling ceiling on top. So a thousand clients that
/// were refused in one moment do not come back in one.
pub(super) fn retry_delay_ms(
    failures: u32,
    after_ms: Option<u64>,
    random: &mut Random,
    options: &Options,
) -> u64 {
    let ceiling_ms = options.retry_base_ms.saturating_mul(1 << failures.min(16));
    let jitter_ms = random.below(ceiling_ms.min(options.retry_max_ms));
    options.retry_base_ms.max(after_ms.unwrap_or(0)).saturating_add(jitter_ms)
}

/// Counts retries, and remembers two moments: the one that chance chose, and the one that the server asked for.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    /// Retries since the last connection that lived long enough.
    retries: u32,
    /// When to dial, in monotonic milliseconds.
    retry_at: u64,
    /// Not before this, whatever else happens: the server said so.
    not_before: u64,
    /// What the next wait lasts at least, while the host says that there is no network.
    offline_ms: Option<u64>,
}

impl Backoff {
    pub(super) const fn retry_at(&self) -> u64 {
        self.retry_at
    }

    /// A connection has proved that the way is clear.
    pub(super) const fn reset(&mut self) {
        self.retries = 0;
    }

    /// Plans the next dial: the first retry at once, then full jitter under a doubling ceiling.
    pub(super) fn schedule(&mut self, now_ms: u64, advice: Advice, random: &mut Random, options: &Options) {
        if advice.later && advice.after_ms.is_none() {
            self.retries = self.retries.max(1);
        }
        let delay_ms = match self.retries {
            0 => 0,
            // 2^16 times any sensible base is past the ceiling.
            retries => random
                .below(options.retry_max_ms.min(options.retry_base_ms.saturating_mul(1 << retries.min(16)))),
        };
        self.retries += 1;
        self.not_before = now_ms.saturating_add(advice.after_ms.unwrap_or(0));
        self.retry_at = self.not_before.max(now_ms.saturating_add(delay_ms));
        self.slow_down(now_ms);
    }

    /// The host says whether there is a network; or a welcome does.
    pub(super) fn set_online(&mut self, online: bool) {
        self.offline_ms = if online { None } else { self.offline_ms.or(Some(OFFLINE_MS)) };
    }

    pub(super) const fn is_offline(&self) -> bool {
        self.offline_ms.is_some()
    }

    /// Where there is no network, as the host says, the next dial waits, and the one after it twice as long.
    pub(super) fn slow_down(&mut self, now_ms: u64) {
        if let Some(wait_ms) = &mut self.offline_ms {
            self.retry_at = self.retry_at.max(now_ms.saturating_add(*wait_ms));
            *wait_ms = OFFLINE_MS_MAX.min(*wait_ms * 2);
        }
    }

    /// Something has changed for the better: dial as soon as the server allows.
    pub(super) const fn retry_now(&mut self) {
        self.retry_at = self.not_before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_retry_is_at_once_and_later_ones_stay_under_a_doubling_ceiling() {
        let (mut backoff, mut random) = (Backoff::default(), Random::new(5));
        let options = Options::default();
        for ceiling_ms in [1, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            backoff.schedule(100, Advice::default(), &mut random, &options);
            assert!((100..100 + ceiling_ms).contains(&backoff.retry_at()), "{backoff:?} under {ceiling_ms}");
        }
    }

    #[test]
    fn clients_refused_together_come_back_apart() {
        let options = Options::default();
        for (failures, after_ms, least_ms, ceiling_ms) in
            [(1, None, 500, 1_000), (1, Some(5_000), 5_000, 1_000), (9, Some(60_000), 60_000, 30_000)]
        {
            let delays_ms: Vec<u64> = (0..100)
                .map(|seed| retry_delay_ms(failures, after_ms, &mut Random::new(seed), &options))
                .collect();
            assert!(
                delays_ms.iter().all(|ms| (least_ms..least_ms + ceiling_ms).contains(ms)),
                "{delays_ms:?}"
            );
            let first_half = delays_ms.iter().filter(|ms| **ms < least_ms + ceiling_ms / 2).count();
            assert!((30..70).contains(&first_half), "{first_half} of 100 in the first half");
        }
    }

    #[test]
    fn retry_now_never_overrules_the_server() {
        let mut backoff = Backoff::default();
        let advice = Advice { later: true, after_ms: Some(1_500) };
        backoff.schedule(100, advice, &mut Random::new(5), &Options::default());
        backoff.retry_now();
        assert_eq!(backoff.retry_at(), 1_600);
    }

    #[test]
    fn offline_waits_double_until_the_network_is_back() {
        let (mut backoff, mut random) = (Backoff::default(), Random::new(5));
        let options = Options { retry_max_ms: 0, ..Options::default() };
        backoff.set_online(false);
        for wait_ms in [5_000, 10_000, 20_000, 30_000, 30_000] {
            // Said again, it is no news.
            backoff.set_online(false);
            backoff.schedule(100, Advice::default(), &mut random, &options);
            assert_eq!(backoff.retry_at(), 100 + wait_ms);
        }
        backoff.set_online(true);
        backoff.schedule(100, Advice::default(), &mut random, &options);
        assert_eq!((backoff.retry_at(), backoff.is_offline()), (100, false));
    }
}
