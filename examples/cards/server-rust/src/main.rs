//! `tautline-cards`: the back end of the card shop. The gateway reaches it by hooks; it does what `examples/cards/server-node`
//! does.
//!
//! Reading order: [`routes`] is what the gateway asks, [`shop`] and [`changes`] are what a member does, [`database`] keeps it,
//! [`outbox`] publishes it, [`notices`] tells a member who is away.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use clap::Parser;
use serde_json::json;
use standardwebhooks::Webhook;
use tautline_process::{log, log::LogArgs, signals::Signals};
use tokio::{
    net::TcpListener,
    sync::{Mutex, Notify},
};

mod changes;
mod clock;
mod database;
mod failure;
mod gateway;
mod http;
mod login;
mod notices;
mod outbox;
mod routes;
mod shop;
mod wechat;

/// Serves the card shop to a gateway and its page.
#[derive(Debug, Parser)]
#[command(name = "tautline-cards", version)]
struct Cli {
    /// Where to listen; port 0 takes any free one
    #[arg(long, env, default_value = "127.0.0.1:8020")]
    listen: SocketAddr,
    /// `sqlite:FILE`, `postgres://…` or `mysql://…`
    #[arg(long, env, default_value = "sqlite:cards.db", hide_env_values = true)]
    database_url: String,
    /// What the gateway signs hooks and webhooks with
    #[arg(long, env, hide_env_values = true)]
    hook_secret: String,
    /// What logins of the page are signed with
    #[arg(long, env, hide_env_values = true)]
    login_secret: String,
    /// The gateway's server API, and its key
    #[arg(long, env, default_value = "http://127.0.0.1:8021")]
    gateway_url: String,
    #[arg(long, env, hide_env_values = true)]
    api_key: String,
    /// Where pages connect to
    #[arg(long, env, default_value = "ws://127.0.0.1:8021/connect")]
    socket_url: String,
    #[arg(long, env, default_value = "https://api.weixin.qq.com")]
    wechat_api: String,
    #[arg(long, env)]
    wechat_app_id: String,
    #[arg(long, env, hide_env_values = true)]
    wechat_app_secret: String,
    #[arg(long, env, default_value = "order-shipped")]
    wechat_template: String,
    /// The folder of the built page
    #[arg(long, env, default_value = "examples/cards/web/dist")]
    page: PathBuf,
    #[command(flatten)]
    log: LogArgs,
}

fn main() -> ExitCode {
    let program = || {
        let cli = Cli::parse();
        cli.log.start();
        tautline_process::runtime()?.block_on(run(cli))?;
        Ok(ExitCode::SUCCESS)
    };
    tautline_process::run(program, |_| ExitCode::FAILURE)
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let database = Arc::new(database::Database::open(&cli.database_url).await?);
    let http = http::HttpClient::new()?;
    let gateway = Arc::new(gateway::Gateway { http: http.clone(), url: cli.gateway_url, key: cli.api_key });
    let poke = Arc::new(Notify::new());
    let outbox = outbox::Outbox {
        database: Arc::clone(&database),
        gateway: Arc::clone(&gateway),
        poke: Arc::clone(&poke),
    };
    tokio::spawn(outbox.run());
    let config = json!({"socket": cli.socket_url, "template": cli.wechat_template});
    let wechat = wechat::WeChat {
        http,
        api: cli.wechat_api,
        app_id: cli.wechat_app_id,
        app_secret: cli.wechat_app_secret,
        template: cli.wechat_template,
        token: Mutex::new(None),
    };
    let notices = notices::Notices { database: Arc::clone(&database), gateway, wechat };
    let webhook = Webhook::new(&cli.hook_secret).context("HOOK_SECRET")?;
    let logins = login::Logins { secret: cli.login_secret };
    let shop = shop::Shop::new(database, poke);
    let app = Arc::new(routes::App::new(webhook, logins, shop, notices, config));

    let listener =
        TcpListener::bind(cli.listen).await.with_context(|| format!("cannot listen on {}", cli.listen))?;
    log::announce(&format!("listening on http://{}", listener.local_addr()?));
    let served = axum::serve(listener, routes::router(app, &cli.page));
    tokio::select! {
        served = async { served.await } => served.context("serving"),
        _ = signals.next() => Ok(()),
    }
}

/// A name that nothing else has.
pub(crate) fn random_id() -> String {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).expect("the system has random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
