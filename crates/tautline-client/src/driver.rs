//! The task behind a client: waits for bytes, deadlines and wishes, feeds the session, does what it says.
//!
//! Start at [`Driver::run`]. All decisions are [`Session`]'s.

mod perform;
mod storage;

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tautline_protocol::{
    Format, Now,
    client::{Input, LocalError, Session, Settlement, SocketClosed, State, Stored},
    packet::Auth,
};
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    task::JoinSet,
    time::sleep_until,
};

use crate::{
    address::Address,
    client::{ClientEvent, Command},
    delivery::Deliveries,
    dial::{DialError, Opened},
    error::ConnectError,
    handle_events::{HandleEvents, Handled},
    options::{ClientOptions, Login, LoginError, PendingLogin},
    random::Random,
    socket::{Lost, Socket},
    storage::OpenStorage,
    tls::Door,
};

/// The driver's side of the channels to the handles.
pub(crate) struct DriverChannels {
    pub commands: mpsc::Receiver<Command>,
    pub handle_events: Arc<HandleEvents>,
    pub events: broadcast::Sender<ClientEvent>,
    pub state: watch::Sender<State>,
}

impl Drop for DriverChannels {
    /// The driver has ended, or was ended: with its runtime, or by a panic. Nobody may wait for it any longer.
    fn drop(&mut self) {
        if *self.state.borrow() != State::Closed {
            self.state.send_replace(State::Closed);
            // Nobody has to listen.
            let _ = self.events.send(ClientEvent::State(State::Closed));
        }
    }
}

/// The longest time that is counted: so much is also a number in JavaScript.
const MS_MAX: u64 = 1 << 52;

/// A packet that says nothing but that somebody is there.
const SIGN_OF_LIFE: &str = r#"{"pong":{}}"#;

type Dialling = (u64, Pin<Box<dyn Future<Output = Result<Opened, DialError>> + Send>>);

pub(crate) struct Driver {
    session: Session,
    /// As the last welcome named it.
    session_id: String,
    started: Instant,
    random: Random,
    address: Address,
    format: Format,
    /// What `wss://` leads through.
    door: Option<Door>,
    login: Login,
    channels: DriverChannels,
    pending_login: Option<PendingLogin>,
    dialling: Option<Dialling>,
    socket: Option<Socket>,
    /// Sockets that say goodbye.
    closing_sockets: JoinSet<()>,
    /// What happened to sockets while outputs were carried out; fed next.
    closed: VecDeque<SocketClosed>,
    requests: HashMap<u64, oneshot::Sender<Settlement>>,
    deliveries: Deliveries,
    closing: Vec<oneshot::Sender<()>>,
    storage: Option<OpenStorage>,
    /// What the storage held; fed first.
    stored: Option<Box<Stored>>,
}

/// What ended a wait. Carried out after it, because each needs the whole driver.
enum Wake {
    Command(Option<Command>),
    HandleEvents,
    Login(Result<Auth, LoginError>),
    Dialled(u64, Result<Opened, DialError>),
    IoReady(Result<(), Lost>),
    Delivered,
    Timeout,
}

impl Driver {
    pub(crate) fn new(mut options: ClientOptions, channels: DriverChannels) -> Result<Self, ConnectError> {
        let address = Address::parse(&options.url)?;
        let door = address.is_tls.then(|| options.tls.door(&address.host)).transpose()?;
        let mut random = Random::new().map_err(|error| ConnectError::NoRandom(error.into()))?;
        if options.session.instance.is_empty() {
            options.session.instance = random.hex::<16>();
        }
        if options.session.client.sdk.is_empty() {
            options.session.client.sdk = concat!("tautline-rust/", env!("CARGO_PKG_VERSION")).to_owned();
            options.session.client.platform = std::env::consts::OS.to_owned();
        }
        let (storage, stored) = match options.storage {
            Some(storage) => {
                let (storage, stored) = storage.open()?;
                (Some(storage), stored.map(Box::new))
            }
            None => (None, None),
        };
        Ok(Self {
            session: Session::new(options.session, u32::from_ne_bytes(random.bytes())),
            session_id: String::new(),
            started: Instant::now(),
            random,
            address,
            format: options.format,
            door,
            login: options.login,
            channels,
            pending_login: None,
            dialling: None,
            socket: None,
            closing_sockets: JoinSet::new(),
            closed: VecDeque::new(),
            requests: HashMap::new(),
            deliveries: Deliveries::default(),
            closing: Vec::new(),
            storage,
            stored,
        })
    }

    /// Runs until the app has closed the client, or holds nothing of it any more.
    pub(crate) async fn run(mut self) {
        self.restore();
        self.feed(Input::Connect);
        while !matches!(*self.channels.state.borrow(), State::Closed) {
            let wake = self.wait().await;
            // First what the app has let go of, so that a channel that was dropped can be subscribed to again.
            self.take_handle_events();
            self.handle(wake);
        }
        // Nothing is taken any more; what is in the queue settles by being dropped.
        self.channels.commands.close();
        while self.closing_sockets.join_next().await.is_some() {}
        for done in self.closing {
            // The app may have stopped waiting.
            let _ = done.send(());
        }
    }

