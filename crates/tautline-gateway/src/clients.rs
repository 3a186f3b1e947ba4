//! The address of a client, also behind proxies and load balancers.
//!
//! A client can write what it wants into a header. So only what proxies of trusted networks say is believed:
//! the PROXY protocol in front of a connection, and `X-Forwarded-For` in a request, of which the last address
//! counts that no trusted proxy has. Start at [`Clients::address`].

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap};
use ipnet::IpNet;

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The other end of an accepted connection, as far as the socket and the PROXY protocol tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remote {
    Address(SocketAddr),
    /// A Unix socket, which only those reach to whom its file is open: a proxy on this machine.
    Unix,
    /// Somebody behind this proxy, which does not say who: anybody may have written the headers of the requests.
    Unnamed(Option<SocketAddr>),
}

impl Remote {
    pub(crate) fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Address(address) => Some(address),
            Self::Unix => None,
            Self::Unnamed(proxy) => proxy,
        }
    }
}

/// Finds the addresses of clients.
pub(crate) struct Clients {
    trusted: Vec<IpNet>,
}

impl Clients {
    pub(crate) fn new(trusted_proxies: Vec<IpNet>) -> Self {
        Self { trusted: trusted_proxies }
    }

    /// Whether it is believed what this end says about clients.
    pub(crate) fn trust(&self, remote: Remote) -> bool {
        match remote {
            Remote::Address(address) => self.trust_address(address.ip()),
            Remote::Unix => true,
            Remote::Unnamed(_) => false,
        }
    }

    /// The address of the client itself; `None` where nothing tells it, or only that of a proxy is known.
    pub(crate) fn client(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<SocketAddr> {
        self.forwarded(extensions, headers).or_else(|| match remote(extensions)? {
            Remote::Address(address) => Some(address),
            Remote::Unix | Remote::Unnamed(_) => None,
        })
    }

    /// The address of the client that has sent a request; `None` where nothing tells it.
    pub(crate) fn address(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<SocketAddr> {
        self.forwarded(extensions, headers).or_else(|| remote(extensions)?.address())
    }

    /// The address that trusted proxies say the client has; `None` without such proxies.
    pub(crate) fn forwarded(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<SocketAddr> {
        remote(extensions).filter(|remote| self.trust(*remote))?;
        let mut client = None;
        for header in headers.get_all(X_FORWARDED_FOR).iter().rev() {
            // Proxies append to what a client has sent, which may be any bytes: one entry after the other.
            for entry in header.as_bytes().rsplit(|byte| *byte == b',') {
                // Nothing before an unreadable entry was said by a trusted proxy.
                let Some(address) = parse_entry(entry) else { return client };
                client = Some(address);
                if !self.trust_address(address.ip()) {
                    return client;
                }
            }
        }
        client
    }

    fn trust_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|network| network.contains(&address))
    }
}

/// The end of the connection: of this gateway's listeners, or of an embedder's own.
fn remote(extensions: &Extensions) -> Option<Remote> {
    let of_axum = || extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| Remote::Address(peer.0));
    extensions.get::<Remote>().copied().or_else(of_axum)
}

