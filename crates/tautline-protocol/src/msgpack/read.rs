//! Decodes msgpack to json.

use std::ops::Range;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rmp::Marker;
use serde::Serialize;

use super::BIN_KEY;
use crate::{MSGPACK_DEPTH_MAX, json::write_json};

/// Why the input is not a msgpack packet. Nothing after it can be read.
struct Broken(&'static str);

const CUT_SHORT: Broken = Broken("msgpack that ends in the middle of a value");

/// Reads a message from its front. Declared lengths are bounded by the bytes available.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    out: Vec<u8>,
    /// The reason why the value being read has no json form.
    formless: Option<&'static str>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message, out: Vec::with_capacity(message.len() * 3 / 2), formless: None }
    }

    pub(super) fn lines(mut self) -> String {
        while !self.rest.is_empty() {
            let (line_at, mut id) = (self.out.len(), None);
            if let Err(Broken(words)) = self.packet(&mut id) {
                self.out.truncate(line_at);
                self.broken_packet(id.as_deref(), words);
                break;
            }
        }
        String::from_utf8(self.out).expect("texts were checked, and all else is ASCII")
    }

    /// A line that `json` refuses: a non-numeric `id` after the valid one.
    fn broken_packet(&mut self, id: Option<&[u8]>, words: &str) {
        self.out.push(b'{');
        if let Some(id) = id {
            self.out.extend_from_slice(b"\"id\":");
            self.out.extend_from_slice(id);
            self.out.push(b',');
        }
        self.out.extend_from_slice(b"\"id\":");
        self.json(words);
        self.out.extend_from_slice(b"}\n");
    }

    fn packet(&mut self, id: &mut Option<Vec<u8>>) -> Result<(), Broken> {
        let pairs = match Marker::from_u8(self.byte()?) {
            Marker::FixMap(pairs) => u32::from(pairs),
            Marker::Map16 => u32::from(u16::from_be_bytes(self.take()?)),
            Marker::Map32 => u32::from_be_bytes(self.take()?),
            _ => return Err(Broken("msgpack that is no map")),
        };
        self.out.push(b'{');
        for pair in 0..pairs {
            self.comma(pair);
            let is_id = self.key(1)? == Some("id");
            let value = self.whole_value()?;
            if is_id {
                *id = Some(self.out[value].to_vec());
            }
        }
        self.out.extend_from_slice(b"}\n");
        Ok(())
    }

    /// A mark, or a verb's body: a value without a json form is replaced by a text that no field accepts.
    fn whole_value(&mut self) -> Result<Range<usize>, Broken> {
        let from = self.out.len();
        self.value(1)?;
        if let Some(what) = self.formless.take() {
            self.out.truncate(from);
            self.json(&format_args!("{what} has no json form"));
        }
        Ok(from..self.out.len())
    }

    /// `depth`: the number of containers around the value.
    fn value(&mut self, depth: usize) -> Result<(), Broken> {
        match Marker::from_u8(self.byte()?) {
            Marker::Null => self.json(&()),
            Marker::False => self.json(&false),
            Marker::True => self.json(&true),
            Marker::FixPos(number) => self.json(&number),
            Marker::FixNeg(number) => self.json(&number),
            Marker::U8 => self.number(u8::from_be_bytes)?,
            Marker::U16 => self.number(u16::from_be_bytes)?,
            Marker::U32 => self.number(u32::from_be_bytes)?,
            Marker::U64 => self.number(u64::from_be_bytes)?,
            Marker::I8 => self.number(i8::from_be_bytes)?,
            Marker::I16 => self.number(i16::from_be_bytes)?,
            Marker::I32 => self.number(i32::from_be_bytes)?,
            Marker::I64 => self.number(i64::from_be_bytes)?,
            Marker::F32 => {
                let number = f32::from_be_bytes(self.take()?);
                self.float(number.into());
            }
            Marker::F64 => {
                let number = f64::from_be_bytes(self.take()?);
                self.float(number);
            }
            Marker::FixStr(bytes) => self.text(bytes.into())?,
            Marker::Str8 => self.sized_u8(Self::text)?,
            Marker::Str16 => self.sized_u16(Self::text)?,
            Marker::Str32 => self.sized_u32(Self::text)?,
            Marker::Bin8 => self.sized_u8(Self::bytes)?,
            Marker::Bin16 => self.sized_u16(Self::bytes)?,
            Marker::Bin32 => self.sized_u32(Self::bytes)?,
            Marker::FixArray(items) => self.array(items.into(), depth)?,
            Marker::Array16 => self.sized_u16(|reader, items| reader.array(items, depth))?,
            Marker::Array32 => self.sized_u32(|reader, items| reader.array(items, depth))?,
            Marker::FixMap(pairs) => self.map(pairs.into(), depth)?,
            Marker::Map16 => self.sized_u16(|reader, pairs| reader.map(pairs, depth))?,
            Marker::Map32 => self.sized_u32(|reader, pairs| reader.map(pairs, depth))?,
            Marker::FixExt1 => self.extension(1)?,
            Marker::FixExt2 => self.extension(2)?,
            Marker::FixExt4 => self.extension(4)?,
            Marker::FixExt8 => self.extension(8)?,
            Marker::FixExt16 => self.extension(16)?,
            Marker::Ext8 => self.sized_u8(Self::extension)?,
            Marker::Ext16 => self.sized_u16(Self::extension)?,
            Marker::Ext32 => self.sized_u32(Self::extension)?,
            Marker::Reserved => return Err(Broken("the byte 0xc1, which is no msgpack")),
        }
        Ok(())
    }

    fn array(&mut self, items: u32, depth: usize) -> Result<(), Broken> {
        let depth = deeper(depth)?;
        self.out.push(b'[');
        for item in 0..items {
            self.comma(item);
            self.value(depth)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn map(&mut self, pairs: u32, depth: usize) -> Result<(), Broken> {
        let depth = deeper(depth)?;
        self.out.push(b'{');
        for pair in 0..pairs {
            self.comma(pair);
            self.key(depth)?;
            self.value(depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    /// Writes a key and its colon. Returns the key if it is text.
    fn key(&mut self, depth: usize) -> Result<Option<&'a str>, Broken> {
        let key_at = self.rest;
        let text = match Marker::from_u8(self.byte()?) {
            Marker::FixStr(bytes) => self.utf8(bytes.into())?,
            Marker::Str8 => self.sized_u8(Self::utf8)?,
            Marker::Str16 => self.sized_u16(Self::utf8)?,
            Marker::Str32 => self.sized_u32(Self::utf8)?,
            _ => {
                self.rest = key_at;
                let from = self.out.len();
                self.value(depth)?;
                self.out.truncate(from);
                self.formless = Some("a key that is no text");
                None
            }
        };
        self.json(text.unwrap_or_default());
        self.out.push(b':');
        Ok(text)
    }

    fn text(&mut self, bytes: u32) -> Result<(), Broken> {
        let text = self.utf8(bytes)?;
        self.json(text.unwrap_or_default());
        Ok(())
    }

    fn utf8(&mut self, bytes: u32) -> Result<Option<&'a str>, Broken> {
        let text = simdutf8::basic::from_utf8(self.slice(bytes)?).ok();
        if text.is_none() {
            self.formless = Some("text that is no UTF-8");
        }
        Ok(text)
    }

    fn bytes(&mut self, bytes: u32) -> Result<(), Broken> {
        let base64 = BASE64_STANDARD.encode(self.slice(bytes)?);
        self.out.extend_from_slice(b"{\"");
        self.out.extend_from_slice(BIN_KEY.as_bytes());
        self.out.extend_from_slice(b"\":\"");
        self.out.extend_from_slice(base64.as_bytes());
        self.out.extend_from_slice(b"\"}");
        Ok(())
    }

    fn extension(&mut self, bytes: u32) -> Result<(), Broken> {
        let _kind: [u8; 1] = self.take()?;
        self.slice(bytes)?;
        self.formless = Some("an ext");
        self.json(&());
        Ok(())
    }

    fn float(&mut self, number: f64) {
        if !number.is_finite() {
            self.formless = Some("a number that is none, or infinite,");
        }
        // NaN and the infinities become null.
        self.json(&number);
    }

    fn number<const N: usize, T: Serialize>(&mut self, read: fn([u8; N]) -> T) -> Result<(), Broken> {
        let number = read(self.take()?);
        self.json(&number);
        Ok(())
    }

    fn sized_u8<T>(&mut self, then: impl FnOnce(&mut Self, u32) -> Result<T, Broken>) -> Result<T, Broken> {
        let size = self.byte()?;
        then(self, size.into())
    }

    fn sized_u16<T>(&mut self, then: impl FnOnce(&mut Self, u32) -> Result<T, Broken>) -> Result<T, Broken> {
        let size = u16::from_be_bytes(self.take()?);
        then(self, size.into())
    }

    fn sized_u32<T>(&mut self, then: impl FnOnce(&mut Self, u32) -> Result<T, Broken>) -> Result<T, Broken> {
        let size = u32::from_be_bytes(self.take()?);
        then(self, size)
    }

    fn byte(&mut self) -> Result<u8, Broken> {
        self.take().map(u8::from_be_bytes)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(CUT_SHORT)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn slice(&mut self, bytes: u32) -> Result<&'a [u8], Broken> {
        let bytes = usize::try_from(bytes).map_err(|_| CUT_SHORT)?;
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or(CUT_SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    fn comma(&mut self, index: u32) {
        if index > 0 {
            self.out.push(b',');
        }
    }

    fn json(&mut self, value: &(impl Serialize + ?Sized)) {
        write_json(&mut self.out, &value);
    }
}

fn deeper(depth: usize) -> Result<usize, Broken> {
    // One level more than the writer emits: the object that replaces a value nested too deeply.
    if depth <= MSGPACK_DEPTH_MAX { Ok(depth + 1) } else { Err(Broken("msgpack that is nested too deeply")) }
}
