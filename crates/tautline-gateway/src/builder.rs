//! Configures a gateway.

use std::{future::Future, sync::Arc};

use serde_json::value::RawValue;
use tautline_adapters::plain::{PlainConfig, path_error};
use tautline_api::{ApiKeyError, ApiKeys, Scope};
use tautline_backend::{
    Authenticator, AuthenticatorError, AuthenticatorOptions, Backend, Call, CallError, HS256_SECRET_BYTES_MIN,
};
use tautline_hub::{ChannelRule, Engine, Hub, HubConfig, MemoryEngine, NodeLimits};

use crate::{
    config::GatewayConfig,
    current_backend::CurrentBackend,
    gateway::Gateway,
    handlers::HandlersToAdd,
    http::{hosts::Hosts, origins::Origins},
    methods::Methods,
    state::{Access, GatewayState},
    swap::Swap,
};

/// Made by [`Gateway::builder`]. Each method names the default of its setting; the defaults let nobody in.
#[derive(Default)]
#[must_use]
pub struct GatewayBuilder {
    limits: NodeLimits,
    config: GatewayConfig,
    plain: PlainConfig,
    rules: Vec<ChannelRule>,
    engine: Option<Arc<dyn Engine>>,
    node: Option<String>,
    ticket_keys: Vec<[u8; 32]>,
    logins: AuthenticatorOptions,
    api_keys: ApiKeys,
    origins: Origins,
    hosts: Hosts,
    methods: Methods,
    backend: Option<Box<dyn Backend>>,
    pub(crate) handlers: HandlersToAdd,
    error: Option<BuildError>,
}

