//! Which logins `serve` accepts: the settings as options of the authenticator.

use anyhow::Context as _;
use tautline_backend::{Authenticator, AuthenticatorOptions};

use crate::config::Settings;

/// Checks logins as the settings say.
///
/// # Errors
/// When a key or a provider is not valid.
pub(crate) fn authenticator(settings: &Settings) -> anyhow::Result<Authenticator> {
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
    Authenticator::new(&options).context("cannot check logins")
}
