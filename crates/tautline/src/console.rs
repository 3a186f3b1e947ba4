//! The console of `serve`: its accounts, its audit log, and what it is told of this process.
//!
//! Start at [`Console::start`].

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::{
    Router,
    http::{Extensions, HeaderMap},
};
use serde_json::Value;
use tautline_console::{
    Account, AccountFile, AuditLog, Console as ConsoleState, ConsoleScope, DrainFigures, EngineFigures, Node,
    NodeFigures, PasswordHasher, router,
};
use tautline_gateway::{Gateway, process_figures};
use tautline_process::{log, secret::Secret, units::whole_ms};
use tokio::sync::mpsc;
use tracing::{Level, info};

use crate::{
    config::{Engine, Settings},
    sockets::BoundSocket,
};

/// The account of `--dev`.
const DEV_ACCOUNT: &str = "dev";

/// The console of this process; nothing where there is none.
pub(crate) struct Console(Option<Running>);

struct Running {
    router: Router,
    /// The spread of a drain that somebody asks for.
    drains: mpsc::Receiver<Duration>,
    /// The password of [`DEV_ACCOUNT`], made for this run.
    dev_password: Option<Secret>,
    has_accounts: bool,
}

/// Where accounts and audit log are.
pub(crate) fn folder(settings: &Settings) -> PathBuf {
    let of_engine = match &settings.engine {
        Engine::Disk(folder) => folder,
        Engine::Memory | Engine::Redis(_) => Path::new("./tautline-data"),
    };
    settings.console.folder.clone().unwrap_or_else(|| of_engine.to_owned())
}

impl Console {
    /// The console that these settings ask for, if any.
    ///
    /// # Errors
    /// Where its files cannot be read.
    pub(crate) fn start(settings: &Settings, gateway: &Gateway) -> anyhow::Result<Self> {
        if !settings.console.enabled {
            return Ok(Self(None));
        }
        let folder = folder(settings);
        let hasher = PasswordHasher::new().context("cannot hash passwords")?;
        let mut accounts = AccountFile::in_folder(&folder);
        let mut dev_password = None;
        if settings.dev {
            let password = Secret::random().context("the system gives no random bytes")?;
            let hash = hasher.hash(password.expose()).context("cannot hash passwords")?;
            let account = Account { name: DEV_ACCOUNT.to_owned(), scope: ConsoleScope::Admin, hash };
            (accounts, dev_password) = (accounts.with_own(account), Some(password));
        }
        let has_accounts = !accounts.accounts().context("the console's accounts")?.is_empty();
        let audit = AuditLog::open(&folder, settings.console.audit_bytes_max);
        let audit = audit.with_context(|| format!("the console's audit log in {}", folder.display()))?;
        gateway.hub().keep_stories(gateway.control(|_, now| now), settings.console.stories());
        let (drain, drains) = mpsc::channel(1);
        let node = ThisNode {
            gateway: gateway.clone(),
            started: Instant::now(),
            engine: match settings.engine {
                Engine::Memory => "memory",
                Engine::Disk(_) => "disk",
                Engine::Redis(_) => "redis",
            },
            drain,
        };
        let options = settings.console.clone();
        let console =
            ConsoleState::new(options, gateway.api_host(), Arc::new(node), (accounts, hasher), audit);
        Ok(Self(Some(Running { router: router(console), drains, dev_password, has_accounts })))
    }

    /// Its routes.
    pub(crate) fn router(&self) -> Option<&Router> {
        self.0.as_ref().map(|running| &running.router)
    }

    /// Says where it is, and how to get in.
    pub(crate) fn announce(&self, sockets: &[BoundSocket]) {
        let Some(running) = &self.0 else { return };
        let urls: Vec<String> = sockets.iter().filter_map(BoundSocket::console_url).collect();
        let urls = urls.join(" ");
        match &running.dev_password {
            // Not a log line, so that no filter hides it.
            Some(password) => {
                let password = password.expose();
                let words = format!(
                    "--dev: the console is at {urls}: name `{DEV_ACCOUNT}`, password `{password}`, made for this run"
                );
                log::say(Level::WARN, &words);
            }
            None if running.has_accounts => info!(event = "console_opened", "the console is at {urls}"),
            None => info!(
                event = "console_opened",
                "the console is at {urls}, and has no account: `tautline admin set-password <name>` makes the first one"
            ),
        }
    }

    /// Waits until somebody at the console drains this node, and returns over which time; without a console for ever.
    pub(crate) async fn drain_asked(&mut self) -> Duration {
        let asked = match &mut self.0 {
            Some(running) => running.drains.recv().await,
            None => None,
        };
        match asked {
            Some(spread) => spread,
            None => std::future::pending().await,
        }
    }
}

/// This process, as the console sees it.
struct ThisNode {
    gateway: Gateway,
    started: Instant,
    engine: &'static str,
    drain: mpsc::Sender<Duration>,
}

impl Node for ThisNode {
    fn figures(&self) -> NodeFigures {
        let process = process_figures();
        let draining = self.gateway.drain_progress().map(|drain| DrainFigures {
            left: drain.left as u64,
            total: drain.total as u64,
            deadline_ms: whole_ms(drain.deadline),
        });
        NodeFigures {
            uptime_ms: whole_ms(self.started.elapsed()),
            ready: self.gateway.is_ready(),
            draining,
            cpu_ms: process.cpu_ms,
            rss_bytes: process.resident_bytes,
            open_fds: process.open_fds,
            engine: EngineFigures { kind: self.engine, healthy: self.gateway.hub().takes_appends() },
        }
    }

    fn hooks(&self) -> Vec<Value> {
        Vec::new()
    }

    fn drain(&self, spread: Duration) {
        // One drain is enough: a second one finds no room, and changes nothing.
        let _ = self.drain.try_send(spread);
    }

    fn address(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<IpAddr> {
        self.gateway.client_address(extensions, headers).map(|address| address.ip())
    }
}
