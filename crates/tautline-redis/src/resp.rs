//! RESP2: replies of Redis from bytes, and commands as bytes. No I/O.
//!
//! Start at [`read`] and [`Command`].

use crate::lua::Script;

/// The largest reply; a longer one ends the connection.
const REPLY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most arrays within each other: of a page of entries with their fields, and of slots with their nodes.
const DEPTH_MAX: usize = 6;

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Nil,
    Int(i64),
    /// A status or a bulk string.
    Text(Vec<u8>),
    Error(String),
    Array(Vec<Self>),
}

impl Value {
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    pub(crate) fn array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(values) => Some(values),
            _ => None,
        }
    }

    /// A number, written as one or as text.
    pub(crate) fn number(&self) -> Option<u64> {
        match self {
            Self::Int(number) => u64::try_from(*number).ok(),
            _ => self.text()?.parse().ok(),
        }
    }

    pub(crate) fn error(&self) -> Option<&str> {
        match self {
            Self::Error(words) => Some(words),
            _ => None,
        }
    }
}

/// Bytes that are not a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer does not speak RESP2")]
pub(crate) struct Malformed;

/// Reads the first reply: it, and its length in bytes. `None`: it is not complete yet.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<(Value, usize)>, Malformed> {
    // Without allocations for a long reply of which a part has come.
    match length(bytes, 0, DEPTH_MAX)? {
        Some(length) => Ok(Some((value(bytes, &mut 0)?, length))),
        None if bytes.len() > REPLY_BYTES_MAX => Err(Malformed),
        None => Ok(None),
    }
}

/// Where the reply that begins at `from` ends.
fn length(bytes: &[u8], from: usize, depth: usize) -> Result<Option<usize>, Malformed> {
    let Some((kind, line, next)) = head(bytes, from)? else { return Ok(None) };
    match kind {
        b'+' | b'-' => Ok(Some(next)),
        b':' => number(line).map(|_| Some(next)),
        b'$' => match number(line)? {
            -1 => Ok(Some(next)),
            size => {
                let size = usize::try_from(size).ok().filter(|size| *size <= REPLY_BYTES_MAX);
                let end = next + size.ok_or(Malformed)? + 2;
                match bytes.get(end - 2..end) {
                    Some(b"\r\n") => Ok(Some(end)),
                    Some(_) => Err(Malformed),
                    None => Ok(None),
                }
            }
        },
        b'*' => {
            let count = number(line)?;
            if count > 0 && depth == 0 {
                return Err(Malformed);
            }
            let mut next = next;
            for _ in 0..count {
                match length(bytes, next, depth - 1)? {
                    Some(end) => next = end,
                    None => return Ok(None),
                }
            }
            Ok(Some(next))
        }
        _ => Err(Malformed),
    }
}

/// The reply at `at`, which is complete.
fn value(bytes: &[u8], at: &mut usize) -> Result<Value, Malformed> {
    let (kind, line, next) = head(bytes, *at)?.ok_or(Malformed)?;
    *at = next;
    Ok(match kind {
        b'+' => Value::Text(line.to_vec()),
        b'-' => Value::Error(String::from_utf8_lossy(line).into_owned()),
        b':' => Value::Int(number(line)?),
        b'$' => match usize::try_from(number(line)?) {
            Err(_) => Value::Nil,
            Ok(size) => {
                *at = next + size + 2;
                Value::Text(bytes.get(next..next + size).ok_or(Malformed)?.to_vec())
            }
        },
        _ => match usize::try_from(number(line)?) {
            Err(_) => Value::Nil,
            Ok(count) => {
                let mut values = Vec::with_capacity(count);
                for _ in 0..count {
                    values.push(value(bytes, at)?);
                }
                Value::Array(values)
            }
        },
    })
}

/// Kind and first line of a reply, and where the rest begins.
type Head<'a> = (u8, &'a [u8], usize);

/// The head of the reply that begins here; `None` if it is not all there.
fn head(bytes: &[u8], from: usize) -> Result<Option<Head<'_>>, Malformed> {
    let Some(rest) = bytes.get(from..).filter(|rest| !rest.is_empty()) else { return Ok(None) };
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    match rest[..end].strip_suffix(b"\r") {
        Some(line) if !line.is_empty() => Ok(Some((line[0], &line[1..], from + end + 1))),
        _ => Err(Malformed),
    }
}

fn number(line: &[u8]) -> Result<i64, Malformed> {
    std::str::from_utf8(line).ok().and_then(|line| line.parse().ok()).ok_or(Malformed)
}

/// A command.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    /// For a script: what runs in the place of a name.
    script: Option<&'static Script>,
    args: Vec<u8>,
    count: usize,
}

impl Command {
    pub(crate) fn new(name: &str) -> Self {
        Self { script: None, args: Vec::new(), count: 0 }.arg(name)
    }

    /// A script with its keys; its other arguments follow.
    pub(crate) fn script(script: &'static Script, keys: &[&str]) -> Self {
        let command = Self { script: Some(script), args: Vec::with_capacity(256), count: 0 };
        keys.iter().fold(command.number(keys.len() as u64), |command, key| command.arg(key))
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<[u8]>) -> Self {
        self.push(arg.as_ref());
        self
    }

    pub(crate) fn number(self, number: u64) -> Self {
        self.arg(number.to_string())
    }

    pub(crate) fn push(&mut self, arg: &[u8]) {
        bulk(&mut self.args, arg);
        self.count += 1;
    }

    /// Writes it; a script by its digest, or `whole` where Redis does not know it.
    pub(crate) fn write(&self, whole: bool, out: &mut Vec<u8>) {
        let count = self.count + if self.script.is_some() { 2 } else { 0 };
        out.extend_from_slice(format!("*{count}\r\n").as_bytes());
        match self.script {
            Some(script) if whole => {
                bulk(out, b"EVAL");
                bulk(out, script.text.as_bytes());
            }
            Some(script) => {
                bulk(out, b"EVALSHA");
                bulk(out, script.digest.as_bytes());
            }
            None => {}
        }
        out.extend_from_slice(&self.args);
    }
}

fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn reply_is_read_once_its_last_byte_has_come() {
        let bytes = b"*4\r\n$3\r\na\r\n\r\n:-7\r\n*2\r\n$-1\r\n*-1\r\n-ERR no\r\n+next\r\n";
        let reply = Value::Array(vec![
            text("a\r\n"),
            Value::Int(-7),
            Value::Array(vec![Value::Nil, Value::Nil]),
            Value::Error("ERR no".to_owned()),
        ]);
        let length = bytes.len() - 7;
        for end in 0..length {
            assert_eq!(read(&bytes[..end]), Ok(None), "{end}");
        }
        assert_eq!(read(bytes), Ok(Some((reply, length))));
        assert_eq!(read(&bytes[length..]), Ok(Some((text("next"), 7))));
    }

    #[test]
    fn bytes_of_another_protocol_are_refused() {
        let deep = "*1\r\n".repeat(9);
        for bytes in
            ["HTTP/1.1 400\r\n", "$x\r\n", "$3\r\nabcde", "\r\n", ":1\n", "$99999999999\r\n", "%1\r\n", &deep]
        {
            assert_eq!(read(bytes.as_bytes()), Err(Malformed), "{bytes:?}");
        }
    }

    #[test]
    fn command_is_written_as_array_of_texts() {
        let mut out = Vec::new();
        Command::new("SET").arg("k\r\n").number(12).write(false, &mut out);
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$3\r\nk\r\n\r\n$2\r\n12\r\n");
    }
}
