//! What an app says about a user to the other members of a channel.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Any JSON value on one line, at most [`Info::BYTES_MAX`] bytes: it is part of packets, and packets are lines.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Info(Box<RawValue>);

impl Info {
    /// The most bytes.
    pub const BYTES_MAX: usize = 1_024;

    /// Its JSON.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Its JSON.
    #[must_use]
    pub fn as_raw(&self) -> &RawValue {
        &self.0
    }
}

impl From<Box<RawValue>> for Info {
    fn from(value: Box<RawValue>) -> Self {
        if !value.get().contains(['\n', '\r']) {
            return Self(value);
        }
        // Inside a JSON string a line break is always escaped, so a raw one is between tokens.
        let line = value.get().replace(['\n', '\r'], " ");
        Self(RawValue::from_string(line).expect("white space between tokens does not change JSON"))
    }
}

impl PartialEq for Info {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Info {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_with_line_breaks_becomes_one_line() {
        let written = RawValue::from_string("{\n\"name\":\r\n\"Ann\\n\"}".to_owned()).expect("json");
        assert_eq!(Info::from(written).as_str(), r#"{ "name":  "Ann\n"}"#);
    }
}
