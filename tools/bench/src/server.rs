//! A gateway that is there to be measured: `tautline-bench serve`, and the child process that a scenario starts of it.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, ensure};
use clap::Args;
use rustls::ClientConfig;
use serde_json::json;
use tautline_backend::{Authenticator, AuthenticatorOptions, HookKind, HookOptions, Hooks};
use tautline_gateway::{Gateway, Listener, Tls, TlsCertificate};
use tautline_hub::{Access, ChannelRule, RulePattern};
use tautline_process::{IO_EVENTS_PER_POLL, log, secret::Secret, socket};

use super::{args::OwnServer, scrapes, wire};

/// The secret that tokens are signed with.
const AUTH_SECRET: &str = "TAUTLINE_AUTH_SECRET";

/// The key of the HTTP API: the server is on this machine alone, and open to everybody.
pub(super) const API_KEY: &str = "the-key-of-the-bench";

/// A certificate and its key, as PEM: TLS alone is spoken where it is set.
const CERTIFICATE: &str = "TAUTLINE_BENCH_CERTIFICATE";

/// The back end that answers the method `hook`, where it is set.
const HOOK: &str = "TAUTLINE_BENCH_HOOK";

/// Whether `/metrics` is read each second.
const SCRAPES: &str = "TAUTLINE_BENCH_SCRAPES";

/// Runs the gateway that scenarios measure, until it is ended: everything in memory, guests may do everything, method `echo`.
/// Tokens are checked where TAUTLINE_AUTH_SECRET is set.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where to listen; port 0 takes any free one. Anybody may come in, so that it is on this machine alone
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:0", value_parser = socket::parse_listen)]
    listen: SocketAddr,
    /// Threads of the runtime
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    threads: usize,
    /// The cores to run on, like 0 or 0,1. [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    cores: Vec<usize>,
}

/// Serves until the process is ended; prints one line on stdout when it is ready.
///
/// # Errors
/// When it cannot listen.
pub fn serve(args: &ServeArgs) -> anyhow::Result<()> {
    ensure!(args.listen.ip().is_loopback(), "{}: open to everybody, so on this machine alone", args.listen);
    pin(&args.cores)?;
    raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(args.threads.max(1))
        .enable_all()
        .max_io_events_per_tick(IO_EVENTS_PER_POLL)
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let everything = ChannelRule {
            subscribe: Access::Any,
            publish: Access::Any,
            ..ChannelRule::closed(RulePattern::parse("*").expect("a star is a pattern"))
        };
        let gateway = Gateway::builder()
            .node("bench")
            .guests(true)
            .rules(vec![everything])
            .api_key(API_KEY)
            .call("echo", |call| async move { Ok(call.data) });
        let secret = std::env::var(AUTH_SECRET).ok();
        let gateway = match (std::env::var(HOOK), secret) {
            (Ok(url), secret) => gateway.backend(hooks(&url, secret.as_deref())?),
            (Err(_), Some(secret)) => gateway.jwt_hs256(secret),
            (Err(_), None) => gateway,
        };
        let gateway = gateway.build().context("cannot build the gateway")?;
        let listener =
            socket::bind(args.listen).with_context(|| format!("cannot listen on {}", args.listen))?;
        let address = listener.local_addr().context("cannot tell the address it listens on")?;
        if std::env::var_os(SCRAPES).is_some() {
            scrapes::start(address, API_KEY).context("cannot read /metrics")?;
        }
        let pid = std::process::id();
        log::announce(&format!("tautline-bench listening on ws://{address}/connect pid {pid}"));
        let mut listener = Listener::from(listener);
        if let Ok(pem) = std::env::var(CERTIFICATE) {
            let certificate = TlsCertificate::from_pem(pem.as_bytes(), pem.as_bytes())?;
            listener = listener.tls(Tls::new(vec![certificate])?);
        }
        gateway.serve(listener).await.context("cannot accept any more")
    })
}

