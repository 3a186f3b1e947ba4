//! The msgpack format: maps, one after another (protocol, section 2), and the same packets in json.
//!
//! Everything behind the edge speaks json: [`to_json`] turns a message that came into lines, [`from_json`] turns lines into a
//! message that goes. Neither ever fails. What is wrong with a message becomes a line that is wrong in the same way, so that
//! [`crate::json`] alone judges what is a packet, and names the request at fault.
//!
//! | msgpack | json |
//! |---|---|
//! | `bin` | `{"$bin":"<base64>"}`, nothing beside it, padded |
//! | integers of up to 64 bits | integers |
//! | `float32`, `float64` | other numbers, as `float64` |
//! | ext, NaN and the infinities, keys that are no text, text that is no UTF-8 | none |
//! | none | text with half a surrogate pair: U+FFFD stands for it |
//!
//! What msgpack, or its reader, would not take from json travels as `{"$json":"…"}` with that json as text: what is nested
//! deeper than [`crate::MSGPACK_DEPTH_MAX`], and numbers beyond float64. Nobody turns it back.

mod read;
mod write;

/// The only key of an object that stands for bytes.
const BIN_KEY: &str = "$bin";

/// The only key of an object that stands for what msgpack does not take, once more as text.
const JSON_KEY: &str = "$json";

/// A message in msgpack, as lines of json.
///
/// A body without a json form becomes a text that says so: no verb has such a body, so its request is a bad one. What is no
/// msgpack ends the lines with one that is no packet, and that bears the request's `id` where it could be read.
#[must_use]
pub fn to_json(message: &[u8]) -> String {
    read::Reader::new(message).lines()
}

/// Lines of json, as a message in msgpack. They are ours, or were read as json before: of anything else it makes something.
#[must_use]
pub fn from_json(lines: &[u8]) -> Vec<u8> {
    write::Writer::new(lines).message()
}

#[cfg(test)]
mod tests;
