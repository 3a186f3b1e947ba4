//! Options of `[[webhooks]]`: which events go to the app's back end, and where.
//!
//! Start at [`WebhookOptions`].

use std::time::Duration;

use http::Uri;
use ipnet::IpNet;
use serde::Deserialize;
use tautline_files::secret::Secret;
use tautline_hub::{EventLogConfig, EventSet, EventsConfig, Retention};
use tautline_protocol::{Pattern, units};

use super::message::WebhookContent;
use crate::{network::Networks, standard_webhooks::Signer};

/// The most events of one request.
const BATCH_MAX: usize = 1_000;

/// Events that go to the app's back end by HTTP.
///
/// A configuration file may nest it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct WebhookOptions {
    /// The webhook's name, part of the id of each event: 1 to 64 of a-z, 0-9, `-` and `_`. Its log has this name: with
    /// another one it begins anew.
    pub name: String,
    /// Where events are sent.
    pub url: String,
    /// What requests are signed with (Standard Webhooks): `whsec_…`, or `whsk_…`. During a rotation both.
    pub secrets: Vec<Secret>,
    /// Which events: names such as `session.closed`, families such as `session.*`, or `*`.
    pub events: Vec<String>,
    /// The channels of `channel.*` and `message.published`: names, or prefixes and a `*`. Inboxes are only in a pattern
    /// that begins with `user:`. Default all but inboxes.
    pub channels: Vec<String>,
    /// The most events of one request. With more than 1, each request has the form of a batch. Default 1.
    #[serde(with = "units::Count")]
    pub batch_max: usize,
    /// The form of the requests. Default `standard`.
    pub content: WebhookContent,
    /// How long an answer may take. Default 15 s.
    #[serde(with = "units::Wait")]
    pub timeout: Duration,
    /// Private networks to which requests may go, and to which they may go without TLS, such as `10.1.0.0/16`. Default
    /// none.
    pub allow_networks: Vec<String>,
    /// How long events are kept, those included that no receiver has taken. Default 7 days.
    #[serde(with = "units::Wait")]
    pub keep: Duration,
    /// The most bytes of events that are kept. Default 256 MiB.
    #[serde(with = "units::Bytes")]
    pub keep_bytes_max: usize,
}

impl Default for WebhookOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            url: String::new(),
            secrets: Vec::new(),
            events: Vec::new(),
            channels: vec!["*".to_owned()],
            batch_max: 1,
            content: WebhookContent::default(),
            timeout: Duration::from_secs(15),
            allow_networks: Vec::new(),
            keep: Duration::from_secs(7 * 24 * 3600),
            keep_bytes_max: 256 * 1024 * 1024,
        }
    }
}

/// A webhook cannot be served with these options. The text names it and repeats no secret.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("[[webhooks]] {webhook:?}: {why}")]
pub struct WebhookOptionsError {
    webhook: String,
    why: String,
}

/// Checked options.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) log: EventLogConfig,
    pub(super) url: Uri,
    pub(super) signer: Signer,
    pub(super) networks: Networks,
}

impl WebhookOptions {
    /// A webhook with its defaults.
    #[must_use]
    pub fn new(name: impl Into<String>, url: impl Into<String>, secret: Secret) -> Self {
        let (name, url) = (name.into(), url.into());
        Self { name, url, secrets: vec![secret], ..Self::default() }
    }

    /// Checks the options.
    ///
    /// # Errors
    /// The first that is not valid.
    pub fn check(&self) -> Result<(), WebhookOptionsError> {
        self.checked().map(drop)
    }

    pub(super) fn checked(&self) -> Result<Checked, WebhookOptionsError> {
        self.try_checked().map_err(|why| WebhookOptionsError { webhook: self.name.clone(), why })
    }

