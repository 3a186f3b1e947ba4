//! Options of `[[hooks]]`: which questions go to the app's back end, where, and how many.
//!
//! Start at [`HookOptions`].

use std::{collections::BTreeMap, fmt, marker::PhantomData, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use ipnet::IpNet;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IntoDeserializer as _, SeqAccess, Visitor, value::SeqAccessDeserializer},
};
use tautline_files::secret::{Secret, Secrets};
use tautline_protocol::units;

use super::selector::{HookKind, Selector};
use crate::{
    connector::literal,
    network::Networks,
    standard_webhooks::{ID_HEADER, SIGNATURE_HEADER, Signer, TIMESTAMP_HEADER},
};

/// Headers that requests have anyway.
const OWN_HEADERS: [&str; 11] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "idempotency-key",
    "te",
    "traceparent",
    "transfer-encoding",
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
];

/// Questions that go to the app's back end by HTTP.
///
/// A configuration file may nest it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HookOptions {
    /// The hook's name in logs, in the header `tautline-hook-name`, and in the tickets of those whom it lets in.
    /// Default: the host of its first URL.
    pub name: Option<String>,
    /// The kinds of questions: one, or a list.
    #[serde(deserialize_with = "one_or_several")]
    #[cfg_attr(feature = "schema", schemars(with = "OneOrSeveral<HookKind>"))]
    pub on: Vec<HookKind>,
    /// What the questions are about: one text, or a list. A channel or a method by its name, or by a prefix and a
    /// `*`; a login by `token`, `guest` or `code:<provider>`. Default: everything.
    #[serde(rename = "match", deserialize_with = "one_or_several")]
    #[cfg_attr(feature = "schema", schemars(with = "OneOrSeveral<String>"))]
    pub matches: Vec<String>,
    /// Where they go.
    pub url: Option<String>,
    /// Several places: the first one that is well, and the next one for a retry.
    pub urls: Vec<String>,
    /// What requests are signed with (Standard Webhooks): `whsec_…`, or `whsk_…`. During a rotation both.
    #[serde(deserialize_with = "secrets")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<Secret>"))]
    pub secrets: Vec<Secret>,
    /// How long an answer may take, the wait for a turn and retries included. Default 1 s; for `call` 5 s.
    #[serde(deserialize_with = "some_wait")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<units::Wait>"))]
    pub timeout: Option<Duration>,
    /// Requests at once; others wait. Default 256.
    #[serde(with = "units::Count")]
    pub calls_running_max: usize,
    /// Questions that wait for their turn; others are refused at once. Default 1,024.
    #[serde(with = "units::Count")]
    pub queue_max: usize,
    /// How often a question is asked again where there is no connection, or the answer is 502, 503 or 504. Calls are
    /// repeated only where they are `idempotent`. Default 3.
    pub retries_max: u32,
    /// Whether the methods may run again under the same key. Default no.
    pub idempotent: bool,
    /// Headers that each request has, such as `authorization`. Default none.
    pub headers: BTreeMap<String, Secret>,
    /// Private networks to which requests may go, and to which they may go without TLS. Default none.
    #[serde(deserialize_with = "networks")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub allow_networks: Vec<IpNet>,
    /// The largest answer, in bytes. Default 64 KiB.
    #[serde(with = "units::Bytes")]
    pub answer_bytes_max: usize,
    /// How long an accepted login is remembered: the same token is let in again without a question. Only for
    /// `connect`, and only for tokens. Default: not at all.
    #[serde(deserialize_with = "some_wait")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<units::Wait>"))]
    pub cache: Option<Duration>,
    /// Bytes of the logins that are remembered; beyond it the oldest one is forgotten. Default 16 MiB.
    #[serde(with = "units::Bytes")]
    pub cache_bytes_max: usize,
}

impl Default for HookOptions {
    fn default() -> Self {
        Self {
            name: None,
            on: Vec::new(),
            matches: Vec::new(),
            url: None,
            urls: Vec::new(),
            secrets: Vec::new(),
            timeout: None,
            calls_running_max: 256,
            queue_max: 1024,
            retries_max: 3,
            idempotent: false,
            headers: BTreeMap::new(),
            allow_networks: Vec::new(),
            answer_bytes_max: 64 * 1024,
            cache: None,
            cache_bytes_max: 16 << 20,
        }
    }
}

/// Hooks cannot be asked with these options. The text names the hook and repeats no secret.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("[[hooks]] {hook:?}: {why}")]
pub struct HookOptionsError {
    hook: String,
    why: String,
}

/// Checked options.
pub(super) struct Checked {
    pub(super) name: String,
    pub(super) selector: Selector,
    pub(super) urls: Vec<Uri>,
    pub(super) signer: Signer,
    pub(super) headers: HeaderMap,
    pub(super) timeout: Duration,
}

