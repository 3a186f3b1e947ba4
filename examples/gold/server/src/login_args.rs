//! The login of the mini program: `wx.login` gives a code, which the gateway takes to WeChat, or to a mock of it.

use anyhow::Context as _;
use tautline_backend::{
    LoginOptions, Secret,
    mock::{APP_ID, APP_SECRET, MockServer, MockVendor},
};
use tokio::net::TcpListener;

/// The word that the mini program says with a code.
const PROVIDER: &str = "wechat";

#[derive(Debug, clap::Args)]
pub(crate) struct LoginArgs {
    /// The mini program's id at WeChat, for logins by `wx.login`
    #[arg(long, value_name = "ID", env = "GOLD_WECHAT_APP_ID", requires = "wechat_secret")]
    wechat_app_id: Option<String>,
    /// Its secret
    #[arg(long, value_name = "SECRET", env = "GOLD_WECHAT_SECRET", hide_env_values = true)]
    wechat_secret: Option<String>,
    /// Accepts made-up codes, from anybody as any player: for development without an app id
    #[arg(long, conflicts_with = "wechat_app_id")]
    mock_login: bool,
}

impl LoginArgs {
    pub(crate) async fn options(self) -> anyhow::Result<Option<LoginOptions>> {
        if self.mock_login {
            return Ok(Some(mock().await.context("cannot start the mock of WeChat's login")?));
        }
        let options = self.wechat_app_id.zip(self.wechat_secret);
        Ok(options.map(|(id, secret)| LoginOptions::new(PROVIDER, id, Secret::new(secret))))
    }
}

async fn mock() -> std::io::Result<LoginOptions> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(MockServer::new(MockVendor::WeChat).serve(listener));
    let mut options = LoginOptions::new(PROVIDER, APP_ID, Secret::new(APP_SECRET));
    options.url = Some(url);
    Ok(options)
}
