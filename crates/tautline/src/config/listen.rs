//! `[[listen]]` and `[[tls]]`: where the gateway listens, and with which certificates.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error as _};
use tautline_gateway::Serves;
use tautline_process::socket;

use super::Settings;

/// How an address begins that is the path of a Unix socket.
const UNIX: &str = "unix:";
/// Rights of a Unix socket's file, where none are given: its owner and its group may connect.
const UNIX_MODE: u32 = 0o660;

/// A socket that the gateway listens on: one `[[listen]]`, or the short form `[server] listen`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Entry")]
pub struct ListenSettings {
    /// Where.
    pub address: ListenAddress,
    /// Whether it speaks TLS. Default no.
    pub tls: bool,
    /// Whether each connection begins with a header of the PROXY protocol. Default no.
    pub proxy_protocol: bool,
    /// The routes that it serves. Default all.
    pub serves: Serves,
    /// Whether it serves the console, where there is one. Default yes.
    pub console: bool,
    /// The rights of a Unix socket's file. Default 0660.
    pub mode: u32,
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// IP and port; `[::]` takes IPv4 as well.
    Ip(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// One `[[tls]]`: the files of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// The chain as PEM, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key as PEM.
    pub key: PathBuf,
}

/// One `[[listen]]` as it is written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// IP and port, where `[::]` takes IPv4 as well, or `unix:` and the path of a Unix socket.
    #[serde(deserialize_with = "address")]
    #[schemars(with = "String")]
    address: ListenAddress,
    /// Whether it speaks TLS, with the certificates of `[[tls]]`. Default false.
    #[serde(default)]
    tls: bool,
    /// Whether each connection begins with a header of the PROXY protocol. Default false.
    #[serde(default)]
    proxy_protocol: bool,
    /// The groups of routes that it serves. Default all.
    #[serde(default)]
    #[schemars(with = "Vec<Routes>")]
    serves: Option<Vec<Routes>>,
    /// The rights of a Unix socket's file, in octal. Default `0660`.
    #[serde(default, deserialize_with = "mode")]
    #[schemars(with = "String")]
    mode: Option<u32>,
}

/// A group of routes.
#[derive(Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Routes {
    /// Those of clients.
    Public,
    /// The HTTP API of the back end.
    Api,
    /// Health, and what else operators look at.
    Internal,
    /// The console, where there is one.
    Console,
}

impl ListenSettings {
    /// The short form: everything, without TLS.
    pub(super) fn plain(address: SocketAddr) -> Self {
        Self {
            address: ListenAddress::Ip(address),
            tls: false,
            proxy_protocol: false,
            serves: Serves::default(),
            console: true,
            mode: UNIX_MODE,
        }
    }
}

impl TryFrom<Entry> for ListenSettings {
    type Error = &'static str;

    fn try_from(entry: Entry) -> Result<Self, Self::Error> {
        let Entry { address, tls, proxy_protocol, serves, mode } = entry;
        let is_unix = matches!(address, ListenAddress::Unix(_));
        if is_unix && tls {
            return Err("a Unix socket leads to this machine alone, and has no TLS");
        }
        if mode.is_some() && !is_unix {
            return Err("`mode` is for the file of a Unix socket: address = \"unix:/path\"");
        }
        let console = serves.as_ref().is_none_or(|groups| groups.contains(&Routes::Console));
        let serves = match serves {
            None => Serves::default(),
            Some(groups) if groups.is_empty() => {
                return Err(
                    "`serves` names no routes: write \"public\", \"api\", \"internal\" or \"console\", or leave \
                     it out",
                );
            }
            Some(groups) => groups.into_iter().fold(Serves::NONE, |mut serves, group| {
                match group {
                    Routes::Public => serves.public = true,
                    Routes::Api => serves.api = true,
                    Routes::Internal => serves.internal = true,
                    Routes::Console => {}
                }
                serves
            }),
        };
        Ok(Self { address, tls, proxy_protocol, serves, console, mode: mode.unwrap_or(UNIX_MODE) })
    }
}

