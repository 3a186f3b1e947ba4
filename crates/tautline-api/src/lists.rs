//! Lists in requests, with bounds.

use serde::{Deserialize, Deserializer, de::Error as _};

/// The most channels, users or entries of one request.
pub const ENTRIES_MAX: usize = 1_000;

/// A list of 1 to [`ENTRIES_MAX`] items.
pub(crate) fn bounded<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let list = Vec::deserialize(deserializer)?;
    match list.len() {
        1..=ENTRIES_MAX => Ok(list),
        count => Err(D::Error::custom(format!("1 to {ENTRIES_MAX} items are taken at once, not {count}"))),
    }
}
