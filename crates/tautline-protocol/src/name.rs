//! Names chosen by peers, validated once on input.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Why a name is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// Names have at least one byte.
    #[error("a name cannot be empty")]
    Empty,
    /// Names of channels have at most [`ChannelName::BYTES_MAX`] bytes, user ids [`UserId::BYTES_MAX`].
    #[error("a name has at most {bytes_max} bytes of UTF-8, this one has {bytes}")]
    TooLong {
        /// The length of the name.
        bytes: usize,
        /// The maximum length.
        bytes_max: usize,
    },
    /// Control characters, also bidirectional ones, white space and `*` would make names ambiguous in logs,
    /// patterns and commands.
    #[error("a name holds no control character, bidirectional control, white space or `*`, found {0:?}")]
    Forbidden(char),
    /// The gateway keeps logs of its own under such names.
    #[error("a channel's name that begins with `$` belongs to the gateway")]
    Reserved,
}

/// The name of a channel: 1–255 bytes of UTF-8 without control characters, bidirectional controls, white
/// space or `*`. Names that begin with `$` belong to the gateway: no peer can write one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelName(Arc<str>);

impl ChannelName {
    /// The maximum length of a name in bytes.
    pub const BYTES_MAX: usize = 255;
    /// The prefix of users' own channels; only the gateway subscribes to them.
    pub const USER_PREFIX: &'static str = "user:";
    /// The prefix of the logs that the gateway keeps for itself.
    pub const INTERNAL_PREFIX: char = '$';

    /// Validates a name.
    ///
    /// # Errors
    /// [`InvalidName`] says which rule was broken.
    pub fn parse(name: &str) -> Result<Self, InvalidName> {
        if name.starts_with(Self::INTERNAL_PREFIX) {
            return Err(InvalidName::Reserved);
        }
        Self::from_store(name)
    }

    /// The name of a log that the gateway keeps for itself, without its `$`.
    ///
    /// # Errors
    /// [`InvalidName`] says which rule was broken.
    pub fn internal(name: &str) -> Result<Self, InvalidName> {
        Self::from_store(&format!("{}{name}", Self::INTERNAL_PREFIX))
    }

    /// A name that a store has kept: of any channel, also one of the gateway's own. Never for a name that a peer
    /// has written.
    ///
    /// # Errors
    /// [`InvalidName`] says which rule was broken.
    pub fn from_store(name: &str) -> Result<Self, InvalidName> {
        check(name, Self::BYTES_MAX).map(|()| Self(name.into()))
    }

    /// True for a log of the gateway's own.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.0.starts_with(Self::INTERNAL_PREFIX)
    }

    /// The inbox of `user`.
    ///
    /// # Errors
    /// [`InvalidName`] when the user's id is too long to be part of a channel's name.
    pub fn of_user(user: &UserId) -> Result<Self, InvalidName> {
        Self::parse(&format!("{}{user}", Self::USER_PREFIX))
    }

    /// True for the inbox of some user.
    #[must_use]
    pub fn is_user(&self) -> bool {
        self.0.starts_with(Self::USER_PREFIX)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The owner of a session. Follows the rules of a channel name, so that each user can have a channel.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Arc<str>);

impl UserId {
    /// The maximum length of an id in bytes: `user:` and the id form a channel name.
    pub const BYTES_MAX: usize = ChannelName::BYTES_MAX - ChannelName::USER_PREFIX.len();

