//! Where connections on this machine come from: addresses and ports of our own choice.
//!
//! Left to the kernel, they all come from 127.0.0.1, and from some 14,000 on it looks for a free port ever longer: a load that
//! opens more would measure that.

use std::{
    io,
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
};

use socket2::Socket;

/// Below the ports that Linux gives away by itself.
const FIRST_PORT: u16 = 12_000;
const PORTS: u32 = 20_000;
/// 127.0.0.2 and those behind it.
const ADDRESSES: u32 = 200;
/// How many ports in a row may be taken.
const TRIES: u32 = 1000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Gives a socket the next address and port that nobody has.
pub(super) fn bind(socket: &Socket) -> io::Result<()> {
    // Connections of a run before may still linger there: those were to another server.
    socket.set_reuse_address(true)?;
    let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..TRIES {
        match socket.bind(&address(NEXT.fetch_add(1, Ordering::Relaxed)).into()) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => refused = error,
            done => return done,
        }
    }
    Err(refused)
}

fn address(number: u32) -> SocketAddr {
    let last = u8::try_from(2 + number / PORTS % ADDRESSES).expect("at most 201");
    let port = FIRST_PORT + u16::try_from(number % PORTS).expect("less than the number of ports");
    SocketAddr::from(([127, 0, 0, last], port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_have_unique_loopback_addresses() {
        let numbers = [0, 1, 19_999, 20_000, 3_999_999];
        let all = numbers.map(|number| address(number).to_string());
        let expected =
            ["127.0.0.2:12000", "127.0.0.2:12001", "127.0.0.2:31999", "127.0.0.3:12000", "127.0.0.201:31999"];
        assert_eq!(all, expected);
        assert_eq!(address(4_000_000), address(0));
    }
}
