//! NATS: lines of text, and payloads behind those that announce one.

use anyhow::{Context as _, bail, ensure};

use super::{Role, Said, plain};

pub(super) const PING: &[u8] = b"PING\r\n";
/// Without an `+OK` for each word.
const CONNECT: &str =
    r#"CONNECT {"verbose":false,"pedantic":false,"lang":"tautline-bench","version":"1","protocol":1}"#;
const END: &[u8] = b"\r\n";
/// More than the longest line, which tells what the server can do.
const LINE_BYTES_MAX: usize = 16 * 1024;

pub(super) fn hello(role: Role<'_>) -> Vec<u8> {
    let subscription = match role {
        Role::Subscriber(channel) | Role::Echo(channel) => format!("SUB {channel} 1\r\n"),
        Role::Publisher(_) => String::new(),
    };
    // FirstMessages are done in order: a pong says that the subscription stands.
    format!("{CONNECT}\r\n{subscription}PING\r\n").into_bytes()
}

pub(super) fn publish(out: &mut Vec<u8>, channel: &str, payload: &[u8]) {
    out.extend_from_slice(format!("PUB {channel} {}\r\n", payload.len()).as_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(END);
}

pub(super) fn next(bytes: &[u8]) -> anyhow::Result<Option<(Said, usize)>> {
    let Some(end) = memchr::memchr(b'\n', bytes) else {
        ensure!(bytes.len() <= LINE_BYTES_MAX, "a line without an end");
        return Ok(None);
    };
    let (line, used) = (bytes[..end].trim_ascii_end(), end + 1);
    if let Some(about) = line.strip_prefix(b"MSG ") {
        return message(about, &bytes[used..]).map(|read| read.map(|(said, more)| (said, used + more)));
    }
    let said = match line {
        b"PONG" => Said::Ready,
        b"PING" => Said::Asks(b"PONG\r\n"),
        b"+OK" => Said::Nothing,
        // It may come again, when others join or leave.
        line if line.starts_with(b"INFO ") => Said::Nothing,
        line => bail!("not expected: {}", String::from_utf8_lossy(line)),
    };
    Ok(Some((said, used)))
}

/// What `MSG subject sid bytes` announced.
fn message(about: &[u8], rest: &[u8]) -> anyhow::Result<Option<(Said, usize)>> {
    let length = about.rsplit(|byte| *byte == b' ').next().and_then(|word| std::str::from_utf8(word).ok());
    let length: usize = length.and_then(|word| word.parse().ok()).context("a MSG without a length")?;
    let Some(payload) = rest.get(..length) else { return Ok(None) };
    let Some(end) = rest.get(length..length + END.len()) else { return Ok(None) };
    ensure!(end == END, "a payload that is longer than announced");
    let number = plain::number(payload).context("a payload without a number")?;
    Ok(Some((Said::Message { number }, length + END.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nats_pong_makes_a_subscriber_ready() {
        let hello = String::from_utf8(hello(Role::Subscriber("news"))).unwrap();
        assert!(hello.starts_with("CONNECT {") && hello.ends_with("}\r\nSUB news 1\r\nPING\r\n"), "{hello}");
        assert_eq!(next(b"PONG\r\n").unwrap(), Some((Said::Ready, 6)));
    }

    #[test]
    fn a_publication_is_announced_with_its_length() {
        let mut out = Vec::new();
        publish(&mut out, "news", b"000000000003xyz");
        assert_eq!(out, b"PUB news 15\r\n000000000003xyz\r\n");
    }

    #[test]
    fn partial_nats_message_waits_for_its_end() {
        let one = b"MSG news 1 14\r\n000000000009\r\n\r\n";
        let mut two = one.to_vec();
        two.extend_from_slice(b"PING\r\n");
        for whole in 0..one.len() {
            assert_eq!(next(&two[..whole]).unwrap(), None, "{whole} bytes");
        }
        // Connection ends inside of a payload are part of it.
        assert_eq!(next(&two).unwrap(), Some((Said::Message { number: 9 }, one.len())));
        assert_eq!(next(&two[one.len()..]).unwrap(), Some((Said::Asks(b"PONG\r\n"), 6)));
    }

    #[test]
    fn a_refusal_is_an_error_that_says_why() {
        let refused = next(b"-ERR 'Slow Consumer'\r\n").unwrap_err().to_string();
        assert_eq!(refused, "not expected: -ERR 'Slow Consumer'");
        assert!(next(b"MSG news 1 1\r\nxyz").is_err());
    }
}
