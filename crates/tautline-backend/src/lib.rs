//! All that a gateway asks the app's back end: whose is this login, may this client do this, run this method.
//!
//! [`Backend`] is the question. [`Authenticator`] answers logins from options: tokens that the app's back end,
//! or a login service, has signed; login codes of mini program hosts; and guests where they are allowed.
//! [`Handlers`] answers it from async functions of the embedding app.
//! `Hooks` takes questions to the app's back end by HTTP.
//!
//! Features: `http` fetches key sets, sends login codes to their vendors and has hooks; `mock` has login services
//! for those who develop without an app id.

#[cfg(feature = "http")]
mod api_client;
mod authenticator;
mod backend;
#[cfg(feature = "http")]
mod breaker;
mod call;
#[cfg(feature = "http")]
mod connector;
mod crypto;
#[cfg(feature = "http")]
pub mod events;
mod figures;
mod flight;
mod handlers;
#[cfg(feature = "http")]
mod hooks;
#[cfg(feature = "http")]
mod http_client;
#[cfg(feature = "http")]
mod login;
#[cfg(feature = "mock")]
pub mod mock;
#[cfg(feature = "http")]
mod network;
#[cfg(feature = "http")]
mod random;
mod sign;
mod source;
#[cfg(feature = "http")]
mod standard_webhooks;
mod token;

#[cfg(feature = "http")]
pub use api_client::{ApiClient, ApiClientError, ApiPublication, ApiPublished, ApiTarget};
pub use authenticator::{Authenticator, AuthenticatorError, AuthenticatorOptions};
pub use backend::{Backend, BackendFuture, Login, LoginResult};
pub use call::{Call, CallError, CallResult};
pub use crypto::install as install_crypto_provider;
pub use figures::{BackendFigures, HookAnswers, HookFigures};
pub use handlers::{Handlers, LoginAttempt};
#[cfg(feature = "http")]
pub use hooks::{HookKind, HookOptions, HookOptionsError, Hooks};
#[cfg(feature = "http")]
pub use login::{AppTokenOptions, GenericOptions, LoginKind, LoginOptions, LoginOptionsError, ParametersIn};
pub use sign::sign_hs256;
pub use tautline_files::secret::Secret;
pub use token::{
    HS256_SECRET_BYTES_MIN, JWKS_BYTES_MAX, JwksOptions, KeyOptions, TOKEN_BYTES_MAX, TokenOptions,
    TokenOptionsError, looks_like_a_token, unverified_identity,
};
