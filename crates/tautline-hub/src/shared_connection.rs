//! One connection of several peers, or of none yet: what the client sends on it is charged once.
//!
//! Start at [`Hub::shared_connection`].

use std::{net::IpAddr, task::Waker};

use tautline_engine::budget::Holder;
use tautline_protocol::{ByeCode, Format, Now, packet::server::Bye};

use crate::{
    Hub, Peer,
    mailbox::connection_number,
    rates::{Address, Charge, Charged},
    sync::Ordering,
};

/// A connection whose shell has a peer for each account of the client.
#[derive(Clone, Debug)]
pub struct SharedConnection {
    hub: Hub,
    number: u64,
    address: Option<IpAddr>,
    holder: Holder,
}

impl Hub {
    /// A new connection from a client's own address, or in IPv6 its network ([`crate::client_network`]); `None`: the
    /// address is unknown, and the connection has budget shares of its own.
    #[must_use]
    pub fn shared_connection(&self, address: Option<IpAddr>) -> SharedConnection {
        let nth = self.0.next_connection.fetch_add(1, Ordering::Relaxed);
        let holder = match address {
            Some(address) => self.holder(address.to_string().as_bytes()),
            None => self.holder(&nth.to_le_bytes()),
        };
        SharedConnection { hub: self.clone(), number: connection_number(nth, Format::Json), address, holder }
    }
}

impl SharedConnection {
    /// A peer of this connection. Feed it by [`Peer::handle_charged`].
    #[must_use]
    pub fn peer(&self, now: Now, waker: Waker) -> Peer {
        let peer = self.hub.peer_of(self.holder, Format::Json, now, waker);
        match self.address {
            Some(address) => peer.with_address(address),
            None => peer,
        }
    }

    /// Charges a message of the client to the connection, its address and the user of one of its peers.
    ///
    /// # Errors
    /// The connection is to be closed with this `bye`.
    pub fn charge_bytes(&self, now: Now, bytes: usize, peer: Option<&Peer>) -> Result<(), Bye> {
        let who = || Charged {
            connection: Some(self.number),
            user: peer.and_then(Peer::user),
            address: Some(Address::of(self.address, self.number)),
            api_key: None,
        };
        self.hub.charge(now, who, &[Charge::Bytes(bytes as u64)]).map_err(|wait_ms| Bye {
            retry_after_ms: Some(wait_ms),
            ..Bye::new(ByeCode::RateLimited, crate::peer::TOO_MANY)
        })
    }
}
