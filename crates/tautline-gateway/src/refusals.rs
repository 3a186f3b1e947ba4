//! Logs refused logins and API keys with user, address and reason, up to a number of lines per second.
//!
//! Start at [`Refusals::log_login`] and [`Refusals::log_api_key`]. Tokens and keys are never logged.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use tautline_hub::LoginRefused;
use tautline_protocol::{Now, UserId, packet::Auth};
use tracing::{field::display, info, warn};

/// Lines within a second; further refusals are counted, and the next line has their number.
const LINES_PER_SECOND_MAX: u32 = 10;

/// The lines of the current second.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    second: u64,
    lines: u32,
    unlogged: u64,
}

impl Refusals {
    /// A client's login was refused.
    pub(crate) fn log_login(
        &self,
        now: Now,
        auth: &Auth,
        refused: &LoginRefused,
        address: Option<SocketAddr>,
    ) {
        let Some(unlogged) = self.sample(now) else { return };
        let (user, address) = (claimed_user(auth), address.map(display));
        info!(event = "login_refused", user, address, reason = %refused, unlogged, "login refused");
    }

    /// A back end's key was refused.
    pub(crate) fn log_api_key(&self, now: Now, reason: &str, address: Option<SocketAddr>) {
        let Some(unlogged) = self.sample(now) else { return };
        warn!(event = "api_key_refused", address = address.map(display), reason, unlogged, "API key refused");
    }

    /// How many were not logged before this one; `None`: this one is not logged either.
    fn sample(&self, now: Now) -> Option<u64> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let second = now.mono_ms / 1000;
        if window.second != second {
            (window.second, window.lines) = (second, 0);
        }
        if window.lines == LINES_PER_SECOND_MAX {
            window.unlogged += 1;
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.unlogged))
    }
}

/// The user that a token names, whether or not the token is valid.
fn claimed_user(auth: &Auth) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        sub: String,
    }
    let Auth::Token { token } = auth else { return None };
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let Claims { sub } = serde_json::from_slice(&claims).ok()?;
    UserId::parse(&sub).is_ok().then_some(sub)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flood_of_refusals_is_sampled_and_counted() {
        let refusals = Refusals::default();
        let at = |mono_ms| refusals.sample(Now::new(mono_ms, 0));
        let logged = (0..1000).filter(|_| at(5_500).is_some()).count();
        assert_eq!(logged, LINES_PER_SECOND_MAX as usize);
        assert_eq!(at(6_000), Some(1000 - logged as u64));
        assert_eq!(at(6_999), Some(0));
    }

    #[test]
    fn refused_token_still_names_its_user() {
        // {"sub":"u42","exp":1800000060}
        let token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1NDIiLCJleHAiOjE4MDAwMDAwNjB9.".to_owned();
        assert_eq!(claimed_user(&Auth::Token { token }).as_deref(), Some("u42"));
        for token in ["", "a.b.c", "a.e30.c"] {
            assert_eq!(claimed_user(&Auth::Token { token: token.to_owned() }), None);
        }
        assert_eq!(claimed_user(&Auth::Guest { guest: true }), None);
    }
}