/// An address with or without a port, in IPv6 with or without brackets.
fn parse_entry(entry: &[u8]) -> Option<SocketAddr> {
    let entry = str::from_utf8(entry).ok()?.trim();
    let bare = entry.strip_prefix('[').and_then(|entry| entry.strip_suffix(']')).unwrap_or(entry);
    let address = bare.parse::<IpAddr>().map(|address| SocketAddr::new(address, 0));
    let address = address.or_else(|_| entry.parse::<SocketAddr>()).ok()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn clients(trusted: &[&str]) -> Clients {
        Clients::new(trusted.iter().map(|network| network.parse().unwrap()).collect())
    }

    /// The client's address, as told by these headers on a connection from `peer`.
    fn address_via(clients: &Clients, peer: &str, headers: &[&str]) -> String {
        let mut extensions = Extensions::new();
        extensions.insert(match peer {
            "unix" => Remote::Unix,
            peer => Remote::Address(SocketAddr::new(peer.parse().unwrap(), 9)),
        });
        let headers = headers.iter().map(|header| {
            (X_FORWARDED_FOR.parse().unwrap(), HeaderValue::from_bytes(header.as_bytes()).unwrap())
        });
        let address = clients.address(&extensions, &headers.collect());
        address.map_or_else(|| "none".to_owned(), |address| address.to_string())
    }

    #[test]
    fn header_from_untrusted_network_is_ignored() {
        for clients in [clients(&[]), clients(&["10.0.0.0/8"])] {
            assert_eq!(address_via(&clients, "203.0.113.9", &["198.51.100.1"]), "203.0.113.9:9");
        }
        assert_eq!(address_via(&clients(&[]), "127.0.0.1", &["198.51.100.1"]), "127.0.0.1:9");
    }

    #[test]
    fn rightmost_untrusted_address_of_all_headers_counts() {
        let clients = clients(&["10.0.0.0/8", "2001:db8:1::/48"]);
        for (headers, expected) in [
            (&["198.51.100.1"][..], "198.51.100.1:0"),
            (&["198.51.100.1, 10.0.0.2"], "198.51.100.1:0"),
            (&["6.6.6.6, 198.51.100.1,10.0.0.2"], "198.51.100.1:0"),
            (&["6.6.6.6", "198.51.100.1", "10.0.0.2"], "198.51.100.1:0"),
            (&["6.6.6.6", "198.51.100.1,10.0.0.2", "2001:db8:1::9"], "198.51.100.1:0"),
            (&["198.51.100.1:4711"], "198.51.100.1:4711"),
            (&["[2001:db8::7]:4711"], "[2001:db8::7]:4711"),
            (&["[2001:db8::7]"], "[2001:db8::7]:0"),
            (&["2001:db8::7"], "[2001:db8::7]:0"),
            (&["::ffff:198.51.100.1"], "198.51.100.1:0"),
            // All are trusted: the first of them is a client inside of the network.
            (&["10.0.0.3, 10.0.0.2"], "10.0.0.3:0"),
            (&[], "10.0.0.1:9"),
        ] {
            assert_eq!(address_via(&clients, "10.0.0.1", headers), expected, "{headers:?}");
            assert_eq!(
                address_via(&clients, "::ffff:10.0.0.1", headers).replace("[::ffff:10.0.0.1]", "10.0.0.1"),
                expected
            );
        }
    }

    #[test]
    fn garbage_hides_everything_before_it() {
        let clients = clients(&["10.0.0.0/8"]);
        for garbage in
            ["", "unknown", "198.51.100.1 ", "300.0.0.1", "a, , ", "fe80::1%eth0", "\u{fe}", "1.2.3.4:99999"]
        {
            let after = format!("198.51.100.1, {garbage}, 10.0.0.2");
            let expected = if garbage == "198.51.100.1 " { "198.51.100.1:0" } else { "10.0.0.2:0" };
            assert_eq!(address_via(&clients, "10.0.0.1", &[&after]), expected, "{garbage:?}");
        }
        assert_eq!(address_via(&clients, "10.0.0.1", &["no address"]), "10.0.0.1:9");
    }

    #[test]
    fn unnamed_client_of_a_trusted_proxy_names_nobody() {
        let clients = clients(&["10.0.0.0/8"]);
        let headers = [(X_FORWARDED_FOR.parse().unwrap(), HeaderValue::from_static("198.51.100.1"))];
        let headers: HeaderMap = headers.into_iter().collect();
        let proxy = SocketAddr::new("10.0.0.1".parse().unwrap(), 9);
        for (remote, address) in [
            (Remote::Address(proxy), Some(SocketAddr::new("198.51.100.1".parse().unwrap(), 0))),
            (Remote::Unnamed(Some(proxy)), Some(proxy)),
            (Remote::Unnamed(None), None),
        ] {
            let mut extensions = Extensions::new();
            extensions.insert(remote);
            assert_eq!(clients.address(&extensions, &headers), address, "{remote:?}");
        }
    }

    #[test]
    fn unix_socket_is_a_trusted_proxy() {
        let clients = clients(&[]);
        assert_eq!(address_via(&clients, "unix", &["198.51.100.1"]), "198.51.100.1:0");
        assert_eq!(address_via(&clients, "unix", &[]), "none");
    }
}
