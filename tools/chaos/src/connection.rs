//! One connection from its first bytes to its end: which group, may it come in, is the upstream there, carry.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tautline_netem::{Admission, LinkState, Way};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connection_handle::ConnectionHandle;
use super::group::{GroupName, REQUEST_LINE_BYTES_MAX, asked_for};
use super::network::Network;
use super::proxy::prepare;
use super::relay::{Relay, reset};

/// How long a client may take to say which group it belongs to. One that waits for the server to speak first is let in then.
const FIRST_BYTES_WAIT: Duration = Duration::from_secs(1);

/// How long the upstream may take to answer a dial.
const DIAL_WAIT: Duration = Duration::from_secs(10);

/// Serves one client until it, or the network, is done.
pub(super) async fn serve(network: &Network, mut client: TcpStream, upstream: &str) {
    let (group, first) = first_bytes(&mut client).await;
    let place = OpenConnection { network, handle: network.open(group) };
    if !may_come_in(network, &place.handle, &client).await {
        return reset(client);
    }
    let upstream = match timeout(DIAL_WAIT, TcpStream::connect(upstream)).await {
        Ok(Ok(upstream)) => upstream,
        Ok(Err(error)) => {
            tracing::warn!(upstream, %error, "the upstream cannot be reached; its client is reset");
            return reset(client);
        }
        Err(_) => {
            tracing::warn!(upstream, waited = ?DIAL_WAIT, "the upstream does not answer; its client is reset");
            return reset(client);
        }
    };
    prepare(&upstream);
    if !first.is_empty() {
        place.handle.link().push(network.now(), Way::Up, first).expect("a new link has room");
    }
    Relay::new(network, &place.handle, client, upstream).run().await;
}

/// A registered connection, until it ends.
struct OpenConnection<'a> {
    network: &'a Network,
    handle: Arc<ConnectionHandle>,
}

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.network.close(&self.handle);
    }
}

/// Reads until the group is known. The bytes belong to the upstream.
async fn first_bytes(client: &mut TcpStream) -> (GroupName, Bytes) {
    let mut first = BytesMut::new();
    let read = async {
        loop {
            if let Some(group) = asked_for(&first).filter(|_| !first.is_empty()) {
                return group;
            }
            // Never reads beyond the limit, at which `asked_for` gives up.
            let room = REQUEST_LINE_BYTES_MAX - first.len();
            if !matches!((&mut *client).take(room as u64).read_buf(&mut first).await, Ok(1..)) {
                return GroupName::default();
            }
        }
    };
    let group = timeout(FIRST_BYTES_WAIT, read).await.unwrap_or_default();
    (group, first.freeze())
}

/// Asks the gate, and waits for as long as the cable is out and the client has patience.
async fn may_come_in(network: &Network, handle: &ConnectionHandle, client: &TcpStream) -> bool {
    let mut gates = network.gates();
    let mut listening = true;
    loop {
        gates.mark_unchanged();
        match network.admission(&handle.group) {
            Admission::Admit => {
                handle.set_hanging(false);
                return true;
            }
            Admission::Refuse => return false,
            Admission::Hang => handle.set_hanging(true),
        }
        tokio::select! {
            gate = gates.changed() => if gate.is_err() { return false },
            () = handle.changed.notified() => if is_ending(handle) { return false },
            // More bytes are no news, they are for later; but then there is nothing to see behind them.
            peeked = peek(client), if listening => match peeked {
                Ok(1..) => listening = false,
                _ => return false,
            },
        }
    }
}

async fn peek(client: &TcpStream) -> std::io::Result<usize> {
    client.peek(&mut [0]).await
}

fn is_ending(handle: &ConnectionHandle) -> bool {
    matches!(handle.link().state(), LinkState::Ending | LinkState::Over)
}
