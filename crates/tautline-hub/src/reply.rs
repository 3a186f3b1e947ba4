//! Replies whose body is already JSON: written without parsing it.

use tautline_protocol::{ErrorCode, RequestId, json, packet::server::ErrorBody};

/// The longest frame around the data.
const FRAME_BYTES: usize = 48;

/// Writes the reply to a `call`: the method's `data` unchanged, or the error.
pub(crate) fn write(out: &mut Vec<u8>, id: RequestId, result: Result<&str, &ErrorBody>) {
    match result {
        Err(error) => json::write_reply(out, id, Err::<&(), _>(error)),
        Ok(data) => {
            out.reserve(data.len() + FRAME_BYTES);
            out.extend_from_slice(b"{\"id\":");
            json::write_json(out, &id);
            out.extend_from_slice(b",\"ok\":{\"data\":");
            json::write_data(out, data);
            out.extend_from_slice(b"}}\n");
        }
    }
}

/// Writes the error that replaces a reply for which the session has no room. It is short, so it fits.
pub(crate) fn write_too_large(out: &mut Vec<u8>, id: RequestId) {
    let words = "there is no room to keep this reply: send `seen`";
    json::write_reply(out, id, Err::<&(), _>(&ErrorBody::new(ErrorCode::TooLarge, words)));
}