/// The reason why no gateway was built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The system has no random bytes, which session ids and ticket keys need.
    #[error("the system gives no random bytes")]
    NoRandomness(#[source] getrandom::Error),
    /// A short secret or key can be guessed.
    #[error("{what} has {bytes} bytes: at least {bytes_min} are needed, so that nobody guesses it")]
    TooShort {
        /// The secret or key.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// Its least length.
        bytes_min: usize,
    },
    /// Logins cannot be checked.
    #[error(transparent)]
    Logins(#[from] AuthenticatorError),
    /// A key of the HTTP API that can be guessed, or that no header can carry.
    #[error(transparent)]
    ApiKey(ApiKeyError),
    /// Two handlers were given for one method.
    #[error("method {0:?} has two handlers")]
    MethodTwice(String),
    /// A ceiling that hyper does not support.
    #[error("http_head_bytes_max is {0}, it must be 8192 at least")]
    HeadTooShort(usize),
    /// A path that the plain endpoint cannot have.
    #[error("{path:?} is no path for the plain endpoint: {why}")]
    UnfitPlainPath {
        /// The path.
        path: String,
        /// The reason.
        why: &'static str,
    },
}

impl Gateway {
    /// A builder with defaults, which let nobody in.
    pub fn builder() -> GatewayBuilder {
        GatewayBuilder::default()
    }
}

impl GatewayBuilder {
    /// The limits of the node: all of them, or those of one crate with the defaults of the others. Default:
    /// [`NodeLimits::default`].
    pub fn limits(mut self, limits: impl Into<NodeLimits>) -> Self {
        self.limits = limits.into();
        self
    }

    /// The ceilings of sockets, HTTP and tasks. Default: [`GatewayConfig::default`].
    pub fn config(mut self, config: GatewayConfig) -> Self {
        self.config = config;
        self
    }

    /// The plain endpoint, for clients that do not implement Tautline's protocol. Default:
    /// [`PlainConfig::default`], without the endpoint.
    pub fn plain(mut self, config: PlainConfig) -> Self {
        self.plain = config;
        self
    }

    /// Permissions by channel; the first rule that matches a channel applies. Default: none, so that only the
    /// back end publishes, and users read only their own inbox.
    pub fn rules(mut self, rules: Vec<ChannelRule>) -> Self {
        self.rules = rules;
        self
    }

    /// The engine that keeps the logs. Default: in memory, lost with the process.
    pub fn engine(mut self, engine: Arc<dyn Engine>) -> Self {
        self.engine = Some(engine);
        self
    }

    /// This node's name, which `welcome` carries. Default: eight random digits.
    pub fn node(mut self, node: impl Into<String>) -> Self {
        self.node = Some(node.into());
        self
    }

    /// The keys of tickets: the first seals, all open. Default: one at random, so that no session survives a
    /// restart.
    pub fn ticket_keys(mut self, keys: Vec<[u8; 32]>) -> Self {
        self.ticket_keys = keys;
        self
    }

    /// Whether clients may connect without a login. Default: no.
    pub fn guests(mut self, allowed: bool) -> Self {
        self.logins.guests = allowed;
        self
    }

    /// The secret of JWTs signed with HS256, at least [`HS256_SECRET_BYTES_MIN`] bytes: `sub` is the user,
    /// `exp` is required, `channels` (patterns) opens channels whose rule says
    /// [`Access::Token`](crate::Access::Token). A token with an `aud` is refused. May be called more than
    /// once: a secret is changed by giving the new one beside the old one until the old tokens have expired.
    /// Default: none, so that no token is valid.
    pub fn jwt_hs256(mut self, secret: impl Into<Vec<u8>>) -> Self {
        let secret = secret.into();
        self.require_bytes("the secret of tokens", secret.len(), HS256_SECRET_BYTES_MIN);
        self.logins.hs256_secrets.push(secret);
        self
    }

    /// The name of this deployment: tickets of another one are not valid here, even where both have the same
    /// keys and secrets. Default: `""`.
    pub fn environment(mut self, name: impl Into<String>) -> Self {
        self.logins.environment = name.into();
        self
    }

    /// One more key for the HTTP API, with all scopes: at least
    /// [`API_KEY_BYTES_MIN`](crate::API_KEY_BYTES_MIN) visible ASCII characters. Default: none, so that the API
    /// is closed.
    pub fn api_key(mut self, key: impl AsRef<str>) -> Self {
        if let Err(error) = self.api_keys.insert(key.as_ref(), Scope::ALL) {
            self.error = Some(BuildError::ApiKey(error));
        }
        self
    }

    /// All keys for the HTTP API at once, each with its scopes, in place of those given so far.
    pub fn api_keys(mut self, keys: ApiKeys) -> Self {
        self.api_keys = keys;
        self
    }

    fn require_bytes(&mut self, what: &'static str, bytes: usize, bytes_min: usize) {
        if bytes < bytes_min {
            self.error = Some(BuildError::TooShort { what, bytes, bytes_min });
        }
    }

    /// The origins whose web pages may connect: a scheme and a host (`https://shop.example`), or the origin
    /// of a mini game or app (`weapp://wechat-game-runtime`, `capacitor://localhost`, `null`). A preset
    /// (`preset:wechat`, see [`ORIGIN_PRESETS`](crate::ORIGIN_PRESETS)) stands for all that a mini-program
    /// host sends, and for pages of the gateway's own host. Clients that
    /// are no browser send no origin and are not checked. Default: all. A login travels in `hello` and never
    /// in a cookie, so a foreign page can do nothing in its visitor's name; but where [guests](Self::guests)
    /// are allowed it is one of them, in its visitor's browser and from inside of its visitor's network.
    pub fn allowed_origins(mut self, origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.origins = Origins::only(origins);
        self
    }

    /// The hosts for which requests are answered, by their name in `Host`. Default: all.
    ///
    /// A gateway that is open to everybody, such as a server for development, takes [`Hosts::Loopback`]: else
    /// any web page reaches it through a browser on this machine.
    pub fn hosts(mut self, hosts: Hosts) -> Self {
        self.hosts = hosts;
        self
    }

    /// A method that clients may call. Each call is answered once: with `timeout` where the handler takes too
    /// long, which drops it, and with `internal` where it panics.
    ///
    /// ```
    /// # use tautline_gateway::{CallError, Gateway};
    /// let gateway = Gateway::builder()
    ///     .call("echo", |call| async move { Ok(call.data) })
    ///     .call("buy", |_| async { Err(CallError::new("sold_out", "come back tomorrow")) })
    ///     .build()?;
    /// # Ok::<(), tautline_gateway::BuildError>(())
    /// ```
    pub fn call<F, R>(mut self, method: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Box<RawValue>, CallError>> + Send + 'static,
    {
        let method = method.into();
        if !self.methods.insert(method.clone(), handler) {
            self.error = Some(BuildError::MethodTwice(method));
        }
        self
    }

    /// A method that may run again under the same [`Call::key`]. A call whose node died while it ran is then
    /// run again when the client reconnects; a call of any other method is answered `in_doubt`.
    pub fn call_idempotent<F, R>(mut self, method: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Box<RawValue>, CallError>> + Send + 'static,
    {
        let method = method.into();
        self.methods.mark_idempotent(method.clone());
        self.call(method, handler)
    }

    /// Answers logins in place of [`jwt_hs256`](Self::jwt_hs256) and [`guests`](Self::guests), whose settings
    /// are then not used, and runs the methods that have no handler here. Default: those two, and no other
    /// methods.
    pub fn backend(mut self, backend: impl Backend + 'static) -> Self {
        self.backend = Some(Box::new(backend));
        self
    }

    /// The gateway.
    ///
    /// # Errors
    /// [`BuildError`] names the first invalid setting.
    pub fn build(self) -> Result<Gateway, BuildError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.config.http_head_bytes_max < 8192 {
            return Err(BuildError::HeadTooShort(self.config.http_head_bytes_max));
        }
        if let Some(why) = path_error(&self.plain.path) {
            return Err(BuildError::UnfitPlainPath { path: self.plain.path, why });
        }
        let mut ticket_keys = self.ticket_keys;
        if ticket_keys.is_empty() {
            ticket_keys.push(random()?);
        }
        let node = match self.node {
            Some(node) => node,
            None => format!("{:08x}", u32::from_ne_bytes(random()?)),
        };
        let engine = match self.engine {
            Some(engine) => engine,
            None => {
                let incarnation = u32::from_ne_bytes(random()?).max(1);
                let ticket_ms = self.limits.protocol.ticket_ms;
                Arc::new(MemoryEngine::new(incarnation, &self.limits.engine, ticket_ms))
            }
        };
        let backend = match self.backend {
            Some(backend) => backend,
            None => Box::new(Authenticator::new(&self.logins)?),
        };
        let current = CurrentBackend::new(backend);
        let backend = self.handlers.around(&self.logins.environment, Box::new(current.clone()));
        let backend: Arc<dyn Backend> = backend.into();
        let config = HubConfig {
            limits: self.limits,
            rules: self.rules,
            node,
            ticket_keys,
            login_sources: backend.sources(),
            idempotent_methods: self.methods.idempotent(&backend),
        };
        let hub = Hub::new(config, engine, random()?);
        let access = Access {
            backend,
            current,
            api_keys: Swap::new(self.api_keys.into()),
            hosts: self.hosts,
            origins: Swap::new(self.origins.into()),
        };
        Ok(Gateway::new(GatewayState::new(hub, self.config, self.plain, access, self.methods)))
    }
}

impl std::fmt::Debug for GatewayBuilder {
    // Keys and secrets stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GatewayBuilder")
            .field("node", &self.node)
            .field("logins", &self.logins)
            .field("methods", &self.methods)
            .finish_non_exhaustive()
    }
}

fn random<const N: usize>() -> Result<[u8; N], BuildError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(BuildError::NoRandomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_secret_or_api_key_is_refused() {
        let error = |builder: GatewayBuilder| builder.build().unwrap_err().to_string();
        assert!(error(Gateway::builder().jwt_hs256("")).contains("secret of tokens"));
        assert!(error(Gateway::builder().api_key("")).contains("API key"));
    }

    #[test]
    fn short_secret_or_api_key_is_refused() {
        let error = |builder: GatewayBuilder| builder.build().unwrap_err().to_string();
        assert!(error(Gateway::builder().jwt_hs256([b's'; 31])).contains("31 bytes: at least 32"));
        assert!(error(Gateway::builder().api_key("fifteen-letters")).contains("15 bytes: at least 16"));
        assert!(error(Gateway::builder().api_key("sixteen letters, but no token")).contains("visible ASCII"));
        assert!(Gateway::builder().jwt_hs256([b's'; 32]).api_key("sixteen-letters!").build().is_ok());
    }

    #[test]
    fn second_handler_of_a_method_is_refused() {
        let echo = |call: Call| async move { Ok(call.data) };
        let error = Gateway::builder().call("echo", echo).call("echo", echo).build().unwrap_err();
        assert!(matches!(error, BuildError::MethodTwice(method) if method == "echo"));
    }

    #[test]
    fn debug_output_has_no_secrets() {
        let builder = Gateway::builder()
            .jwt_hs256("hush-token")
            .api_key("hush-key-of-the-api")
            .ticket_keys(vec![[7; 32]]);
        let printed = format!("{builder:?} {:?}", builder.logins.hs256_secrets.len());
        assert!(!printed.contains("hush") && !printed.contains("7, 7"));
    }
}