    async fn wait(&mut self) -> Wake {
        let deadline =
            self.session.poll_timeout().and_then(|ms| self.started.checked_add(Duration::from_millis(ms)));
        let timer = async {
            match deadline {
                Some(deadline) => sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(timer);
        let is_held_up = self.deliveries.is_held_up();
        // What the app waits for lies behind what it has not read, and it may read nothing more before it has it.
        let wants_read = !is_held_up || !self.requests.is_empty();
        let Self { channels, pending_login, dialling, socket, deliveries, closing_sockets, .. } = self;
        loop {
            tokio::select! {
                command = channels.commands.recv() => return Wake::Command(command),
                () = channels.handle_events.news() => return Wake::HandleEvents,
                Some(login) = async { Some(pending_login.as_mut()?.await) } => return Wake::Login(login),
                Some((number, dialled)) = async {
                    let (number, dial) = dialling.as_mut()?;
                    Some((*number, dial.await))
                } => return Wake::Dialled(number, dialled),
                Some(ready) = async { Some(socket.as_mut()?.drive_io(wants_read).await) } => return Wake::IoReady(ready),
                () = deliveries.go_on(), if is_held_up => return Wake::Delivered,
                // Only to let go of its memory.
                Some(_) = closing_sockets.join_next() => {}
                () = &mut timer => return Wake::Timeout,
            }
        }
    }

    fn handle(&mut self, wake: Wake) {
        match wake {
            Wake::Command(Some(command)) => self.handle_command(command),
            Wake::Command(None) => self.feed(Input::Close),
            Wake::HandleEvents => {}
            Wake::Delivered => self.take_publications_again(),
            Wake::Login(login) => {
                self.pending_login = None;
                match login {
                    Ok(auth) => self.feed(Input::Auth(auth)),
                    Err(error) => self.feed(Input::AuthFailed { message: Some(error.to_string()) }),
                }
            }
            Wake::Dialled(number, dialled) => {
                self.dialling = None;
                match dialled {
                    Ok(opened) => {
                        self.socket = Some(Socket::new(number, opened, self.format));
                        self.feed(Input::SocketOpen { socket: number });
                    }
                    Err(error) => self.feed(Input::SocketClosed(error.closed(number))),
                }
            }
            Wake::IoReady(ready) => self.take_messages(ready),
            Wake::Timeout => {
                self.vouch_for_unheard_peer();
                self.feed(Input::Timeout);
            }
        }
    }

    /// The app has read: what was passed over meanwhile is asked for.
    fn take_publications_again(&mut self) {
        if !self.deliveries.is_held_up() {
            self.session.hold_publications(self.now(), false);
            self.drain();
        }
    }

    /// While the app holds us up we do not listen, and the pong that the session waits for lies unread behind what the app
    /// has not taken. That the peer is there must not be doubted for it.
    fn vouch_for_unheard_peer(&mut self) {
        if let (true, Some(socket)) = (self.deliveries.is_held_up(), &self.socket) {
            let socket = socket.number;
            self.feed(Input::SocketMessage { socket, text: SIGN_OF_LIFE });
        }
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Request { request, settled } => {
                self.requests.insert(request.request, settled);
                self.feed(Input::Request(request));
            }
            Command::Subscribe { channel, from, sink, taken } => {
                let is_free = !self.deliveries.contains(&channel);
                if is_free {
                    self.deliveries.add(channel.clone(), sink);
                }
                // Without a listener the subscription is dropped already, and a handle event says so.
                let _ = taken.send(is_free);
                match from.filter(|_| is_free) {
                    Some(from) => self.feed(Input::Subscribe { channel, from }),
                    // The session subscribes an inbox by itself, once it is connected.
                    None if self.session.state() == State::Idle => self.feed(Input::Connect),
                    None => {}
                }
            }
            Command::Login(login) => {
                self.login = login;
                // What was fetched for the last user is no login any more.
                self.pending_login = None;
                self.deliveries.end_all(LocalError::UserChanged);
                self.feed(Input::Login);
            }
            Command::Reconnect => self.feed(Input::Connect),
            Command::Close { done } => {
                self.closing.push(done);
                self.feed(Input::Close);
            }
        }
    }

    fn take_handle_events(&mut self) {
        let drained = self.channels.handle_events.take();
        for (number, Handled { channel, epoch, offset }) in drained.handled {
            // What a subscription of the last user still holds is nothing of the next one's.
            if self.deliveries.has(number) {
                self.feed(Input::Handled { channel, epoch, offset });
            }
        }
        for request in drained.cancelled {
            self.feed(Input::Cancel { request });
        }
        for number in drained.unsubscribed {
            if let Some(channel) = self.deliveries.remove(number) {
                self.feed(Input::Unsubscribe { channel });
            }
        }
    }

    fn take_messages(&mut self, ready: Result<(), Lost>) {
        let now = self.now();
        self.session.hold_publications(now, self.deliveries.is_held_up());
        let Self { socket: Some(socket), session, random, .. } = self else { return };
        let number = socket.number;
        let mut outputs = Vec::new();
        let heard = ready.and_then(|()| {
            socket.decode(random, |text| {
                session.handle_input(now, Input::SocketMessage { socket: number, text });
                outputs.extend(std::iter::from_fn(|| session.poll_output()));
            })
        });
        self.store();
        self.perform_all(outputs);
        if let Err(lost) = heard {
            self.leave(number);
            self.closed.push_back(lost.socket_closed(number));
        }
        self.feed_closed();
    }

    /// Feeds one input, and does what the session says, until it says nothing more.
    fn feed(&mut self, input: Input<'_>) {
        self.session.handle_input(self.now(), input);
        self.drain();
        self.feed_closed();
    }

    fn feed_closed(&mut self) {
        while let Some(closed) = self.closed.pop_front() {
            self.session.handle_input(self.now(), Input::SocketClosed(closed));
            self.drain();
        }
    }

    fn drain(&mut self) {
        self.store();
        while let Some(output) = self.session.poll_output() {
            self.perform(output);
        }
    }

    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now::new(whole_ms(self.started.elapsed()), whole_ms(wall))
    }
}

/// A duration in milliseconds, as far as it can be counted.
pub(crate) fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).map_or(MS_MAX, |ms| ms.min(MS_MAX))
}
