//! The handle that an app holds. Clones share one line; it closes when the last handle and subscription is gone.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::to_raw_value;
use tautline_protocol::{
    ChannelName, Cursor, ReadFrom,
    client::{Dropped, LocalError, NewRequest, RequestVerb, Settlement, State, WelcomeEvent},
    packet::{
        client::{ChannelOnly, History},
        server::{Published, Roster},
    },
};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::{
    delivery::Sink,
    driver::{self, Driver, DriverChannels},
    error::{ConnectError, RequestError, SubscribeError},
    handle_events::HandleEvents,
    options::{ClientOptions, Login},
    requests::{HistoryPage, HistoryPlace, RequestOptions, Waiting},
    storage::RestoredRequest,
    subscription::Subscription,
};

/// What an app may ask of a driver that has not caught up; then `publish` and its like wait.
const COMMANDS_MAX: usize = 256;

/// What a listener to [`Client::events`] may leave unread; then the oldest are lost to it.
const EVENTS_MAX: usize = 256;

/// What the handle says to the driver.
#[derive(Debug)]
pub(crate) enum Command {
    Request { request: NewRequest, settled: oneshot::Sender<Settlement> },
    Subscribe { channel: String, from: Option<ReadFrom>, sink: Sink, taken: oneshot::Sender<bool> },
    Login(Login),
    Reconnect,
    Close { done: oneshot::Sender<()> },
}

/// What happens to the line.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientEvent {
    /// A session is open.
    Welcome(WelcomeEvent),
    /// A connection was lost, or a dial failed. The client goes on by itself unless the state says otherwise.
    Dropped(Dropped),
    /// The line's state has changed.
    State(State),
    /// The gateway has subscribed this client to a channel, as its login says, and nothing of the app's reads it: told once a
    /// connection. [`Client::subscribe`] from this cursor (or from [`ReadFrom::Acked`], where the channel keeps acknowledged
    /// positions) hears all that follows.
    Subscribed {
        /// The channel.
        channel: String,
        /// Where the subscription stands.
        cursor: Cursor,
        /// How many publications follow up to where the log stood.
        recovering: u64,
    },
    /// The client could not be stored, and goes on without. Told once.
    StorageLost(Arc<io::Error>),
}

/// A line to a gateway that comes back by itself.
#[derive(Clone, Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    handle_events: Arc<HandleEvents>,
    events: broadcast::WeakSender<ClientEvent>,
    state: watch::Receiver<State>,
    numbers: Arc<AtomicU64>,
    subscription_events_max: usize,
    is_stored: bool,
    restored: Arc<Mutex<Vec<RestoredRequest>>>,
}

