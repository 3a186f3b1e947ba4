//! Connects to servers whose addresses are permitted.
//!
//! Start at [`Connector`]. Each address is checked when it is connected to: those of a name after it was resolved,
//! and those that a URL spells out.

use std::{
    future::{Future, ready},
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
    vec,
};

use http::{Uri, uri::Scheme};
use hyper_util::{
    client::legacy::connect::{
        HttpConnector,
        dns::{GaiResolver, Name},
    },
    rt::TokioIo,
};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::network::{AddressRefused, Networks};

/// How long a connection may take: less than any question, so that another place can be tried.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(700);

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Makes connections, with TLS or for it.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    plain: HttpConnector<Resolver>,
    for_tls: HttpConnector<Resolver>,
    guard: Option<Arc<Networks>>,
}

impl Connector {
    /// `None` connects to any address.
    pub(crate) fn new(networks: Option<Networks>) -> Self {
        let guard = networks.map(Arc::new);
        let connector = |is_tls| {
            let resolver = Resolver { guard: guard.clone(), is_tls };
            let mut connector = HttpConnector::new_with_resolver(resolver);
            connector.enforce_http(false);
            connector.set_nodelay(true);
            connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
            connector
        };
        Self { plain: connector(false), for_tls: connector(true), guard }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
        if let (Some(guard), Some(address)) = (&self.guard, literal(&uri))
            && let Err(refused) = guard.check(address, is_tls)
        {
            return Box::pin(ready(Err(refused.into())));
        }
        let connector = if is_tls { &mut self.for_tls } else { &mut self.plain };
        let connecting = connector.call(uri);
        Box::pin(async move { connecting.await.map_err(Into::into) })
    }
}

/// Gives up a connection that is not ready in time: name, TCP and TLS together.
#[derive(Clone, Debug)]
pub(crate) struct Bounded<C> {
    connector: C,
    timeout: Duration,
}

impl<C> Bounded<C> {
    pub(crate) const fn new(connector: C, timeout: Duration) -> Self {
        Self { connector, timeout }
    }
}

impl<C: Service<Uri, Error = BoxError>> Service<Uri> for Bounded<C>
where
    C::Response: Send,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = BoxFuture<C::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, timeout) = (self.connector.call(uri), self.timeout);
        Box::pin(async move { tokio::time::timeout(timeout, connecting).await? })
    }
}

/// The address that a URL spells out.
pub(crate) fn literal(uri: &Uri) -> Option<IpAddr> {
    uri.host()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Resolves a name to its permitted addresses.
#[derive(Clone, Debug)]
struct Resolver {
    guard: Option<Arc<Networks>>,
    is_tls: bool,
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (resolving, Self { guard, is_tls }) = (GaiResolver::new().call(name), self.clone());
        Box::pin(async move {
            let addresses: Vec<_> = resolving.await?.collect();
            Ok(permitted(addresses, guard.as_deref(), is_tls)?.into_iter())
        })
    }
}

/// The addresses that may be connected to; an error where there are only others.
fn permitted(
    mut addresses: Vec<SocketAddr>,
    guard: Option<&Networks>,
    is_tls: bool,
) -> Result<Vec<SocketAddr>, AddressRefused> {
    let Some(guard) = guard else { return Ok(addresses) };
    let mut refused = None;
    addresses.retain(|address| {
        let verdict = guard.check(address.ip(), is_tls);
        refused = refused.or(verdict.err());
        verdict.is_ok()
    });
    match refused {
        Some(refused) if addresses.is_empty() => Err(refused),
        _ => Ok(addresses),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_with_two_addresses_leads_to_the_permitted_one() {
        let both: Vec<SocketAddr> = ["10.0.0.1:0", "8.8.8.8:0"].map(|text| text.parse().unwrap()).into();
        let guard = Networks::default();
        assert_eq!(permitted(both.clone(), Some(&guard), true), Ok(both[1..].to_vec()));
        let private = both[..1].to_vec();
        assert_eq!(permitted(private, Some(&guard), true), Err(AddressRefused::Private(both[0].ip())));
        assert_eq!(permitted(both.clone(), None, false), Ok(both));
    }
}
