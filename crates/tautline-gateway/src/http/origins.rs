//! The web pages that may connect, by their origin.

use http::{
    HeaderMap, HeaderValue,
    header::{HOST, ORIGIN},
};

/// How an allowed origin begins that stands for a mini-program host, such as `preset:wechat`.
pub const ORIGIN_PRESET: &str = "preset:";

/// The origins that hosts of mini programs send, by preset. All programs of a host send the same: an origin
/// names the app that shows a program and never the program. Real phones often send none at all.
pub const ORIGIN_PRESETS: [(&str, &[&str]); 5] = [
    // Mini games on iOS send the second, mini programs in the developer tools the first.
    ("wechat", &["https://servicewechat.com", "weapp://wechat-game-runtime"]),
    ("alipay", &["https://*.hybrid.alipay-eco.com"]),
    ("douyin", &["https://tmaservice.developer.toutiao.com"]),
    ("qq", &["https://appservice.qq.com"]),
    ("baidu", &["https://smartapps.cn", "https://*.smartapps.cn"]),
];

/// The origins whose pages may connect.
#[derive(Debug, Default)]
pub(crate) enum Origins {
    /// All. No cookie opens anything here, so a foreign page gains nothing by its visitor's login. But where
    /// guests are let in it is a guest, from wherever its visitor is.
    #[default]
    Any,
    /// These; clients that are no browser name none.
    Only(Allowed),
}

#[derive(Debug, Default)]
pub(crate) struct Allowed {
    /// Spelled by [`normalized`].
    exact: Vec<String>,
    /// Scheme and domain of origins whose first label is open: `https://` and `.hybrid.alipay-eco.com`.
    wildcards: Vec<(String, String)>,
    /// Mini games on Android send the gateway's own host as their origin.
    own_host: bool,
}

impl Origins {
    pub(crate) fn only(origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut allowed = Allowed::default();
        origins.into_iter().for_each(|origin| allowed.add(&origin.into()));
        Self::Only(allowed)
    }

    pub(crate) fn allow(&self, headers: &HeaderMap) -> bool {
        let Self::Only(allowed) = self else { return true };
        // Some hosts join several origins into one header. Each of them has to be allowed.
        let mut origins = headers.get_all(ORIGIN).iter().map(HeaderValue::to_str);
        origins.all(|value| {
            value.is_ok_and(|value| {
                value.split(',').map(normalized).all(|origin| {
                    allowed.contain(&origin) || (allowed.own_host && is_own_host(&origin, headers))
                })
            })
        })
    }

    /// True where an origin with this host is listed.
    pub(crate) fn list_host(&self, host: &str) -> bool {
        ["http://", "https://"].iter().any(|scheme| self.list_text(&format!("{scheme}{host}")))
    }

    /// True where exactly this origin is listed.
    pub(crate) fn list(&self, origin: &HeaderValue) -> bool {
        origin.to_str().is_ok_and(|origin| self.list_text(origin))
    }

    fn list_text(&self, origin: &str) -> bool {
        match self {
            Self::Any => false,
            Self::Only(allowed) => allowed.contain(&normalized(origin)),
        }
    }
}

impl Allowed {
    fn add(&mut self, origin: &str) {
        if let Some(preset) = origin.strip_prefix(ORIGIN_PRESET) {
            let origins =
                ORIGIN_PRESETS.iter().find(|(name, _)| *name == preset).map(|(_, origins)| *origins);
            origins.unwrap_or_default().iter().for_each(|origin| self.add(origin));
            self.own_host = true;
        } else if let Some((scheme, domain)) = origin.split_once('*') {
            self.wildcards.push((normalized(scheme), normalized(domain)));
        } else {
            self.exact.push(normalized(origin));
        }
    }

    fn contain(&self, origin: &str) -> bool {
        let matches = |(scheme, domain): &(String, String)| {
            let label =
                origin.strip_prefix(scheme.as_str()).and_then(|host| host.strip_suffix(domain.as_str()));
            label.is_some_and(|label| {
                !label.is_empty() && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
            })
        };
        self.exact.iter().any(|allowed| allowed == origin) || self.wildcards.iter().any(matches)
    }
}

/// True for a page of the host that the request is for, over TLS.
fn is_own_host(origin: &str, headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    host.is_some_and(|host| normalized(&format!("https://{host}")) == origin)
}

/// An origin in lower case and without the port that its scheme implies, as browsers spell it.
fn normalized(origin: &str) -> String {
    let mut origin = origin.trim().to_ascii_lowercase();
    for (scheme, port) in [("http://", ":80"), ("https://", ":443")] {
        if origin.starts_with(scheme) && origin.ends_with(port) {
            origin.truncate(origin.len() - port.len());
        }
    }
    origin
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origins: &Origins, sent: &[&str]) -> bool {
        let sent = sent.iter().map(|origin| (ORIGIN, HeaderValue::from_str(origin).unwrap()));
        let host = [(HOST, HeaderValue::from_static("live.shop.example"))];
        origins.allow(&host.into_iter().chain(sent).collect())
    }

    #[test]
    fn preset_allows_what_its_host_sends() {
        for (preset, sent) in [
            ("preset:wechat", "https://servicewechat.com"),
            ("preset:wechat", "weapp://wechat-game-runtime"),
            ("preset:wechat", "https://live.shop.example"),
            ("preset:alipay", "https://2021001140664847.hybrid.alipay-eco.com"),
            ("preset:douyin", "https://tmaservice.developer.toutiao.com"),
            ("preset:qq", "https://appservice.qq.com"),
            ("preset:baidu", "https://abc.smartapps.cn"),
        ] {
            let origins = Origins::only([preset]);
            assert!(allowed(&origins, &[sent]), "{preset} {sent}");
            assert!(allowed(&origins, &[]), "a real phone sends none");
            assert!(!allowed(&origins, &["https://evil.example"]));
        }
        assert!(!allowed(&Origins::only(["preset:qq"]), &["https://servicewechat.com"]));
    }

    #[test]
    fn wildcard_stands_for_one_label() {
        let origins = Origins::only(["preset:alipay"]);
        for sent in [
            "https://hybrid.alipay-eco.com",
            "https://.hybrid.alipay-eco.com",
            "https://a.b.hybrid.alipay-eco.com",
            "http://a.hybrid.alipay-eco.com",
            "https://evil.example/.hybrid.alipay-eco.com",
            "https://a.hybrid.alipay-eco.com.evil.example",
            "https://evil.example#.hybrid.alipay-eco.com",
        ] {
            assert!(!allowed(&origins, &[sent]), "{sent}");
        }
    }

    #[test]
    fn each_of_joined_origins_must_be_allowed() {
        let origins = Origins::only(["preset:wechat", "https://shop.example"]);
        assert!(allowed(&origins, &["https://servicewechat.com, https://shop.example"]));
        assert!(allowed(&origins, &["https://servicewechat.com,https://servicewechat.com"]));
        for sent in [
            "https://servicewechat.com, https://evil.example",
            "https://evil.example,https://servicewechat.com",
            "https://servicewechat.com,",
            "",
        ] {
            assert!(!allowed(&origins, &[sent]), "{sent:?}");
        }
    }

    #[test]
    fn own_host_is_allowed_by_presets_alone() {
        assert!(!allowed(&Origins::only(["https://shop.example"]), &["https://live.shop.example"]));
        assert!(!allowed(&Origins::only(["preset:wechat"]), &["http://live.shop.example"]));
    }
}
