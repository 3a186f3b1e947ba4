//! Lists in requests, with bounds.

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::names::integer;

/// The most channels, users or entries of one request.
pub const ENTRIES_MAX: usize = 1_000;

/// Items of a page, where no `limit` is given.
const PAGE_DEFAULT: usize = 100;

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

/// The most items of a page.
pub(crate) struct Limit(pub(crate) usize);

impl Limit {
    /// The limit that is given, or the usual one.
    pub(crate) fn or_default(limit: Option<Self>) -> usize {
        limit.map_or(PAGE_DEFAULT, |limit| limit.0)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match usize::try_from(integer(deserializer)?) {
            Ok(count @ 1..=ENTRIES_MAX) => Ok(Self(count)),
            _ => Err(D::Error::custom(format!("`limit` is 1 to {ENTRIES_MAX}"))),
        }
    }
}
