//! Text messages with nothing around the payload: small servers of ws and tornado, and nchan.

use anyhow::Context as _;

use super::{NUMBER_BYTES, Role, Said};
use crate::frames;

pub(super) fn path(role: Role<'_>) -> String {
    let path = match role {
        Role::Subscriber(_) => "/subscribe",
        Role::Publisher(_) => "/publish",
        Role::Echo(_) => "/echo",
    };
    path.to_owned()
}

pub(super) fn path_in_channel(role: Role<'_>) -> String {
    let (Role::Subscriber(channel) | Role::Publisher(channel) | Role::Echo(channel)) = role;
    format!("{}?channel={channel}", path(role))
}

pub(super) fn read(message: &[u8]) -> anyhow::Result<Said> {
    if message == b"ready" {
        return Ok(Said::Ready);
    }
    let number = number(message);
    let number = number.with_context(|| format!("not expected: {}", String::from_utf8_lossy(message)))?;
    Ok(Said::Message { number })
}

/// What a publisher is told about its channel has no number.
pub(super) fn read_or_ignore(message: &[u8]) -> Said {
    number(message).map_or(Said::Nothing, |number| Said::Message { number })
}

/// The number at the front of a payload.
pub(super) fn number(payload: &[u8]) -> Option<u64> {
    let digits = payload.get(..NUMBER_BYTES)?;
    digits.iter().all(u8::is_ascii_digit).then(|| frames::number(digits))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_message_is_payload_or_ready() {
        assert_eq!(read(b"000000000042xxxx").unwrap(), Said::Message { number: 42 });
        assert_eq!(read(b"ready").unwrap(), Said::Ready);
        assert_eq!(read(b"sorry").unwrap_err().to_string(), "not expected: sorry");
    }

    #[test]
    fn nchan_publisher_reply_is_no_publication() {
        assert_eq!(read_or_ignore(b"queued messages: 1\r\nlast requested: 0 sec. ago"), Said::Nothing);
        assert_eq!(read_or_ignore(b"000000000001"), Said::Message { number: 1 });
    }

    #[test]
    fn a_role_is_a_path() {
        assert_eq!(path(Role::Echo("a")), "/echo");
        assert_eq!(path_in_channel(Role::Subscriber("a:0")), "/subscribe?channel=a:0");
    }
}
