//! Sockets that a program listens on, and how many it may have open.

use std::net::SocketAddr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted: everybody comes back at once after a restart. The kernel may cut it
/// (`net.core.somaxconn`).
const BACKLOG: u32 = 4096;

/// Reads an address to listen on.
///
/// # Errors
/// In words, with what would be valid.
pub fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("{text:?} is no address: write IP:port, like 127.0.0.1:8000 or [::]:8000 (port 0 takes any free one)")
    })
}

/// Listens on an address.
///
/// # Errors
/// When the address is taken or not of this machine.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted server takes its port back although connections of the last one still linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Raises the soft limit of open files to the hard one. One descriptor a connection: the usual soft limit of 1,024 is there
/// for programs that use `select`, and we do not.
///
/// # Errors
/// When the system does not allow it; the error names the limit that stays.
pub fn raise_open_files_limit() -> Result<(), String> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .map_err(|error| format!("cannot raise the limit of open files from {:?}: {error}", limit.current))
}
