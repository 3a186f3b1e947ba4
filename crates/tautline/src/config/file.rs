//! The configuration file as it is written: every section and option, all of them optional.
//!
//! Each option is checked while it is read, so that an error knows its line. `tautline.example.toml` shows them all. The doc
//! comments are those of the JSON Schema.

use std::{net::SocketAddr, num::NonZero, ops::Range};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use tautline_backend::{HookOptions, LoginOptions, TokenOptions, events::WebhookOptions};
#[cfg(feature = "console")]
use tautline_console::ConsoleOptions;
use tautline_gateway::{GatewayConfig, PlainConfig};
use tautline_hub::{Access, EngineLimits, HubLimits, NodeLimits, PresenceMode, Rates, RulePattern};
use tautline_process::{
    log::{LogFilter, LogFormat},
    secret::{Secret, Secrets},
    socket,
};
use tautline_protocol::{
    Limits,
    units::{ByteSize, Span},
};
use toml::{Spanned, de::DeValue};

use super::{
    Durability, Engine,
    api_keys::{ApiKey, Written},
    check::{self, TicketKey},
    listen::{CertificateFiles, Entry, ListenSettings},
    options,
    redis::RedisSettings,
};

/// The whole file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    /// Where it listens, where logs live, and what sockets and HTTP may take.
    pub server: Server,
    /// Also of `[server]`.
    #[serde(skip)]
    pub gateway: GatewayConfig,
    /// How Redis is used, where it is the engine.
    pub redis: RedisSettings,
    /// The endpoint for clients without Tautline's protocol.
    pub plain: PlainConfig,
    /// More listeners, with options.
    #[schemars(with = "Vec<Entry>")]
    pub listen: Vec<ListenSettings>,
    /// The certificates of listeners with TLS. The first serves clients that ask for none of the names.
    pub tls: Vec<CertificateFiles>,
    /// Which logins are accepted.
    pub auth: Auth,
    /// Also of `[auth]`.
    #[serde(skip)]
    pub tokens: TokenOptions,
    /// Vendors whose login codes are accepted.
    pub login: Vec<LoginOptions>,
    /// Questions that go to the app's back end by HTTP. The first section that takes a question is asked.
    pub hooks: Vec<HookOptions>,
    /// The HTTP API of the back end.
    pub api: Api,
    /// What clients resume with.
    pub tickets: Tickets,
    /// Who may do what where. The first rule that matches a channel's name counts; a channel without one is closed.
    pub channels: Vec<Channel>,
    /// Events that go to the app's back end.
    pub webhooks: Vec<WebhookOptions>,
    /// `[limits]`, with the options of other crates alone.
    #[serde(skip)]
    pub limits: NodeLimits,
    /// How often clients may do something.
    pub rates: Rates,
    /// Pages for operators.
    #[cfg(feature = "console")]
    pub console: ConsoleOptions,
    /// How the server goes down.
    pub drain: Drain,
    /// The log.
    pub log: Log,
}

/// Options of a section that another crate owns.
pub(super) struct Options {
    pub section: &'static str,
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Options {
    fn of<T: DeserializeOwned + JsonSchema>(section: &'static str) -> Self {
        Self { section, schema: T::json_schema }
    }
}

/// The options of other crates.
pub(super) fn of_other_crates() -> [Options; 5] {
    [
        Options::of::<GatewayConfig>("server"),
        Options::of::<TokenOptions>("auth"),
        Options::of::<Limits>("limits"),
        Options::of::<HubLimits>("limits"),
        Options::of::<EngineLimits>("limits"),
    ]
}

/// `[server]`, without the options of the gateway
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Server {
    /// IP and port of HTTP and WebSocket; port 0 takes any free one. Default `127.0.0.1:8000`.
    #[serde(deserialize_with = "listen")]
    #[schemars(with = "String")]
    pub listen: Option<SocketAddr>,
    /// This node's name, shown in every welcome. Default `n1`.
    #[serde(deserialize_with = "node")]
    #[schemars(with = "String")]
    pub node: Option<String>,
    /// Where channels and their logs live: `memory`, `disk:` and a folder, or the URL of a Redis. Default
    /// `disk:./tautline-data`.
    #[serde(deserialize_with = "engine")]
    #[schemars(with = "String")]
    pub engine: Option<Engine>,
    /// What an acknowledgement means on a disk. Default `strict`.
    #[schemars(with = "Durability")]
    pub durability: Option<Durability>,
    /// Whose web pages may connect, as browsers spell an origin. Default none named: everybody's.
    #[serde(deserialize_with = "origins")]
    #[schemars(with = "Vec<String>")]
    pub allowed_origins: Option<Vec<String>>,
}

/// `[auth]`, without the options of tokens
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Auth {
    /// What tokens (JWT, HS256) are signed with, at least 32 bytes. Default none: no token is accepted.
    #[serde(deserialize_with = "hs256_secret")]
    #[schemars(with = "Secret")]
    pub hs256_secret: Option<Secret>,
    /// The secret of before, whose tokens and tickets stay good. Default none.
    #[serde(deserialize_with = "hs256_secret")]
    #[schemars(with = "Secret")]
    pub hs256_secret_old: Option<Secret>,
    /// Whether clients may connect without a login. Default false.
    #[schemars(with = "bool")]
    pub guests: Option<bool>,
}

/// `[api]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Api {
    /// Bearer keys of the HTTP API with all scopes, at least 16 characters each. Default none: the API is closed.
    #[serde(deserialize_with = "api_keys")]
    #[schemars(with = "Vec<Secret>")]
    pub keys: Option<Vec<Secret>>,
    /// Bearer keys of the HTTP API with scopes.
    #[schemars(with = "Vec<Written>")]
    pub key: Vec<ApiKey>,
}

