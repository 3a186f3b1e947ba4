//! Where the gateway is: reads `ws://host:port/path?query`, or `wss://` with TLS.

/// A URL that no connection can be opened to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// Only WebSocket is spoken, with TLS or without.
    #[error("URL begins neither with ws:// nor with wss://: {0:?}")]
    Scheme(String),
    /// Between `//` and the path stands no host.
    #[error("URL without a host: {0:?}")]
    NoHost(String),
    /// No certificate can be made for this host, so that `wss://` cannot lead there.
    #[error("neither a DNS name nor an IP address, so no certificate can be for it: {0:?}")]
    Host(String),
    /// What follows the host's `:` is no port.
    #[error("port is no number between 1 and 65535: {0:?}")]
    Port(String),
    /// A name, path or query can hold only visible ASCII; the rest is written with `%`.
    #[error("URL holds a character that must be written with %: {0:?}")]
    Character(char),
}

/// The parts of a URL that a connection needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// Whether the connection is TLS.
    pub is_tls: bool,
    /// Name or IP address, as the resolver wants it.
    pub host: String,
    /// 80 where the URL does not say, 443 with TLS.
    pub port: u16,
    /// The `Host` header: as the URL says it.
    pub authority: String,
    /// Path and query. `/connect` where the URL has no path.
    pub target: String,
}

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self, InvalidUrl> {
        if let Some(stranger) = url.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(InvalidUrl::Character(stranger));
        }
        let (is_tls, rest) = match (url.strip_prefix("ws://"), url.strip_prefix("wss://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            (None, None) => return Err(InvalidUrl::Scheme(url.to_owned())),
        };
        let (rest, _fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = split_port(authority, if is_tls { 443 } else { 80 })?;
        if host.is_empty() {
            return Err(InvalidUrl::NoHost(url.to_owned()));
        }
        let target = match target {
            "" => "/connect".to_owned(),
            query if query.starts_with('?') => format!("/connect{query}"),
            path => path.to_owned(),
        };
        Ok(Self { is_tls, host: host.to_owned(), port, authority: authority.to_owned(), target })
    }
}

/// An IPv6 address stands in brackets, because it holds colons itself.
fn split_port(authority: &str, default: u16) -> Result<(&str, u16), InvalidUrl> {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Some(default), |port| port.parse().ok().filter(|port| *port > 0));
    port.map(|port| (host, port)).ok_or_else(|| InvalidUrl::Port(authority.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let address = Address::parse("ws://127.0.0.1:8000/connect?chaos=a").unwrap();
        assert_eq!((address.host.as_str(), address.port), ("127.0.0.1", 8000));
        assert_eq!(
            (address.authority.as_str(), address.target.as_str()),
            ("127.0.0.1:8000", "/connect?chaos=a")
        );
        let address = Address::parse("ws://[::1]:8000").unwrap();
        assert_eq!((address.host.as_str(), address.port, address.target.as_str()), ("::1", 8000, "/connect"));
        let address = Address::parse("ws://line.example?format=json#top").unwrap();
        assert_eq!(
            (address.host.as_str(), address.port, address.target.as_str()),
            ("line.example", 80, "/connect?format=json")
        );
        assert!(!address.is_tls);
    }

    #[test]
    fn with_tls_the_port_is_another_one() {
        let address = Address::parse("wss://line.example").unwrap();
        assert_eq!((address.is_tls, address.port, address.target.as_str()), (true, 443, "/connect"));
        assert_eq!(Address::parse("wss://line.example:8443").unwrap().port, 8443);
    }

    #[test]
    fn a_url_that_leads_nowhere_is_refused_by_the_part_at_fault() {
        assert!(matches!(Address::parse("http://a/"), Err(InvalidUrl::Scheme(_))));
        assert!(matches!(Address::parse("ws:///connect"), Err(InvalidUrl::NoHost(_))));
        assert!(matches!(Address::parse("ws://a:0"), Err(InvalidUrl::Port(_))));
        assert!(matches!(Address::parse("ws://a:http"), Err(InvalidUrl::Port(_))));
        assert!(matches!(Address::parse("ws://a/b c"), Err(InvalidUrl::Character(' '))));
    }
}
