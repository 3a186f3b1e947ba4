//! Counts connections by address: one address must not take all places.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use ipnet::IpNet;
use tautline_hub::client_network;

/// Addresses of proxies and load balancers, whose connections belong to many clients: this host, and private
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

/// The default of [`crate::GatewayConfig::proxies`].
pub(crate) fn default_proxies() -> Vec<IpNet> {
    PROXIES.iter().map(|net| net.parse().expect("a network")).collect()
}

/// The connections of a gateway by address.
pub(crate) struct Addresses {
    connections_max: usize,
    proxies: Vec<IpNet>,
    counts: Mutex<HashMap<IpAddr, Weak<Place>>>,
}

enum Place {
    /// An address with connections; each of them holds a reference.
    Address { address: IpAddr, all: Arc<Addresses> },
    /// One connection, of a client behind a proxy, and the place of the client's address.
    Client { client: SocketAddr, counted: AddressPermit },
}

/// A connection's place among those of its address; `None` where they are not counted. Keep it as long as the
/// socket. Each connection has one, so it is no larger than a pointer.
#[derive(Default)]
pub(crate) struct AddressPermit(Option<Arc<Place>>);

impl Addresses {
    pub(crate) fn new(connections_max: usize, proxies: Vec<IpNet>) -> Arc<Self> {
        Arc::new(Self { connections_max, proxies, counts: Mutex::default() })
    }

    /// `None`: the address has as many connections as it may have.
    pub(crate) fn try_acquire(self: &Arc<Self>, address: IpAddr) -> Option<AddressPermit> {
        let address = address.to_canonical();
        if self.proxies.iter().any(|net| net.contains(&address)) {
            return Some(AddressPermit::UNCOUNTED);
        }
        let address = client_network(address);
        let mut counts = self.lock();
        let known = counts.get(&address).and_then(Weak::upgrade);
        let count = known.unwrap_or_else(|| Arc::new(Place::Address { address, all: Arc::clone(self) }));
        if Arc::strong_count(&count) > self.connections_max {
            // Before `count`, which takes the lock when it is the last reference.
            drop(counts);
            return None;
        }
        counts.insert(address, Arc::downgrade(&count));
        Some(AddressPermit(Some(count)))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Weak<Place>>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AddressPermit {
    /// For a connection of an embedder's own listener.
    pub(crate) const UNCOUNTED: Self = Self(None);

    /// A place of the client on whose behalf a proxy has connected.
    pub(crate) fn of_client(self, client: SocketAddr) -> Self {
        Self(Some(Arc::new(Place::Client { client, counted: self })))
    }

    /// The client, where it is another one than the socket's peer.
    pub(crate) fn client(&self) -> Option<SocketAddr> {
        match self.0.as_deref()? {
            Place::Client { client, .. } => Some(*client),
            Place::Address { .. } => None,
        }
    }

    /// The address, or in IPv6 its network; `None` for a proxy's.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match self.0.as_deref()? {
            Place::Address { address, .. } => Some(*address),
            Place::Client { counted, .. } => counted.address(),
        }
    }
}

impl std::fmt::Debug for AddressPermit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "counted" } else { "uncounted" })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self::Address { address, all } = self else { return };
        let mut counts = all.lock();
        // Unless another connection of this address was accepted meanwhile.
        if counts.get(address).is_some_and(|found| found.strong_count() == 0) {
            counts.remove(address);
        }
        if counts.len() <= counts.capacity() / 4 {
            counts.shrink_to_fit();
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
    fn address_at_its_ceiling_blocks_no_other() {
        let all = Addresses::new(2, Vec::new());
        let first = all.try_acquire(address("198.51.100.7")).unwrap();
        let _second = all.try_acquire(address("198.51.100.7")).unwrap();
        assert!(all.try_acquire(address("198.51.100.7")).is_none());
        assert!(all.try_acquire(address("::ffff:198.51.100.7")).is_none(), "the same address, in IPv6");
        assert!(all.try_acquire(address("198.51.100.8")).is_some());
        drop(first);
        assert!(all.try_acquire(address("198.51.100.7")).is_some());
    }

    #[test]
    fn ipv6_network_counts_as_one_address() {
        let all = Addresses::new(1, Vec::new());
        let _first = all.try_acquire(address("2001:db8:1:2::1")).unwrap();
        assert!(all.try_acquire(address("2001:db8:1:2:ffff::9")).is_none());
        assert!(all.try_acquire(address("2001:db8:1:3::1")).is_some());
    }

    #[test]
    fn proxy_address_has_no_ceiling() {
        let all = Addresses::new(0, default_proxies());
        for proxy in ["127.0.0.1", "::1", "10.1.2.3", "::ffff:192.168.0.1", "fd00::1"] {
            assert!(all.try_acquire(address(proxy)).is_some(), "{proxy}");
        }
        assert!(all.try_acquire(address("198.51.100.7")).is_none());
    }

    #[test]
    fn client_behind_a_proxy_holds_its_address() {
        let all = Addresses::new(1, default_proxies());
        let client: SocketAddr = "198.51.100.7:5000".parse().unwrap();
        let permit = all.try_acquire(client.ip()).unwrap().of_client(client);
        assert_eq!((permit.client(), permit.address()), (Some(client), Some(client.ip())));
        assert!(all.try_acquire(client.ip()).is_none());
        drop(permit);
        assert!(all.try_acquire(client.ip()).is_some());
        // One of the operator's own network is known and not counted.
        let own: SocketAddr = "10.0.0.9:5000".parse().unwrap();
        let permit = all.try_acquire(own.ip()).unwrap().of_client(own);
        assert_eq!((permit.client(), permit.address()), (Some(own), None));
    }

    #[test]
    fn dropped_permits_leave_no_memory() {
        let all = Addresses::new(9, Vec::new());
        let permits: Vec<_> =
            (0..1000_u32).map(|n| all.try_acquire(IpAddr::V4((0xc633_0000 + n).into()))).collect();
        assert_eq!(all.lock().len(), 1000);
        drop(permits);
        let counted = all.lock();
        assert_eq!((counted.len(), counted.capacity()), (0, 0));
    }
}
