//! The msgpack format: one map after another (protocol, section 2), converted to and from json.
//!
//! Start at [`to_json`] and [`from_json`]. All code behind the edge uses json: the first turns an incoming
//! message into lines, the second turns lines into an outgoing message. Neither fails. An invalid message
//! becomes a line that is invalid in the same way, so that only [`crate::json`] decides what is a packet, and
//! names the request at fault.
//!
//! | msgpack | json |
//! |---|---|
//! | `bin` | `{"$bin":"<base64>"}`, nothing beside it, padded |
//! | integers of up to 64 bits | integers |
//! | `float32`, `float64` | other numbers, as `float64` |
//! | ext, NaN and the infinities, keys that are no text, text that is no UTF-8 | none |
//! | none | text with half a surrogate pair: U+FFFD stands for it |
//!
//! Json values that msgpack or its reader would reject travel as `{"$json":"…"}` with the json as text:
//! values nested deeper than [`crate::MSGPACK_DEPTH_MAX`], and numbers beyond float64. They are not converted
//! back.

mod read;
mod write;

/// The only key of an object that represents bytes.
const BIN_KEY: &str = "$bin";

/// The only key of an object that carries a value without a msgpack form as json text.
const JSON_KEY: &str = "$json";

/// Converts a msgpack message to lines of json.
///
/// A body without a json form becomes a text that says so: no verb accepts a text body, so its request is a
/// bad one. After invalid msgpack the lines end with one that is not a packet and bears the request's `id` if
/// it could be read.
#[must_use]
pub fn to_json(message: &[u8]) -> String {
    read::Reader::new(message).lines()
}

/// Converts lines of json to a msgpack message. The lines must be our own, or have been parsed as json
/// before; the result for any other input is unspecified.
#[must_use]
pub fn from_json(lines: &[u8]) -> Vec<u8> {
    write::Writer::new(lines).message()
}

#[cfg(test)]
mod tests;
