//! The token of an app at a vendor that wants one with each code: kept, and renewed before its end.
//!
//! Start at [`AppTokens::step`]. Holds no clock: each call is told the time.

use tautline_files::secret::Secret;

use super::vendor::{AppToken, CodeError};

/// A token is renewed so long before its end, or after half of its life if that is later, in milliseconds.
const RENEWED_BEFORE_MS: u64 = 300_000;
/// The least time between two requests where the first one has failed, in milliseconds.
const RETRY_MS: u64 = 1_000;
/// A vendor that refuses a token that is younger is not asked for another one, in milliseconds: it would
/// refuse that, too.
const YOUNG_MS: u64 = 10_000;

/// The token in use, and the last failure.
#[derive(Debug, Default)]
pub(super) struct AppTokens {
    kept: Option<Kept>,
    failed: Option<(u64, CodeError)>,
}

#[derive(Debug)]
struct Kept {
    token: Secret,
    fetched_at_ms: u64,
    renew_at_ms: u64,
    ends_at_ms: u64,
}

/// What to do for a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// This one is good.
    Use(Secret),
    /// Fetch one; meanwhile this one is good, where there is one.
    Fetch { meanwhile: Option<Secret> },
    /// There is none now.
    Fail(CodeError),
}

impl AppTokens {
    /// `refused`: the token that the vendor has just called ended.
    pub(super) fn step(&mut self, now_ms: u64, refused: Option<&Secret>) -> Step {
        self.kept.take_if(|kept| now_ms >= kept.ends_at_ms);
        if let Some(kept) = &self.kept
            && Some(&kept.token) == refused
        {
            if now_ms < kept.fetched_at_ms + YOUNG_MS {
                return Step::Fail(CodeError::operator("the token that the app has just got is refused"));
            }
            self.kept = None;
        }
        let failed = self.failed.as_ref().filter(|(failed_at_ms, _)| now_ms < failed_at_ms + RETRY_MS);
        match (&self.kept, failed) {
            (Some(kept), None) if now_ms >= kept.renew_at_ms => {
                Step::Fetch { meanwhile: Some(kept.token.clone()) }
            }
            (Some(kept), _) => Step::Use(kept.token.clone()),
            (None, Some((_, error))) => Step::Fail(error.clone()),
            (None, None) => Step::Fetch { meanwhile: None },
        }
    }

    /// A request for a token has ended.
    pub(super) fn fetched(&mut self, now_ms: u64, result: &Result<AppToken, CodeError>) {
        match result {
            Ok(AppToken { token, life_ms }) => {
                let used_ms = life_ms.saturating_sub(RENEWED_BEFORE_MS).max(life_ms / 2).max(RETRY_MS);
                self.kept = Some(Kept {
                    token: token.clone(),
                    fetched_at_ms: now_ms,
                    renew_at_ms: now_ms + used_ms,
                    ends_at_ms: now_ms + life_ms.max(&RETRY_MS),
                });
                self.failed = None;
            }
            Err(error) => self.failed = Some((now_ms, error.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str, life_ms: u64) -> Result<AppToken, CodeError> {
        Ok(AppToken { token: Secret::new(text), life_ms })
    }

    fn using(text: &str) -> Step {
        Step::Use(Secret::new(text))
    }

    const FETCH: Step = Step::Fetch { meanwhile: None };

    #[test]
    fn token_is_renewed_before_its_end() {
        let mut tokens = AppTokens::default();
        assert_eq!(tokens.step(1_000, None), FETCH);
        tokens.fetched(1_000, &token("a", 7_200_000));
        assert_eq!(tokens.step(6_900_999, None), using("a"));
        assert_eq!(tokens.step(6_901_000, None), Step::Fetch { meanwhile: Some(Secret::new("a")) });
        assert_eq!(tokens.step(7_200_999, None), Step::Fetch { meanwhile: Some(Secret::new("a")) });
        assert_eq!(tokens.step(7_201_000, None), FETCH);
        tokens.fetched(7_201_000, &token("b", 100_000));
        assert_eq!(tokens.step(7_250_999, None), using("b"), "half of a short life");
        assert!(matches!(tokens.step(7_251_000, None), Step::Fetch { .. }));
    }

    #[test]
    fn failed_renewal_keeps_the_token_until_its_end() {
        let mut tokens = AppTokens::default();
        tokens.fetched(0, &token("a", 600_000));
        tokens.fetched(300_000, &Err(CodeError::Temporary));
        assert_eq!(tokens.step(300_999, None), using("a"), "and is not tried again for a second");
        assert!(matches!(tokens.step(301_000, None), Step::Fetch { meanwhile: Some(_) }));
        assert_eq!(tokens.step(600_000, None), FETCH);
    }

    #[test]
    fn failure_is_kept_for_a_second() {
        let mut tokens = AppTokens::default();
        tokens.fetched(5_000, &Err(CodeError::Temporary));
        assert_eq!(tokens.step(5_999, None), Step::Fail(CodeError::Temporary));
        assert_eq!(tokens.step(6_000, None), FETCH);
    }

    #[test]
    fn refused_token_is_replaced_unless_it_is_young() {
        let (mut tokens, refused) = (AppTokens::default(), Secret::new("a"));
        tokens.fetched(0, &token("a", 7_200_000));
        assert!(matches!(tokens.step(9_999, Some(&refused)), Step::Fail(CodeError::Operator(_))));
        assert_eq!(tokens.step(10_000, Some(&refused)), FETCH);
        tokens.fetched(10_000, &token("b", 7_200_000));
        assert_eq!(tokens.step(10_001, Some(&refused)), using("b"), "another login has fetched it");
    }

    #[test]
    fn token_without_any_life_is_used_for_a_second() {
        let mut tokens = AppTokens::default();
        tokens.fetched(0, &token("a", 0));
        assert_eq!(tokens.step(999, None), using("a"));
        assert_eq!(tokens.step(1_000, None), FETCH);
    }
}
