//! Login codes of mini program hosts, turned into users by their vendors.
//!
//! Start at [`CodeLogins::authenticate`]. A code is sent to its vendor once, and its answer is kept: a
//! client whose connection was cut comes back with the same code, which the vendor would call used.

mod alipay;
mod app_tokens;
mod baidu;
mod budget;
mod codes;
mod douyin;
mod generic;
mod kuaishou;
mod options;
mod provider;
mod template;
#[cfg(test)]
mod tests;
mod transport;
mod vendor;
mod wechat;

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use tautline_protocol::Now;

use self::provider::Provider;
pub(crate) use self::transport::Transport;
pub use self::{
    generic::{AppTokenOptions, GenericOptions},
    options::{LoginKind, LoginOptions, LoginOptionsError},
    template::ParametersIn,
};
use crate::{LoginResult, token::refused};

#[cfg(any(test, feature = "mock"))]
pub(crate) use self::alipay::to_sign;

/// The vendors whose codes are accepted, by the word that clients say.
#[derive(Default)]
pub(crate) struct CodeLogins(HashMap<String, Arc<Provider>>);

impl CodeLogins {
    /// `transport` carries requests to the vendors. One whose options are as `before` goes on: its answers and
    /// running calls, its budgets, and the token of its app.
    pub(crate) fn new(
        environment: &str,
        options: &[LoginOptions],
        transport: &Arc<dyn Transport>,
        before: Option<&Self>,
    ) -> Result<Self, LoginOptionsError> {
        LoginOptions::check_all(options)?;
        let providers = options.iter().map(|options| {
            let known = before.and_then(|before| before.0.get(&options.provider));
            let known = known.filter(|known| known.is_of(environment, options));
            let provider = match known {
                Some(provider) => Arc::clone(provider),
                None => Arc::new(Provider::new(environment, options, Arc::clone(transport))?),
            };
            Ok((options.provider.clone(), provider))
        });
        Ok(Self(providers.collect::<Result<_, _>>()?))
    }

    pub(crate) fn sources(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.values().map(|provider| provider.source())
    }

    /// The user behind a code.
    pub(crate) async fn authenticate(
        &self,
        now: Now,
        provider: &str,
        code: &str,
        address: Option<IpAddr>,
    ) -> LoginResult {
        match self.0.get(provider) {
            Some(provider) => provider.authenticate(now, code, address).await,
            None if self.0.is_empty() => {
                Err(refused("login codes are not accepted here: log in with a token"))
            }
            None => Err(refused("login codes of this provider are not accepted here")),
        }
    }
}
