//! All that a gateway asks the app's back end: is this login good, and whose is it?
//!
//! [`Backend`] is the question. [`Authenticator`] answers it from options: tokens that the app's back end,
//! or a login service, has signed; login codes of mini program hosts; and guests where they are allowed.
//! [`Handlers`] answers it from async functions of the embedding app.
//!
//! Features: `http` fetches key sets and sends login codes to their vendors; `mock` has login services for
//! those who develop without an app id.

mod authenticator;
mod backend;
#[cfg(feature = "http")]
#[cfg_attr(not(test), allow(dead_code, reason = "hooks and webhooks build on it"))]
mod breaker;
#[cfg(feature = "http")]
mod connector;
mod crypto;
mod flight;
mod handlers;
#[cfg(feature = "http")]
#[cfg_attr(not(test), allow(dead_code, reason = "hooks and webhooks build on it"))]
mod http_client;
#[cfg(feature = "http")]
mod login;
#[cfg(feature = "mock")]
pub mod mock;
#[cfg(feature = "http")]
#[cfg_attr(not(test), allow(dead_code, reason = "hooks and webhooks build on it"))]
mod network;
mod sign;
mod source;
#[cfg(feature = "http")]
#[cfg_attr(not(test), allow(dead_code, reason = "hooks and webhooks build on it"))]
mod standard_webhooks;
mod token;

pub use authenticator::{Authenticator, AuthenticatorError, AuthenticatorOptions};
pub use backend::{Backend, BackendFuture, Login, LoginResult};
pub use crypto::install as install_crypto_provider;
pub use handlers::{Handlers, LoginAttempt};
#[cfg(feature = "http")]
pub use login::{GenericOptions, LoginKind, LoginOptions, LoginOptionsError, ParametersIn};
pub use sign::sign_hs256;
pub use tautline_files::secret::Secret;
pub use token::{
    HS256_SECRET_BYTES_MIN, JWKS_BYTES_MAX, JwksOptions, KeyOptions, TOKEN_BYTES_MAX, TokenOptions,
    TokenOptionsError,
};
