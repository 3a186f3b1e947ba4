//! The answers of each vendor, with their quirks.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey},
};
use serde_json::{Value, json};

use super::{APP_ID, APP_SECRET, Code, MockRequest, MockVendor, keys, with_token};
use crate::login::to_sign;

/// The code in a request.
pub(super) fn code(vendor: MockVendor, request: &MockRequest) -> String {
    match vendor {
        MockVendor::WeChat | MockVendor::Kuaishou | MockVendor::WeCom => {
            request.parameter("js_code").to_owned()
        }
        MockVendor::Alipay | MockVendor::Baidu => request.parameter("code").to_owned(),
        MockVendor::Douyin | MockVendor::Feishu => {
            body(request)["code"].as_str().unwrap_or_default().to_owned()
        }
    }
}

/// The content type and the body of an answer.
pub(super) fn answer(
    vendor: MockVendor,
    request: &MockRequest,
    token: &str,
    redeem: impl FnOnce() -> Code,
) -> (&'static str, String) {
    const JSON: &str = "application/json";
    match vendor {
        // It says so of JSON.
        MockVendor::WeChat => ("text/plain", wechat(request, redeem).to_string()),
        MockVendor::Alipay => ("text/html;charset=utf-8", alipay(request, redeem)),
        MockVendor::Douyin => (JSON, douyin(request, redeem).to_string()),
        MockVendor::Baidu => (JSON, baidu(request, redeem).to_string()),
        MockVendor::Kuaishou => (JSON, kuaishou(request, redeem).to_string()),
        MockVendor::WeCom => (JSON, with_token::wecom(request, token, redeem).to_string()),
        MockVendor::Feishu => (JSON, with_token::feishu(request, token, redeem).to_string()),
    }
}

/// A key that must not be kept, logged or sent.
pub(super) const SESSION_KEY: &str = "c2Vzc2lvbi1rZXktb2YtbW9jaw==";

fn wechat(request: &MockRequest, redeem: impl FnOnce() -> Code) -> Value {
    let error = |errcode: i64, errmsg: &str| json!({"errcode": errcode, "errmsg": errmsg});
    if request.method != "GET" {
        return error(43001, "require GET method");
    }
    if request.parameter("appid") != APP_ID {
        return error(40013, "invalid appid");
    }
    if request.parameter("secret") != APP_SECRET {
        return error(40125, "invalid appsecret");
    }
    if request.parameter("grant_type") != "authorization_code" {
        return error(40002, "invalid grant_type");
    }
    if request.parameter("js_code").is_empty() {
        return error(41008, "missing code");
    }
    match redeem() {
        Code::User(user) => {
            json!({"session_key": SESSION_KEY, "openid": user, "unionid": format!("union-{user}")})
        }
        Code::Invalid => error(40029, "invalid code"),
        Code::Used => error(40163, "code been used"),
        Code::Busy => error(-1, "system error"),
        Code::TooOften => error(45011, "api minute-quota reach limit"),
        Code::Banned => error(40226, "code blocked"),
    }
}

fn douyin(request: &MockRequest, redeem: impl FnOnce() -> Code) -> Value {
    let empty =
        json!({"session_key": "", "openid": "", "anonymous_openid": "", "unionid": "", "dopenid": ""});
    let error = |err_no: i64, err_tips: &str| json!({"err_no": err_no, "err_tips": err_tips, "data": empty});
    let body = body(request);
    if request.method != "POST" || body["appid"] != APP_ID {
        return error(40015, "appid 错误");
    }
    if body["secret"] != APP_SECRET {
        return error(40017, "secret 错误");
    }
    match redeem() {
        Code::User(user) => json!({"err_no": 0, "err_tips": "success", "data": {
            "session_key": SESSION_KEY, "openid": user, "anonymous_openid": "",
            "unionid": format!("union-{user}"), "dopenid": "",
        }}),
        Code::Invalid | Code::Used => error(40018, "code 错误"),
        Code::Busy | Code::TooOften | Code::Banned => error(-1, "系统错误"),
    }
}

