//! What `serve` and `token` are told: flags over environment over file over defaults.
//!
//! Start at [`Loaded::load`]. Settings are complete and checked; secrets in them are never printed.

mod api_keys;
mod check;
mod environment;
mod error;
mod file;
mod findings;
mod hook_findings;
mod inputs;
mod limit_findings;
mod listen;
mod loaded;
mod options;
mod path;
mod redis;
mod schema;
mod secrets;
mod sources;
mod suggestions;
mod values;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZero,
    path::{Path, PathBuf},
    time::Duration,
};

use schemars::JsonSchema;
use serde::Deserialize;
use tautline_backend::{HookOptions, LoginOptions, TokenOptions, events::WebhookOptions};
#[cfg(feature = "console")]
use tautline_console::ConsoleOptions;
use tautline_gateway::{GatewayConfig, PlainConfig};
use tautline_hub::{Access, ChannelRule, NodeLimits, PresenceMode, Retention, RulePattern};
use tautline_process::{
    log::{LogFilter, LogFormat},
    secret::Secret,
    units::whole_ms,
};
use tautline_redis::RedisUrl;

pub use api_keys::ApiKey;
pub use check::{TicketKey, engine as parse_engine};
pub use environment::{
    API_KEY, AUTH_SECRET, AUTH_SECRET_OLD, CONFIG, ENVIRONMENT, Environment, LISTEN, NODE, TICKET_KEYS, TOKEN,
};
pub use error::ConfigError;
pub use listen::{CertificateFiles, ListenAddress, ListenSettings};
pub use loaded::{EXAMPLE, Loaded};
pub use redis::RedisSettings;
pub use schema::Schema;
pub use values::Values;

/// Where channels and their logs live, as it is written in flags and files: `memory`, `disk:` and a folder, or the URL of
/// a Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Engine {
    /// In this process: gone when it ends.
    Memory,
    /// In this folder. The default: `disk:./tautline-data`.
    Disk(PathBuf),
    /// In this Redis. Its password is not part of the URL.
    Redis(RedisUrl),
}

impl Default for Engine {
    fn default() -> Self {
        Self::Disk("./tautline-data".into())
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Disk(folder) => write!(f, "disk:{}", folder.display()),
            Self::Redis(url) => write!(f, "{url}"),
        }
    }
}

/// What an acknowledged publish means on a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// It is on the disk, and nobody has seen it before that. The default.
    #[default]
    Strict,
    /// It will be on the disk in a moment. After a crash the last publications may be gone, and every client is told so.
    Relaxed,
}

/// What the command line said; the last word on everything it names.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// The file to read; none: no file.
    pub config: Option<PathBuf>,
    /// Where to listen.
    pub listen: Option<SocketAddr>,
    /// Where channels live.
    pub engine: Option<Engine>,
    /// Open everything to everybody.
    pub dev: bool,
    /// What a line of the log looks like; clap reads [`LOG_FORMAT`](tautline_process::log::LOG_FORMAT), too.
    pub log_format: Option<LogFormat>,
    /// What is logged; clap reads [`LOG_FILTER`](tautline_process::log::LOG_FILTER), too.
    pub log_filter: Option<LogFilter>,
    /// Any other option, each as `section.option=value`.
    pub set: Vec<String>,
}

/// How a server goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainSettings {
    /// `/health/ready` says no for this long before the port is closed, so that load balancers notice. Default 0 s.
    pub notice: Duration,
    /// Clients are told to come back at moments spread over this time. Default 5 s.
    pub spread: Duration,
    /// How long the last connections are waited for. Default 30 s.
    pub timeout: Duration,
}

impl Default for DrainSettings {
    fn default() -> Self {
        Self { notice: Duration::ZERO, spread: Duration::from_secs(5), timeout: Duration::from_secs(30) }
    }
}

