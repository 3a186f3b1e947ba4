//! `code2Session` of WeChat, and of QQ, whose answers are the same.

use tautline_files::secret::Secret;
use tautline_protocol::Now;

use super::vendor::{CodeError, CodeRequest, Vendor, id_at, json, number};

pub(super) const WECHAT_URL: &str = "https://api.weixin.qq.com/sns/jscode2session";
pub(super) const QQ_URL: &str = "https://api.q.qq.com/sns/jscode2session";

pub(super) struct WeChat {
    pub(super) url: String,
    pub(super) app_id: String,
    pub(super) app_secret: Secret,
    /// Users are named by `unionid`, which all apps of an account share.
    pub(super) union_id: bool,
}

impl Vendor for WeChat {
    fn request(&self, code: &str, _: &str, _: Now) -> CodeRequest {
        CodeRequest::get(
            &self.url,
            &[
                ("appid", &self.app_id),
                ("secret", self.app_secret.expose()),
                ("js_code", code),
                ("grant_type", "authorization_code"),
            ],
        )
    }

    fn user(&self, body: &[u8]) -> Result<String, CodeError> {
        let answer = json(body)?;
        // A success has no `errcode`, or 0; a third-party platform writes it as text.
        match answer.get("errcode").map_or(Some(0), number) {
            Some(0) if self.union_id => id_at(&answer, "/unionid").map_err(|_| {
                CodeError::operator("no `unionid`: the app is not bound to an account of the open platform")
            }),
            Some(0) => id_at(&answer, "/openid"),
            Some(error) => Err(meaning(error)),
            None => Err(CodeError::no_answer()),
        }
    }
}

fn meaning(errcode: i64) -> CodeError {
    match errcode {
        -1 => CodeError::Temporary,
        40029 | 40163 => CodeError::Denied,
        45011 => CodeError::RateLimited,
        40226 => CodeError::Banned,
        40013 => CodeError::operator("errcode 40013: `app_id` is not valid"),
        40125 => CodeError::operator("errcode 40125: `app_secret` is not valid; was it reset?"),
        41002 | 41004 | 41008 => CodeError::operator(format!("errcode {errcode}: a parameter is missing")),
        40164 => {
            CodeError::operator("errcode 40164: this server's address is not in the app's IP white list")
        }
        61003 => CodeError::operator("errcode 61003: the app has not authorised this third-party platform"),
        other => CodeError::operator(format!("errcode {other}")),
    }
}
