//! Writes the answers that a client receives.

use bytes::Bytes;
use serde_json::value::RawValue;
use tautline_protocol::{json::write_json, packet::ErrorBody};

use super::config::Names;

/// Why something was refused, in the order of an answer's fields.
pub(super) struct Refusal<'a> {
    pub code: &'a str,
    pub words: &'a str,
    pub retry_after_ms: Option<u64>,
}

impl<'a> Refusal<'a> {
    pub fn new(code: &'a str, words: &'a str) -> Self {
        Self { code, words, retry_after_ms: None }
    }

    /// The error of a request.
    pub fn of(error: &'a ErrorBody) -> Self {
        let retry_after_ms = error.retry_after_ms;
        Self { code: error.code.as_str(), words: &error.message, retry_after_ms }
    }
}

/// An answer: `{"msgType":"<type>_ack","code":"200","success":true,"data":…}`.
pub(super) struct Answer<'a> {
    kind: &'a str,
    suffix: &'a str,
    id: Option<&'a RawValue>,
    user: Option<&'a str>,
    result: Result<Option<&'a RawValue>, Refusal<'a>>,
}

impl<'a> Answer<'a> {
    /// The answer to a message of this type.
    pub fn to(names: &'a Names, kind: &'a str, result: Result<Option<&'a RawValue>, Refusal<'a>>) -> Self {
        Self { kind, suffix: &names.answer_suffix, id: None, user: None, result }
    }

    /// A message that answers none.
    pub fn unasked(kind: &'a str, refusal: Refusal<'a>) -> Self {
        Self { kind, suffix: "", id: None, user: None, result: Err(refusal) }
    }

    /// With the `id` of the message.
    pub fn id(mut self, id: Option<&'a RawValue>) -> Self {
        self.id = id;
        self
    }

    /// About this user.
    pub fn user(mut self, user: Option<&'a str>) -> Self {
        self.user = user;
        self
    }

    pub fn write(&self, names: &Names) -> Bytes {
        let data_bytes = self.result.as_ref().map_or(0, |data| data.map_or(0, |data| data.get().len()));
        let mut out = Vec::with_capacity(data_bytes + 128);
        out.push(b'{');
        field(&mut out, &names.answer_kind, &[self.kind, self.suffix].concat());
        if let Some(id) = self.id {
            field(&mut out, &names.id, &id);
        }
        let code = self.result.as_ref().map_or_else(|refusal| refusal.code, |_| &names.code_ok);
        field(&mut out, &names.code, &code);
        field(&mut out, &names.success, &self.result.is_ok());
        if let Some(user) = self.user {
            field(&mut out, &names.user, &user);
        }
        match &self.result {
            Ok(Some(data)) => field(&mut out, &names.data, data),
            Ok(None) => {}
            Err(refusal) => {
                field(&mut out, &names.words, &refusal.words);
                if let Some(ms) = refusal.retry_after_ms {
                    field(&mut out, "retry_after_ms", &ms);
                }
            }
        }
        out.push(b'}');
        out.into()
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: &impl serde::Serialize) {
    if out.len() > 1 {
        out.push(b',');
    }
    write_json(out, &name);
    out.push(b':');
    write_json(out, value);
}
