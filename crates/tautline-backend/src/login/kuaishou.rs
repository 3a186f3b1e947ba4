//! `code2session` of Kuaishou.

use tautline_files::secret::Secret;
use tautline_protocol::Now;

use super::vendor::{CodeError, CodeRequest, Vendor, id_at, json, number};

pub(super) const URL: &str = "https://open.kuaishou.com/oauth2/mp/code2session";

pub(super) struct Kuaishou {
    pub(super) url: String,
    pub(super) app_id: String,
    pub(super) app_secret: Secret,
    pub(super) union_id: bool,
}

impl Vendor for Kuaishou {
    fn request(&self, code: &str, _: &str, _: Now) -> CodeRequest {
        CodeRequest::form(
            &self.url,
            &[("app_id", &self.app_id), ("app_secret", self.app_secret.expose()), ("js_code", code)],
        )
    }

    fn user(&self, body: &[u8]) -> Result<String, CodeError> {
        let answer = json(body)?;
        let error = answer.get("error").and_then(|error| error.as_str()).unwrap_or_default();
        match (answer.get("result").and_then(number), error) {
            // Success is 1 here, and not 0.
            (Some(1), _) => id_at(&answer, if self.union_id { "/union_id" } else { "/open_id" }),
            (_, "invalid_grant" | "code_expired" | "invalid_code") => Err(CodeError::Denied),
            (_, "server_error" | "temporarily_unavailable") => Err(CodeError::Temporary),
            (_, "invalid_client" | "unauthorized_client") => {
                Err(CodeError::operator("`app_id` or `app_secret` is not valid"))
            }
            (Some(result), _) => Err(CodeError::operator(format!("result {result}"))),
            (None, _) => Err(CodeError::no_answer()),
        }
    }
}