impl Client {
    /// Starts a client and returns at once; the connection is made in the background, and everything may be asked meanwhile.
    ///
    /// # Errors
    /// When the URL leads nowhere, the system has no random bytes, or the storage cannot be used.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn connect(options: ClientOptions) -> Result<Self, ConnectError> {
        let (commands, commands_end) = mpsc::channel(COMMANDS_MAX);
        let (events_end, _) = broadcast::channel(EVENTS_MAX);
        let (state_end, state) = watch::channel(State::Idle);
        let handle_events = Arc::new(HandleEvents::default());
        let events = events_end.downgrade();
        let subscription_events_max = options.subscription_events_max.max(1);
        let is_stored = options.storage.is_some();
        let channels = DriverChannels {
            commands: commands_end,
            handle_events: Arc::clone(&handle_events),
            events: events_end,
            state: state_end,
        };
        let mut driver = Driver::new(options, channels)?;
        let (restored, next_number) = driver.take_restored();
        tokio::spawn(driver.run());
        Ok(Self {
            commands,
            handle_events,
            events,
            state,
            numbers: Arc::new(AtomicU64::new(next_number)),
            subscription_events_max,
            is_stored,
            restored: Arc::new(Mutex::new(restored)),
        })
    }

    /// Subscribes. The first event says that the gateway agrees; without a connection it comes later.
    ///
    /// # Errors
    /// When the name cannot be one, this client subscribes to it already, or is closed.
    pub async fn subscribe(&self, channel: &str, from: ReadFrom) -> Result<Subscription, SubscribeError> {
        ChannelName::parse(channel).map_err(|why| SubscribeError::Name(channel.to_owned(), why))?;
        self.add_subscription(channel, Some(from)).await
    }

    /// What is published to this user's own channel. Each is acknowledged when the next one is asked for, and what was not
    /// acknowledged comes again in the user's next session.
    ///
    /// Ask for it right after [`Client::connect`]: what comes before it has no taker.
    ///
    /// # Errors
    /// When it is taken already, also by its name (`user:…`), or the client is closed.
    pub async fn inbox(&self) -> Result<Subscription, SubscribeError> {
        self.add_subscription(ChannelName::USER_PREFIX, None).await
    }

    /// The requests that a destroyed process left unsettled, where this client has its storage; once, and nothing from then
    /// on. They are on their way already.
    #[must_use]
    pub fn restored(&self) -> Vec<RestoredRequest> {
        // Nothing can panic while it is locked, so that a poisoned lock is still whole.
        std::mem::take(&mut *self.restored.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn add_subscription(
        &self,
        channel: &str,
        from: Option<ReadFrom>,
    ) -> Result<Subscription, SubscribeError> {
        let number = self.next_number();
        let (sender, events) = mpsc::channel(self.subscription_events_max);
        let acknowledges = self.is_stored || matches!(from, None | Some(ReadFrom::Acked));
        let (taken, answer) = oneshot::channel();
        let sink = Sink { number, events: sender };
        let command = Command::Subscribe { channel: channel.to_owned(), from, sink, taken };
        // Made first: should this future be dropped halfway, its destructor unsubscribes.
        let subscription = Subscription {
            number,
            events,
            handle_events: Arc::clone(&self.handle_events),
            acknowledges,
            in_hand: None,
            _keeps_alive: self.commands.clone(),
        };
        self.commands.send(command).await.map_err(|_| SubscribeError::Closed)?;
        match answer.await {
            Ok(true) => Ok(subscription),
            Ok(false) => Err(SubscribeError::Already(channel.to_owned())),
            Err(_) => Err(SubscribeError::Closed),
        }
    }

    /// Publishes, exactly once however many sockets it takes, and says where in the log it went.
    ///
    /// # Errors
    /// [`RequestError`]; [`RequestError::in_doubt`] tells those where it may have been published nevertheless.
    pub async fn publish(
        &self,
        channel: &str,
        data: &(impl Serialize + ?Sized),
    ) -> Result<Published, RequestError> {
        self.publish_with(channel, data, RequestOptions::default()).await
    }

    /// The same, with options.
    ///
    /// # Errors
    /// As [`Client::publish`].
    pub async fn publish_with(
        &self,
        channel: &str,
        data: &(impl Serialize + ?Sized),
        options: RequestOptions,
    ) -> Result<Published, RequestError> {
        #[derive(Serialize)]
        struct Body<'a, T: ?Sized> {
            channel: &'a str,
            data: &'a T,
            #[serde(skip_serializing_if = "Option::is_none")]
            echo: Option<bool>,
        }
        let echo = options.without_echo.then_some(false);
        self.ask(RequestVerb::Publish, &Body { channel, data, echo }, options).await
    }

    /// Calls a method of the back end, at most once.
    ///
    /// # Errors
    /// As [`Client::publish`]; a back end's own codes come as they are.
    pub async fn call<R: DeserializeOwned>(
        &self,
        method: &str,
        data: &(impl Serialize + ?Sized),
    ) -> Result<R, RequestError> {
        self.call_with(method, data, RequestOptions::default()).await
    }

    /// The same, with options.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn call_with<R: DeserializeOwned>(
        &self,
        method: &str,
        data: &(impl Serialize + ?Sized),
        options: RequestOptions,
    ) -> Result<R, RequestError> {
        #[derive(Serialize)]
        struct Body<'a, T: ?Sized> {
            method: &'a str,
            data: &'a T,
            #[serde(skip_serializing_if = "Option::is_none")]
            timeout_ms: Option<u64>,
        }
        #[derive(serde::Deserialize)]
        struct Answer<R> {
            data: R,
        }
        let body = Body { method, data, timeout_ms: options.timeout.map(driver::whole_ms) };
        self.ask(RequestVerb::Call, &body, options).await.map(|answer: Answer<R>| answer.data)
    }

    /// Reads a page of a channel's log, of at most `limit` publications.
    ///
    /// # Errors
    /// As [`Client::publish`]; `gap` where the log cannot prove what followed the cursor.
    pub async fn history(
        &self,
        channel: &str,
        place: HistoryPlace,
        limit: usize,
    ) -> Result<HistoryPage, RequestError> {
        let (after, before) = place.into_body();
        let body = History { channel: channel.into(), after, before, limit };
        self.ask(RequestVerb::History, &body, RequestOptions::default()).await
    }

    /// Who is subscribed to a channel.
    ///
    /// # Errors
    /// As [`Client::publish`].
    pub async fn presence(&self, channel: &str) -> Result<Roster, RequestError> {
        let body = ChannelOnly { channel: channel.into() };
        self.ask(RequestVerb::Presence, &body, RequestOptions::default()).await
    }

    /// Where the line stands now.
    #[must_use]
    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Waits until the line stands as `wanted` says; `false` when the client has ended before. Safe to cancel.
    pub async fn wait_for(&self, mut wanted: impl FnMut(&State) -> bool) -> bool {
        let mut states = self.state.clone();
        loop {
            // A copy: `wanted` may do anything, and the driver is not kept from telling the next one.
            let state = *states.borrow_and_update();
            if wanted(&state) {
                return true;
            }
            if states.changed().await.is_err() {
                return false;
            }
        }
    }

    /// What happens to the line from now on. Who reads too slowly is told how much was left out.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<ClientEvent> {
        // A client that has ended says nothing more.
        self.events.upgrade().unwrap_or_else(|| broadcast::channel(1).0).subscribe()
    }

    /// Tries again now: cuts a wait short, and leads out of [`State::Stopped`].
    pub async fn reconnect(&self) {
        // A client that has ended cannot be told, and need not be.
        let _ = self.commands.send(Command::Reconnect).await;
    }

    /// Another user logs in, or the same one anew: requests that were not settled end with
    /// [`LocalError::UserChanged`], subscriptions end with that code, the inbox as well, and nothing of the last user is kept.
    /// The client logs in with `login` from now on.
    pub async fn login(&self, login: Login) {
        // A client that has ended has no user.
        let _ = self.commands.send(Command::Login(login)).await;
    }

    /// Ends the session: the gateway forgets it, every request settles, subscriptions end. Returns when the socket is gone.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.commands.send(Command::Close { done }).await.is_ok() {
            let _ = closed.await;
        }
    }

    async fn ask<R: DeserializeOwned>(
        &self,
        verb: RequestVerb,
        body: &impl Serialize,
        options: RequestOptions,
    ) -> Result<R, RequestError> {
        let request = NewRequest {
            request: self.next_number(),
            verb,
            body: to_raw_value(body).map_err(RequestError::Encode)?,
            ttl_ms: options.timeout.map(driver::whole_ms),
            idempotent: options.idempotent,
            volatile: options.volatile,
        };
        let mut waiting =
            Waiting { handle_events: &self.handle_events, request: request.request, is_settled: false };
        let (settled, settlement) = oneshot::channel();
        let closed = || RequestError::Local(LocalError::Closed);
        self.commands.send(Command::Request { request, settled }).await.map_err(|_| closed())?;
        let settlement = settlement.await;
        waiting.is_settled = true;
        match settlement.map_err(|_| closed())? {
            Settlement::Ok(body) => serde_json::from_str(body.get()).map_err(RequestError::Decode),
            Settlement::Refused(error) => Err(RequestError::Refused(error)),
            Settlement::Local(error) => Err(RequestError::Local(error)),
        }
    }

    fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}
