//! What a client is told when it is made: where to go, who it is, and how patient to be.

use std::{
    any::Any,
    fmt,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::Poll,
};

use tautline_protocol::{Format, client::Options as SessionOptions, packet::Auth};

use crate::{storage::Storage, tls::Tls};

/// The options of a [`crate::Client`]. Begin with [`ClientOptions::new`].
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The gateway, `wss://host/connect`, or `ws://` where nobody listens in.
    pub url: String,
    /// Who the client is.
    pub login: Login,
    /// What messages look like on the wire. The app sees json in either: bytes are `{"$bin":"<base64>"}`. In msgpack they
    /// travel as they are, and numbers and names take less room. Default: json.
    pub format: Format,
    /// Which servers `wss://` may lead to. Default: those that the system trusts.
    pub tls: Tls,
    /// Events that wait in a subscription for the app to read them. When they are this many, the client stops reading from
    /// its socket, and the log on the server keeps what follows. Default 256, at least 1.
    pub subscription_events_max: usize,
    /// Where the client is stored, so that it outlives its process. Closing it, also by dropping the last handle and
    /// subscription, ends the session and removes what is stored; only a process that is destroyed leaves something behind.
    /// Default: nowhere.
    pub storage: Option<Storage>,
    /// Every wait and size of the session. `instance` and `client` are filled in where they are empty.
    pub session: SessionOptions,
}

impl ClientOptions {
    /// Everything by default but where to go and who comes.
    pub fn new(url: impl Into<String>, login: Login) -> Self {
        // A program has no background that a host could send it to.
        let session = SessionOptions { background: false, ..SessionOptions::default() };
        Self {
            url: url.into(),
            login,
            format: Format::Json,
            tls: Tls::default(),
            subscription_events_max: 256,
            storage: None,
            session,
        }
    }
}

/// Where the app has no login to give, it says why.
pub type LoginError = Box<dyn std::error::Error + Send + Sync>;

/// A login on its way.
pub(crate) type PendingLogin = Pin<Box<dyn Future<Output = Result<Auth, LoginError>> + Send>>;

/// Who the client is, asked for whenever a session has to be opened anew.
#[derive(Clone)]
pub struct Login(Arc<dyn Fn(bool) -> PendingLogin + Send + Sync>);

impl Login {
    /// Nobody in particular, where the gateway allows it.
    #[must_use]
    pub fn guest() -> Self {
        Self::fixed(Auth::Guest { guest: true })
    }

    /// Whoever the token says. A program that outlives its token uses [`Login::ask`].
    pub fn token(token: impl Into<String>) -> Self {
        Self::fixed(Auth::Token { token: token.into() })
    }

    /// Asks `login` each time, and again before a token expires. It is told `true` where the last login, or the ticket made from
    /// it, was refused or is about to expire: then it should not answer from a cache. A panic in it is an error like any other: no login just now.
    pub fn ask<F, Answer>(login: F) -> Self
    where
        F: Fn(bool) -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Result<Auth, LoginError>> + Send + 'static,
    {
        Self(Arc::new(move |renew| Box::pin(login(renew))))
    }

    fn fixed(auth: Auth) -> Self {
        Self::ask(move |_renew| std::future::ready(Ok(auth.clone())))
    }

    /// Runs in the client's task, which has to outlive what the app's code does.
    pub(crate) fn fetch(&self, renew: bool) -> PendingLogin {
        let login = Arc::clone(&self.0);
        let mut pending = None;
        Box::pin(poll_fn(move |context| {
            let polled = catch_unwind(AssertUnwindSafe(|| {
                pending.get_or_insert_with(|| login(renew)).as_mut().poll(context)
            }));
            polled.unwrap_or_else(|panic| Poll::Ready(Err(describe_panic(panic.as_ref()).into())))
        }))
    }
}

fn describe_panic(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().copied();
    let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the login panicked: {}", words.unwrap_or("it does not say why"))
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(…)")
    }
}