fn baidu(request: &MockRequest, redeem: impl FnOnce() -> Code) -> Value {
    let error = |error: &str, words: &str| json!({"error": error, "error_description": words});
    if request.parameter("client_id") != APP_ID || request.parameter("sk") != APP_SECRET {
        return error("invalid_client", "unknown client id");
    }
    match redeem() {
        Code::User(user) => json!({"openid": user, "session_key": SESSION_KEY}),
        Code::Invalid | Code::Used => error("invalid_grant", "Invalid authorization code"),
        Code::Busy | Code::TooOften | Code::Banned => error("temporarily_unavailable", "try again"),
    }
}

fn kuaishou(request: &MockRequest, redeem: impl FnOnce() -> Code) -> Value {
    let error = |result: i64, error: &str| json!({"result": result, "error": error, "error_msg": "see the documents"});
    if request.parameter("app_id") != APP_ID || request.parameter("app_secret") != APP_SECRET {
        return error(100_200_101, "invalid_client");
    }
    match redeem() {
        Code::User(user) => json!({"result": 1, "session_key": SESSION_KEY, "open_id": user}),
        Code::Invalid | Code::Used => error(100_200_102, "invalid_grant"),
        Code::Busy | Code::TooOften | Code::Banned => error(100_200_500, "server_error"),
    }
}

/// The object is signed as it is written here, with spaces that other writers leave out.
fn alipay(request: &MockRequest, redeem: impl FnOnce() -> Code) -> String {
    let error = |code: &str, sub_code: &str| {
        let object =
            format!(r#"{{"code": "{code}", "msg": "Error", "sub_code": "{sub_code}", "sub_msg": "…"}}"#);
        signed("error_response", &object)
    };
    if request.parameter("app_id") != APP_ID {
        return error("40002", "isv.invalid-app-id");
    }
    if !is_signed_by_app(request) {
        return error("40002", "isv.invalid-signature");
    }
    if request.parameter("method") != "alipay.system.oauth.token" {
        return error("40002", "isv.invalid-method");
    }
    match redeem() {
        Code::User(user) => signed(
            "alipay_system_oauth_token_response",
            &format!(
                r#"{{"open_id": "{user}", "access_token": "{SESSION_KEY}", "expires_in": 1296000, "refresh_token": "…"}}"#
            ),
        ),
        Code::Invalid | Code::Used => error("40002", "isv.code-invalid"),
        Code::Busy | Code::Banned => error("20000", "isp.unknow-error"),
        Code::TooOften => error("40005", "isv.app-call-limited"),
    }
}

pub(crate) fn signed(name: &str, object: &str) -> String {
    let der = BASE64_STANDARD.decode(keys::ALIPAY_PRIVATE_KEY).expect("it is base64");
    let key = RsaKeyPair::from_pkcs8(&der).expect("it is a key");
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), object.as_bytes(), &mut signature)
        .expect("the buffer is as long as the modulus");
    format!(r#"{{"{name}":{object},"sign":"{}"}}"#, BASE64_STANDARD.encode(signature))
}

fn is_signed_by_app(request: &MockRequest) -> bool {
    let mut parameters: Vec<(&str, &str)> = (request.parameters.iter())
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| *name != "sign")
        .collect();
    let text = to_sign(&mut parameters);
    let der = BASE64_STANDARD.decode(keys::APP_PRIVATE_KEY).expect("it is base64");
    let key = RsaKeyPair::from_pkcs8(&der).expect("it is a key");
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public().as_ref().to_vec());
    let signature = BASE64_STANDARD.decode(request.parameter("sign")).unwrap_or_default();
    key.verify(text.as_bytes(), &signature).is_ok()
}

pub(super) fn body(request: &MockRequest) -> Value {
    if request.content_type.starts_with("application/json") {
        serde_json::from_str(&request.body).unwrap_or_default()
    } else {
        Value::Null
    }
}
