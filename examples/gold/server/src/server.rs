//! Puts the server together, and takes it down.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::Router;
use tautline_backend::{Authenticator, AuthenticatorOptions, LoginOptions};
use tautline_disk::{DiskEngine, DiskOptions, TicketKeyFile};
use tautline_gateway::{Access, ChannelRule, Gateway, Hosts, Limits, PresenceMode, Retention, RulePattern};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    Limits as GameLimits,
    calls::{self, RoomsLater},
    players::Players,
    rooms::Rooms,
    routes::{self, Site},
    store::Store,
    wall_ms,
};

/// A phone that heard nothing for this long asks: the others of a game want to know within a few seconds.
const PING_MS: u64 = 10_000;
/// And gives up when it has no answer by then.
const PONG_MS: u64 = 4_000;
/// Events of a room that its channel keeps: more than a game has, but for one in which somebody comes and goes all day.
const EVENTS_KEPT: usize = 2_000;
/// How long they are kept, in milliseconds.
const EVENTS_KEPT_MS: u64 = 6 * 3_600 * 1_000;
/// Clients are told to come back within this time,
const DRAIN_SPREAD: Duration = Duration::from_millis(500);
/// and this is how long the server waits for them to go.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// Where the server runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The folder of rooms, results and logs.
    pub data: PathBuf,
    /// The folder of the built web page.
    pub page: PathBuf,
    /// What it holds.
    pub limits: GameLimits,
    /// Where codes of `wx.login` are good; without it, players have tokens of this server alone.
    pub login: Option<LoginOptions>,
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    gateway: Gateway,
    engine: Arc<DiskEngine>,
    store: Store,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// Opens the data, resumes the rooms that were open, and listens.
    ///
    /// # Errors
    /// When the data cannot be opened, or the port is taken.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let Options { listen, data, page, limits, login } = options;
        let logs = data.join("logs");
        std::fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        // The logs come first: their lock keeps a second server away from the rooms.
        let (engine, ticket_keys) = tokio::task::spawn_blocking(move || open_logs(logs))
            .await
            .context("opening the logs panicked")??;
        let store = Store::open(&data.join("gold.db")).await.context("cannot open the rooms")?;
        let players = Players::new(store.secret("players", random()?).await?);
        let later = RoomsLater::default();
        // Without a certificate, a server for this machine, or for the network on which it was told to listen.
        let hosts = if listen.ip().is_loopback() { Hosts::Loopback } else { Hosts::Network };
        let gateway = gateway(&engine, ticket_keys, &players, login, &later, hosts)?;
        let rooms =
            Rooms::start(gateway.clone(), store.clone(), limits).await.context("cannot resume the rooms")?;
        let _ = later.set(rooms.clone());

        let site = routes::router(Site { rooms, players, store: store.clone() }, &page);
        let router: Router = gateway.router().merge(gateway.guarded(site));
        let listener =
            TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let address = listener.local_addr().context("cannot tell the port")?;
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let serving = tokio::spawn(async move { axum::serve(listener, service).await });
        Ok(Self { address, gateway, engine, store, serving })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs until it cannot.
    ///
    /// # Errors
    /// When the port fails.
    pub async fn serve(&mut self) -> anyhow::Result<()> {
        (&mut self.serving).await.context("serving panicked")?.context("cannot accept any more")
    }

    /// Tells every client to come back, and closes the data. Games go on with the next start.
    pub async fn stop(self) {
        self.gateway.drain(DRAIN_SPREAD, DRAIN_TIMEOUT).await;
        self.serving.abort();
        self.store.close().await;
        let engine = self.engine;
        if tokio::task::spawn_blocking(move || engine.close()).await.is_err() {
            tracing::warn!("the logs could not be closed; the next start checks them");
        }
    }
}

fn open_logs(logs: PathBuf) -> anyhow::Result<(Arc<DiskEngine>, Vec<[u8; 32]>)> {
    let (engine, _) = DiskEngine::open(DiskOptions::new(&logs)).context("cannot open the logs")?;
    let mut keys = TicketKeyFile::open(&logs).context("cannot open the keys of tickets")?;
    let keys = keys.keys(wall_ms(), Limits::default().ticket_ms).context("cannot make keys of tickets")?;
    Ok((Arc::new(engine), keys))
}

fn gateway(
    engine: &Arc<DiskEngine>,
    ticket_keys: Vec<[u8; 32]>,
    players: &Players,
    login: Option<LoginOptions>,
    later: &RoomsLater,
    hosts: Hosts,
) -> anyhow::Result<Gateway> {
    let players = players.clone();
    let rooms = ChannelRule {
        subscribe: Access::User,
        presence: PresenceMode::Roster,
        retention: Retention { count: EVENTS_KEPT, age_ms: EVENTS_KEPT_MS, ..Retention::default() },
        ..ChannelRule::closed(RulePattern::parse("gold:*").context("a pattern of channels")?)
    };
    let mut codes = AuthenticatorOptions::default();
    codes.logins.extend(login);
    let codes = Authenticator::new(&codes).context("the login by codes")?;
    let builder = Gateway::builder()
        .node("gold")
        .engine(Arc::clone(engine) as Arc<dyn tautline_gateway::Engine>)
        .ticket_keys(ticket_keys)
        .hosts(hosts)
        .limits(Limits { ping_ms: PING_MS, pong_ms: PONG_MS, ..Limits::default() })
        .rules(vec![rooms])
        .backend(codes)
        .on_login(move |login| {
            let login = players.login(&login.auth);
            async move { login }
        });
    calls::add(builder, later).build().context("cannot build the gateway")
}

fn random() -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    Ok(bytes)
}