    fn try_checked(&self) -> Result<Checked, String> {
        let log = self.log()?;
        EventsConfig { logs: vec![log.clone()] }.check().map_err(|error| error.to_string())?;
        let url: Uri = self.url.parse().map_err(|_| "`url` is no URL".to_owned())?;
        if !matches!(url.scheme_str(), Some("https" | "http")) || url.host().is_none() {
            return Err(
                "`url` begins with https://, or with http:// for a network in `allow_networks`".to_owned()
            );
        }
        if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("`url` has no user and no password: requests are signed".to_owned());
        }
        if !(1..=BATCH_MAX).contains(&self.batch_max) {
            return Err(format!("`batch_max` is 1 to {BATCH_MAX}"));
        }
        let network = |text: &String| {
            let address = || text.parse().ok().map(|address: std::net::IpAddr| IpNet::from(address));
            text.parse()
                .ok()
                .or_else(address)
                .ok_or_else(|| format!("`allow_networks`: {text:?} is no network"))
        };
        let networks: Vec<IpNet> = self.allow_networks.iter().map(network).collect::<Result<_, _>>()?;
        let signer = Signer::new(&self.secrets).map_err(|error| format!("`secrets`: {error}"))?;
        Ok(Checked { log, url, signer, networks: Networks::new(networks) })
    }

    fn log(&self) -> Result<EventLogConfig, String> {
        if self.events.is_empty() {
            return Err("`events` names none".to_owned());
        }
        let mut events = EventSet::default();
        for pattern in &self.events {
            events = events.union(EventSet::parse(pattern).map_err(|error| error.to_string())?);
        }
        let channel =
            |text: &String| Pattern::parse(text).map_err(|why| format!("`channels`: {text:?}: {why}"));
        Ok(EventLogConfig {
            name: self.name.clone(),
            events,
            channels: self.channels.iter().map(channel).collect::<Result<_, _>>()?,
            retention: Retention {
                count: usize::MAX,
                bytes: self.keep_bytes_max,
                age_ms: u64::try_from(self.keep.as_millis()).unwrap_or(u64::MAX),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> WebhookOptions {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        WebhookOptions {
            events: vec!["*".to_owned()],
            ..WebhookOptions::new("shop", "https://shop.example/events", secret)
        }
    }

    #[test]
    fn unfit_options_are_refused_with_the_name() {
        let list = |text: &str| vec![text.to_owned()];
        for (unfit, why) in [
            (WebhookOptions { name: "My shop".into(), ..options() }, "is no name"),
            (WebhookOptions { url: "shop.example".into(), ..options() }, "https://"),
            (WebhookOptions { url: "ftp://shop.example".into(), ..options() }, "https://"),
            (WebhookOptions { url: "https://a:hush@shop.example".into(), ..options() }, "no password"),
            (WebhookOptions { url: "https://a:hush@shop example".into(), ..options() }, "no URL"),
            (WebhookOptions { url: "ftp://a:hush@shop.example".into(), ..options() }, "https://"),
            (WebhookOptions { secrets: vec![Secret::new("hush")], ..options() }, "`secrets`"),
            (WebhookOptions { secrets: Vec::new(), ..options() }, "`secrets`"),
            (WebhookOptions { events: list("session.left"), ..options() }, "there is no event"),
            (WebhookOptions { events: Vec::new(), ..options() }, "names none"),
            (WebhookOptions { channels: list("a*b"), ..options() }, "`channels`"),
            (WebhookOptions { batch_max: 0, ..options() }, "`batch_max`"),
            (WebhookOptions { batch_max: 1_001, ..options() }, "`batch_max`"),
            (WebhookOptions { allow_networks: list("10.0.0.0/40"), ..options() }, "`allow_networks`"),
        ] {
            let error = unfit.check().unwrap_err().to_string();
            assert!(
                error.contains(why) && error.starts_with("[[webhooks]] ") && !error.contains("hush"),
                "{error}"
            );
        }
        let good =
            WebhookOptions { allow_networks: vec!["10.1.0.0/16".into(), "127.0.0.1".into()], ..options() };
        assert_eq!(good.check(), Ok(()));
    }
}
