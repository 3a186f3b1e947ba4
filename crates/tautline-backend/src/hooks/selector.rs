//! Which questions a hook takes: by kind, and by channel, method or login.
//!
//! Start at [`Selector::parse`].

use serde::Deserialize;
use tautline_hub::Permission;
use tautline_protocol::{Pattern, packet::Auth};

/// A kind of question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum HookKind {
    /// Is this login good? Also asked when a login is refreshed, where no hook takes `refresh`.
    Connect,
    /// Is this login good for the session that has it?
    Refresh,
    /// May this client subscribe?
    Subscribe,
    /// May this client publish this?
    Publish,
    /// May this client read history?
    History,
    /// May this client see presence?
    Presence,
    /// Run this method.
    Call,
}

impl HookKind {
    /// The word in options, and in the header `tautline-hook`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Refresh => "refresh",
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
            Self::History => "history",
            Self::Presence => "presence",
            Self::Call => "call",
        }
    }

    pub(super) const fn of(permission: Permission) -> Self {
        match permission {
            Permission::Subscribe => Self::Subscribe,
            Permission::Publish => Self::Publish,
            Permission::History => Self::History,
            Permission::Presence => Self::Presence,
        }
    }

    const fn subject(self) -> Subject {
        match self {
            Self::Connect | Self::Refresh => Subject::Login,
            Self::Call => Subject::Method,
            Self::Subscribe | Self::Publish | Self::History | Self::Presence => Subject::Channel,
        }
    }
}

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Login,
    Channel,
    Method,
}

/// The questions that a hook takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selector {
    kinds: Vec<HookKind>,
    /// Empty: all.
    texts: Vec<String>,
}

impl Selector {
    /// # Errors
    /// In words.
    pub(super) fn parse(kinds: &[HookKind], texts: &[String]) -> Result<Self, String> {
        let Some(first) = kinds.first() else {
            let words = "`on` is missing: connect, refresh, subscribe, publish, history, presence or call";
            return Err(words.to_owned());
        };
        let subject = first.subject();
        if !texts.is_empty() && kinds.iter().any(|kind| kind.subject() != subject) {
            let words = "`match` would be logins, channels and methods at once: write a section for each";
            return Err(words.to_owned());
        }
        for text in texts {
            let valid = match subject {
                Subject::Login => check_login(text),
                Subject::Channel => Pattern::parse(text).map(drop).map_err(|why| why.to_string()),
                Subject::Method => check_method(text),
            };
            valid.map_err(|why| format!("`match`: {text:?} matches nothing: {why}"))?;
        }
        Ok(Self { kinds: kinds.to_vec(), texts: texts.to_vec() })
    }

    pub(super) fn has(&self, kind: HookKind) -> bool {
        self.kinds.contains(&kind)
    }

    /// Whether it takes a question about this channel or method.
    pub(super) fn takes(&self, kind: HookKind, name: &str) -> bool {
        let fits = |text: &String| match text.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => text == name,
        };
        self.has(kind) && (self.texts.is_empty() || self.texts.iter().any(fits))
    }

    /// Whether it takes a question about this login.
    pub(super) fn takes_login(&self, kind: HookKind, auth: &Auth) -> bool {
        let fits = |text: &String| match auth {
            Auth::Token { .. } => text == "token",
            Auth::Guest { .. } => text == "guest",
            Auth::Code { provider, .. } => text.strip_prefix("code:") == Some(provider),
        };
        self.has(kind) && (self.texts.is_empty() || self.texts.iter().any(fits))
    }
}

fn check_login(text: &str) -> Result<(), String> {
    let is_code = text.strip_prefix("code:").is_some_and(|provider| !provider.is_empty());
    match matches!(text, "token" | "guest") || is_code {
        true => Ok(()),
        false => Err("a login is `token`, `guest` or `code:<provider>`".to_owned()),
    }
}

fn check_method(text: &str) -> Result<(), String> {
    let name = text.strip_suffix('*').unwrap_or(text);
    match text.is_empty() || name.contains('*') {
        true => Err("a method is a name, or a prefix that ends in one `*`".to_owned()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(kinds: &[HookKind], texts: &[&str]) -> Result<Selector, String> {
        Selector::parse(kinds, &texts.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn channels_and_methods_match_by_name_or_prefix() {
        let rooms = selector(&[HookKind::Subscribe, HookKind::Publish], &["room:*", "lobby"]).unwrap();
        assert!(rooms.takes(HookKind::Subscribe, "room:7") && rooms.takes(HookKind::Publish, "lobby"));
        assert!(!rooms.takes(HookKind::Subscribe, "lobby:2") && !rooms.takes(HookKind::Call, "lobby"));
        let all = selector(&[HookKind::Call], &[]).unwrap();
        assert!(all.takes(HookKind::Call, "order.create"));
    }

    #[test]
    fn logins_match_by_kind_and_provider() {
        let logins = selector(&[HookKind::Connect], &["guest", "code:wechat"]).unwrap();
        let code = |provider: &str| Auth::Code { code: "c".into(), provider: provider.into() };
        assert!(logins.takes_login(HookKind::Connect, &Auth::Guest { guest: true }));
        assert!(logins.takes_login(HookKind::Connect, &code("wechat")));
        assert!(!logins.takes_login(HookKind::Connect, &code("alipay")));
        assert!(!logins.takes_login(HookKind::Connect, &Auth::Token { token: "t".into() }));
        assert!(!logins.takes_login(HookKind::Refresh, &Auth::Guest { guest: true }));
    }

    #[test]
    fn match_that_fits_nothing_is_refused() {
        for (kinds, texts) in [
            (&[][..], &[][..]),
            (&[HookKind::Connect], &["tokens"]),
            (&[HookKind::Connect], &["code:"]),
            (&[HookKind::Subscribe], &["a*b"]),
            (&[HookKind::Call], &["a*b*"]),
            (&[HookKind::Call, HookKind::Subscribe], &["a"]),
        ] {
            assert!(selector(kinds, texts).is_err(), "{kinds:?} {texts:?}");
        }
    }
}
