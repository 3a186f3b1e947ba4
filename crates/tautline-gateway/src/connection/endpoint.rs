//! The server's end of a connection: a peer of the hub, or the plain endpoint with a peer for each account.

use std::{net::IpAddr, sync::Arc, task::Context};

use tautline_hub::{Output, Peer};
use tautline_protocol::{Format, Now};

use super::plain::PlainEndpoint;
use crate::{http::handshake::Opening, state::GatewayState};

/// Handles messages and the time, and returns outputs.
pub(super) enum Endpoint {
    Peer(Peer),
    /// Boxed, so that other connections do not pay for it.
    Plain(Box<PlainEndpoint>),
}

/// An action for the connection.
pub(super) enum EndpointOutput {
    Peer(Output),
    /// Send a ping frame with this payload.
    Ping([u8; 8]),
}

impl Endpoint {
    pub(super) fn new(
        opening: Opening,
        state: &Arc<GatewayState>,
        address: Option<IpAddr>,
        now: Now,
        cx: &Context<'_>,
    ) -> Self {
        let waker = cx.waker().clone();
        match (opening, address) {
            (Opening::Plain { query }, address) => {
                Self::Plain(Box::new(PlainEndpoint::new(Arc::clone(state), address, &query, now, waker)))
            }
            (Opening::Tautline(format), Some(address)) => {
                Self::Peer(state.hub.peer_from(address, format, now, waker))
            }
            (Opening::Tautline(format), None) => Self::Peer(state.hub.peer_in(format, now, waker)),
        }
    }

    pub(super) fn format(&self) -> Format {
        match self {
            Self::Peer(peer) => peer.format(),
            Self::Plain(_) => Format::Json,
        }
    }

    pub(super) fn handle_text(&mut self, now: Now, text: &str) {
        match self {
            Self::Peer(peer) => peer.handle_message(now, text),
            Self::Plain(plain) => plain.handle_text(now, text),
        }
    }

    pub(super) fn handle_binary(&mut self, now: Now, message: &[u8]) {
        match self {
            Self::Peer(peer) => peer.handle_binary(now, message),
            Self::Plain(_) => unreachable!("the plain endpoint speaks text"),
        }
    }

    pub(super) fn handle_pong(&mut self, now: Now, payload: &[u8]) {
        if let Self::Plain(plain) = self {
            plain.handle_pong(now, payload);
        }
    }

    /// True where somebody is logged in on the plain endpoint.
    pub(super) fn has_account(&self) -> bool {
        matches!(self, Self::Plain(plain) if plain.has_account())
    }

    pub(super) fn handle_timeout(&mut self, now: Now) {
        match self {
            Self::Peer(peer) => peer.handle_timeout(now),
            Self::Plain(plain) => plain.handle_timeout(now),
        }
    }

    pub(super) fn handle_lost(&mut self, now: Now) {
        match self {
            Self::Peer(peer) => peer.handle_lost(now),
            Self::Plain(plain) => plain.handle_lost(now),
        }
    }

    pub(super) fn poll_output(&mut self, now: Now) -> Option<EndpointOutput> {
        match self {
            Self::Peer(peer) => peer.poll_output(now).map(EndpointOutput::Peer),
            Self::Plain(plain) => plain.poll_output(now),
        }
    }

    pub(super) fn poll_timeout(&self) -> u64 {
        match self {
            Self::Peer(peer) => peer.poll_timeout(),
            Self::Plain(plain) => plain.poll_timeout(),
        }
    }

    pub(super) fn wants_input(&self) -> bool {
        match self {
            Self::Peer(peer) => peer.wants_input(),
            Self::Plain(plain) => plain.wants_input(),
        }
    }

    pub(super) fn message_bytes_max(&self) -> usize {
        match self {
            Self::Peer(peer) => peer.message_bytes_max(),
            Self::Plain(plain) => plain.message_bytes_max(),
        }
    }

    /// Heap bytes of input that is not processed yet.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::Peer(peer) => peer.held_bytes(),
            Self::Plain(plain) => plain.held_bytes(),
        }
    }
}
