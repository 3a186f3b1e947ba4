//! Reads the settings: flags over environment over file over defaults.

use std::path::{Path, PathBuf};

use tautline_process::log::{LOG_FILTER, LOG_FORMAT};

use super::{
    ConfigError, Environment, Flags, Settings,
    environment::CONFIG,
    file::File,
    path::OptionPath,
    schema::Schema,
    secrets::Resolver,
    sources::{Source, Sources},
    values::Values,
};

/// Every option with its default, as `tautline config --default` prints it.
pub const EXAMPLE: &str = include_str!("../../tautline.example.toml");

/// The largest configuration file, in bytes.
const CONFIG_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Settings, and where they come from.
#[derive(Clone)]
pub struct Loaded {
    /// Complete and checked.
    pub settings: Settings,
    /// Each with its place.
    pub values: Values,
    /// The files that were read: the configuration file, and those of secrets.
    pub files: Vec<PathBuf>,
    /// Whether the configuration file says nothing at all.
    pub is_file_blank: bool,
}

impl Loaded {
    /// Reads the file that the flags or the environment name, the environment and the flags.
    ///
    /// # Errors
    /// [`ConfigError`] names the first fault and its place.
    pub fn load(flags: &Flags, environment: &Environment) -> Result<Self, ConfigError> {
        let named = environment.value(CONFIG).map(PathBuf::from);
        let Some(path) = flags.config.as_ref().or(named.as_ref()) else {
            return Self::of(None, "", flags, environment);
        };
        let text = environment
            .read(path, CONFIG_FILE_BYTES_MAX)
            .map_err(|words| ConfigError::in_file(path, "", None, &words))?;
        Self::of(Some(path), &text, flags, environment)
    }

    /// The same with the text of the file.
    pub(super) fn of(
        path: Option<&Path>,
        text: &str,
        flags: &Flags,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        environment.check_names()?;
        let said = flags.options(environment)?;
        let mut sources = Sources::in_file(path, text)?;
        let is_file_blank = sources.is_empty();
        for (name, path, text) in environment.options() {
            sources.put(Source::Variable(name.to_owned()), &path, text)?;
        }
        for (name, path, text) in &said {
            sources.put(Source::Flag(name), path, text)?;
        }
        let folder = path.and_then(Path::parent).unwrap_or(Path::new(""));
        let mut secrets = Resolver { folder, environment, found: Default::default() };
        secrets
            .resolve(sources.root(), Schema::get().root())
            .map_err(|(span, words)| sources.error(Some(span), &words))?;
        let found = secrets.found;
        let values = Values::of(&mut sources, EXAMPLE);
        let file = File::of(sources.root().clone()).map_err(|(span, words)| sources.error(span, &words))?;
        let mut settings = Settings::of_file(file, folder);
        let with_secrets = path.filter(|_| found.is_in_file).map(Path::to_owned);
        settings.secrets_in = with_secrets.into_iter().chain(found.files.iter().cloned()).collect();
        if flags.dev {
            settings.open_for_development()?;
        }
        let files = path.map(Path::to_owned).into_iter().chain(found.files).collect();
        Ok(Self { settings, values, files, is_file_blank })
    }
}

impl Flags {
    /// The options that flags say: flag, option, value.
    fn options(
        &self,
        environment: &Environment,
    ) -> Result<Vec<(&'static str, OptionPath, String)>, ConfigError> {
        let mut options = Vec::new();
        let mut say = |flag, path, text: Option<String>| {
            options.extend(text.map(|text| (flag, OptionPath::of_flag(path), text)));
        };
        say("--listen", "server.listen", self.listen.map(|listen| listen.to_string()));
        say("--engine", "server.engine", self.engine.as_ref().map(ToString::to_string));
        // clap has read the variable, too, which then stays the place of the value.
        let unless_in = |variable, value: Option<String>| {
            value.filter(|value| environment.value(variable) != Some(value))
        };
        let format = self.log_format.map(|format| format.to_string());
        say("--log-format", "log.format", unless_in(LOG_FORMAT, format));
        let filter = self.log_filter.as_ref().map(ToString::to_string);
        say("--log", "log.filter", unless_in(LOG_FILTER, filter));
        say("--dev", "auth.guests", self.dev.then(|| "true".to_owned()));
        for pair in &self.set {
            let Some((path, text)) = pair.split_once('=') else {
                return Err(ConfigError::in_flag(
                    "--set",
                    "write an option and its value, like limits.park_ms=1h",
                ));
            };
            options.push(("--set", OptionPath::of_flag(path), text.to_owned()));
        }
        Ok(options)
    }
}
