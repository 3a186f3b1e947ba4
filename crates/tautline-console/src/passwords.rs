//! Hashes of passwords: Argon2id, a few at a time, away from the connections' threads.
//!
//! Start at [`PasswordHasher`]. A hash takes memory and time by design, so their number at once is limited: a flood of
//! sign-ins waits in a short queue and is refused beyond it, and takes neither from connections.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
};

/// The fewest characters of a password.
pub const PASSWORD_CHARS_MIN: usize = 12;
/// The most bytes of a password.
pub const PASSWORD_BYTES_MAX: usize = 1_024;

/// Hashes at once; each takes 19 MiB.
const HASHES_MAX: usize = 2;
/// Hashes at once and sign-ins that wait for their turn.
const HASHES_WAITING_MAX: usize = 16;

/// Why there is no hash of a password, or no verdict on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// A short one can be guessed.
    #[error("a password has at least {PASSWORD_CHARS_MIN} characters")]
    TooShort,
    /// Nobody types it.
    #[error("a password has at most {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// Too many are hashed already.
    #[error("too many sign-ins at once")]
    Busy,
    /// The parameters are out of bounds, or the system has no memory or random bytes.
    #[error("the password could not be hashed")]
    Failed,
}

/// Makes and checks hashes. Clones share the limit.
#[derive(Clone)]
pub struct PasswordHasher {
    params: Params,
    /// Checked where there is no account of the name.
    nobody: Arc<str>,
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl PasswordHasher {
    /// With the second recommendation of OWASP for Argon2id: 19 MiB, two passes, one lane.
    ///
    /// # Errors
    /// Where the system has no random bytes.
    pub fn new() -> Result<Self, PasswordError> {
        Self::with_cost(19 * 1024, 2)
    }

    /// With so much memory in KiB and so many passes: for tests, which need no strong hash.
    ///
    /// # Errors
    /// Where they are out of bounds.
    pub fn with_cost(memory_kib: u32, passes: u32) -> Result<Self, PasswordError> {
        let params = Params::new(memory_kib, passes, 1, None).map_err(|_| PasswordError::Failed)?;
        let nobody = hash(&params, b"the password of nobody")?.into();
        Ok(Self {
            params,
            nobody,
            running: Arc::new(Semaphore::new(HASHES_MAX)),
            waiting: Arc::new(Semaphore::new(HASHES_WAITING_MAX)),
        })
    }

    /// The hash of a new password, on this thread.
    ///
    /// # Errors
    /// For a password that is too short or too long.
    pub fn hash(&self, password: &str) -> Result<String, PasswordError> {
        if password.chars().count() < PASSWORD_CHARS_MIN {
            return Err(PasswordError::TooShort);
        }
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(PasswordError::TooLong);
        }
        hash(&self.params, password.as_bytes())
    }

    /// Whether this is the password of the hash. Without one the answer is no, after the same work.
    ///
    /// # Errors
    /// [`PasswordError::Busy`] where too many wait.
    pub(crate) async fn check(&self, stored: Option<&str>, password: String) -> Result<bool, PasswordError> {
        let place = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| PasswordError::Busy)?;
        let turn = Arc::clone(&self.running).acquire_owned().await.map_err(|_| PasswordError::Failed)?;
        let (is_known, stored) = (stored.is_some(), stored.unwrap_or(&self.nobody).to_owned());
        // The permits go with the work: who hangs up does not make room for more of it.
        let work = move |_permits: [OwnedSemaphorePermit; 2]| verify(&stored, &password);
        let is_right =
            spawn_blocking(move || work([place, turn])).await.map_err(|_| PasswordError::Failed)?;
        Ok(is_known && is_right)
    }
}

fn hash(params: &Params, password: &[u8]) -> Result<String, PasswordError> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    argon2.hash_password(password).map(|hash| hash.to_string()).map_err(|_| PasswordError::Failed)
}

/// By the parameters in the hash: old hashes stay good when those of new ones change.
fn verify(stored: &str, password: &str) -> bool {
    let parsed = PasswordHash::new(stored);
    parsed.is_ok_and(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
}
