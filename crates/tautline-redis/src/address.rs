//! Addresses of a Redis as one text, a URL. No I/O.
//!
//! Start at [`RedisUrl`].

use std::{fmt, str::FromStr};

use crate::socket::Account;

const PORT: &str = "6379";
const SENTINEL_PORT: &str = "26379";

/// Where Redis is.
///
/// - `redis://[user:password@]host[:port][/database]`: one server, or the proxy of a rented one;
/// - `redis+sentinel://[user:password@]host[:port],…/name[/database]`: Sentinels, which know the primary of
///   this name;
/// - `redis+cluster://[user:password@]host[:port],…`: some nodes of a cluster.
///
/// What has a meaning in a URL is written as `%` and two digits, also in a password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    pub(crate) mode: Mode,
    pub(crate) account: Account,
}

impl RedisUrl {
    /// True if it has a password in it.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.account.password.is_some()
    }

    /// The same Redis with this login.
    #[must_use]
    pub fn with_login(mut self, user: Option<&str>, password: &str) -> Self {
        self.account.user = user.map(Into::into);
        self.account.password = Some(password.into());
        self
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Single(String),
    Sentinel { sentinels: Vec<String>, name: String },
    Cluster(Vec<String>),
}

/// A text that is no such address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidUrl(&'static str);

impl FromStr for RedisUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        const FORMS: &str = "write redis://host:port/0, redis+sentinel://host:port,host:port/name or \
                             redis+cluster://host:port,host:port";
        let (scheme, rest) = text.split_once("://").ok_or(InvalidUrl(FORMS))?;
        let (login, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        let mut parts = rest.trim_end_matches('/').split('/');
        let hosts = parts.next().unwrap_or_default();
        let addresses =
            |port| hosts.split(',').map(|host| address(host, port)).collect::<Result<Vec<_>, _>>();
        let mode = match scheme {
            "redis" => match &addresses(PORT)?[..] {
                [one] => Mode::Single(one.clone()),
                _ => {
                    return Err(InvalidUrl(
                        "redis:// names one host; Sentinels and clusters have URLs of their own",
                    ));
                }
            },
            "redis+sentinel" => {
                let name =
                    parts.next().ok_or(InvalidUrl("it names no primary: redis+sentinel://host/name"))?;
                Mode::Sentinel { sentinels: addresses(SENTINEL_PORT)?, name: decode(name)? }
            }
            "redis+cluster" => Mode::Cluster(addresses(PORT)?),
            "rediss" | "rediss+sentinel" | "rediss+cluster" => {
                return Err(InvalidUrl("TLS to Redis is not supported yet: use redis:// and a tunnel"));
            }
            _ => return Err(InvalidUrl(FORMS)),
        };
        let database = match (parts.next(), &mode) {
            (None, _) => 0,
            (Some(_), Mode::Cluster(_)) => return Err(InvalidUrl("a cluster has no databases")),
            (Some(number), _) => number.parse().map_err(|_| InvalidUrl("the database is not a number"))?,
        };
        if parts.next().is_some() {
            return Err(InvalidUrl(FORMS));
        }
        let account = match login.split_once(':') {
            None if login.is_empty() => Account::default(),
            None => return Err(InvalidUrl("a user has a password: user:password@, or :password@ alone")),
            Some((user, password)) => Account {
                user: Some(decode(user)?).filter(|user| !user.is_empty()).map(Into::into),
                password: Some(decode(password)?.into()),
                database: 0,
            },
        };
        Ok(Self { mode, account: Account { database, ..account } })
    }
}

fn address(host: &str, port: &str) -> Result<String, InvalidUrl> {
    let has_port =
        host.rsplit_once(':').is_some_and(|(before, _)| !before.contains(':') || before.ends_with(']'));
    match host {
        "" => Err(InvalidUrl("a host is missing")),
        host if has_port => Ok(host.to_owned()),
        host => Ok(format!("{host}:{port}")),
    }
}

fn decode(text: &str) -> Result<String, InvalidUrl> {
    const WRONG: InvalidUrl = InvalidUrl("a % is followed by two hexadecimal digits");
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).ok_or(WRONG)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| WRONG)?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| InvalidUrl("it is not UTF-8"))
}

impl fmt::Display for RedisUrl {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.mode {
            Mode::Single(address) => write!(f, "redis://{address}")?,
            Mode::Sentinel { sentinels, name } => {
                write!(f, "redis+sentinel://{}/{name}", sentinels.join(","))?;
            }
            Mode::Cluster(nodes) => write!(f, "redis+cluster://{}", nodes.join(","))?,
        }
        match self.account.database {
            0 => Ok(()),
            number => write!(f, "/{number}"),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_shown_without_its_password() {
        for (text, shown) in [
            ("redis://127.0.0.1", "redis://127.0.0.1:6379"),
            ("redis://:p%40ss@redis.example:7000/2", "redis://redis.example:7000/2"),
            ("redis://[::1]:7000", "redis://[::1]:7000"),
            ("redis://[::1]/", "redis://[::1]:6379"),
            ("redis+sentinel://ann:secret@a,b:7/shop/3", "redis+sentinel://a:26379,b:7/shop/3"),
            ("redis+cluster://a:1,b", "redis+cluster://a:1,b:6379"),
        ] {
            let url: RedisUrl = text.parse().expect(text);
            assert_eq!((url.to_string(), format!("{url:?}")), (shown.to_owned(), shown.to_owned()));
            assert!(!format!("{:?}", url.account).contains("secret"));
        }
        let url: RedisUrl = "redis://ann:p%40s:s@h".parse().expect("valid");
        assert_eq!(url.account.password.as_deref(), Some("p@s:s"));
        assert_eq!(url.account.user.as_deref(), Some("ann"));
    }

    #[test]
    fn invalid_urls_are_refused_with_a_reason() {
        for text in [
            "redis",
            "redis://",
            "http://a",
            "redis://a,b",
            "redis+sentinel://a",
            "redis+cluster://a/1",
            "redis://a/x",
            "redis://a/1/2",
            "redis://ann@a",
            "redis://:%4@a",
            "rediss://a",
        ] {
            assert!(text.parse::<RedisUrl>().is_err(), "{text}");
        }
    }
}
