//! How many connections each address has: one address must not take the places of all others.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use ipnet::IpNet;

/// Addresses whose connections are other people's, because proxies and load balancers have them: this host, and private
/// networks (RFC 1918, 3927, 4193, 4291, 6598).
const PROXIES: [&str; 9] = [
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
];

/// What [`crate::GatewayConfig::proxies`] is where nothing else is said.
pub(crate) fn default_proxies() -> Vec<IpNet> {
    PROXIES.iter().map(|net| net.parse().expect("a network")).collect()
}

/// The connections of a gateway by address.
pub(crate) struct Addresses {
    connections_max: usize,
    proxies: Vec<IpNet>,
    counted: Mutex<HashMap<IpAddr, Weak<AddressCount>>>,
}

/// An address that has connections: each of them holds it.
struct AddressCount {
    address: IpAddr,
    all: Arc<Addresses>,
}

/// A connection's place among those of its address; nothing where they are not counted. It is to live as long as the socket.
pub(crate) struct AddressPermit(Option<Arc<AddressCount>>);

impl Addresses {
    pub(crate) fn new(connections_max: usize, proxies: Vec<IpNet>) -> Arc<Self> {
        Arc::new(Self { connections_max, proxies, counted: Mutex::default() })
    }

    /// A place for one connection more; `None`: the address has all that it may have.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<AddressPermit> {
        let address = address.to_canonical();
        if self.proxies.iter().any(|net| net.contains(&address)) {
            return Some(AddressPermit(None));
        }
        let address = counted_prefix(address);
        let mut counted = self.lock();
        let known = counted.get(&address).and_then(Weak::upgrade);
        let place = known.unwrap_or_else(|| Arc::new(AddressCount { address, all: Arc::clone(self) }));
        if Arc::strong_count(&place) > self.connections_max {
            // Before the place, which takes the lock when it was the last.
            drop(counted);
            return None;
        }
        counted.insert(address, Arc::downgrade(&place));
        Some(AddressPermit(Some(place)))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Weak<AddressCount>>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AddressPermit {
    /// A connection that is counted nowhere: of an embedder's own listener.
    pub(crate) const UNCOUNTED: Self = Self(None);

    /// The address, or in IPv6 its network; nothing where others are behind it.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.0.as_ref().map(|counted| counted.address)
    }
}

impl Drop for AddressCount {
    fn drop(&mut self) {
        let mut counted = self.all.lock();
        // Unless somebody of this address came meanwhile.
        if counted.get(&self.address).is_some_and(|found| found.strong_count() == 0) {
            counted.remove(&self.address);
        }
        if counted.len() <= counted.capacity() / 4 {
            counted.shrink_to_fit();
        }
    }
}

/// Who is counted together: one address, or in IPv6 all of a network that is given out to one customer.
fn counted_prefix(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            const NETWORK: u128 = !0 << 64;
            Ipv6Addr::from_bits(v6.to_bits() & NETWORK).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_at_its_ceiling_takes_nothing_from_others() {
        let all = Addresses::new(2, Vec::new());
        let first = all.enter(address("198.51.100.7")).unwrap();
        let _second = all.enter(address("198.51.100.7")).unwrap();
        assert!(all.enter(address("198.51.100.7")).is_none());
        assert!(all.enter(address("::ffff:198.51.100.7")).is_none(), "the same address, in IPv6");
        assert!(all.enter(address("198.51.100.8")).is_some());
        drop(first);
        assert!(all.enter(address("198.51.100.7")).is_some());
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let all = Addresses::new(1, Vec::new());
        let _first = all.enter(address("2001:db8:1:2::1")).unwrap();
        assert!(all.enter(address("2001:db8:1:2:ffff::9")).is_none());
        assert!(all.enter(address("2001:db8:1:3::1")).is_some());
    }

    #[test]
    fn proxies_have_no_ceiling() {
        let all = Addresses::new(0, default_proxies());
        for proxy in ["127.0.0.1", "::1", "10.1.2.3", "::ffff:192.168.0.1", "fd00::1"] {
            assert!(all.enter(address(proxy)).is_some(), "{proxy}");
        }
        assert!(all.enter(address("198.51.100.7")).is_none());
    }

    #[test]
    fn addresses_that_have_gone_leave_nothing_behind() {
        let all = Addresses::new(9, Vec::new());
        let places: Vec<_> = (0..1000_u32).map(|n| all.enter(IpAddr::V4((0xc633_0000 + n).into()))).collect();
        assert_eq!(all.lock().len(), 1000);
        drop(places);
        let counted = all.lock();
        assert_eq!((counted.len(), counted.capacity()), (0, 0));
    }
}
