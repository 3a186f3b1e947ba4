//! A listener: its socket, and what is special about the connections that it accepts.

use std::{
    io,
    task::{Context, Poll},
};

use axum::Router;
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;

use crate::{
    clients::Remote,
    config::GatewayConfig,
    transport::{any::AnyStream, socket, tls::config::Tls},
};

/// A socket for [`crate::Gateway::serve`], with its options. Made of a TCP or a Unix listener by `into()`.
#[derive(Debug)]
#[must_use]
pub struct Listener {
    socket: Socket,
    pub(crate) tls: Option<Tls>,
    pub(crate) proxy_protocol: bool,
    pub(crate) serves: Serves,
    pub(crate) others: Router,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

/// The routes of a listener, in groups. Default: all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Serves {
    /// For clients: `/connect`.
    pub public: bool,
    /// For back ends: `/api/v1/…`.
    pub api: bool,
    /// For operators: `/health/…` and `/metrics`, which takes an API key where other routes are served, too.
    pub internal: bool,
}

impl Default for Serves {
    fn default() -> Self {
        Self { public: true, api: true, internal: true }
    }
}

impl Serves {
    /// No routes, to be opened one by one.
    pub const NONE: Self = Self { public: false, api: false, internal: false };
}

impl Listener {
    fn over(socket: Socket) -> Self {
        Self { socket, tls: None, proxy_protocol: false, serves: Serves::default(), others: Router::new() }
    }

    /// Speaks TLS. Default: plain.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Each connection begins with a header of the PROXY protocol, version 1 or 2, and comes from one of
    /// [`GatewayConfig::trusted_proxies`] or through a Unix socket; any other is closed. Default: no.
    pub fn proxy_protocol(mut self, is_required: bool) -> Self {
        self.proxy_protocol = is_required;
        self
    }

    /// The routes that are served here. Default: all.
    pub fn serves(mut self, serves: Serves) -> Self {
        self.serves = serves;
        self
    }

    /// Other routes that are served here, beside those of the gateway. Default: none.
    pub fn also(mut self, routes: Router) -> Self {
        self.others = self.others.merge(routes);
        self
    }

    /// Sets the options that accepted connections inherit.
    pub(crate) fn tune(&self, config: &GatewayConfig) -> io::Result<()> {
        match &self.socket {
            Socket::Tcp(listener) => socket::tune(listener, config),
            #[cfg(unix)]
            Socket::Unix(_) if self.tls.is_some() => {
                let words = "a Unix socket leads to this machine alone, and has no TLS";
                Err(io::Error::new(io::ErrorKind::InvalidInput, words))
            }
            #[cfg(unix)]
            Socket::Unix(_) => Ok(()),
        }
    }

    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(AnyStream, Remote)>> {
        match &self.socket {
            Socket::Tcp(listener) => listener
                .poll_accept(cx)
                .map_ok(|(stream, peer)| (AnyStream::Tcp(stream), Remote::Address(peer))),
            #[cfg(unix)]
            Socket::Unix(listener) => {
                listener.poll_accept(cx).map_ok(|(stream, _)| (AnyStream::Unix(stream), Remote::Unix))
            }
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::over(Socket::Tcp(listener))
    }
}

#[cfg(unix)]
impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self::over(Socket::Unix(listener))
    }
}
