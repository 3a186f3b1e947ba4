//! The plain endpoint: passes messages between [`Plain`] and the peers of its accounts.

use std::{net::IpAddr, sync::Arc, task::Waker};

use tautline_adapters::plain::{self, AccountId, Command, Plain};
use tautline_hub::{Output, Peer, SharedConnection};
use tautline_protocol::{ByeCode, Now};

use super::endpoint::EndpointOutput;
use crate::state::GatewayState;

pub(super) struct PlainEndpoint {
    plain: Plain,
    /// At most twice as many as there may be accounts.
    peers: Vec<(AccountId, Peer)>,
    state: Arc<GatewayState>,
    connection: SharedConnection,
    waker: Waker,
}

impl PlainEndpoint {
    pub(super) fn new(
        state: Arc<GatewayState>,
        address: Option<IpAddr>,
        query: &str,
        now: Now,
        waker: Waker,
    ) -> Self {
        let plain = Plain::new(Arc::clone(&state.plain), state.hub.limits(), now);
        let connection = state.hub.shared_connection(address);
        let mut endpoint = Self { plain, peers: Vec::new(), state, connection, waker };
        endpoint.plain.handle_query(query);
        endpoint.do_commands(now);
        endpoint
    }

    pub(super) fn handle_text(&mut self, now: Now, text: &str) {
        self.hear(now);
        // Whose message it is, is not known yet: the user of the oldest account pays.
        let oldest = self.peers.iter().min_by_key(|(account, _)| *account).map(|(_, peer)| peer);
        match self.connection.charge_bytes(now, text.len(), oldest) {
            Ok(()) => self.plain.handle_text(now, text),
            Err(bye) => self.plain.handle_refused(&bye),
        }
        self.do_commands(now);
    }

    pub(super) fn handle_pong(&mut self, now: Now, payload: &[u8]) {
        self.hear(now);
        self.plain.handle_pong(now, payload);
        self.do_commands(now);
    }

    pub(super) fn has_account(&self) -> bool {
        self.plain.has_account()
    }

    pub(super) fn handle_timeout(&mut self, now: Now) {
        for (_, peer) in &mut self.peers {
            peer.handle_timeout(now);
        }
        if self.is_draining() {
            self.plain.handle_drain();
        }
        self.plain.handle_timeout(now);
        self.do_commands(now);
    }

    pub(super) fn handle_lost(&mut self, now: Now) {
        for (_, peer) in &mut self.peers {
            peer.handle_lost(now);
        }
    }

    pub(super) fn poll_output(&mut self, now: Now) -> Option<EndpointOutput> {
        loop {
            let output = self.plain.poll_output();
            self.do_commands(now);
            if let Some(output) = output {
                return Some(match output {
                    plain::Output::Text(text) => EndpointOutput::Peer(Output::Message(text)),
                    plain::Output::Ping(payload) => EndpointOutput::Ping(payload),
                    plain::Output::Close { code, reason } => {
                        EndpointOutput::Peer(Output::Close { code, reason })
                    }
                });
            }
            let (account, output) = self.poll_peers(now)?;
            match output {
                Output::Message(message) => self.plain.handle_message(account, message),
                Output::Close { code, .. }
                    if self.is_draining() && code == ByeCode::ServerRestart.close_code() =>
                {
                    self.plain.handle_drained(account);
                }
                Output::Close { code, reason } => self.plain.handle_ended(account, code, reason),
                // Their answers find the way to the peer by themselves.
                Output::Authenticate(..) | Output::Authorize(..) | Output::Call(_) => {
                    return Some(EndpointOutput::Peer(output));
                }
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> u64 {
        if self.is_draining() && !self.plain.has_account() {
            return 0;
        }
        let of_peers = self.peers.iter().map(|(_, peer)| peer.poll_timeout()).min();
        of_peers.unwrap_or(u64::MAX).min(self.plain.poll_timeout())
    }

    pub(super) fn wants_input(&self) -> bool {
        self.plain.wants_input() && self.peers.iter().all(|(_, peer)| peer.wants_input())
    }

    pub(super) fn message_bytes_max(&self) -> usize {
        self.state.hub.limits().message_bytes_max
    }

    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.peers.iter().map(|(_, peer)| peer.held_bytes()).sum()
    }

    /// The next output of any account; the accounts take turns.
    fn poll_peers(&mut self, now: Now) -> Option<(AccountId, Output)> {
        for place in 0..self.peers.len() {
            let (account, peer) = &mut self.peers[place];
            if let Some(output) = peer.poll_output(now) {
                let account = *account;
                self.peers.rotate_left(place + 1);
                return Some((account, output));
            }
        }
        None
    }

    /// Any message of the client keeps all of its accounts.
    fn hear(&mut self, now: Now) {
        for (_, peer) in &mut self.peers {
            peer.handle_charged(now, "");
        }
    }

    fn do_commands(&mut self, now: Now) {
        while let Some(command) = self.plain.poll_command() {
            match command {
                Command::Open(account) => {
                    self.peers.push((account, self.connection.peer(now, self.waker.clone())));
                }
                Command::Packet(account, packet) => {
                    if let Some(peer) = self.peer(account) {
                        peer.handle_charged(now, &packet);
                    }
                }
                Command::Drop(account) => self.peers.retain(|(id, _)| *id != account),
            }
        }
    }

    fn peer(&mut self, account: AccountId) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|(id, _)| *id == account).map(|(_, peer)| peer)
    }

    fn is_draining(&self) -> bool {
        self.state.drain.deadline_ms() != u64::MAX
    }
}
