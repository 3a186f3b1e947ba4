//! What answers the questions of `serve`: the settings as options of hooks and of the authenticator.
//!
//! Start at [`Logins::new`].

use std::sync::Arc;

use anyhow::Context as _;
use tautline_backend::{Authenticator, AuthenticatorOptions, Hooks};

use crate::config::Settings;

/// Asks hooks as the settings say, and checks all other logins itself.
pub(crate) struct Logins {
    pub(crate) hooks: Arc<Hooks>,
    authenticator: Arc<Authenticator>,
}

impl Logins {
    /// # Errors
    /// When a key, a provider or a hook is not valid.
    pub(crate) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let authenticator = Arc::new(Authenticator::new(&options(settings)).context(CANNOT_CHECK)?);
        let hooks = Hooks::new(&environment(settings), &settings.hooks, Arc::clone(&authenticator));
        Ok(Self { hooks: Arc::new(hooks.context(CANNOT_ASK)?), authenticator })
    }

    /// The same with other settings; what was fetched by sections that have not changed stays in use. `None`: no section
    /// has changed.
    ///
    /// # Errors
    /// When a key, a provider or a hook is not valid.
    pub(crate) fn reloaded(&self, old: &Settings, new: &Settings) -> anyhow::Result<Option<Self>> {
        let is_same = have_same_logins(old, new);
        if is_same && old.hooks == new.hooks {
            return Ok(None);
        }
        let authenticator = match is_same {
            true => Arc::clone(&self.authenticator),
            false => Arc::new(self.authenticator.reloaded(&options(new)).context(CANNOT_CHECK)?),
        };
        let changed = (!is_same).then(|| Arc::clone(&authenticator));
        let hooks = self.hooks.reloaded(&new.hooks, changed).context(CANNOT_ASK)?;
        Ok(Some(Self { hooks: Arc::new(hooks), authenticator }))
    }
}

const CANNOT_CHECK: &str = "cannot check logins";
const CANNOT_ASK: &str = "cannot ask hooks";

fn options(settings: &Settings) -> AuthenticatorOptions {
    let mut options = AuthenticatorOptions::default();
    options.environment = environment(settings);
    let secrets = settings.hs256_secret.iter().chain(&settings.hs256_secret_old);
    options.hs256_secrets = secrets.map(|secret| secret.expose().as_bytes().to_vec()).collect();
    options.tokens = settings.tokens.clone();
    options.logins = settings.logins.clone();
    options.guests = settings.guests;
    options
}

fn have_same_logins(old: &Settings, new: &Settings) -> bool {
    let of = |settings: &Settings| {
        let Settings { guests, hs256_secret, hs256_secret_old, tokens, logins, .. } = settings.clone();
        (guests, hs256_secret, hs256_secret_old, tokens, logins)
    };
    of(old) == of(new)
}

/// What was opened to everybody for development opens nothing afterwards, on whatever folder.
fn environment(settings: &Settings) -> String {
    match settings.dev {
        true => format!("--dev {}", settings.environment),
        false => settings.environment.clone(),
    }
}
