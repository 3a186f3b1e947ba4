//! `jscode2session` of Douyin.

use serde_json::json;
use tautline_files::secret::Secret;
use tautline_protocol::Now;

use super::vendor::{self, CodeError, CodeRequest, Vendor, id_at, number};

pub(super) const URL: &str = "https://developer.toutiao.com/api/apps/v2/jscode2session";

pub(super) struct Douyin {
    pub(super) url: String,
    pub(super) app_id: String,
    pub(super) app_secret: Secret,
    pub(super) union_id: bool,
}

impl Vendor for Douyin {
    fn request(&self, code: &str, _: &str, _: Now) -> CodeRequest {
        let body = json!({"appid": self.app_id, "secret": self.app_secret.expose(), "code": code});
        CodeRequest::json(&self.url, &body)
    }

    fn user(&self, body: &[u8]) -> Result<String, CodeError> {
        let answer = vendor::json(body)?;
        match answer.get("err_no").map_or(Some(0), number) {
            Some(0) => id_at(&answer, if self.union_id { "/data/unionid" } else { "/data/openid" }),
            Some(-1) => Err(CodeError::Temporary),
            Some(40018 | 40019) => Err(CodeError::Denied),
            Some(40015) => Err(CodeError::operator("err_no 40015: `app_id` is not valid")),
            Some(40017) => Err(CodeError::operator("err_no 40017: `app_secret` is not valid; was it reset?")),
            Some(other) => Err(CodeError::operator(format!("err_no {other}"))),
            None => Err(CodeError::no_answer()),
        }
    }
}
