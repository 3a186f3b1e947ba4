//! Socket options, which bound the kernel memory and time that a slow or vanished peer costs.

use std::io;

use socket2::SockRef;

use crate::config::GatewayConfig;

/// Sets the options of a TCP connection, or of a listener: on Linux those it accepts inherit them.
///
/// Without them the kernel lets each stalled reader hold megabytes.
pub(crate) fn tune<'s>(socket: impl Into<SockRef<'s>>, config: &GatewayConfig) -> io::Result<()> {
    let socket = socket.into();
    // Each write is complete, so waiting for more would only add delay.
    socket.set_tcp_nodelay(true)?;
    socket.set_send_buffer_size(config.send_buffer_bytes)?;
    socket.set_recv_buffer_size(config.receive_buffer_bytes)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(config.unacknowledged_timeout))?;
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn accepted_socket_inherits_the_listeners_options() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = GatewayConfig::default();
        tune(&listener, &config).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let accepted = SockRef::from(&accepted);
        assert_eq!(accepted.send_buffer_size().unwrap(), 2 * config.send_buffer_bytes);
        assert_eq!(accepted.recv_buffer_size().unwrap(), 2 * config.receive_buffer_bytes);
        assert_eq!(accepted.tcp_user_timeout().unwrap(), Some(config.unacknowledged_timeout));
        assert!(accepted.tcp_nodelay().unwrap());
    }
}