/// Everything that `serve` needs to know. `Default` is what holds when nothing is said: nothing is open to anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The short form of a listener: where to listen. Default [`Settings::LISTEN_DEFAULT`], where there are no
    /// `listeners`.
    pub listen: Option<SocketAddr>,
    /// More listeners, with options. Default none.
    pub listeners: Vec<ListenSettings>,
    /// The certificates of listeners with TLS; the first serves clients that ask for none of the names. Default none.
    pub tls: Vec<CertificateFiles>,
    /// This node's name in welcomes and tickets. Default `n1`.
    pub node: String,
    /// Where channels and their logs live. Default `disk:./tautline-data`.
    pub engine: Engine,
    /// What an acknowledged publish means on a disk. Default strict.
    pub durability: Durability,
    /// How Redis is used, where it is the engine.
    pub redis: RedisSettings,
    /// The gateway's own limits and options.
    pub gateway: GatewayConfig,
    /// The endpoint for clients without Tautline's protocol. Default none; with `--dev` there is one.
    pub plain: PlainConfig,
    /// Whose web pages may connect. Default none named: everybody's.
    pub allowed_origins: Vec<String>,
    /// True when everything is open for development. Default false.
    pub dev: bool,
    /// The key of the HTTP API that was made at random for development, where none was configured; it is one of `api_keys`.
    pub dev_api_key: Option<Secret>,
    /// Whether clients may connect without a login. Default false.
    pub guests: bool,
    /// The files that secrets are in.
    pub secrets_in: Vec<PathBuf>,
    /// What tokens are signed with. Default none: no token is accepted.
    pub hs256_secret: Option<Secret>,
    /// What tokens were signed with before; they stay good. Default none.
    pub hs256_secret_old: Option<Secret>,
    /// Other keys of tokens, and what tokens must say. Default none.
    pub tokens: TokenOptions,
    /// Vendors whose login codes are accepted. Default none.
    pub logins: Vec<LoginOptions>,
    /// Questions that go to the app's back end by HTTP. Default none.
    pub hooks: Vec<HookOptions>,
    /// Events that go to the app's back end. Default none.
    pub webhooks: Vec<WebhookOptions>,
    /// Keys for the HTTP API. Default none: it is closed.
    pub api_keys: Vec<Secret>,
    /// Keys for the HTTP API with scopes. Default none.
    pub scoped_api_keys: Vec<ApiKey>,
    /// What tickets are sealed with, newest first. Default none: made at random at start.
    pub ticket_keys: Vec<TicketKey>,
    /// Which deployment this is: tickets of another one are no good here. Default `""`.
    pub environment: String,
    /// Who may do what where; the first match counts. Default none: every channel is closed.
    pub channels: Vec<ChannelRule>,
    /// Every ceiling.
    pub limits: NodeLimits,
    /// Pages for operators. Default none; with `--dev` there are.
    #[cfg(feature = "console")]
    pub console: ConsoleOptions,
    /// How to go down.
    pub drain: DrainSettings,
    /// What a line of the log looks like. Default text.
    pub log_format: LogFormat,
    /// What is logged. Default `info`.
    pub log_filter: LogFilter,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: None,
            listeners: Vec::new(),
            tls: Vec::new(),
            node: "n1".to_owned(),
            engine: Engine::default(),
            durability: Durability::default(),
            redis: RedisSettings::default(),
            gateway: GatewayConfig::default(),
            plain: PlainConfig::default(),
            allowed_origins: Vec::new(),
            dev: false,
            dev_api_key: None,
            guests: false,
            secrets_in: Vec::new(),
            hs256_secret: None,
            hs256_secret_old: None,
            tokens: TokenOptions::default(),
            logins: Vec::new(),
            hooks: Vec::new(),
            webhooks: Vec::new(),
            api_keys: Vec::new(),
            scoped_api_keys: Vec::new(),
            ticket_keys: Vec::new(),
            environment: String::new(),
            channels: Vec::new(),
            limits: NodeLimits::default(),
            #[cfg(feature = "console")]
            console: ConsoleOptions::default(),
            drain: DrainSettings::default(),
            log_format: LogFormat::default(),
            log_filter: LogFilter::default(),
        }
    }
}

