//! MQTT 3.1.1 at quality of service 0, which is what other servers here promise, too: a type, a length, a body.

use anyhow::{Context as _, bail, ensure};

use super::{Role, Said, plain};

pub(super) const PING: [u8; 2] = [0xc0, 0];
const CONNECT: u8 = 0x10;
const PUBLISH: u8 = 0x30;
const SUBSCRIBE: u8 = 0x82;
/// A new session; the client's name is left to the server, and it may be silent for ever.
const ABOUT: [u8; 12] = [0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 0];
/// A length is written in at most four bytes, seven bits each.
const LENGTH_BYTES_MAX: usize = 4;

/// What it says first, and how many answers there are to it.
pub(super) fn hello(role: Role<'_>) -> (Vec<u8>, u8) {
    let mut out = Vec::new();
    packet(&mut out, CONNECT, &[&ABOUT]);
    let (Role::Subscriber(channel) | Role::Echo(channel)) = role else { return (out, 1) };
    // The packet's own number in front, the quality of service behind.
    packet(&mut out, SUBSCRIBE, &[&[0, 1], &length_of(channel), channel.as_bytes(), &[0]]);
    (out, 2)
}

pub(super) fn publish(out: &mut Vec<u8>, channel: &str, payload: &[u8]) {
    packet(out, PUBLISH, &[&length_of(channel), channel.as_bytes(), payload]);
}

fn length_of(channel: &str) -> [u8; 2] {
    u16::try_from(channel.len()).expect("names of channels are short").to_be_bytes()
}

fn packet(out: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    out.push(kind);
    let mut length: usize = parts.iter().map(|part| part.len()).sum();
    loop {
        let low = u8::try_from(length & 0x7f).expect("seven bits");
        length >>= 7;
        out.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

pub(super) fn next(bytes: &[u8]) -> anyhow::Result<Option<(Said, usize)>> {
    let Some((length, header)) = length(&bytes[1..])? else { return Ok(None) };
    let (begin, end) = (1 + header, 1 + header + length);
    let Some(body) = bytes.get(begin..end) else { return Ok(None) };
    let said = match bytes[0] >> 4 {
        2 => {
            ensure!(body.get(1) == Some(&0), "the connection was refused: {body:?}");
            Said::Ready
        }
        3 => Said::Message { number: number(body).context("a publication without a number")? },
        9 => {
            ensure!(body.get(2) == Some(&0), "the subscription was refused: {body:?}");
            Said::Ready
        }
        13 => Said::Ready,
        kind => bail!("not expected: a packet of type {kind}"),
    };
    Ok(Some((said, end)))
}

/// The length at the front, and how many bytes tell it.
fn length(bytes: &[u8]) -> anyhow::Result<Option<(usize, usize)>> {
    let mut length = 0;
    for (index, byte) in bytes.iter().take(LENGTH_BYTES_MAX).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((length, index + 1)));
        }
    }
    ensure!(bytes.len() < LENGTH_BYTES_MAX, "a length without an end");
    Ok(None)
}

/// That of the payload, which stands behind the topic.
fn number(body: &[u8]) -> Option<u64> {
    let (topic, rest) = body.split_first_chunk()?;
    plain::number(rest.get(usize::from(u16::from_be_bytes(*topic))..)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_connects_and_subscribes_in_one_go() {
        let (out, answers) = hello(Role::Subscriber("ab"));
        assert_eq!(out, b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00\x82\x07\x00\x01\x00\x02ab\x00");
        assert_eq!((answers, hello(Role::Publisher("ab")).1), (2, 1));
        assert_eq!(next(&[0x20, 2, 0, 0]).unwrap(), Some((Said::Ready, 4)));
        assert_eq!(next(&[0x90, 3, 0, 1, 0]).unwrap(), Some((Said::Ready, 5)));
    }

    #[test]
    fn partial_mqtt_publication_waits_for_its_end() {
        let mut out = Vec::new();
        let payload = format!("000000000512{}", "x".repeat(188));
        publish(&mut out, "ab", payload.as_bytes());
        // 204 bytes: a length of two bytes.
        assert_eq!(out[..7], [0x30, 0xcc, 1, 0, 2, b'a', b'b']);
        for whole in 1..out.len() {
            assert_eq!(next(&out[..whole]).unwrap(), None, "{whole} bytes");
        }
        out.extend_from_slice(&[0xd0, 0]);
        assert_eq!(next(&out).unwrap(), Some((Said::Message { number: 512 }, 207)));
        assert_eq!(next(&out[207..]).unwrap(), Some((Said::Ready, 2)));
    }

    #[test]
    fn mqtt_refusal_is_an_error() {
        assert!(next(&[0x20, 2, 0, 5]).is_err());
        assert!(next(&[0x90, 3, 0, 1, 0x80]).is_err());
        assert!(next(&[0x30, 0xff, 0xff, 0xff, 0xff, 1]).is_err());
    }
}
