//! Names of options: `server.listen`, `channels.0.match`.

use std::fmt;

/// One step into the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Into the array, at this element.
    Index(usize),
    /// Into the table, at this option.
    Key(String),
}

impl Step {
    fn parse(text: &str) -> Self {
        // `00` and `+0` are no second names of an element.
        let index = text.parse::<usize>().ok().filter(|index| index.to_string() == text);
        index.map_or_else(|| Self::Key(text.to_owned()), Self::Index)
    }
}

/// The steps to an option, outermost first. In order, element 10 comes behind element 2.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OptionPath(pub Vec<Step>);

impl OptionPath {
    /// From `server.listen`.
    pub(super) fn of_flag(name: &str) -> Self {
        Self(name.split('.').map(Step::parse).collect())
    }

    /// From `SERVER__LISTEN`.
    pub(super) fn of_variable(name: &str) -> Self {
        Self(name.to_ascii_lowercase().split("__").map(Step::parse).collect())
    }

    /// The path to what is at `step` here.
    pub(super) fn then(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }

    /// The section, with its number where there are several of its name, and the path inside it.
    pub(super) fn split(&self) -> (&[Step], Self) {
        let steps = if matches!(self.0.get(1), Some(Step::Index(_))) { 2 } else { 1 };
        let (section, rest) = self.0.split_at(steps.min(self.0.len()));
        (section, Self(rest.to_vec()))
    }
}

impl fmt::Display for OptionPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, step) in self.0.iter().enumerate() {
            let dot = if nth == 0 { "" } else { "." };
            match step {
                Step::Key(key) => write!(f, "{dot}{key}")?,
                Step::Index(index) => write!(f, "{dot}{index}")?,
            }
        }
        Ok(())
    }
}
