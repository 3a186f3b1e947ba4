//! A connection's place below the ceilings.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, atomic::Ordering},
};

use crate::{
    addresses::AddressPermit,
    permit::Permit,
    state::{Connections, GatewayState},
};

/// A place among [`crate::GatewayConfig::connections_max`] and among the connections of the peer's address,
/// and the way to the shared state.
pub(crate) struct ConnectionPermit {
    permit: Permit<Connections>,
    address: AddressPermit,
}

impl ConnectionPermit {
    /// `None`: the ceiling is reached.
    pub(crate) fn try_acquire(state: &Arc<GatewayState>) -> Option<Self> {
        Some(Self { permit: Permit::try_acquire(state)?, address: AddressPermit::UNCOUNTED })
    }

    /// The same, with a place among the connections of an address.
    pub(crate) fn with_address(mut self, address: AddressPermit) -> Self {
        self.address = address;
        self
    }

    /// The same, where the client's address was not known before.
    pub(crate) fn or_address(self, address: AddressPermit) -> Self {
        if self.client().is_some() { self } else { self.with_address(address) }
    }

    pub(crate) fn state(&self) -> &Arc<GatewayState> {
        self.permit.state()
    }

    /// The client's address for budgets and bans; `None` where others share the address.
    pub(super) fn counted_address(&self) -> Option<IpAddr> {
        self.address.address()
    }

    /// The client behind a proxy.
    pub(super) fn client(&self) -> Option<SocketAddr> {
        self.address.client()
    }

    pub(super) fn count_panic(&self) {
        self.state().panics.fetch_add(1, Ordering::Relaxed);
    }
}
