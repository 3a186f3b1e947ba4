//! Encodes json as msgpack.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rmp::encode;

use super::{BIN_KEY, JSON_KEY};
use crate::MSGPACK_DEPTH_MAX;

const OURS: &str = "writing to memory cannot fail";

/// Walks through the tokens once, without recursion: other clients' publications may be nested arbitrarily
/// deep.
pub(super) struct Writer<'a> {
    json: &'a [u8],
    at: usize,
    out: Vec<u8>,
    open: Vec<Container>,
}

/// An unfinished object or array.
struct Container {
    is_object: bool,
    /// Its start in the output. One byte is reserved for its header.
    starts_at: usize,
    /// Its items so far; a key and its value count one each.
    items: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(json: &'a [u8]) -> Self {
        Self { json, at: 0, out: Vec::with_capacity(json.len()), open: Vec::new() }
    }

    pub(super) fn message(mut self) -> Vec<u8> {
        while let Some(byte) = self.json.get(self.at) {
            match byte {
                b'{' | b'[' if self.open.len() == MSGPACK_DEPTH_MAX => self.too_deep(),
                b'{' | b'[' => self.begin(*byte == b'{'),
                b'}' | b']' => {
                    self.at += 1;
                    self.end();
                }
                b'"' => self.text(),
                b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                _ => self.word(),
            }
        }
        while !self.open.is_empty() {
            self.end();
        }
        self.out
    }

    fn count(&mut self) {
        if let Some(container) = self.open.last_mut() {
            container.items += 1;
        }
    }

    fn begin(&mut self, is_object: bool) {
        self.count();
        self.at += 1;
        self.open.push(Container { is_object, starts_at: self.out.len(), items: 0 });
        self.out.push(0);
    }

    fn end(&mut self) {
        let Some(Container { is_object, starts_at, items }) = self.open.pop() else { return };
        if is_object
            && items == 2
            && !self.open.is_empty()
            && let Some(bytes) = bytes_in(&self.out[starts_at + 1..])
        {
            self.out.truncate(starts_at);
            encode::write_bin(&mut self.out, &bytes).expect(OURS);
            return;
        }
        let mut header = Vec::with_capacity(5);
        if is_object {
            encode::write_map_len(&mut header, length(items / 2)).expect(OURS);
        } else {
            encode::write_array_len(&mut header, length(items)).expect(OURS);
        }
        // Most have fewer than 16 items, and their header fits in the reserved byte.
        self.out.splice(starts_at..=starts_at, header);
    }

    fn text(&mut self) {
        self.count();
        let token = self.string_token();
        let inside = token.strip_prefix('"').unwrap_or_default();
        let inside = inside.strip_suffix('"').unwrap_or(inside);
        if inside.contains('\\') {
            encode::write_str(&mut self.out, &unescaped(inside)).expect(OURS);
        } else {
            encode::write_str(&mut self.out, inside).expect(OURS);
        }
    }

    /// Advances past a string, and returns it with its quotes.
    fn string_token(&mut self) -> &'a str {
        let from = self.at;
        self.at += 1;
        while let Some(byte) = self.json.get(self.at) {
            match byte {
                b'"' => {
                    self.at += 1;
                    break;
                }
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at = self.at.min(self.json.len());
        str::from_utf8(&self.json[from..self.at]).unwrap_or_default()
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) {
        self.count();
        let rest = &self.json[self.at..];
        let bytes = rest.iter().position(|byte| b",:]}[{\" \t\r\n".contains(byte)).unwrap_or(rest.len());
        let word = str::from_utf8(&rest[..bytes]).unwrap_or_default();
        self.at += bytes;
        if let Ok(number) = word.parse::<u64>() {
            encode::write_uint(&mut self.out, number).expect(OURS);
        } else if let Ok(number) = word.parse::<i64>() {
            encode::write_sint(&mut self.out, number).expect(OURS);
        } else if let Ok(flag) = word.parse::<bool>() {
            encode::write_bool(&mut self.out, flag).expect(OURS);
        } else {
            match word.parse::<f64>() {
                Ok(number) if number.is_finite() => encode::write_f64(&mut self.out, number).expect(OURS),
                Ok(_) => self.as_json(word),
                Err(_) => encode::write_nil(&mut self.out).expect(OURS),
            }
        }
    }

    /// Writes a value that is nested too deeply for the client's reader as text.
    fn too_deep(&mut self) {
        self.count();
        let from = self.at;
        let mut depth = 0_usize;
        while let Some(byte) = self.json.get(self.at) {
            match byte {
                b'"' => {
                    self.string_token();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                break;
            }
        }
        self.as_json(str::from_utf8(&self.json[from..self.at]).unwrap_or_default());
    }

    fn as_json(&mut self, text: &str) {
        encode::write_map_len(&mut self.out, 1).expect(OURS);
        encode::write_str(&mut self.out, JSON_KEY).expect(OURS);
        encode::write_str(&mut self.out, text).expect(OURS);
    }
}

/// The bytes that a `$bin` object with a single pair stands for, if it is one.
fn bytes_in(pair: &[u8]) -> Option<Vec<u8>> {
    let mut key = Vec::new();
    encode::write_str(&mut key, BIN_KEY).expect(OURS);
    let mut value = pair.strip_prefix(&*key)?;
    let bytes = rmp::decode::read_str_len(&mut value).ok()?;
    // Nothing follows: it is the only pair.
    let base64 = value.get(..usize::try_from(bytes).ok()?)?;
    BASE64_STANDARD.decode(base64).ok()
}

/// The content of a json string with escapes. Half a surrogate pair, which json allows and UTF-8 does not,
/// becomes U+FFFD.
fn unescaped(inside: &str) -> String {
    let mut text = String::with_capacity(inside.len());
    let mut units = Vec::new();
    let mut rest = inside;
    while let Some((before, escape)) = rest.split_once('\\') {
        text.push_str(before);
        if let Some(unit) = unit(escape) {
            units.push(unit);
            rest = &escape[5..];
            if unit_follows(rest) {
                continue;
            }
            text.push_str(&String::from_utf16_lossy(&units));
            units.clear();
            continue;
        }
        let mut chars = escape.chars();
        text.extend(chars.next().map(|letter| match letter {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'b' => '\u{8}',
            'f' => '\u{c}',
            itself => itself,
        }));
        rest = chars.as_str();
    }
    text + rest
}

/// The code unit of `u0041`.
fn unit(escape: &str) -> Option<u16> {
    u16::from_str_radix(escape.strip_prefix('u')?.get(..4)?, 16).ok()
}

fn unit_follows(rest: &str) -> bool {
    rest.strip_prefix('\\').and_then(unit).is_some()
}

fn length(items: usize) -> u32 {
    u32::try_from(items).expect("a message is shorter than 4 GiB")
}