impl ListenAddress {
    /// Whether other machines reach it.
    #[must_use]
    pub fn is_of_this_machine(&self) -> bool {
        match self {
            Self::Ip(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

impl CertificateFiles {
    /// The same files, where a relative path begins at the folder of the configuration file.
    pub(super) fn inside(self, folder: &Path) -> Self {
        Self { certificate: folder.join(self.certificate), key: folder.join(self.key) }
    }
}

impl Settings {
    /// Every socket: those of `[[listen]]`, and the short form where it is written or there is no other.
    #[must_use]
    pub fn listeners(&self) -> Vec<ListenSettings> {
        let short = self.listen.or_else(|| self.listeners.is_empty().then_some(Self::LISTEN_DEFAULT));
        short.map(ListenSettings::plain).into_iter().chain(self.listeners.iter().cloned()).collect()
    }

    /// What listeners and certificates are hardly meant to be.
    pub(super) fn listen_findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for listener in self.listeners() {
            let is_ip = matches!(listener.address, ListenAddress::Ip(_));
            if listener.proxy_protocol && is_ip && self.gateway.trusted_proxies.is_empty() {
                findings.push(format!(
                    "listen {}: proxy_protocol takes connections from [server] trusted_proxies alone, which names no \
                     network: every connection is closed",
                    listener.address
                ));
            }
        }
        if !self.tls.is_empty() && self.listeners.iter().all(|listener| !listener.tls) {
            findings.push(
                "[[tls]] has certificates, and no [[listen]] says tls = true: nothing uses them".to_owned(),
            );
        }
        if let Some(network) = self.gateway.trusted_proxies.iter().find(|network| network.prefix_len() == 0) {
            findings.push(format!(
                "trusted_proxies has {network}, which is everybody: each client can pass for any address"
            ));
        }
        findings
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ListenAddress, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.strip_prefix(UNIX) {
        Some("") => Err(D::Error::custom("no path: write unix:/run/tautline/tautline.sock")),
        Some(path) => Ok(ListenAddress::Unix(path.into())),
        None => socket::parse_listen(&text).map(ListenAddress::Ip).map_err(D::Error::custom),
    }
}

fn mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| (0o100..=0o777).contains(mode));
    mode.map(Some).ok_or_else(|| {
        D::Error::custom(format!("{text:?} are no rights of a file: write them in octal, like \"0660\""))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Flags, Loaded};

    fn parse(text: &str) -> Result<Settings, String> {
        let path = Path::new("/etc/tautline/tautline.toml");
        let loaded = Loaded::of(Some(path), text, &Flags::default(), &Environment::default());
        loaded.map(|loaded| loaded.settings).map_err(|error| error.to_string())
    }

    fn addresses(settings: &Settings) -> Vec<String> {
        settings.listeners().iter().map(|listener| listener.address.to_string()).collect()
    }

    #[test]
    fn short_form_adds_to_listen_entries() {
        assert_eq!(addresses(&parse("").unwrap()), ["127.0.0.1:8000"]);
        let entries = "[[listen]]\naddress = \"[::]:443\"\n[[listen]]\naddress = \"unix:/run/t.sock\"\nmode = \"0666\"\n";
        let settings = parse(entries).unwrap();
        assert_eq!(addresses(&settings), ["[::]:443", "unix:/run/t.sock"]);
        assert_eq!(settings.listeners()[1].mode, 0o666);
        let settings = parse(&format!("[server]\nlisten = \"127.0.0.1:9\"\n{entries}")).unwrap();
        assert_eq!(addresses(&settings), ["127.0.0.1:9", "[::]:443", "unix:/run/t.sock"]);
    }

    #[test]
    fn listener_serves_the_named_routes_alone() {
        let serves = |text: &str| {
            let settings = parse(&format!("[[listen]]\naddress = \"[::1]:9\"\n{text}")).unwrap();
            let ListenSettings { serves: Serves { public, api, internal, .. }, console, .. } =
                settings.listeners()[0];
            (public, api, internal, console)
        };
        assert_eq!(serves(""), (true, true, true, true));
        assert_eq!(serves("serves = [\"public\"]"), (true, false, false, false));
        assert_eq!(serves("serves = [\"api\", \"internal\"]"), (false, true, true, false));
        assert_eq!(serves("serves = [\"console\"]"), (false, false, false, true));
    }

    #[test]
    fn impossible_listener_is_an_error_at_its_place() {
        for (entry, words) in [
            ("address = \"8000\"", ":2:11: \"8000\" is no address"),
            ("address = \"unix:\"", ":2:11: no path"),
            ("address = \"unix:/t\"\ntls = true", "has no TLS"),
            ("address = \"[::]:9\"\nmode = \"0660\"", "`mode` is for the file"),
            ("address = \"unix:/t\"\nmode = \"rw\"", ":3:8: \"rw\" are no rights"),
            ("address = \"unix:/t\"\nmode = \"1777\"", "in octal"),
            ("address = \"[::]:9\"\nserves = []", "`serves` names no routes"),
            ("address = \"[::]:9\"\nserves = [\"metrics\"]", "unknown variant `metrics`"),
            ("address = \"[::]:9\"\nport = 9", "unknown option `port`"),
            ("address = \"[::]:9\"\ntls = true", "needs a certificate: add [[tls]]"),
        ] {
            let error = parse(&format!("[[listen]]\n{entry}\n")).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn certificate_paths_begin_at_the_configuration() {
        let settings = parse("[[tls]]\ncertificate = \"chain.pem\"\nkey = \"/keys/key.pem\"\n").unwrap();
        assert_eq!(settings.tls[0].certificate, Path::new("/etc/tautline/chain.pem"));
        assert_eq!(settings.tls[0].key, Path::new("/keys/key.pem"));
        assert!(
            settings
                .findings(&Environment::of([]))
                .iter()
                .any(|finding| finding.contains("nothing uses them"))
        );
    }

    #[test]
    fn trust_of_nobody_or_everybody_is_found() {
        let settings = parse("[[listen]]\naddress = \"[::]:9\"\nproxy_protocol = true\n").unwrap();
        assert!(settings.listen_findings()[0].contains("every connection is closed"));
        let settings = parse("[server]\ntrusted_proxies = [\"0.0.0.0/0\"]\n").unwrap();
        assert!(settings.listen_findings()[0].contains("everybody"));
    }
}
