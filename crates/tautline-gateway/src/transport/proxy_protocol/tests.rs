//! Headers of load balancers, in any split, and what is none.

use std::task::{Context, Poll, Waker};

use super::*;

const V4: &str = "PROXY TCP4 203.0.113.7 198.51.100.1 56324 443\r\n";
const V6: &str = "PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n";

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [V2_START, &[command, family], &length, body].concat()
}

fn v2_tcp4(additions: &[u8]) -> Vec<u8> {
    let addresses = [203, 0, 113, 7, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb];
    v2(0x21, 0x11, &[&addresses[..], additions].concat())
}

fn v2_tcp6() -> Vec<u8> {
    let source: Ipv6Addr = "2001:db8::7".parse().unwrap();
    let body = [&source.octets()[..], &[0; 16], &[0xdc, 0x04, 0x01, 0xbb]].concat();
    v2(0x21, 0x21, &body)
}

/// Headers with their clients.
fn valid() -> Vec<(Vec<u8>, Option<&'static str>)> {
    vec![
        (V4.into(), Some("203.0.113.7:56324")),
        (V6.into(), Some("[2001:db8::7]:56324")),
        ("PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n".into(), Some("1.1.1.1:1")),
        ("PROXY TCP6 :: :: 1 1\r\n".into(), Some("[::]:1")),
        ("PROXY TCP6 ::ffff:203.0.113.7 ::1 1 1\r\n".into(), Some("203.0.113.7:1")),
        ("PROXY UNKNOWN\r\n".into(), None),
        ("PROXY UNKNOWN ffff::ffff ffff::ffff 65535 65535\r\n".into(), None),
        (v2_tcp4(&[]), Some("203.0.113.7:56324")),
        (v2_tcp4(&[7; 300]), Some("203.0.113.7:56324")),
        (v2_tcp6(), Some("[2001:db8::7]:56324")),
        (v2(0x20, 0x00, &[]), None),
        (v2(0x20, 0x11, &[9; 12]), None),
        (v2(0x21, 0x00, &[]), None),
        (v2(0x21, 0x31, &[b'/'; 216]), None),
    ]
}

/// The parser's wishes are followed, byte by byte; the number of bytes that it took.
fn take(bytes: &[u8]) -> Result<(Option<SocketAddr>, usize), InvalidHeader> {
    let mut taken = 0;
    loop {
        match parse(&bytes[..taken])? {
            Parsed::Complete(client) => return Ok((client, taken)),
            Parsed::Incomplete(missing) => {
                assert!(
                    missing > 0 && taken + missing <= bytes.len(),
                    "it wants {missing} more than {taken}"
                );
                // Each shorter part wants no more in all than this one.
                for part in 1..missing {
                    match parse(&bytes[..taken + part])? {
                        Parsed::Incomplete(more) => assert!(taken + part + more <= bytes.len()),
                        Parsed::Complete(_) => panic!("complete before it has what it wants"),
                    }
                }
                taken += missing;
            }
        }
    }
}

#[test]
fn header_is_taken_whole_and_nothing_behind_it() {
    for (header, client) in valid() {
        let expected = client.map(|client| client.parse().unwrap());
        assert_eq!(take(&header), Ok((expected, header.len())), "{header:?}");
    }
}

#[test]
fn each_proper_prefix_of_a_header_is_incomplete() {
    for (header, _) in valid() {
        for end in 0..header.len() {
            let parsed = parse(&header[..end]);
            let Ok(Parsed::Incomplete(missing)) = parsed else { panic!("{parsed:?} at {end} of {header:?}") };
            assert!(end + missing <= header.len(), "it reads beyond {header:?} at {end}");
        }
    }
}

#[test]
fn garbage_is_refused_at_its_first_foreign_byte() {
    for garbage in ["GET / HTTP/1.1\r\n", "\x16\x03\x01", "PROXX", "proxy TCP4", "\r\n\r\n\0\r\nQUIX", "\0"] {
        assert!(parse(garbage.as_bytes()).is_err(), "{garbage:?}");
    }
    assert!(parse(b"G").is_err());
}

#[test]
fn lines_that_are_nearly_headers_are_refused() {
    for line in [
        "PROXY TCP4 203.0.113.7 198.51.100.1 56324\r\n",
        "PROXY TCP4 203.0.113.7 198.51.100.1 56324 443 1\r\n",
        "PROXY TCP4 2001:db8::7 2001:db8::1 56324 443\r\n",
        "PROXY TCP6 203.0.113.7 198.51.100.1 56324 443\r\n",
        "PROXY TCP5 203.0.113.7 198.51.100.1 56324 443\r\n",
        "PROXY TCP4 203.0.113.7 198.51.100.1 65536 443\r\n",
        "PROXY TCP4 203.0.113.7 198.51.100.1 +1 443111111\r\n",
        "PROXY TCP4  203.0.113.7 198.51.100.1 56324 443\r\n",
        "PROXY TCP4 203.0.113.256 198.51.100.1 56324 443\r\n",
        "PROXY TCP4 203.0.113.7 198.51.100.1 56324 443\n\n",
        "PROXY TCP4 203.0.113.7 198.51.100.1 56324 443\rx",
    ] {
        assert!(take(line.as_bytes()).is_err(), "{line:?}");
    }
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_BYTES_MAX));
    assert!(take(long.as_bytes()).is_err());
}

#[test]
fn binary_headers_that_are_nearly_right_are_refused() {
    for header in [
        v2(0x11, 0x11, &[0; 12]),
        v2(0x22, 0x11, &[0; 12]),
        v2(0x21, 0x41, &[0; 12]),
        v2(0x21, 0x13, &[0; 12]),
        v2(0x21, 0x11, &[0; 11]),
        v2(0x21, 0x21, &[0; 35]),
        v2_tcp4(&[0; V2_BYTES_MAX]),
    ] {
        assert!(take(&header).is_err(), "{header:?}");
    }
}

/// Random changes of valid headers: any outcome but a panic or a wish beyond the ceiling.
#[test]
fn mutated_headers_never_panic_nor_grow() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    for (header, _) in valid() {
        for _ in 0..2000 {
            let mut bytes = header.clone();
            for _ in 0..=random(3) {
                let at = random(bytes.len());
                bytes[at] = u8::try_from(random(256)).unwrap();
            }
            bytes.truncate(random(bytes.len() + 1));
            if let Ok(Parsed::Incomplete(missing)) = parse(&bytes) {
                assert!(missing > 0 && bytes.len() + missing <= V2_BYTES_MAX.max(V1_BYTES_MAX));
            }
        }
    }
}

/// Gives one byte a poll.
struct Trickle(Vec<u8>);

impl AsyncRead for Trickle {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.0.is_empty() {
            into.put_slice(&[self.0.remove(0)]);
        }
        Poll::Ready(Ok(()))
    }
}

#[test]
fn header_in_single_bytes_leaves_the_rest_unread() {
    for (header, client) in valid() {
        let mut stream = Trickle([&header[..], b"GET /"].concat());
        let mut reading = Box::pin(read(&mut stream));
        let Poll::Ready(Ok(read)) = reading.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("it is all there: {header:?}")
        };
        drop(reading);
        assert_eq!(read, client.map(|client| client.parse().unwrap()));
        assert_eq!(stream.0, b"GET /");
    }
    let mut cut = Trickle(V4.as_bytes()[..20].to_vec());
    let mut reading = Box::pin(read(&mut cut));
    let polled = reading.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof));
}
