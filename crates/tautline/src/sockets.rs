//! The sockets of a gateway: bound before anything else, and turned into listeners once it serves.

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::Router;
use tautline_gateway::{Listener, Tls};
use tautline_process::socket::{SocketFile, bind, bind_unix};
use tokio::net::{TcpListener, UnixListener};

use crate::config::{ListenAddress, ListenSettings};

/// A bound socket with its settings.
pub(crate) struct BoundSocket {
    settings: ListenSettings,
    socket: Socket,
    /// Where clients find it, as a URL or a path.
    pub(crate) url: String,
    /// The address of TCP: port 0 has become a free one.
    pub(crate) address: Option<SocketAddr>,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

impl BoundSocket {
    /// Listens.
    ///
    /// # Errors
    /// Where the address is taken or not of this machine.
    pub(crate) fn bind(settings: ListenSettings) -> anyhow::Result<Self> {
        let failed = || format!("cannot listen on {}", settings.address);
        let (socket, address) = match &settings.address {
            ListenAddress::Ip(address) => {
                let listener = bind(*address).with_context(failed)?;
                let address = listener.local_addr().with_context(failed)?;
                (Socket::Tcp(listener), Some(address))
            }
            ListenAddress::Unix(path) => {
                let (listener, file) = bind_unix(path, settings.mode).with_context(failed)?;
                (Socket::Unix(listener, file), None)
            }
        };
        let url = match address {
            Some(address) => format!("{}://{address}", if settings.tls { "https" } else { "http" }),
            None => settings.address.to_string(),
        };
        Ok(Self { settings, socket, url, address })
    }

    /// The URL of the console, where it is served here.
    #[cfg(feature = "console")]
    pub(crate) fn console_url(&self) -> Option<String> {
        self.settings.console.then(|| format!("{}/console/", self.url))
    }

    /// The listener, where anybody who connects speaks HTTP at once.
    pub(crate) fn plain_tcp(&self) -> Option<&TcpListener> {
        match &self.socket {
            Socket::Tcp(listener) if !self.settings.tls && !self.settings.proxy_protocol => Some(listener),
            _ => None,
        }
    }

    /// The listener for the gateway, with the console's routes where it serves them, and the file to be kept until the end.
    pub(crate) fn into_listener(
        self,
        tls: Option<&Tls>,
        console: Option<&Router>,
    ) -> (Listener, Option<SocketFile>) {
        let (listener, file) = match self.socket {
            Socket::Tcp(listener) => (Listener::from(listener), None),
            Socket::Unix(listener, file) => (Listener::from(listener), Some(file)),
        };
        let listener = listener.proxy_protocol(self.settings.proxy_protocol).serves(self.settings.serves);
        let listener = match console.filter(|_| self.settings.console) {
            Some(console) => listener.also(console.clone()),
            None => listener,
        };
        let listener = match tls.filter(|_| self.settings.tls) {
            Some(tls) => listener.tls(tls.clone()),
            None => listener,
        };
        (listener, file)
    }
}
