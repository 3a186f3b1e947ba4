//! A set of public keys behind a URL: fetched when it is needed, kept when it cannot be fetched.
//!
//! Start at [`Jwks::find`] and [`Jwks::refresh`]. Holds no clock and no socket: [`Fetch`] is told to fetch,
//! and each call is told the time.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use tautline_protocol::Now;
use tracing::{info, warn};

use super::jwk::KeySet;
use crate::flight::Flight;

/// The largest document, in bytes.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;
/// The shortest time between two fetches that tokens with unknown keys cause, in milliseconds.
pub(crate) const FORCED_FETCH_EVERY_MS: u64 = 10_000;
/// How long a set is good that does not say so, and the bounds of what a set may say, in milliseconds.
const AGE_MS: u64 = 600_000;
const AGE_MS_MIN: u64 = 60_000;
const AGE_MS_MAX: u64 = 86_400_000;
/// Wait before a failed refresh is tried again, in milliseconds.
const RETRY_MS: u64 = 30_000;

pub(crate) type FetchFuture = Pin<Box<dyn Future<Output = Result<Fetched, String>> + Send>>;

/// Gets the document.
pub(crate) trait Fetch: Send + Sync + 'static {
    /// `etag`: of the document that is known.
    fn fetch(&self, etag: Option<String>) -> FetchFuture;
}

/// The answer to a fetch.
pub(crate) struct Fetched {
    /// `None`: it is still the known one.
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) etag: Option<String>,
    /// `max-age` of the answer.
    pub(crate) max_age_ms: Option<u64>,
}

/// The keys of one URL, which clones share.
#[derive(Clone)]
pub(crate) struct Jwks {
    /// The URL for the log: a query may have a secret.
    name: String,
    shared: Arc<Shared>,
}

struct Shared {
    fetch: Box<dyn Fetch>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last good set.
    keys: Option<Arc<KeySet>>,
    etag: Option<String>,
    /// From then on the set is fetched again.
    stale_at_ms: u64,
    /// When the last fetch began.
    fetched_at_ms: Option<u64>,
    running: Option<Flight<bool>>,
    failing: bool,
}

impl Jwks {
    pub(crate) fn new(url: &str, fetch: impl Fetch) -> Self {
        let (fetch, name) = (Box::new(fetch), url.split(['?', '#']).next().unwrap_or_default().to_owned());
        Self { name, shared: Arc::new(Shared { fetch, state: Mutex::default() }) }
    }

    /// The known keys; a stale set is used while a newer one is being fetched.
    pub(crate) fn keys(&self, now: Now) -> Option<Arc<KeySet>> {
        let mut state = self.shared.state();
        let keys = state.keys.clone()?;
        if now.mono_ms >= state.stale_at_ms {
            self.start(&mut state, now);
        }
        Some(keys)
    }

    /// Fetches newer keys, because a token is signed with none of the known ones. The result is true where they are
    /// those of this moment. `None`: the last fetch was a moment ago.
    pub(crate) fn refresh(&self, now: Now) -> Option<Flight<bool>> {
        let mut state = self.shared.state();
        let is_running = state.running.as_ref().is_some_and(Flight::is_running);
        let next_ms = state.fetched_at_ms.map_or(0, |last| last + FORCED_FETCH_EVERY_MS);
        (is_running || now.mono_ms >= next_ms).then(|| self.start(&mut state, now))
    }

    /// The fetch that runs, or a new one.
    fn start(&self, state: &mut State, now: Now) -> Flight<bool> {
        if let Some(running) = state.running.as_ref().filter(|running| running.is_running()) {
            return running.clone();
        }
        state.fetched_at_ms = Some(now.mono_ms);
        // Another one is not begun before this one is over, or has panicked.
        state.stale_at_ms = now.mono_ms + RETRY_MS;
        let (shared, url, etag) = (Arc::clone(&self.shared), self.name.clone(), state.etag.clone());
        let running = Flight::start(async move {
            let fetched = shared.fetch.fetch(etag).await;
            shared.state().take(fetched, now, &url)
        });
        state.running = Some(running.clone());
        running
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes what came, and keeps the last good set where it is nothing good. True: the keys are current.
    fn take(&mut self, fetched: Result<Fetched, String>, now: Now, url: &str) -> bool {
        match fetched.and_then(|fetched| self.replace(fetched, now)) {
            Ok(()) => {
                if std::mem::take(&mut self.failing) {
                    info!(event = "key_set_fetched", url, "JWK set fetched again");
                }
                true
            }
            Err(error) => {
                // Once, until it works again.
                if !std::mem::replace(&mut self.failing, true) {
                    let kept = if self.keys.is_some() {
                        "keeping the last good set"
                    } else {
                        "tokens signed with its keys are refused with `unavailable`"
                    };
                    warn!(
                        event = "key_set_not_fetched",
                        url, error, "JWK set cannot be fetched; {kept}, trying again"
                    );
                }
                false
            }
        }
    }

    fn replace(&mut self, fetched: Fetched, now: Now) -> Result<(), String> {
        let age_ms = fetched.max_age_ms.unwrap_or(AGE_MS).clamp(AGE_MS_MIN, AGE_MS_MAX);
        if let Some(body) = fetched.body {
            if body.len() > JWKS_BYTES_MAX {
                return Err(format!("it has more than {JWKS_BYTES_MAX} bytes"));
            }
            let keys = KeySet::parse(&body)?;
            if !keys.unused.is_empty() {
                info!(
                    event = "key_set_keys_unused",
                    unused = keys.unused.join("; "),
                    "some keys of a JWK set do not verify tokens"
                );
            }
            (self.keys, self.etag) = (Some(Arc::new(keys)), fetched.etag);
        } else if self.keys.is_none() {
            return Err("it is said to be unchanged, and was never fetched".to_owned());
        }
        self.stale_at_ms = now.mono_ms + age_ms;
        Ok(())
    }
}
