//! Patterns of channel rules: a name, or a prefix that ends in `*`, with places for a user or a guest.
//!
//! Start at [`RulePattern::parse`]. A name consists of segments between colons, and a place stands for one
//! whole segment: `order:$user:*` names the user 42 in `order:42:7`. Comparing whole segments keeps users
//! apart: an id that contains a colon is named by no channel.

use tautline_protocol::{InvalidName, Pattern};

/// The part of a channel's name that says whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `$user`: the id of a user that has logged in.
    User,
    /// `$guest`: the id of a guest's session.
    Guest,
}

/// The channels of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulePattern {
    written: Pattern,
    /// Empty where there is no place: `written` is enough.
    parts: Box<[Part]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Place(Place),
}

/// Why a pattern of a rule is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRulePattern {
    /// It breaks a rule of names.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A segment begins with `$` and is no known place.
    #[error("`{0}` stands for nothing: a place is `$user` or `$guest`")]
    UnknownPlace(String),
    /// A place shares its segment with other text.
    #[error("`{0}`: a place is a whole segment between colons, as in `order:$user:*`")]
    PartOfSegment(String),
}

impl RulePattern {
    /// Validates a pattern.
    ///
    /// # Errors
    /// [`InvalidRulePattern`] says which rule was broken.
    pub fn parse(text: &str) -> Result<Self, InvalidRulePattern> {
        let written = Pattern::parse(text)?;
        let mut parts = vec![];
        let mut literal = String::new();
        for (index, segment) in text.split(':').enumerate() {
            if index > 0 {
                literal.push(':');
            }
            match place(segment)? {
                None => literal.push_str(segment.strip_suffix('*').unwrap_or(segment)),
                Some(place) => {
                    parts.push(Part::Text(std::mem::take(&mut literal).into()));
                    parts.push(Part::Place(place));
                }
            }
        }
        if !parts.is_empty() {
            parts.push(Part::Text(literal.into()));
        }
        Ok(Self { written, parts: parts.into() })
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.written.as_str()
    }

    /// True when the rule is about the channel `name`, whoever is named in it.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.walk(name, |_, _| {})
    }

    /// True when every name in `other` is in this set, too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        // A place in `other` is one segment that only a place or a star of ours matches.
        match other.as_str().strip_suffix('*') {
            Some(prefix) => self.is_open() && (self.as_str() == "*" || self.matches(prefix)),
            None => self.matches(other.as_str()),
        }
    }

    /// True when the pattern has such a place.
    #[must_use]
    pub fn has(&self, place: Place) -> bool {
        self.parts.contains(&Part::Place(place))
    }

    /// True when the channel `name` has `id` in such a place; with several of them, in any.
    pub(crate) fn names(&self, place: Place, name: &str, is_named: impl Fn(&str) -> bool) -> bool {
        let mut found = false;
        let matches = self.walk(name, |at, segment| found |= at == place && is_named(segment));
        matches && found
    }

    /// Passes the segment at each place; false where the name is not in the set.
    fn walk<'n>(&self, name: &'n str, mut at: impl FnMut(Place, &'n str)) -> bool {
        if self.parts.is_empty() {
            return self.written.matches(name);
        }
        let mut rest = name;
        for part in &self.parts {
            match part {
                Part::Text(text) => match rest.strip_prefix(&**text) {
                    Some(behind) => rest = behind,
                    None => return false,
                },
                Part::Place(place) => {
                    let (segment, behind) = rest.split_at(rest.find(':').unwrap_or(rest.len()));
                    if segment.is_empty() {
                        return false;
                    }
                    at(*place, segment);
                    rest = behind;
                }
            }
        }
        self.is_open() || rest.is_empty()
    }

    fn is_open(&self) -> bool {
        self.as_str().ends_with('*')
    }
}

fn place(segment: &str) -> Result<Option<Place>, InvalidRulePattern> {
    match segment {
        "$user" => Ok(Some(Place::User)),
        "$guest" => Ok(Some(Place::Guest)),
        _ if segment.contains("$user") || segment.contains("$guest") => {
            Err(InvalidRulePattern::PartOfSegment(segment.to_owned()))
        }
        _ if segment.starts_with('$') => Err(InvalidRulePattern::UnknownPlace(segment.to_owned())),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> RulePattern {
        RulePattern::parse(text).expect("valid")
    }

    fn names_user(text: &str, channel: &str, user: &str) -> bool {
        pattern(text).names(Place::User, channel, |segment| segment == user)
    }

    #[test]
    fn place_names_one_whole_segment() {
        assert!(names_user("order:$user:*", "order:42:7", "42"));
        assert!(names_user("order:$user", "order:42", "42"));
        assert!(names_user("$user:*", "42:anything:else", "42"));
        for (pattern, channel) in [
            ("order:$user:*", "order:42"),
            ("order:$user:*", "order::7"),
            ("order:$user:*", "order:421:7"),
            ("order:$user", "order:42:7"),
            ("order:$user:paid", "order:42:open"),
        ] {
            assert!(!names_user(pattern, channel, "42"), "{pattern} {channel}");
        }
    }

    #[test]
    fn user_id_with_colon_is_named_by_no_channel() {
        for channel in ["order:42:7", "order:42:7:1", "order:42:7:42:7"] {
            assert!(!names_user("order:$user:*", channel, "42:7"), "{channel}");
        }
        assert!(!names_user("order:$user", "order:42:7", "42:7"));
    }

    #[test]
    fn one_of_several_places_is_enough() {
        for user in ["42", "43"] {
            assert!(names_user("dialog:$user:$user", "dialog:42:43", user));
        }
        assert!(!names_user("dialog:$user:$user", "dialog:42:43", "44"));
        assert!(!names_user("dialog:$user:$user", "dialog:42:43:44", "42"), "another channel");
    }

    #[test]
    fn guest_place_names_no_user() {
        let cart = pattern("cart:$guest");
        assert!(cart.has(Place::Guest) && !cart.has(Place::User));
        assert!(!cart.names(Place::User, "cart:42", |segment| segment == "42"));
    }

    #[test]
    fn mistyped_place_is_refused() {
        for text in ["order:$usr:*", "$", "order:$User"] {
            let refused = RulePattern::parse(text);
            assert!(matches!(refused, Err(InvalidRulePattern::UnknownPlace(_))), "{text}: {refused:?}");
        }
        for text in ["order:$user*", "order-$user:*", "order:$users", "a:x$guest"] {
            let refused = RulePattern::parse(text);
            assert!(matches!(refused, Err(InvalidRulePattern::PartOfSegment(_))), "{text}: {refused:?}");
        }
        assert!(pattern("price:us$").matches("price:us$"), "a `$` elsewhere is an ordinary character");
    }

    #[test]
    fn wider_pattern_covers_places() {
        for (wide, narrow) in [
            ("*", "order:$user:*"),
            ("order:*", "order:$user:*"),
            ("order:$user:*", "order:$user:paid"),
            ("order:$user:*", "order:42:*"),
            ("order:$user", "order:$guest"),
        ] {
            assert!(pattern(wide).covers(&pattern(narrow)), "{wide} {narrow}");
            assert!(wide == "order:$user" || !pattern(narrow).covers(&pattern(wide)), "{narrow} {wide}");
        }
        assert!(!pattern("order:$user:*").covers(&pattern("order:42*")));
    }
}
