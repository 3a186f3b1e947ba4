//! `jscode2sessionkey` of Baidu.

use tautline_files::secret::Secret;
use tautline_protocol::Now;

use super::vendor::{CodeError, CodeRequest, Vendor, id_at, json};

pub(super) const URL: &str = "https://spapi.baidu.com/oauth/jscode2sessionkey";

pub(super) struct Baidu {
    pub(super) url: String,
    /// The app key.
    pub(super) app_id: String,
    pub(super) app_secret: Secret,
}

impl Vendor for Baidu {
    fn request(&self, code: &str, _: &str, _: Now) -> CodeRequest {
        CodeRequest::form(
            &self.url,
            &[("code", code), ("client_id", &self.app_id), ("sk", self.app_secret.expose())],
        )
    }

    fn user(&self, body: &[u8]) -> Result<String, CodeError> {
        let answer = json(body)?;
        // The words of OAuth (RFC 6749 §5.2).
        match answer.get("error").map(|error| error.as_str().unwrap_or_default()) {
            None => id_at(&answer, "/openid"),
            Some("invalid_grant" | "expired_code") => Err(CodeError::Denied),
            Some("temporarily_unavailable" | "server_error") => Err(CodeError::Temporary),
            Some("invalid_client" | "unauthorized_client") => {
                Err(CodeError::operator("`app_id` (the app key) or `app_secret` is not valid"))
            }
            Some(_) => Err(CodeError::operator("an error that is not known; codes are good for 10 minutes")),
        }
    }
}
