//! Answers logins from settings: tokens, login codes and guests, nothing else.
//!
//! Start at [`Authenticator`].

use std::future::ready;

use tautline_hub::Identity;
use tautline_protocol::packet::Auth;

use crate::{
    backend::{Backend, BackendFuture, Login, LoginResult},
    crypto,
    source::source_of,
    token::{Known, TokenOptions, TokenOptionsError, Tokens, refused},
};
#[cfg(feature = "http")]
use crate::{
    http_client::HttpClient,
    login::{CodeLogins, LoginOptions, LoginOptionsError},
    token::HttpFetch,
};

/// Which logins are accepted. Default: none.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct AuthenticatorOptions {
    /// Separates the logins of one deployment from those of another. Default `""`.
    pub environment: String,
    /// Secrets of tokens that are signed with HS256, at least 32 bytes each. Default none.
    pub hs256_secrets: Vec<Vec<u8>>,
    /// Other keys of tokens, and what tokens must say. Default none.
    pub tokens: TokenOptions,
    /// Vendors whose login codes are accepted. Default none.
    #[cfg(feature = "http")]
    pub logins: Vec<LoginOptions>,
    /// Whether clients may connect without a login. Default no.
    pub guests: bool,
}

/// Logins cannot be checked with these options.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthenticatorError {
    /// A secret of tokens is not valid.
    #[error("the secret of tokens: {0}")]
    Hs256Secret(String),
    /// A key of tokens is not valid.
    #[error(transparent)]
    Tokens(#[from] TokenOptionsError),
    /// A vendor's options are not valid.
    #[cfg(feature = "http")]
    #[error(transparent)]
    Login(#[from] LoginOptionsError),
}

/// Checks tokens, login codes and guests.
///
/// Each accepted login names its source (a key, a vendor, or guests) as a digest that all nodes with the
/// same settings share. Tokens are checked at once where their key is known.
pub struct Authenticator {
    tokens: Tokens,
    #[cfg(feature = "http")]
    codes: CodeLogins,
    guests: Option<u64>,
}

impl Authenticator {
    /// An authenticator with these options.
    ///
    /// # Errors
    /// The first option that is not valid.
    pub fn new(options: &AuthenticatorOptions) -> Result<Self, AuthenticatorError> {
        Self::of(options, None)
    }

    /// The same with other options. Key sets of a URL that is still named, and providers whose options are as before,
    /// go on: what was fetched of them stays in use.
    ///
    /// # Errors
    /// The first option that is not valid.
    pub fn reloaded(&self, options: &AuthenticatorOptions) -> Result<Self, AuthenticatorError> {
        Self::of(options, Some(self))
    }

    #[cfg_attr(not(feature = "http"), allow(unused_variables, reason = "nothing is fetched"))]
    fn of(options: &AuthenticatorOptions, before: Option<&Self>) -> Result<Self, AuthenticatorError> {
        crypto::install();
        let environment = &options.environment;
        #[cfg(feature = "http")]
        let (mut tokens, codes) = {
            // It reads the certificates of the system: not where it is not needed.
            let needs_client = !options.tokens.jwks.is_empty() || !options.logins.is_empty();
            match needs_client.then(HttpClient::new) {
                Some(client) => {
                    let fetch = |url: &str| HttpFetch { client: client.clone(), url: url.to_owned() };
                    let transport: std::sync::Arc<dyn crate::login::Transport> =
                        std::sync::Arc::new(client.clone());
                    let tokens =
                        options.tokens.tokens(environment, fetch, before.map(|before| &before.tokens))?;
                    let codes = before.map(|before| &before.codes);
                    (tokens, CodeLogins::new(environment, &options.logins, &transport, codes)?)
                }
                None => (options.tokens.static_tokens(environment)?, CodeLogins::default()),
            }
        };
        #[cfg(not(feature = "http"))]
        let mut tokens = options.tokens.static_tokens(environment)?;
        for secret in &options.hs256_secrets {
            let added = options.tokens.add_hs256(&mut tokens, environment, secret);
            added.map_err(AuthenticatorError::Hs256Secret)?;
        }
        Ok(Self {
            tokens,
            #[cfg(feature = "http")]
            codes,
            guests: options.guests.then(|| source_of(environment, "guest", b"")),
        })
    }

    fn guest(&self, guest: bool) -> LoginResult {
        if !guest {
            return Err(refused("a guest says `guest: true`"));
        }
        let source = self.guests.ok_or_else(|| refused("guests are not let in here: log in with a token"))?;
        Ok(Identity { source, ..Identity::default() })
    }

    #[cfg(feature = "http")]
    fn code<'a>(
        &'a self,
        login: Login<'a>,
        provider: &'a str,
        code: &'a str,
    ) -> BackendFuture<'a, LoginResult> {
        Box::pin(self.codes.authenticate(login.now, provider, code, login.address))
    }

    #[cfg(not(feature = "http"))]
    fn code<'a>(&'a self, _: Login<'a>, _: &'a str, _: &'a str) -> BackendFuture<'a, LoginResult> {
        Box::pin(ready(Err(refused("login codes are not accepted here: log in with a token"))))
    }
}

impl Backend for Authenticator {
    fn authenticate<'a>(&'a self, login: Login<'a>) -> BackendFuture<'a, LoginResult> {
        match login.auth {
            Auth::Token { token } => match self.tokens.check(login.now, token) {
                Known::Answer(result) => Box::pin(ready(result)),
                Known::NoKey(_) => Box::pin(self.tokens.check_with_newer_keys(login.now, token)),
            },
            Auth::Guest { guest } => Box::pin(ready(self.guest(*guest))),
            Auth::Code { code, provider } => self.code(login, provider, code),
        }
    }

    fn sources(&self) -> Vec<u64> {
        let sources = self.tokens.sources().chain(self.guests);
        #[cfg(feature = "http")]
        let sources = sources.chain(self.codes.sources());
        sources.collect()
    }
}

impl std::fmt::Debug for AuthenticatorOptions {
    // Secrets stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthenticatorOptions")
            .field("environment", &self.environment)
            .field("tokens", &self.tokens)
            .field("guests", &self.guests)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Authenticator {
    // Keys and secrets stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").field("sources", &self.sources()).finish_non_exhaustive()
    }
}
