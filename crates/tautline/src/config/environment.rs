//! The settings that come from environment variables: any option as `TAUTLINE__SECTION__OPTION`, and a few by short names.
//! And what else a process is handed at its start.

use std::{collections::HashMap, env, path::Path};

use tautline_process::log::{LOG_FILTER, LOG_FORMAT};

use super::{ConfigError, inputs::Inputs, path::OptionPath, suggestions};

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
/// The configuration file; stands for `--config`.
pub const CONFIG: &str = "TAUTLINE_CONFIG";
/// The token of `listen`, `call`, `publish` and `tautline-bench`, where the command line should not show it to everybody who lists
/// processes.
pub const TOKEN: &str = "TAUTLINE_TOKEN";

/// The short names of options. The long ones win over them.
const SHORT: [(&str, &str); 9] = [
    (LISTEN, "server.listen"),
    (NODE, "server.node"),
    (AUTH_SECRET, "auth.hs256_secret"),
    (AUTH_SECRET_OLD, "auth.hs256_secret_old"),
    (API_KEY, "api.keys"),
    (TICKET_KEYS, "tickets.keys"),
    (ENVIRONMENT, "tickets.environment"),
    (LOG_FORMAT, "log.format"),
    (LOG_FILTER, "log.filter"),
];

/// What all our variables begin with.
const PREFIX: &str = "TAUTLINE_";
/// What the long names of options begin with.
const LONG_PREFIX: &str = "TAUTLINE__";

/// The variables as they were when the program started, and what was read of pipes. Unset and empty are the same.
#[derive(Clone, Default)]
pub struct Environment {
    variables: HashMap<String, String>,
    inputs: Inputs,
}

impl Environment {
    /// What this process was started with.
    ///
    /// # Errors
    /// When one of ours is not UTF-8.
    pub fn of_process() -> Result<Self, ConfigError> {
        let mut variables = HashMap::new();
        for (name, value) in env::vars_os() {
            let Some(name) = name.to_str() else { continue };
            match value.into_string() {
                Ok(value) => drop(variables.insert(name.to_owned(), value)),
                Err(_) if name.starts_with(LONG_PREFIX) || known().any(|known| known == name) => {
                    return Err(ConfigError::in_variable(name, "is not UTF-8"));
                }
                Err(_) => {}
            }
        }
        Ok(Self { variables, inputs: Inputs::default() })
    }

    /// The same from pairs, for tests and embedders.
    pub fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { variables: variables.collect(), inputs: Inputs::default() }
    }

    /// The text of a file of at most `bytes_max` bytes; errors in words.
    pub(super) fn read(&self, path: &Path, bytes_max: u64) -> Result<String, String> {
        self.inputs.read(path, bytes_max)
    }

    /// The start is over: what is read from here on has to be a regular file, or to have been read before.
    pub fn close_pipes(&self) {
        self.inputs.close();
    }

    /// The value of a variable, of ours or not.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The options that are said here, in the order in which they count: variable, option, value.
    pub(super) fn options(&self) -> Vec<(&str, OptionPath, &str)> {
        let short = SHORT.into_iter().map(|(name, path)| (name, OptionPath::of_flag(path)));
        let mut long: Vec<_> =
            self.variables.keys().filter_map(|name| Some((name, name.strip_prefix(LONG_PREFIX)?))).collect();
        long.sort_unstable();
        let mut long: Vec<_> =
            long.into_iter().map(|(name, rest)| (name.as_str(), OptionPath::of_variable(rest))).collect();
        // The elements of a list in their order, whatever their number of digits.
        long.sort_by(|(_, a), (_, b)| a.cmp(b));
        let all = short.chain(long);
        all.filter_map(|(name, path)| Some((name, path, self.value(name)?))).collect()
    }

    /// Fails for a variable that is a slip of one of ours, and for two that say the same option.
    pub(super) fn check_names(&self) -> Result<(), ConfigError> {
        if let Some((name, known)) = self.strangers().find_map(|name| Some((name, known_like(name)?))) {
            return Err(ConfigError::in_variable(name, format!("not known: is {known} meant?")));
        }
        let mut long: Vec<_> = self.options();
        long.retain(|(name, ..)| name.starts_with(LONG_PREFIX));
        // Those of one option are side by side.
        match long.windows(2).find(|pair| pair[0].1 == pair[1].1) {
            Some(pair) => {
                Err(ConfigError::in_variable(pair[1].0, format!("says the same option as {}", pair[0].0)))
            }
            None => Ok(()),
        }
    }

    /// Variables that look like ours and are not.
    pub(super) fn findings(&self) -> Vec<String> {
        let words = |name| format!("environment variable {name} is not known and does nothing");
        self.strangers().map(words).collect()
    }

    /// The names of those that nobody reads, in order. Kubernetes tells every container of services whose names begin with
    /// `tautline` in variables such as `TAUTLINE_SERVICE_HOST`, which are no slips.
    fn strangers(&self) -> impl Iterator<Item = &str> {
        let strangers = self.variables.iter().filter(|(name, value)| {
            name.to_ascii_uppercase().starts_with(PREFIX)
                && !name.starts_with(LONG_PREFIX)
                && !known().any(|known| known == name.as_str())
                && !is_of_kubernetes(name, value)
        });
        let mut names: Vec<_> = strangers.map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.into_iter()
    }
}

