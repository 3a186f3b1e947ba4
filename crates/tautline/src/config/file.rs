//! The configuration file as it is written: every section and option, all of them optional.
//!
//! Each option is checked while it is read, so that an error knows its line. `tautline.example.toml` shows them all.

use std::{net::SocketAddr, num::NonZero, path::Path};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use tautline_backend::{LoginOptions, TokenOptions};
use tautline_gateway::{GatewayConfig, PlainConfig};
use tautline_hub::{Access, EngineLimits, HubLimits, NodeLimits, PresenceMode, Rates, RulePattern};
use tautline_process::{
    log::LogFormat,
    secret::{Secret, Secrets},
    socket,
};
use tautline_protocol::{
    Limits,
    units::{ByteSize, Span},
};
use toml::de::DeTable;

use super::{
    ConfigError, Durability, Engine,
    check::{self, TicketKey},
    listen::{CertificateFiles, ListenSettings},
    options,
};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    pub server: Server,
    /// Also of `[server]`.
    #[serde(skip)]
    pub gateway: GatewayConfig,
    pub plain: PlainConfig,
    pub listen: Vec<ListenSettings>,
    pub tls: Vec<CertificateFiles>,
    pub auth: Auth,
    /// Also of `[auth]`.
    #[serde(skip)]
    pub tokens: TokenOptions,
    pub login: Vec<LoginOptions>,
    pub api: Api,
    pub tickets: Tickets,
    pub channels: Vec<Channel>,
    /// `[limits]`
    #[serde(skip)]
    pub limits: NodeLimits,
    pub rates: Rates,
    pub drain: Drain,
    pub log: Log,
}

impl File {
    /// Whether its reader can impersonate users.
    pub fn has_secrets(&self) -> bool {
        self.auth.hs256_secret.is_some()
            || self.tokens.keys.iter().any(|key| key.secret.is_some() || key.jwk.is_some())
            || !self.login.is_empty()
            || self.api.keys.is_some()
            || self.tickets.keys.is_some()
    }
}

/// `[server]`, without the options of the gateway
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Server {
    #[serde(deserialize_with = "listen")]
    pub listen: Option<SocketAddr>,
    #[serde(deserialize_with = "node")]
    pub node: Option<String>,
    #[serde(deserialize_with = "engine")]
    pub engine: Option<Engine>,
    pub durability: Option<Durability>,
    #[serde(deserialize_with = "origins")]
    pub allowed_origins: Option<Vec<String>>,
}

/// `[auth]`, without the options of tokens
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Auth {
    #[serde(deserialize_with = "hs256_secret")]
    pub hs256_secret: Option<Secret>,
    #[serde(deserialize_with = "hs256_secret")]
    pub hs256_secret_old: Option<Secret>,
    pub guests: Option<bool>,
}

/// `[api]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Api {
    #[serde(deserialize_with = "api_keys")]
    pub keys: Option<Vec<Secret>>,
}

/// `[tickets]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tickets {
    #[serde(deserialize_with = "ticket_keys")]
    pub keys: Option<Vec<TicketKey>>,
    pub environment: Option<String>,
}

/// One `[[channels]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Channel {
    #[serde(rename = "match", deserialize_with = "pattern")]
    pub pattern: RulePattern,
    #[serde(default)]
    pub subscribe: AccessWord,
    #[serde(default)]
    pub publish: AccessWord,
    pub history_access: Option<AccessWord>,
    pub presence_access: Option<AccessWord>,
    #[serde(default)]
    pub presence: PresenceWord,
    #[serde(default)]
    pub history: History,
    #[serde(default)]
    pub ack: bool,
}

/// `history` of a channel
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct History {
    pub count: Option<NonZero<usize>>,
    pub bytes: Option<ByteSize>,
    #[serde(deserialize_with = "age")]
    pub age: Option<Span>,
}

/// `[drain]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Drain {
    pub notice: Option<Span>,
    pub spread: Option<Span>,
    pub timeout: Option<Span>,
}

/// `[log]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Log {
    pub format: Option<LogFormat>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AccessWord {
    #[default]
    None,
    Backend,
    Token,
    User,
    Guest,
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

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PresenceWord {
    #[default]
    Off,
    Roster,
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
    /// The sections whose options belong to several crates, with the names of all of them.
    pub(super) fn shared_sections() -> [(&'static str, Vec<&'static str>); 3] {
        let server = [options::names::<Server>(), options::names::<GatewayConfig>()].concat();
        let [protocol, hub, engine] =
            [options::names::<Limits>(), options::names::<HubLimits>(), options::names::<EngineLimits>()];
        let auth = [options::names::<Auth>(), options::names::<TokenOptions>()].concat();
        [("server", server), ("limits", [protocol, hub, engine].concat()), ("auth", auth)]
    }

    /// Reads a file's text; `path` is for the messages.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let fault = |error: toml::de::Error| ConfigError::in_file(path, text, error.span(), error.message());
        let mut table = DeTable::parse(text).map_err(fault)?;
        for (section, names) in Self::shared_sections() {
            if let Some((place, message)) = options::unknown(table.get_ref(), section, &names) {
                return Err(ConfigError::in_file(path, text, Some(place), &message));
            }
        }
        let [auth, login] =
            ["auth", "login"].map(|section| table.get_ref().get(section).map(|value| value.span()));
        let gateway = options::take(table.get_mut(), "server").map_err(fault)?;
        let mut limits = NodeLimits {
            protocol: options::take(table.get_mut(), "limits").map_err(fault)?,
            hub: options::take(table.get_mut(), "limits").map_err(fault)?,
            engine: options::take(table.get_mut(), "limits").map_err(fault)?,
            rates: Rates::default(),
        };
        table.get_mut().remove("limits");
        let tokens: TokenOptions = options::take(table.get_mut(), "auth").map_err(fault)?;
        let mut file = Self::deserialize(toml::de::Deserializer::from(table)).map_err(fault)?;
        limits.rates = std::mem::take(&mut file.rates);
        let file = Self { gateway, limits, tokens, ..file };
        let invalid = |place, message: String| ConfigError::in_file(path, text, place, &message);
        file.tokens.check().map_err(|error| invalid(auth, error.to_string()))?;
        file.check_logins().map_err(|message| invalid(login, message))?;
        if let Some(listener) = file.listen.iter().find(|listener| listener.tls && file.tls.is_empty()) {
            let message = format!("listen {}: TLS needs a certificate: add [[tls]]", listener.address);
            return Err(invalid(None, message));
        }
        Ok(file)
    }

    fn check_logins(&self) -> Result<(), String> {
        for (index, options) in self.login.iter().enumerate() {
            options.check().map_err(|error| error.to_string())?;
            if self.login[..index].iter().any(|earlier| earlier.provider == options.provider) {
                return Err(format!("[[login]] {:?}: an earlier one has this name", options.provider));
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