impl HookOptions {
    /// A hook with its defaults.
    #[must_use]
    pub fn new(on: impl Into<Vec<HookKind>>, url: impl Into<String>, secret: Secret) -> Self {
        Self { on: on.into(), url: Some(url.into()), secrets: vec![secret], ..Self::default() }
    }

    /// Checks the options.
    ///
    /// # Errors
    /// The first that is not valid.
    pub fn check(&self) -> Result<(), HookOptionsError> {
        self.checked().map(drop)
    }

    pub(super) fn checked(&self) -> Result<Checked, HookOptionsError> {
        self.try_checked().map_err(|why| HookOptionsError { hook: self.display_name(), why })
    }

    /// The name, or what stands for it.
    fn display_name(&self) -> String {
        let host = || {
            let uri: Uri = self.url.as_ref().or(self.urls.first())?.parse().ok()?;
            uri.host().map(str::to_owned)
        };
        self.name.clone().or_else(host).unwrap_or_default()
    }

    fn try_checked(&self) -> Result<Checked, String> {
        let name = self.display_name();
        if name.len() > 64 || name.chars().any(|c| !c.is_ascii_graphic()) {
            return Err("`name` has at most 64 visible ASCII characters".to_owned());
        }
        let selector = Selector::parse(&self.on, &self.matches)?;
        if self.idempotent && !self.on.contains(&HookKind::Call) {
            return Err("`idempotent` is only for `call`: all others are repeated anyway".to_owned());
        }
        if self.cache.is_some() && !self.on.contains(&HookKind::Connect) {
            return Err("`cache` is only for `connect`".to_owned());
        }
        let urls = match (&self.url, &self.urls[..]) {
            (Some(url), []) => vec![url.clone()],
            (None, [_, ..]) => self.urls.clone(),
            _ => return Err("one of `url` and `urls` is needed".to_owned()),
        };
        let networks = Networks::new(self.allow_networks.clone());
        let urls = urls.iter().map(|url| check_url(url, &networks)).collect::<Result<_, _>>()?;
        let signer = Signer::new(&self.secrets).map_err(|error| format!("`secrets`: {error}"))?;
        let is_call = self.on.contains(&HookKind::Call);
        let default = Duration::from_secs(if is_call { 5 } else { 1 });
        let timeout = self.timeout.unwrap_or(default);
        Ok(Checked { name, selector, urls, signer, headers: self.headers()?, timeout })
    }

    fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let lower = name.to_ascii_lowercase();
            if OWN_HEADERS.contains(&lower.as_str()) || lower.starts_with("tautline-") {
                return Err(format!("`headers`: {name:?} is the gateway's own"));
            }
            let key = HeaderName::try_from(lower).map_err(|_| format!("`headers`: {name:?} is no name"))?;
            let mut value = HeaderValue::from_str(value.expose())
                .map_err(|_| format!("`headers`: the value of {name:?} cannot be sent"))?;
            value.set_sensitive(true);
            headers.insert(key, value);
        }
        Ok(headers)
    }
}

fn check_url(url: &str, networks: &Networks) -> Result<Uri, String> {
    let says = "a URL begins with https://, or with http:// where `allow_networks` names the network";
    let uri: Uri = url.parse().map_err(|_| says)?;
    let is_tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") if *networks != Networks::default() => false,
        _ => return Err(says.to_owned()),
    };
    if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
        return Err("a URL has a host and no password: put it into `headers`".to_owned());
    }
    match literal(&uri).map(|address| networks.check(address, is_tls)) {
        Some(Err(refused)) => Err(refused.to_string()),
        _ => Ok(uri),
    }
}

/// A text, or a list of texts.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
enum OneOrSeveral<T> {
    One(T),
    Several(Vec<T>),
}

/// One, or a list. (An untagged enum would lose the error of the text.)
fn one_or_several<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_any(OneOrSeveralVisitor(PhantomData))
}

struct OneOrSeveralVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrSeveralVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or a list of texts")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<T>, E> {
        T::deserialize(text.into_deserializer()).map(|one| vec![one])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<T>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list))
    }
}

fn secrets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Secret>, D::Error> {
    Secrets::deserialize(deserializer).map(|secrets| secrets.0)
}

fn some_wait<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    units::Wait::deserialize(deserializer).map(Some)
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let network = |text: &String| {
        let address = text.parse::<std::net::IpAddr>().map(IpNet::from);
        text.parse().or(address).map_err(|_| {
            let words = "is no network: write an address, or one and a length, like 10.1.0.0/16";
            D::Error::custom(format!("{text:?} {words}"))
        })
    };
    texts.iter().map(network).collect()
}