/// `[tickets]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tickets {
    /// What tickets are sealed with, newest first: 32 random bytes in base64 each. Default none: kept beside the logs.
    #[serde(deserialize_with = "ticket_keys")]
    #[schemars(with = "Vec<Secret>")]
    pub keys: Option<Vec<TicketKey>>,
    /// Which deployment this is: tickets of another one open nothing here. Default `""`.
    #[schemars(with = "String")]
    pub environment: Option<String>,
}

/// One `[[channels]]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Channel {
    /// A channel's name, or a prefix that ends in `*`.
    #[serde(rename = "match", deserialize_with = "pattern")]
    #[schemars(with = "String")]
    pub pattern: RulePattern,
    /// Who may subscribe, and unless said otherwise read history and see presence. Default `none`.
    #[serde(default)]
    pub subscribe: AccessWord,
    /// Who may publish. Default `none`.
    #[serde(default)]
    pub publish: AccessWord,
    /// Who may read history. Default: as `subscribe`.
    #[serde(default)]
    #[schemars(with = "AccessWord")]
    pub history_access: Option<AccessWord>,
    /// Who may see presence. Default: as `subscribe`.
    #[serde(default)]
    #[schemars(with = "AccessWord")]
    pub presence_access: Option<AccessWord>,
    /// What is told of subscribers. Default `off`.
    #[serde(default)]
    pub presence: PresenceWord,
    /// What is kept for those who come late.
    #[serde(default)]
    pub history: History,
    /// Whether the gateway remembers how far each user has taken the channel. Default false.
    #[serde(default)]
    pub ack: bool,
}

/// `history` of a channel
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct History {
    /// Publications. Default 1,000.
    #[schemars(with = "NonZero<usize>")]
    pub count: Option<NonZero<usize>>,
    /// Their bytes. Default 1 MiB.
    #[schemars(with = "ByteSize")]
    pub bytes: Option<ByteSize>,
    /// Their age. Default 1 h.
    #[serde(deserialize_with = "age")]
    #[schemars(with = "Span")]
    pub age: Option<Span>,
}

/// `[drain]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Drain {
    /// How long `/health/ready` says no before the port is closed. Default 0 s.
    #[schemars(with = "Span")]
    pub notice: Option<Span>,
    /// The time over which clients are told to come back. Default 5 s.
    #[schemars(with = "Span")]
    pub spread: Option<Span>,
    /// How long the last connections are waited for. Default 30 s.
    #[schemars(with = "Span")]
    pub timeout: Option<Span>,
}

/// `[log]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Log {
    /// What a line looks like. Default `text`.
    #[schemars(with = "LogFormat")]
    pub format: Option<LogFormat>,
    /// What is logged: a level, or targets with levels. Default `info`.
    #[schemars(with = "LogFilter")]
    pub filter: Option<LogFilter>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum AccessWord {
    #[default]
    /// Nobody.
    None,
    /// Those whom the back end lets in.
    Backend,
    /// Those whose token names the channel.
    Token,
    /// Users: where the pattern has `$user`, the one it names.
    User,
    /// The guest that `$guest` in the pattern names.
    Guest,
    /// Everybody who is connected, guests included.
    Any,
}