/// Lets in as without hooks, and takes the method `hook` to this back end.
fn hooks(url: &str, secret: Option<&str>) -> anyhow::Result<Hooks> {
    let mut logins = AuthenticatorOptions::default();
    logins.guests = true;
    logins.hs256_secrets = secret.map(|secret| secret.as_bytes().to_vec()).into_iter().collect();
    let signed_with = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let mut hook = HookOptions::new([HookKind::Call], url, signed_with);
    hook.matches = vec!["hook".to_owned()];
    hook.allow_networks = vec!["127.0.0.0/8".parse().context("a network")?];
    Hooks::new("", &[hook], Authenticator::new(&logins)?).context("cannot ask the back end")
}

/// Longer than any run.
const TOKEN_LASTS: Duration = Duration::from_hours(24);

/// Keeps the process on these cores. None: on all.
pub(super) fn pin(cores: &[usize]) -> anyhow::Result<()> {
    if cores.is_empty() {
        return Ok(());
    }
    stay_on(cores).with_context(|| format!("cannot stay on cores {cores:?}"))
}

#[cfg(target_os = "linux")]
fn stay_on(cores: &[usize]) -> anyhow::Result<()> {
    use rustix::thread::{CpuSet, sched_setaffinity};

    let mut set = CpuSet::new();
    for core in cores {
        ensure!(*core < CpuSet::MAX_CPU, "there is no core {core}");
        set.set(*core);
    }
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(not(target_os = "linux"))]
fn stay_on(_: &[usize]) -> anyhow::Result<()> {
    anyhow::bail!("only Linux lets a process say so")
}

/// One descriptor a connection.
pub(super) fn raise_open_files() {
    // Where it fails, too many connections are an error that says so.
    drop(socket::raise_open_files_limit());
}

/// `tautline-bench serve` as a child process. Ended when dropped.
pub(super) struct ServerProcess {
    child: Child,
    pub url: String,
    /// A token that it accepts.
    pub token: Secret,
    /// Trusts its certificate, where it has one.
    pub tls: Option<Arc<ClientConfig>>,
}

impl ServerProcess {
    pub(super) fn start(server: &OwnServer) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot tell where this program is")?;
        let mut command = Command::new(program);
        command.args(["--log", "warn", "serve", "--threads", &server.threads.to_string()]);
        if !server.cores.is_empty() {
            let cores: Vec<_> = server.cores.iter().map(usize::to_string).collect();
            command.args(["--cores", &cores.join(",")]);
        }
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).context("no random secret")?;
        let secret = Secret::new(format!("{:032x}", u128::from_be_bytes(secret)));
        let certificate = server.tls.then(wire::certificate).transpose()?;
        if let Some(pem) = &certificate {
            command.env(CERTIFICATE, pem);
        }
        if server.scrapes {
            command.env(SCRAPES, "yes");
        }
        if let Some(url) = &server.hook {
            command.env(HOOK, url);
        }
        let child =
            command.env(AUTH_SECRET, secret.expose()).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let child = child.context("cannot start the server")?;
        let mut server = Self {
            child,
            url: String::new(),
            token: token(&secret)?,
            tls: certificate.as_deref().map(wire::trust).transpose()?,
        };
        let mut line = String::new();
        let stdout = server.child.stdout.as_mut().context("the server has no stdout")?;
        BufReader::new(stdout).read_line(&mut line).context("cannot read what the server says")?;
        let url = line.split(' ').find(|word| word.starts_with("ws://"));
        server.url = url.context("the server did not start")?.to_owned();
        Ok(server)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// A token of the user `bench`, as `tautline token` makes it.
fn token(secret: &Secret) -> anyhow::Result<Secret> {
    let now = SystemTime::UNIX_EPOCH.elapsed().context("the clock stands before 1970")?.as_secs();
    let claims = json!({ "sub": "bench", "iat": now, "exp": now + TOKEN_LASTS.as_secs() });
    let token = tautline_backend::sign_hs256(&claims, secret.expose().as_bytes());
    Ok(Secret::new(token.context("cannot sign the token")?))
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to save either way.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
