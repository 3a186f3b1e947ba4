//! Addresses of clients, as limits and bans see them.

use std::net::{IpAddr, Ipv6Addr};

/// The address that counts as one client's: a single one, or in IPv6 the /64 network, which is assigned to one
/// customer.
#[must_use]
pub fn client_network(address: IpAddr) -> IpAddr {
    const NETWORK: u128 = !0 << 64;
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & NETWORK).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_of_ipv6_counts_as_one_client() {
        let network = |text: &str| client_network(text.parse().expect("valid")).to_string();
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
