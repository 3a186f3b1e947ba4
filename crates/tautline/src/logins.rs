//! What answers the questions of `serve`: the settings as options of hooks and of the authenticator.

use anyhow::Context as _;
use tautline_backend::{Authenticator, AuthenticatorOptions, Hooks};

use crate::config::Settings;

/// Asks hooks as the settings say, and checks all other logins itself.
///
/// # Errors
/// When a key, a provider or a hook is not valid.
pub(crate) fn backend(settings: &Settings) -> anyhow::Result<Hooks> {
    let mut options = AuthenticatorOptions::default();
    // What was opened to everybody for development opens nothing afterwards, on whatever folder.
    options.environment = match settings.dev {
        true => format!("--dev {}", settings.environment),
        false => settings.environment.clone(),
    };
    let secrets = settings.hs256_secret.iter().chain(&settings.hs256_secret_old);
    options.hs256_secrets = secrets.map(|secret| secret.expose().as_bytes().to_vec()).collect();
    options.tokens = settings.tokens.clone();
    options.logins = settings.logins.clone();
    options.guests = settings.guests;
    let authenticator = Authenticator::new(&options).context("cannot check logins")?;
    Hooks::new(&options.environment, &settings.hooks, authenticator).context("cannot ask hooks")
}
