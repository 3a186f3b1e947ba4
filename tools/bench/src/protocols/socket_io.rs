//! Socket.IO 5 in Engine.IO 4, over a WebSocket from the start: a digit for each layer, then JSON.

use anyhow::{Context as _, bail};

use super::{Role, Said, plain};

/// An event with one text for an argument begins with this; then come its name, and the text.
const EVENT: &[u8] = b"42[\"";

pub(super) fn path(role: Role<'_>) -> String {
    let role = match role {
        Role::Subscriber(_) => "subscribe",
        Role::Publisher(_) => "publish",
        Role::Echo(_) => "echo",
    };
    format!("/socket.io/?EIO=4&transport=websocket&role={role}")
}

pub(super) fn event(out: &mut Vec<u8>, name: &str, payload: &[u8]) {
    out.extend_from_slice(EVENT);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\",\"");
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\"]");
}

pub(super) fn read(message: &[u8]) -> anyhow::Result<Said> {
    let unexpected = || format!("not expected: {}", String::from_utf8_lossy(message));
    if let Some(event) = message.strip_prefix(EVENT) {
        let end = memchr::memchr(b'"', event).with_context(unexpected)?;
        let payload = event[end..].strip_prefix(b"\",\"").with_context(unexpected)?;
        return Ok(Said::Message { number: plain::number(payload).with_context(unexpected)? });
    }
    match message {
        // Engine.IO has opened; the connection to the namespace comes next.
        [b'0', b'{', ..] => Ok(Said::Asks(b"40")),
        [b'4', b'0', b'{', ..] => Ok(Said::Ready),
        [b'2'] => Ok(Said::Asks(b"3")),
        _ => bail!(unexpected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_is_a_dialogue() {
        assert_eq!(read(br#"0{"sid":"x","upgrades":[]}"#).unwrap(), Said::Asks(b"40"));
        assert_eq!(read(br#"40{"sid":"y"}"#).unwrap(), Said::Ready);
        assert!(read(br#"44{"message":"no"}"#).unwrap_err().to_string().contains("44{"));
    }

    #[test]
    fn a_ping_of_the_server_is_answered() {
        assert_eq!(read(b"2").unwrap(), Said::Asks(b"3"));
    }

    #[test]
    fn events_carry_the_payload_as_text() {
        let mut out = Vec::new();
        event(&mut out, "publish", b"000000000007x");
        assert_eq!(out, br#"42["publish","000000000007x"]"#);
        assert_eq!(read(br#"42["publication","000000000007x"]"#).unwrap(), Said::Message { number: 7 });
    }
}
