//! `tautline mock`: a login service for those who develop without an app id.

use std::{io::Write as _, net::SocketAddr, process::ExitCode};

use anyhow::Context as _;
use clap::ValueEnum;
use tautline_backend::mock::{
    ALIPAY_PUBLIC_KEY, APP_ID, APP_PRIVATE_KEY, APP_SECRET, MockServer, MockVendor,
};
use tautline_process::socket;

/// Which service, and where.
#[derive(Clone, Debug, clap::Args)]
pub struct MockArgs {
    /// The vendor.
    #[arg(value_enum)]
    vendor: Vendor,
    /// Where to listen; port 0 takes any free one.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:0", value_parser = socket::parse_listen)]
    listen: SocketAddr,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Vendor {
    #[value(name = "wechat")]
    WeChat,
    Qq,
    Alipay,
    Douyin,
    Baidu,
    Kuaishou,
    #[value(name = "wecom")]
    WeCom,
    Feishu,
}

/// The sections of vendors that are configured as any other; `{at}` is the address.
const WECOM: &str = r#"kind = "generic"
url = "http://{at}/cgi-bin/miniprogram/jscode2session"
generic.parameters = { access_token = "{token}", js_code = "{code}", grant_type = "authorization_code" }
generic.id = "/userid"
generic.denied = ["40029"]
generic.temporary = ["-1"]
generic.rate_limited = ["45009"]
generic.banned = ["60111"]
generic.token.url = "http://{at}/cgi-bin/gettoken"
generic.token.parameters = { corpid = "{app_id}", corpsecret = "{app_secret}" }
generic.token.ended = ["40014", "42001"]
"#;
const FEISHU: &str = r#"kind = "generic"
url = "http://{at}/open-apis/mina/v2/tokenLoginValidate"
generic.send = "json"
generic.headers = { authorization = "Bearer {token}" }
generic.parameters = { code = "{code}" }
generic.id = "/data/open_id"
generic.error = "/code"
generic.denied = ["10213"]
generic.temporary = ["2200"]
generic.rate_limited = ["99991400"]
generic.banned = ["10228"]
generic.token.url = "http://{at}/open-apis/auth/v3/app_access_token/internal"
generic.token.send = "json"
generic.token.parameters = { app_id = "{app_id}", app_secret = "{app_secret}" }
generic.token.token = "/app_access_token"
generic.token.expires_in = "/expire"
generic.token.error = "/code"
generic.token.ended = ["10202"]
"#;

/// Prints the lines for a configuration file, and serves until it is ended.
///
/// # Errors
/// When it cannot listen.
pub async fn run(args: MockArgs) -> anyhow::Result<ExitCode> {
    let listener = socket::bind(args.listen).with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = listener.local_addr().context("cannot tell the address it listens on")?;
    let (name, vendor) = args.vendor.mock();
    let mut stdout = std::io::stdout();
    write!(stdout, "{}", section(name, address)).context("cannot print")?;
    stdout.flush().context("cannot print")?;
    MockServer::new(vendor).serve(listener).await.context("cannot accept any more")?;
    Ok(ExitCode::SUCCESS)
}

/// What makes `serve` send codes to the mock.
fn section(provider: &str, address: SocketAddr) -> String {
    let secret = if provider == "alipay" { APP_PRIVATE_KEY } else { APP_SECRET };
    let address = address.to_string();
    let vendor = match provider {
        "wecom" => WECOM.replace("{at}", &address),
        "feishu" => FEISHU.replace("{at}", &address),
        _ => format!("url = \"http://{address}/\"\n"),
    };
    let mut section = format!(
        "# A code is good once; `ann.1` and `ann.2` are the user `ann`, `expired.1` is not valid.\n\
         [[login]]\n\
         provider = \"{provider}\"\n\
         {vendor}\
         app_id = \"{APP_ID}\"\n\
         app_secret = \"{secret}\"\n"
    );
    if provider == "alipay" {
        section += &format!("alipay_public_key = \"{ALIPAY_PUBLIC_KEY}\"\n");
    }
    section
}

impl Vendor {
    fn mock(self) -> (&'static str, MockVendor) {
        match self {
            Self::WeChat => ("wechat", MockVendor::WeChat),
            Self::Qq => ("qq", MockVendor::WeChat),
            Self::Alipay => ("alipay", MockVendor::Alipay),
            Self::Douyin => ("douyin", MockVendor::Douyin),
            Self::Baidu => ("baidu", MockVendor::Baidu),
            Self::Kuaishou => ("kuaishou", MockVendor::Kuaishou),
            Self::WeCom => ("wecom", MockVendor::WeCom),
            Self::Feishu => ("feishu", MockVendor::Feishu),
        }
    }
}

#[cfg(test)]
mod tests {
    use tautline_backend::LoginOptions;

    use super::*;

    #[derive(serde::Deserialize)]
    struct File {
        login: Vec<LoginOptions>,
    }

    #[test]
    fn printed_section_is_a_valid_configuration() {
        let address = "127.0.0.1:4711".parse().unwrap();
        for vendor in Vendor::value_variants() {
            let file: File = toml::from_str(&section(vendor.mock().0, address)).unwrap();
            assert_eq!(file.login.len(), 1);
            file.login[0].check().unwrap();
        }
    }
}
