//! The rarer parts of a login: kept beside an identity, shared, so that a login without them costs nothing.
//!
//! Start at [`LoginDetails`]. Each part has a bound: a ticket carries all of them, and rosters show `info`.

use std::collections::BTreeMap;

use tautline_protocol::{ChannelName, Info, Pattern};

use crate::Permission;

/// What a login says beyond its user and channels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginDetails {
    /// Channels that the login may use where a rule says [`crate::Access::Token`], each for one permission.
    /// They share the bounds of [`crate::Identity::channels`].
    pub grants: Vec<(Permission, Pattern)>,
    /// Channels to which the server subscribes each connection of the login. At most
    /// [`LoginDetails::SUBS_MAX`].
    pub subs: Vec<ChannelName>,
    /// Shown beside the user in presence rosters and events.
    pub info: Option<Info>,
    /// Labels by which the back end finds sessions. At most [`LoginDetails::LABELS_MAX`], names and values of
    /// at most [`LoginDetails::LABEL_BYTES_MAX`].
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// The token's id (`jti`), by which it can be revoked. At most [`LoginDetails::TOKEN_ID_BYTES_MAX`].
    pub token_id: Option<Box<str>>,
}

/// A reason to refuse a login: one of its parts is over its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginTooLarge {
    /// Too many patterns, or too long ones.
    #[error("the login's `channels` are more than {count_max} patterns, or {bytes_max} bytes")]
    Channels {
        /// The largest number of patterns.
        count_max: usize,
        /// The most bytes of all of them.
        bytes_max: usize,
    },
    /// Too many channels to subscribe to.
    #[error("the login's `subs` are more than {count_max} channels")]
    Subs {
        /// The largest number of channels.
        count_max: usize,
    },
    /// `info` is too long.
    #[error("the login's `info` is longer than {bytes_max} bytes")]
    Info {
        /// The most bytes.
        bytes_max: usize,
    },
    /// Too many labels, or too long ones.
    #[error("the login's `labels` are more than {count_max}, or one is longer than {bytes_max} bytes")]
    Labels {
        /// The largest number of labels.
        count_max: usize,
        /// The most bytes of one name or value.
        bytes_max: usize,
    },
    /// The token's id is too long.
    #[error("the token's `jti` is longer than {bytes_max} bytes")]
    TokenId {
        /// The most bytes.
        bytes_max: usize,
    },
}

impl LoginDetails {
    /// The largest number of channels in `subs`.
    pub const SUBS_MAX: usize = 32;
    /// The largest number of labels.
    pub const LABELS_MAX: usize = 16;
    /// The most bytes of a label's name, and of its value.
    pub const LABEL_BYTES_MAX: usize = 64;
    /// The most bytes of a token's id.
    pub const TOKEN_ID_BYTES_MAX: usize = 128;

    /// Shared, or `None` where there is nothing to keep: the form in which [`crate::Identity`] holds it.
    #[must_use]
    pub fn shared(self) -> Option<std::sync::Arc<Self>> {
        (self != Self::default()).then(|| self.into())
    }

    pub(crate) fn check(&self) -> Result<(), LoginTooLarge> {
        let is_long = |text: &str| text.len() > Self::LABEL_BYTES_MAX;
        if self.subs.len() > Self::SUBS_MAX {
            return Err(LoginTooLarge::Subs { count_max: Self::SUBS_MAX });
        }
        if self.info.as_ref().is_some_and(|info| info.as_str().len() > Info::BYTES_MAX) {
            return Err(LoginTooLarge::Info { bytes_max: Info::BYTES_MAX });
        }
        if self.labels.len() > Self::LABELS_MAX
            || self.labels.iter().any(|(name, value)| is_long(name) || is_long(value))
        {
            return Err(LoginTooLarge::Labels {
                count_max: Self::LABELS_MAX,
                bytes_max: Self::LABEL_BYTES_MAX,
            });
        }
        if self.token_id.as_ref().is_some_and(|id| id.len() > Self::TOKEN_ID_BYTES_MAX) {
            return Err(LoginTooLarge::TokenId { bytes_max: Self::TOKEN_ID_BYTES_MAX });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn info(json: &str) -> Info {
        RawValue::from_string(json.to_owned()).expect("json").into()
    }

    #[test]
    fn each_part_over_its_bound_is_refused() {
        let label = |bytes: usize| (Box::from("x".repeat(bytes)), Box::from("v"));
        let fits = LoginDetails {
            grants: Vec::new(),
            subs: vec![ChannelName::parse("a").expect("valid"); 32],
            info: Some(info(&format!("\"{}\"", "x".repeat(Info::BYTES_MAX - 2)))),
            labels: (49..65).map(label).collect(),
            token_id: Some("t".repeat(128).into()),
        };
        assert_eq!(fits.check(), Ok(()));
        let subs = vec![ChannelName::parse("a").expect("valid"); 33];
        let long_info = Some(info(&format!("\"{}\"", "x".repeat(Info::BYTES_MAX - 1))));
        for over in [
            LoginDetails { subs, ..fits.clone() },
            LoginDetails { info: long_info, ..fits.clone() },
            LoginDetails { labels: (48..65).map(label).collect(), ..fits.clone() },
            LoginDetails { labels: [label(65)].into(), ..fits.clone() },
            LoginDetails { token_id: Some("t".repeat(129).into()), ..fits.clone() },
        ] {
            assert!(over.check().is_err(), "{over:?}");
        }
    }
}