    /// Validates a user's id.
    ///
    /// # Errors
    /// [`InvalidName`] says which rule was broken.
    pub fn parse(id: &str) -> Result<Self, InvalidName> {
        check(id, Self::BYTES_MAX).map(|()| Self(id.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A set of channel names: an exact name, or a prefix that ends in `*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// Validates a pattern: a channel name with an optional `*` at the end, which means "anything, or
    /// nothing".
    ///
    /// # Errors
    /// [`InvalidName`] says which rule was broken.
    pub fn parse(pattern: &str) -> Result<Self, InvalidName> {
        match pattern.strip_suffix('*') {
            Some("") => {}
            Some(prefix) => check(prefix, ChannelName::BYTES_MAX)?,
            None => check(pattern, ChannelName::BYTES_MAX)?,
        }
        Ok(Self(pattern.into()))
    }

    /// True when `name` is in the set.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => *self.0 == *name,
        }
    }

    /// True when every name in `other` is in this set, too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        // A prefix of ours that matches the exact name, or their common prefix, matches every name in the
        // other set.
        let is_prefix = self.0.ends_with('*');
        if other.0.ends_with('*') {
            is_prefix && self.matches(&other.0[..other.0.len() - 1])
        } else {
            self.matches(&other.0)
        }
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// As text; what is read is validated like any other input.
macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Self::parse(&String::deserialize(from)?).map_err(D::Error::custom)
            }
        }
    };
}

as_text!(ChannelName);
as_text!(UserId);

fn check(name: &str, bytes_max: usize) -> Result<(), InvalidName> {
    if name.is_empty() {
        return Err(InvalidName::Empty);
    }
    if name.len() > bytes_max {
        return Err(InvalidName::TooLong { bytes: name.len(), bytes_max });
    }
    // Fast path, since every publication validates a name: of graphic ASCII only the star is refused.
    if name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*') {
        return Ok(());
    }
    match name.chars().find(|c| c.is_control() || is_bidi_control(*c) || c.is_whitespace() || *c == '*') {
        Some(found) => Err(InvalidName::Forbidden(found)),
        None => Ok(()),
    }
}

/// Whether `c` controls the direction of text (Unicode property `Bidi_Control`, all twelve): with it, two
/// different names could look the same, and the end of a line could be shown at its beginning.
#[must_use]
pub const fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_refuse_every_bidirectional_control() {
        let controls =
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        for control in controls.chars() {
            let name = format!("room:{control}7");
            assert_eq!(ChannelName::parse(&name), Err(InvalidName::Forbidden(control)));
            assert!(UserId::parse(&name).is_err() && Pattern::parse(&(name + "*")).is_err());
        }
        // They join letters in Persian, Hindi and emoji, and control no direction.
        assert!(
            ChannelName::parse("\u{646}\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}").is_ok()
        );
    }

    #[test]
    fn refused_name_reports_broken_rule() {
        assert_eq!(ChannelName::parse(""), Err(InvalidName::Empty));
        assert_eq!(ChannelName::parse("a b"), Err(InvalidName::Forbidden(' ')));
        assert_eq!(ChannelName::parse("a\u{7}"), Err(InvalidName::Forbidden('\u{7}')));
        assert_eq!(ChannelName::parse("room:*"), Err(InvalidName::Forbidden('*')));
        assert_eq!(
            ChannelName::parse(&"x".repeat(256)),
            Err(InvalidName::TooLong { bytes: 256, bytes_max: 255 })
        );
        assert!(ChannelName::parse("房间:7").is_ok());
        let too_long = InvalidName::TooLong { bytes: 251, bytes_max: 250 };
        assert_eq!(UserId::parse(&"u".repeat(251)), Err(too_long), "its inbox would have too long a name");
    }

    #[test]
    fn internal_name_is_written_by_no_peer() {
        for name in ["$", "$events:shop", "$$", "$房间"] {
            assert_eq!(ChannelName::parse(name), Err(InvalidName::Reserved), "{name}");
        }
        let log = ChannelName::internal("events:shop").expect("valid");
        assert!(log.is_internal() && log.as_str() == "$events:shop");
        assert_eq!(ChannelName::from_store("$events:shop"), Ok(log));
        assert!(!ChannelName::parse("price:us$").expect("valid").is_internal());
        assert!(ChannelName::internal("a b").is_err() && ChannelName::from_store("").is_err());
    }

    #[test]
    fn pattern_is_name_or_prefix() {
        let rooms = Pattern::parse("room:*").expect("valid");
        assert!(rooms.matches("room:7") && rooms.matches("room:"));
        assert!(!rooms.matches("lobby"));
        assert!(Pattern::parse("*").expect("valid").matches("anything"));
        assert!(!Pattern::parse("room").expect("valid").matches("room:7"));
        assert!(Pattern::parse("a*b").is_err());
    }
}
