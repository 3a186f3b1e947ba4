//! The PROXY protocol, versions 1 and 2: a load balancer says for which client it opened a connection.
//!
//! [`parse`] has no I/O, and never asks for a byte beyond the header: what follows belongs to TLS or HTTP.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::io::{AsyncRead, AsyncReadExt as _};

const V1_START: &[u8] = b"PROXY ";
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The shortest header: `PROXY UNKNOWN` and the end of the line. One byte short of version 2's fixed part.
const BYTES_MIN: usize = 15;
const V1_BYTES_MAX: usize = 107;
const V2_FIXED_BYTES: usize = 16;
/// Addresses and additions (TLVs), such as the names in a client's certificate.
const V2_BYTES_MAX: usize = 4096;

/// How far a header has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// At least so many bytes are missing.
    Incomplete(usize),
    /// The client's address; `None` for a connection of the proxy itself, such as a health check.
    Complete(Option<SocketAddr>),
}

/// It is no header of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no PROXY header: {0}")]
pub(crate) struct InvalidHeader(&'static str);

/// Reads a header, and nothing behind it.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut header = Vec::new();
    loop {
        match parse(&header).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
            Parsed::Complete(client) => return Ok(client),
            Parsed::Incomplete(bytes) => {
                let before = header.len();
                header.resize(before + bytes, 0);
                stream.read_exact(&mut header[before..]).await?;
            }
        }
    }
}

/// Parses the beginning of a connection.
pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed, InvalidHeader> {
    let may_be = |start: &[u8]| start.iter().zip(bytes).all(|(expected, byte)| expected == byte);
    if !may_be(V1_START) && !may_be(V2_START) {
        return Err(InvalidHeader("it begins with something else"));
    }
    match BYTES_MIN.checked_sub(bytes.len()) {
        Some(missing) if missing > 0 => Ok(Parsed::Incomplete(missing)),
        _ if bytes.starts_with(V1_START) => parse_v1(bytes),
        _ => parse_v2(bytes),
    }
}

fn parse_v1(bytes: &[u8]) -> Result<Parsed, InvalidHeader> {
    let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        let bytes_min = match bytes.get(V1_START.len()..V1_START.len() + 4) {
            Some(b"TCP4") => "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n".len(),
            Some(b"TCP6") => "PROXY TCP6 :: :: 1 1\r\n".len(),
            _ => BYTES_MIN,
        };
        let missing = bytes_min.saturating_sub(bytes.len()).max(2);
        return match bytes.len() + missing > V1_BYTES_MAX {
            true => Err(InvalidHeader("the line is too long")),
            false => Ok(Parsed::Incomplete(missing)),
        };
    };
    match &bytes[end..] {
        b"\r" => return Ok(Parsed::Incomplete(1)),
        b"\r\n" => {}
        _ => return Err(InvalidHeader("the line ends in something else than CR LF")),
    }
    let line = str::from_utf8(&bytes[..end]).map_err(|_| InvalidHeader("it is no text"))?;
    let mut words = line.split(' ').skip(1);
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        return Ok(Parsed::Complete(None));
    }
    let words: Vec<_> = words.collect();
    let [source, target, source_port, target_port] = words[..] else {
        return Err(InvalidHeader("it has not two addresses and two ports"));
    };
    let address = |text: &str| {
        let address = text.parse::<IpAddr>().ok();
        address.filter(|address| match family {
            "TCP4" => address.is_ipv4(),
            "TCP6" => address.is_ipv6(),
            _ => false,
        })
    };
    let port = |text: &str| text.parse::<u16>().ok().filter(|_| text.bytes().all(|c| c.is_ascii_digit()));
    match (address(source), address(target), port(source_port), port(target_port)) {
        (Some(source), Some(_), Some(port), Some(_)) => {
            Ok(Parsed::Complete(Some(SocketAddr::new(source.to_canonical(), port))))
        }
        _ => Err(InvalidHeader("an address or a port is none")),
    }
}

fn parse_v2(bytes: &[u8]) -> Result<Parsed, InvalidHeader> {
    let Some((fixed, rest)) = bytes.split_at_checked(V2_FIXED_BYTES) else {
        return Ok(Parsed::Incomplete(V2_FIXED_BYTES - bytes.len()));
    };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if V2_FIXED_BYTES + length > V2_BYTES_MAX {
        return Err(InvalidHeader("it is too long"));
    }
    let is_local = match fixed[12] {
        0x20 => true,
        0x21 => false,
        _ => return Err(InvalidHeader("an unknown version or command")),
    };
    let (family, transport) = (fixed[13] >> 4, fixed[13] & 0xf);
    if family > 3 || transport > 2 {
        return Err(InvalidHeader("an unknown family or transport"));
    }
    if rest.len() < length {
        return Ok(Parsed::Incomplete(length - rest.len()));
    }
    let port = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
    let too_short = InvalidHeader("it is too short for its addresses");
    let client = match family {
        _ if is_local => None,
        1 => {
            let source: [u8; 4] = rest.first_chunk().copied().filter(|_| length >= 12).ok_or(too_short)?;
            Some(SocketAddr::new(Ipv4Addr::from(source).into(), port(8)))
        }
        2 => {
            let source: [u8; 16] = rest.first_chunk().copied().filter(|_| length >= 36).ok_or(too_short)?;
            Some(SocketAddr::new(IpAddr::from(Ipv6Addr::from(source)).to_canonical(), port(32)))
        }
        _ => None,
    };
    Ok(Parsed::Complete(client))
}

#[cfg(test)]
mod tests;
