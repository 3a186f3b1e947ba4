//! The settings that come from environment variables: those that differ from machine to machine, and the secrets.

use std::{collections::HashMap, env, net::SocketAddr};

use tautline_process::{log::LOG_FORMAT, secret::Secret, socket};

use super::{
    ConfigError,
    check::{self, TicketKey},
};

/// Where to listen; stands for `[server] listen`.
pub const LISTEN: &str = "TAUTLINE_LISTEN";
/// This node's name; stands for `[server] node`.
pub const NODE: &str = "TAUTLINE_NODE";
/// The secret that tokens are signed with; stands for `[auth] hs256_secret`.
pub const AUTH_SECRET: &str = "TAUTLINE_AUTH_SECRET";
/// The secret of before, whose tokens stay good; stands for `[auth] hs256_secret_old`.
pub const AUTH_SECRET_OLD: &str = "TAUTLINE_AUTH_SECRET_OLD";
/// A key for the HTTP API; stands for `[api] keys`. Several are separated by commas.
pub const API_KEY: &str = "TAUTLINE_API_KEY";
/// The keys that tickets are sealed with, newest first; stands for `[tickets] keys`. Several are separated by commas.
pub const TICKET_KEYS: &str = "TAUTLINE_TICKET_KEYS";
/// Which deployment this is; stands for `[tickets] environment`.
pub const ENVIRONMENT: &str = "TAUTLINE_ENVIRONMENT";
/// The token of `listen`, `call`, `publish` and `tautline-bench`, where the command line should not show it to everybody who lists
/// processes.
pub const TOKEN: &str = "TAUTLINE_TOKEN";

/// The variables as they were when the program started. Unset and empty are the same.
#[derive(Clone, Default)]
pub struct Environment(HashMap<String, String>);

impl Environment {
    /// What the names of all our variables begin with.
    pub(super) const PREFIX: &'static str = "TAUTLINE_";
    /// All that the binary reads.
    pub(super) const KNOWN: [&'static str; 9] =
        [LISTEN, NODE, AUTH_SECRET_OLD, AUTH_SECRET, API_KEY, TICKET_KEYS, ENVIRONMENT, LOG_FORMAT, TOKEN];

    /// What this process was started with: all whose names look like ours.
    ///
    /// # Errors
    /// When one of ours is not UTF-8.
    pub fn of_process() -> Result<Self, ConfigError> {
        let mut variables = HashMap::new();
        for (name, value) in env::vars_os() {
            let Some(name) = name.to_str().filter(|name| name.starts_with(Self::PREFIX)) else { continue };
            match value.into_string() {
                Ok(value) => drop(variables.insert(name.to_owned(), value)),
                Err(_) if Self::KNOWN.contains(&name) => {
                    return Err(ConfigError::in_variable(name, "is not UTF-8"));
                }
                Err(_) => {}
            }
        }
        Ok(Self(variables))
    }

    /// The names of those that nobody reads, in order. Kubernetes tells every container of a service called `tautline` in
    /// variables such as `TAUTLINE_SERVICE_HOST`, which are no slips.
    pub(super) fn strangers(&self) -> impl Iterator<Item = &str> {
        let is_of_kubernetes = |name: &str, value: &str| {
            let name = name.strip_prefix(Self::PREFIX).unwrap_or(name);
            name.starts_with("SERVICE_")
                || name.starts_with("PORT_")
                || (name == "PORT" && value.contains("://"))
        };
        let strangers = self.0.iter().filter(move |(name, value)| {
            !Self::KNOWN.contains(&name.as_str()) && !is_of_kubernetes(name, value)
        });
        let mut names: Vec<_> = strangers.map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.into_iter()
    }

    /// The same from pairs, for tests and embedders.
    pub fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    pub(super) fn listen(&self) -> Result<Option<SocketAddr>, ConfigError> {
        self.read(LISTEN, socket::parse_listen)
    }

    pub(super) fn node(&self) -> Result<Option<String>, ConfigError> {
        self.read(NODE, check::node)
    }

    pub(super) fn auth_secret(&self) -> Result<Option<Secret>, ConfigError> {
        self.read(AUTH_SECRET, |text| check::hs256_secret(Secret::new(text)))
    }

    pub(super) fn auth_secret_old(&self) -> Result<Option<Secret>, ConfigError> {
        self.read(AUTH_SECRET_OLD, |text| check::hs256_secret(Secret::new(text)))
    }

    pub(super) fn environment(&self) -> Result<Option<String>, ConfigError> {
        self.read(ENVIRONMENT, |text| Ok(text.to_owned()))
    }

    pub(super) fn api_keys(&self) -> Result<Option<Vec<Secret>>, ConfigError> {
        self.read(API_KEY, |text| list(text).map(|key| check::api_key(Secret::new(key))).collect())
    }

    pub(super) fn ticket_keys(&self) -> Result<Option<Vec<TicketKey>>, ConfigError> {
        self.read(TICKET_KEYS, |text| list(text).map(|key| check::ticket_key(&Secret::new(key))).collect())
    }

    fn read<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        match self.0.get(name).map(String::as_str) {
            None | Some("") => Ok(None),
            Some(text) => parse(text).map(Some).map_err(|message| ConfigError::in_variable(name, message)),
        }
    }
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}