/// All by short names that the binary reads.
fn known() -> impl Iterator<Item = &'static str> {
    SHORT.into_iter().map(|(name, _)| name).chain([CONFIG, TOKEN])
}

fn known_like(name: &str) -> Option<String> {
    let name = name.to_ascii_uppercase();
    if name.starts_with(LONG_PREFIX) {
        return Some(name);
    }
    // All have the prefix, which would make them all alike.
    let similar = suggestions::similar(
        name.strip_prefix(PREFIX)?,
        known().filter_map(|known| known.strip_prefix(PREFIX)),
    )?;
    Some(format!("{PREFIX}{similar}"))
}

fn is_of_kubernetes(name: &str, value: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.contains("_PORT_")
        || (name.ends_with("_PORT") && value.contains("://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(name: &str) -> String {
        Environment::of([(name, "1")]).check_names().expect_err(name).to_string()
    }

    #[test]
    fn mistyped_variable_is_refused_with_the_known_one() {
        for (slip, known) in [
            ("TAUTLINE_AUTH_SECRETS", AUTH_SECRET),
            ("TAUTLINE_API_KEYS", API_KEY),
            ("TAUTLINE_LSITEN", LISTEN),
            ("tautline_auth_secret", AUTH_SECRET),
            ("Tautline_Node", NODE),
            ("TAUTLINE_AUTH_secret", AUTH_SECRET),
            ("tautline_lsiten", LISTEN),
            ("tautline__server__node", "TAUTLINE__SERVER__NODE"),
        ] {
            let error = error_of(slip);
            assert!(error.starts_with(&format!("environment variable {slip}: ")), "{error}");
            assert!(error.ends_with(&format!("is {known} meant?")), "{error}");
        }
    }

    #[test]
    fn foreign_variables_are_left_alone_or_reported() {
        let of_kubernetes = [
            ("TAUTLINE_SERVICE_HOST", "10.0.0.1"),
            ("TAUTLINE_SERVICE_PORT_HTTP", "80"),
            ("TAUTLINE_PORT", "tcp://10.0.0.1:80"),
            ("TAUTLINE_PORT_80_TCP_ADDR", "10.0.0.1"),
            ("TAUTLINE_NODE_SERVICE_HOST", "10.0.0.1"),
            ("TAUTLINE_API_PORT", "tcp://10.0.0.1:80"),
        ];
        let environment = Environment::of(of_kubernetes.into_iter().chain([("HOME", "/"), (LISTEN, "")]));
        assert!(environment.check_names().is_ok());
        assert_eq!(environment.findings(), [""; 0]);
        let environment = Environment::of([("TAUTLINE_MOTD", "hello")]);
        assert!(environment.check_names().is_ok());
        assert!(environment.findings()[0].contains("TAUTLINE_MOTD is not known"));
    }

    #[test]
    fn two_variables_of_one_option_are_refused() {
        let both = [("TAUTLINE__SERVER__NODE", "a"), ("TAUTLINE__server__node", "b")];
        let error = Environment::of(both).check_names().expect_err("two values").to_string();
        assert!(error.contains("TAUTLINE__server__node: says the same option as TAUTLINE__SERVER__NODE"));
        let unset = [("TAUTLINE__SERVER__NODE", ""), ("TAUTLINE__server__node", "b"), (NODE, "c")];
        assert!(Environment::of(unset).check_names().is_ok(), "one is empty, and the short one counts less");
        let of_lists = ["0", "00", "+0", "1"].map(|index| format!("TAUTLINE__CHANNELS__{index}__MATCH"));
        let environment = Environment::of(of_lists.iter().map(|name| (name.as_str(), "a")));
        let paths: Vec<_> = environment.options().into_iter().map(|(_, path, _)| path.0[1].clone()).collect();
        let is_element =
            |path: &&super::super::path::Step| matches!(path, super::super::path::Step::Index(_));
        assert_eq!(paths.iter().filter(is_element).count(), 2, "an element has one name: {paths:?}");
    }

    #[test]
    fn elements_of_a_list_come_in_their_order() {
        let names =
            ["TAUTLINE__CHANNELS__10__MATCH", "TAUTLINE__CHANNELS__2__MATCH", "TAUTLINE__CHANNELS__1__MATCH"];
        let environment = Environment::of(names.map(|name| (name, "a")));
        let order: Vec<_> = environment.options().into_iter().map(|(_, path, _)| path.to_string()).collect();
        assert_eq!(order, ["channels.1.match", "channels.2.match", "channels.10.match"]);
    }
}
