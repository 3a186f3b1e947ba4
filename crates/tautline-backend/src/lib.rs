//! All that a gateway asks the app's back end: is this login good, and whose is it?
//!
//! [`Backend`] is the question. [`Authenticator`] answers it from keys and settings alone: tokens that the
//! back end has signed, and guests where they are allowed.

mod authenticator;
mod backend;
mod crypto;
mod sign;

pub use authenticator::Authenticator;
pub use backend::{Backend, BackendFuture, Login, LoginResult};
pub use crypto::install as install_crypto_provider;
pub use sign::sign_hs256;
