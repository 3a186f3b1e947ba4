//! What answers the questions of `serve`: the settings as options of hooks and of the authenticator.

use anyhow::Context as _;
use tautline_backend::{Authenticator, AuthenticatorOptions, Hooks};

use crate::config::Settings;

/// Asks hooks as the settings say, and checks all other logins itself.
///
/// # Errors
/// When a key, a provider or a hook is not valid.
pub(crate) fn backend(settings: &Settings) -> anyhow::Result<Hooks> {
    Hooks::new(&environment(settings), &settings.hooks, authenticator(settings)?).context("cannot ask hooks")
}

/// Checks the logins that no hook takes.
///
/// # Errors
/// When a key or a provider is not valid.
pub(crate) fn authenticator(settings: &Settings) -> anyhow::Result<Authenticator> {
    let mut options = AuthenticatorOptions::default();
    options.environment = environment(settings);
    let secrets = settings.hs256_secret.iter().chain(&settings.hs256_secret_old);
    options.hs256_secrets = secrets.map(|secret| secret.expose().as_bytes().to_vec()).collect();
    options.tokens = settings.tokens.clone();
    options.logins = settings.logins.clone();
    options.guests = settings.guests;
    Authenticator::new(&options).context("cannot check logins")
}

/// What was opened to everybody for development opens nothing afterwards, on whatever folder.
fn environment(settings: &Settings) -> String {
    match settings.dev {
        true => format!("--dev {}", settings.environment),
        false => settings.environment.clone(),
    }
}