impl From<AccessWord> for Access {
    fn from(word: AccessWord) -> Self {
        match word {
            AccessWord::None => Self::None,
            AccessWord::Backend => Self::Backend,
            AccessWord::Token => Self::Token,
            AccessWord::User => Self::User,
            AccessWord::Guest => Self::Guest,
            AccessWord::Any => Self::Any,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum PresenceWord {
    #[default]
    /// Nothing.
    Off,
    /// The list, to those who ask.
    Roster,
    /// The list, and join, away, back and leave to every subscriber.
    Events,
}

impl From<PresenceWord> for PresenceMode {
    fn from(word: PresenceWord) -> Self {
        match word {
            PresenceWord::Off => Self::Off,
            PresenceWord::Roster => Self::Roster,
            PresenceWord::Events => Self::Events,
        }
    }
}

impl File {
    /// Reads the table that all sources together are.
    ///
    /// # Errors
    /// The place of the first fault, with the error message.
    pub(super) fn of(root: Spanned<DeValue<'_>>) -> Result<Self, (Option<Range<usize>>, String)> {
        let fault = |error: toml::de::Error| (error.span(), error.message().to_owned());
        let span = root.span();
        let DeValue::Table(mut table) = root.into_inner() else { return Ok(Self::default()) };
        let gateway = options::take(&mut table, "server").map_err(fault)?;
        let mut limits = NodeLimits {
            protocol: options::take(&mut table, "limits").map_err(fault)?,
            hub: options::take(&mut table, "limits").map_err(fault)?,
            engine: options::take(&mut table, "limits").map_err(fault)?,
            rates: Rates::default(),
        };
        table.remove("limits");
        let [auth, login, hooks, webhooks] =
            ["auth", "login", "hooks", "webhooks"].map(|section| table.get(section).map(Spanned::span));
        let tokens: TokenOptions = options::take(&mut table, "auth").map_err(fault)?;
        let table = toml::de::Deserializer::from(Spanned::new(span, table));
        let mut file = Self::deserialize(table).map_err(fault)?;
        limits.rates = std::mem::take(&mut file.rates);
        let file = Self { gateway, limits, tokens, ..file };
        file.tokens.check().map_err(|error| (auth, error.to_string()))?;
        file.check_logins().map_err(|message| (login, message))?;
        file.check_hooks().map_err(|message| (hooks, message))?;
        file.check_webhooks().map_err(|message| (webhooks, message))?;
        if let Some(listener) = file.listen.iter().find(|listener| listener.tls && file.tls.is_empty()) {
            let message = format!("listen {}: TLS needs a certificate: add [[tls]]", listener.address);
            return Err((None, message));
        }
        Ok(file)
    }

    fn check_hooks(&self) -> Result<(), String> {
        self.hooks.iter().try_for_each(HookOptions::check).map_err(|error| error.to_string())
    }

    fn check_logins(&self) -> Result<(), String> {
        LoginOptions::check_all(&self.login).map_err(|error| error.to_string())
    }
}

impl File {
    fn check_webhooks(&self) -> Result<(), String> {
        for (index, options) in self.webhooks.iter().enumerate() {
            options.check().map_err(|error| error.to_string())?;
            if self.webhooks[..index].iter().any(|earlier| earlier.name == options.name) {
                return Err(format!("[[webhooks]] {:?}: an earlier one has this name", options.name));
            }
        }
        Ok(())
    }
}

/// Reads a value and puts it to a check, whose words become the error.
fn checked<'de, D, Raw, Good>(
    deserializer: D,
    check: impl FnOnce(Raw) -> Result<Good, String>,
) -> Result<Good, D::Error>
where
    D: Deserializer<'de>,
    Raw: DeserializeOwned,
{
    check(Raw::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    checked(deserializer, |text: String| socket::parse_listen(&text).map(Some))
}

fn engine<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Engine>, D::Error> {
    checked(deserializer, |text: String| check::engine(&text).map(Some))
}

fn node<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    checked(deserializer, |text: String| check::node(&text).map(Some))
}

fn origins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    checked(deserializer, |origins: Vec<String>| {
        origins.into_iter().map(check::origin).collect::<Result<_, _>>().map(Some)
    })
}

fn hs256_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    checked(deserializer, |secret| check::hs256_secret(secret).map(Some))
}

fn api_keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Secret>>, D::Error> {
    checked(deserializer, |keys: Secrets| {
        keys.0.into_iter().map(check::api_key).collect::<Result<_, _>>().map(Some)
    })
}

fn ticket_keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<TicketKey>>, D::Error> {
    checked(deserializer, |keys: Secrets| {
        keys.0.iter().map(check::ticket_key).collect::<Result<_, _>>().map(Some)
    })
}

fn pattern<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RulePattern, D::Error> {
    checked(deserializer, |text: String| {
        RulePattern::parse(&text).map_err(|why| {
            format!("{text:?} matches no channel: {why}; write a channel's name, or a prefix that ends in one `*`, like room:*")
        })
    })
}

fn age<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Span>, D::Error> {
    checked(deserializer, |age: Span| {
        if age.0.is_zero() {
            Err("an age is longer than nothing, like \"1h\"".to_owned())
        } else {
            Ok(Some(age))
        }
    })
}
