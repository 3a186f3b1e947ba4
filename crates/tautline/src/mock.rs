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
}

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
    let mut section = format!(
        "# A code is good once; `ann.1` and `ann.2` are the user `ann`, `expired.1` is not valid.\n\
         [[login]]\n\
         provider = \"{provider}\"\n\
         url = \"http://{address}/\"\n\
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
