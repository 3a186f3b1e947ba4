//! Selects the requests that are answered, by their host and by the web page that sends them.
//!
//! An attacker can point a name of its own at this machine after its page was loaded (DNS rebinding): to the
//! browser the gateway is then the page's own server. Such a request still has the attacker's host in `Host`.
//! So a gateway that is open to everybody answers only for names that nobody else can own.

use std::net::{IpAddr, Ipv6Addr};

use http::{
    HeaderMap, Uri,
    header::{HOST, ORIGIN},
};

use super::origins::Origins;

/// The hosts for which requests are answered, by their name in `Host`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hosts {
    /// All: access is controlled by logins. The default.
    #[default]
    Any,
    /// `localhost`, loopback addresses, and the hosts of [`crate::GatewayBuilder::allowed_origins`], such as
    /// a tunnel's: for a gateway that is open to everybody on this machine. Web pages have to be from such a
    /// host, too.
    Loopback,
    /// These, every IP address, and names that exist in a local network alone (`gateway`, `desk.local`): for
    /// a gateway that is open to everybody in this network. Web pages have to be from the host that they ask,
    /// from the loopback, or from an allowed origin.
    Network,
}

impl Hosts {
    /// True where a request for this host, with or without its port, is answered.
    fn admit(self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Loopback => is_loopback(host),
            Self::Network => is_loopback(host) || is_of_network(name_of(host)),
        }
    }
}

/// Refuses a request for another host, or from a page that may not ask.
pub(crate) fn check(
    hosts: Hosts,
    origins: &Origins,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(), &'static str> {
    let mut named = headers.get_all(HOST).iter();
    let host = named.next().and_then(|host| host.to_str().ok()).filter(|_| named.next().is_none());
    let host = host.ok_or("a request names one `Host`")?;
    let admit = |host: &str| hosts.admit(host) || origins.list_host(host);
    if !admit(host) || uri.authority().is_some_and(|authority| !admit(authority.as_str())) {
        return Err("this gateway is open for development: it answers only for names of this machine");
    }
    let may_ask = |origin: &http::HeaderValue| {
        origins.list(origin)
            || origin.to_str().ok().and_then(host_of_origin).is_some_and(|of| is_loopback(of) || of == host)
    };
    match headers.get_all(ORIGIN).iter().all(may_ask) {
        true => Ok(()),
        false => Err("this gateway is open for development: pages of this origin are not allowed"),
    }
}

/// `localhost:8000` of `http://localhost:8000`.
fn host_of_origin(origin: &str) -> Option<&str> {
    origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))
}

fn is_loopback(host: &str) -> bool {
    let name = name_of(host);
    // RFC 6761 §6.3: nobody else can own these.
    let name_only = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name_only == "localhost"
        || name_only.ends_with(".localhost")
        || address(name).is_some_and(|address| address.to_canonical().is_loopback())
}

/// Names that nobody can buy: those have no dot, or end in `.local` (RFC 6762).
fn is_of_network(name: &str) -> bool {
    let is_plain = |label: &str| {
        !label.is_empty() && label.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
    };
    address(name).is_some() || is_plain(name) || name.strip_suffix(".local").is_some_and(is_plain)
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|c| c.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

fn address(name: &str) -> Option<IpAddr> {
    match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => name.parse().ok().filter(IpAddr::is_ipv4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_admits_only_names_nobody_else_can_own() {
        for host in [
            "localhost",
            "LOCALHOST:8000",
            "localhost.:1",
            "a.localhost:80",
            "127.0.0.1",
            "127.9.9.9:1",
            "[::1]:8000",
            "[::1]",
        ] {
            assert!(Hosts::Loopback.admit(host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example:8000",
            "127.0.0.1.evil.example",
            "evil.example:127",
            "192.168.1.5:8000",
            "0.0.0.0:8000",
            "[::2]:8000",
            "::1",
            "",
            ":8000",
            "127.0.0.1:8000:9",
            "user@127.0.0.1",
        ] {
            assert!(!Hosts::Loopback.admit(host), "{host}");
        }
        for host in ["192.168.1.5:8000", "[fe80::1]", "gateway:8000", "desk.local", "localhost"] {
            assert!(Hosts::Network.admit(host) && Hosts::Any.admit(host), "{host}");
        }
        for host in ["evil.example", "gateway.", "evil.example.local:1", "", ".local", "a b"] {
            assert!(!Hosts::Network.admit(host) && Hosts::Any.admit(host), "{host}");
        }
    }

    #[test]
    fn page_of_unlisted_origin_is_refused() {
        let listed = Origins::only(["https://shop.example"]);
        let judge = |hosts, host: &'static str, origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, http::HeaderValue::from_static(host));
            headers.extend(origin.map(|origin| (ORIGIN, http::HeaderValue::from_static(origin))));
            check(hosts, &listed, &Uri::from_static("/connect"), &headers).is_ok()
        };
        for origin in
            [None, Some("http://localhost:5173"), Some("https://127.0.0.1"), Some("https://shop.example")]
        {
            assert!(judge(Hosts::Loopback, "127.0.0.1:8000", origin), "{origin:?}");
        }
        for origin in
            ["https://evil.example", "null", "http://192.168.1.5:8000", "http://localhost.evil.example", ""]
        {
            assert!(!judge(Hosts::Loopback, "127.0.0.1:8000", Some(origin)), "{origin}");
        }
        assert!(
            judge(Hosts::Loopback, "shop.example", Some("https://shop.example")),
            "a tunnel to this machine"
        );
        assert!(
            judge(Hosts::Loopback, "Shop.example", None)
                && !judge(Hosts::Loopback, "shop.example:8000", None)
        );
        assert!(judge(Hosts::Network, "192.168.1.5:8000", Some("http://192.168.1.5:8000")));
        assert!(!judge(Hosts::Network, "192.168.1.5:8000", Some("http://192.168.1.6:8000")));
    }

    #[test]
    fn request_without_one_host_is_refused() {
        let uri = Uri::from_static("/connect");
        let mut headers = HeaderMap::new();
        assert!(check(Hosts::Loopback, &Origins::Any, &uri, &headers).is_err());
        headers.append(HOST, http::HeaderValue::from_static("localhost"));
        assert!(check(Hosts::Loopback, &Origins::Any, &uri, &headers).is_ok());
        let absolute = Uri::from_static("http://evil.example/connect");
        assert!(check(Hosts::Loopback, &Origins::Any, &absolute, &headers).is_err());
        headers.append(HOST, http::HeaderValue::from_static("localhost"));
        assert!(check(Hosts::Loopback, &Origins::Any, &uri, &headers).is_err());
    }
}
