//! Answers to codes, kept for as long as a client may come back with the same code.
//!
//! Holds no clock: each call is told the time.

use std::collections::{HashMap, VecDeque};

use sha2::{Digest as _, Sha256};

/// How long an answer is kept, in milliseconds: a code of WeChat is good for five minutes.
const KEPT_MS: u64 = 300_000;

/// A digest: the code itself is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CodeDigest([u8; 16]);

impl CodeDigest {
    pub(super) fn of(code: &str) -> Self {
        let digest = Sha256::digest(code.as_bytes());
        Self(digest[..16].try_into().expect("16 of 32 bytes"))
    }
}

#[derive(Debug)]
pub(super) struct Codes<T> {
    /// Answers that are kept; beyond it the oldest one is forgotten.
    count_max: usize,
    answers: HashMap<CodeDigest, (u64, T)>,
    /// The oldest first; also those that were removed since.
    order: VecDeque<(u64, CodeDigest)>,
}

impl<T> Codes<T> {
    /// Room for all answers of [`KEPT_MS`] where so many calls are made a second at most, and as many at once.
    pub(super) fn new(calls_per_second_max: usize) -> Self {
        let seconds = usize::try_from(KEPT_MS / 1_000).expect("a few hundred") + 1;
        let count_max = calls_per_second_max.saturating_mul(seconds);
        Self { count_max, answers: HashMap::new(), order: VecDeque::new() }
    }

    pub(super) fn get(&self, code: CodeDigest, now_ms: u64) -> Option<&T> {
        let (kept_at_ms, answer) = self.answers.get(&code)?;
        (now_ms < kept_at_ms + KEPT_MS).then_some(answer)
    }

    pub(super) fn insert(&mut self, code: CodeDigest, now_ms: u64, answer: T) {
        while let Some((kept_at_ms, oldest)) = self.order.front().copied() {
            if self.order.len() < self.count_max && now_ms < kept_at_ms + KEPT_MS {
                break;
            }
            self.order.pop_front();
            self.remove(oldest, kept_at_ms);
        }
        self.answers.insert(code, (now_ms, answer));
        self.order.push_back((now_ms, code));
    }

    /// Forgets the answer that was inserted then.
    pub(super) fn remove(&mut self, code: CodeDigest, inserted_at_ms: u64) {
        if self.answers.get(&code).is_some_and(|(kept_at_ms, _)| *kept_at_ms == inserted_at_ms) {
            self.answers.remove(&code);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_is_kept_for_five_minutes() {
        let (mut codes, code) = (Codes::new(500), CodeDigest::of("c"));
        codes.insert(code, 1_000, "answer");
        assert_eq!(codes.get(code, 300_999), Some(&"answer"));
        assert_eq!(codes.get(code, 301_000), None);
        codes.insert(CodeDigest::of("d"), 301_000, "other");
        assert_eq!(codes.answers.len(), 1);
    }

    #[test]
    fn answers_at_the_full_rate_are_kept_for_five_minutes() {
        let (rate, mut codes) = (50, Codes::new(50));
        let code = |n: u64| CodeDigest::of(&n.to_string());
        // The whole burst at once, then as many as the rate allows.
        (0..rate).for_each(|n| codes.insert(code(n), 1_000, n));
        for n in rate..rate * 300 {
            codes.insert(code(n), 1_000 + (n - rate + 1) * 1_000 / rate, n);
        }
        assert_eq!(codes.get(code(0), 300_999), Some(&0));
    }

    #[test]
    fn flood_of_codes_forgets_the_oldest() {
        let mut codes = Codes::new(1);
        let count_max = codes.count_max;
        for n in 0..=count_max {
            codes.insert(CodeDigest::of(&n.to_string()), 1_000, n);
        }
        assert_eq!((codes.answers.len(), codes.order.len()), (count_max, count_max));
        assert_eq!(codes.get(CodeDigest::of("0"), 1_000), None);
        assert_eq!(codes.get(CodeDigest::of("1"), 1_000), Some(&1));
    }
}
