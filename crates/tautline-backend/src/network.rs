//! The addresses to which requests may go: the operator names a URL, but its name may lead anywhere.
//!
//! Start at [`Networks::check`]. It is applied to each address that is connected to, after its name was
//! resolved, so that a name that changes its address gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Networks that are inside, or that nobody serves from. Those for documentation are left out: they lead nowhere.
const CLOSED_V4: [(Ipv4Addr, u8); 13] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    // Shared address space; Alibaba Cloud has its metadata at 100.100.100.200.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Azure's metadata and DNS, at an address that looks public.
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    // Link-local, with the metadata of most clouds at 169.254.169.254.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];
const CLOSED_V6: [(Ipv6Addr, u8); 8] = [
    // Unspecified, loopback, and IPv4 in the form that was given up.
    (Ipv6Addr::UNSPECIFIED, 96),
    // NAT64: they lead to addresses of IPv4, private ones included.
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48),
    // Teredo and 6to4 lead to IPv4, too.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    // Unique local, with Amazon's metadata at fd00:ec2::254.
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    // Link-local and site-local.
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 9),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
];

/// The networks that the operator has named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

/// A request may not go to this address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressRefused {
    /// It is inside of a network that nobody has named.
    #[error("the address {0} is of a private network, and `allow_networks` does not name it")]
    Private(IpAddr),
    /// Without TLS a request goes only to networks that were named.
    #[error("the address {0} is reached without TLS, and `allow_networks` does not name its network")]
    Plain(IpAddr),
}

impl Networks {
    /// Allows these, beside all public ones.
    #[must_use]
    pub fn new(allowed: Vec<IpNet>) -> Self {
        Self(allowed)
    }

    /// Whether a request may go to an address, with TLS or without.
    ///
    /// # Errors
    /// [`AddressRefused`] says why not.
    pub fn check(&self, address: IpAddr, is_tls: bool) -> Result<(), AddressRefused> {
        // ::ffff:10.0.0.1 is 10.0.0.1.
        let address = address.to_canonical();
        if self.0.iter().any(|allowed| allowed.contains(&address)) {
            return Ok(());
        }
        if is_closed(address) {
            return Err(AddressRefused::Private(address));
        }
        if is_tls { Ok(()) } else { Err(AddressRefused::Plain(address)) }
    }
}

fn is_closed(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => CLOSED_V4.iter().any(|(network, bits)| {
            let shift = 32 - u32::from(*bits);
            v4.to_bits() >> shift == network.to_bits() >> shift
        }),
        IpAddr::V6(v6) => CLOSED_V6.iter().any(|(network, bits)| {
            let shift = 128 - u32::from(*bits);
            v6.to_bits() >> shift == network.to_bits() >> shift
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn private_address_is_refused_in_all_spellings() {
        for text in [
            "0.0.0.0",
            "10.255.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.255",
            "168.63.129.16",
            "169.254.169.254",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.1.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "64:ff9b:1::a00:1",
            "2001::1",
            "2002:a00:1::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            let refused = Networks::default().check(address(text), true);
            assert!(matches!(refused, Err(AddressRefused::Private(_))), "{text}: {refused:?}");
        }
    }

    #[test]
    fn public_address_is_reached_by_tls_only() {
        for text in ["8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "2400:3200::1", "2001:db8::1"]
        {
            assert_eq!(Networks::default().check(address(text), true), Ok(()), "{text}");
            let plain = Networks::default().check(address(text), false);
            assert_eq!(plain, Err(AddressRefused::Plain(address(text))), "{text}");
        }
    }

    #[test]
    fn named_network_is_reached_and_its_neighbours_are_not() {
        let networks = Networks::new(vec!["10.1.0.0/16".parse().unwrap(), "fd00::/16".parse().unwrap()]);
        for text in ["10.1.2.3", "::ffff:10.1.2.3", "fd00::7"] {
            assert_eq!(networks.check(address(text), false), Ok(()), "{text}");
        }
        for text in ["10.2.0.1", "127.0.0.1", "fd01::7"] {
            assert!(networks.check(address(text), true).is_err(), "{text}");
        }
    }
}
