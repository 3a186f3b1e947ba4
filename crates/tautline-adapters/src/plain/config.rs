//! The options of the plain endpoint: `[plain]` of a configuration file.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};
use tautline_protocol::units;

/// The options of the plain endpoint (protocol, section 8).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PlainConfig {
    /// Whether the endpoint exists. Default no.
    pub enabled: bool,
    /// Its path. Default `/plain`.
    #[serde(deserialize_with = "path")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub path: String,
    /// Texts that are answered at once, with or without a login; the first that matches counts. Default:
    /// `*ping`, `heartbeat`, and JSON of type `heartBeat` or `ping`.
    pub heartbeats: Vec<Heartbeat>,
    /// The parameter of the URL that may carry a token, for clients that log in so. Default none, because
    /// URLs are logged by proxies.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub token_parameter: Option<String>,
    /// How long a connection may have no account; then it is closed with `hello_timeout`. Default 60 s.
    #[serde(with = "units::Wait")]
    pub auth_timeout: Duration,
    /// Accounts that a connection may have side by side; one more is refused with `limit`. Default 8.
    #[serde(with = "units::Count")]
    pub accounts_max: usize,
    /// Logins that a connection may try; one more closes it with `rate_limited`. Default 64.
    #[serde(with = "units::Count")]
    pub logins_max: usize,
    /// The names in what is received and sent.
    pub names: Names,
}

impl Default for PlainConfig {
    fn default() -> Self {
        let text = |text: &str, answer: &str| Heartbeat::Text { text: text.into(), answer: answer.into() };
        Self {
            enabled: false,
            path: "/plain".to_owned(),
            heartbeats: vec![
                text("*ping", "pong"),
                text("heartbeat", "heartbeat"),
                Heartbeat::Type { kind: "heartBeat".into(), answer: None },
                Heartbeat::Type { kind: "ping".into(), answer: Some(r#"{"type":"pong"}"#.into()) },
            ],
            token_parameter: None,
            auth_timeout: Duration::from_secs(60),
            accounts_max: 8,
            logins_max: 64,
            names: Names::default(),
        }
    }
}

/// A heartbeat of a client, and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a heartbeat is { text = \"…\", answer = \"…\" } or { type = \"…\" }, which may have an `answer`"
)]
pub enum Heartbeat {
    /// A text; with a `*` in front any text that ends so.
    Text {
        /// The text, or `*` and its end.
        text: Box<str>,
        /// The text that is sent back.
        answer: Box<str>,
    },
    /// A JSON object with this `type`.
    Type {
        /// Its `type`.
        #[serde(rename = "type")]
        kind: Box<str>,
        /// The text that is sent back; none: an answer without data.
        #[serde(default)]
        #[cfg_attr(feature = "schema", schemars(with = "String"))]
        answer: Option<Box<str>>,
    },
}

impl Heartbeat {
    /// The answer to a text that is this heartbeat.
    pub(super) fn answer_to_text(&self, received: &str) -> Option<&str> {
        let Self::Text { text, answer } = self else { return None };
        let is_it = match text.strip_prefix('*') {
            Some(end) => received.ends_with(end),
            None => received == &**text,
        };
        is_it.then_some(&**answer)
    }
}

/// The names of fields and types.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Names {
    /// The field of a client's message that names the method. Default `type`.
    pub kind: String,
    /// The field of a client's message that its answer repeats. Default `id`.
    pub id: String,
    /// The field of a client's message that names the account, where there are several. Default `$user`.
    pub account: String,
    /// The `type` of a login. Default `auth`.
    pub auth: String,
    /// The `type` that ends an account. Default `logout`.
    pub logout: String,
    /// The field of an answer that names its type. Default `msgType`.
    pub answer_kind: String,
    /// Follows the `type` in the name of an answer. Default `_ack`.
    pub answer_suffix: String,
    /// The field of an answer that has its code. Default `code`.
    pub code: String,
    /// The code of success. Default `200`.
    pub code_ok: String,
    /// The field of an answer that says whether it is one of success. Default `success`.
    pub success: String,
    /// The field of an answer with words about an error. Default `msg`.
    pub words: String,
    /// The field of an answer with the method's result. Default `data`.
    pub data: String,
    /// The field of an answer to a login that names its user. Default `user`.
    pub user: String,
    /// The type of an answer to a text that is no message. Default `error`.
    pub error: String,
    /// The type of the message that tells of missing pushes; empty: nothing is told. Default `gap`.
    pub gap: String,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            kind: "type".into(),
            id: "id".into(),
            account: "$user".into(),
            auth: "auth".into(),
            logout: "logout".into(),
            answer_kind: "msgType".into(),
            answer_suffix: "_ack".into(),
            code: "code".into(),
            code_ok: "200".into(),
            success: "success".into(),
            words: "msg".into(),
            data: "data".into(),
            user: "user".into(),
            error: "error".into(),
            gap: "gap".into(),
        }
    }
}

/// Why a text cannot be the path of the endpoint; `None`: it can.
#[must_use]
pub fn path_error(path: &str) -> Option<&'static str> {
    let is_ordinary = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
    let is_below = |taken: &str| path == taken || path.starts_with(&format!("{taken}/"));
    if !path.starts_with('/') || path.len() < 2 || !path.chars().all(is_ordinary) {
        Some("it begins with `/` and goes on with letters, digits and `/`, `-`, `_`, `.`")
    } else if ["/connect", "/api", "/health"].into_iter().any(is_below) {
        Some("the gateway has another use for it")
    } else {
        None
    }
}

fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let path = String::deserialize(deserializer)?;
    match path_error(&path) {
        None => Ok(path),
        Some(why) => Err(D::Error::custom(format_args!("{path:?} is no path for the plain endpoint: {why}"))),
    }
}
