//! Which group a connection belongs to: a name that the client puts into the URL, so that a fault can hit one phone.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// The name of a group of connections: 1 to 64 of `a-z A-Z 0-9 . _ : -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct GroupName(String);

/// The longest name of a group, in bytes.
const GROUP_NAME_BYTES_MAX: usize = 64;

impl Default for GroupName {
    /// `default`, the group of connections that name none.
    fn default() -> Self {
        Self("default".into())
    }
}

impl FromStr for GroupName {
    type Err = BadGroupName;

    fn from_str(name: &str) -> Result<Self, BadGroupName> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
        if (1..=GROUP_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain) {
            Ok(Self(name.into()))
        } else {
            Err(BadGroupName(name.chars().take(GROUP_NAME_BYTES_MAX).collect()))
        }
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A name that no group can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name for a group; use 1 to {GROUP_NAME_BYTES_MAX} of a-z A-Z 0-9 . _ : -")]
pub struct BadGroupName(String);

/// The longest request line that is looked at, in bytes. A longer one belongs to the default group.
pub(super) const REQUEST_LINE_BYTES_MAX: usize = 8 * 1024;

/// The group that the first bytes of a connection ask for, or `None` while more bytes could still tell.
///
/// Reads no more of HTTP than the request line: `GET /connect?chaos=phone-a HTTP/1.1`. Whatever is no such line, or names
/// no group that could be, belongs to the default group: a proxy must not break what it does not understand.
pub(super) fn asked_for(first: &[u8]) -> Option<GroupName> {
    let Some(end) = first.iter().position(|byte| *byte == b'\n') else {
        let hopeless = first.len() >= REQUEST_LINE_BYTES_MAX || !starts_like_http(first);
        return hopeless.then(GroupName::default);
    };
    Some(named_in(&first[..end]).unwrap_or_default())
}

/// Whether these bytes may yet become a request line: a method in capitals, then a space.
fn starts_like_http(first: &[u8]) -> bool {
    let method = first.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    method <= 16 && (method == first.len() || (method > 0 && first[method] == b' '))
}

fn named_in(line: &[u8]) -> Option<GroupName> {
    let line = str::from_utf8(line).ok()?;
    let target = line.split(' ').nth(1)?;
    let (_, query) = target.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix("chaos="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(first: &str) -> Option<String> {
        asked_for(first.as_bytes()).map(|group| group.to_string())
    }

    #[test]
    fn the_url_names_the_group() {
        assert_eq!(group("GET /connect?chaos=phone-a HTTP/1.1\r\n"), Some("phone-a".into()));
        assert_eq!(group("GET /connect?format=json&chaos=b&x=1 HTTP/1.1\r\nHost: x\r\n"), Some("b".into()));
    }

    #[test]
    fn a_request_line_may_come_in_pieces() {
        for piece in ["", "G", "GET", "GET /connect?chaos=pho", "GET /connect?chaos=phone-a HTTP/1.1\r"] {
            assert_eq!(group(piece), None, "{piece:?} may still become one");
        }
    }

    #[test]
    fn request_without_group_is_in_default() {
        for first in
            ["GET /connect HTTP/1.1\r\n", "GET /?chaos= HTTP/1.1\r\n", "GET /?chaos=%20 HTTP/1.1\n", "\n"]
        {
            assert_eq!(group(first), Some("default".into()), "{first:?}");
        }
    }

    #[test]
    fn non_http_bytes_are_passed_at_once() {
        assert_eq!(group("\u{16}\u{3}\u{1}"), Some("default".into()));
        assert_eq!(group("SSH-2.0-x"), Some("default".into()));
        let endless = format!("GET /{}", "a".repeat(REQUEST_LINE_BYTES_MAX));
        assert_eq!(group(&endless), Some("default".into()));
    }

    #[test]
    fn invalid_group_name_is_refused_with_the_rule() {
        let error = "a b".parse::<GroupName>().unwrap_err().to_string();
        assert!(error.contains("1 to 64"), "{error}");
        assert!("".parse::<GroupName>().is_err());
        assert!("a".repeat(65).parse::<GroupName>().is_err());
    }
}