impl Settings {
    /// Where a gateway listens that is told nothing.
    pub const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);

    /// Relative paths of certificates begin at `folder`.
    fn of_file(file: file::File, folder: &Path) -> Self {
        let mut settings = Self {
            listen: file.server.listen,
            listeners: file.listen,
            tls: file.tls.into_iter().map(|files| files.inside(folder)).collect(),
            ..Self::default()
        };
        set(&mut settings.node, file.server.node);
        set(&mut settings.engine, file.server.engine);
        set(&mut settings.durability, file.server.durability);
        settings.redis = file.redis;
        settings.gateway = file.gateway;
        settings.plain = file.plain;
        set(&mut settings.allowed_origins, file.server.allowed_origins);
        set(&mut settings.guests, file.auth.guests);
        settings.hs256_secret = file.auth.hs256_secret;
        settings.hs256_secret_old = file.auth.hs256_secret_old;
        (settings.tokens, settings.logins, settings.hooks) = (file.tokens, file.login, file.hooks);
        set(&mut settings.api_keys, file.api.keys);
        settings.scoped_api_keys = file.api.key;
        set(&mut settings.ticket_keys, file.tickets.keys);
        set(&mut settings.environment, file.tickets.environment);
        settings.channels = file.channels.into_iter().map(channel_rule).collect();
        settings.webhooks = file.webhooks;
        settings.limits = file.limits;
        #[cfg(feature = "console")]
        {
            settings.console = file.console;
        }
        set(&mut settings.log_format, file.log.format);
        set(&mut settings.log_filter, file.log.filter);
        set(&mut settings.drain.notice, file.drain.notice.map(|span| span.0));
        set(&mut settings.drain.spread, file.drain.spread.map(|span| span.0));
        set(&mut settings.drain.timeout, file.drain.timeout.map(|span| span.0));
        settings
    }

    /// Rules of the file keep their history and presence, so that an app can be tried as it will run; their doors open.
    fn open_for_development(&mut self) -> Result<(), ConfigError> {
        self.dev = true;
        self.guests = true;
        self.plain.enabled = true;
        #[cfg(feature = "console")]
        {
            self.console.enabled = true;
        }
        if self.api_keys.is_empty() && self.scoped_api_keys.is_empty() {
            let key = Secret::random().map_err(|error| ConfigError::in_flag("--dev", &error.to_string()))?;
            self.api_keys.push(key.clone());
            self.dev_api_key = Some(key);
        }
        for rule in &mut self.channels {
            (rule.subscribe, rule.publish) = (Access::Any, Access::Any);
            (rule.history_access, rule.presence_access) = (None, None);
        }
        self.channels.push(ChannelRule {
            subscribe: Access::Any,
            publish: Access::Any,
            presence: PresenceMode::Events,
            ..ChannelRule::closed(RulePattern::parse("*").expect("a lone star is a pattern"))
        });
        Ok(())
    }
}

fn channel_rule(channel: file::Channel) -> ChannelRule {
    let mut retention = Retention::default();
    set(&mut retention.count, channel.history.count.map(NonZero::get));
    set(&mut retention.bytes, channel.history.bytes.map(|bytes| bytes.0));
    set(&mut retention.age_ms, channel.history.age.map(|age| whole_ms(age.0)));
    ChannelRule {
        pattern: channel.pattern,
        subscribe: channel.subscribe.into(),
        publish: channel.publish.into(),
        history_access: channel.history_access.map(Into::into),
        presence_access: channel.presence_access.map(Into::into),
        presence: channel.presence.into(),
        retention,
        ack: channel.ack,
    }
}

fn set<T>(setting: &mut T, said: Option<T>) {
    if let Some(said) = said {
        *setting = said;
    }
}

#[cfg(test)]
mod tests;
