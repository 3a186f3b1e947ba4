//! Vendors that want a token of the app with each code. They give the same token until it has ended.

use serde_json::{Value, json};

use super::{
    APP_ID, APP_SECRET, Code, MockRequest, MockVendor,
    vendors::{SESSION_KEY, body},
};

/// The answer to a request for a token; `None`: it is a request with a code.
pub(super) fn token(vendor: MockVendor, request: &MockRequest, token: &str) -> Option<String> {
    let answer = match vendor {
        MockVendor::WeCom if request.path.ends_with("/gettoken") => wecom_token(request, token),
        MockVendor::Feishu if request.path.contains("/app_access_token") => feishu_token(request, token),
        _ => return None,
    };
    Some(answer.to_string())
}

fn wecom_token(request: &MockRequest, token: &str) -> Value {
    if request.parameter("corpid") != APP_ID {
        return json!({"errcode": 40013, "errmsg": "invalid corpid"});
    }
    if request.parameter("corpsecret") != APP_SECRET {
        return json!({"errcode": 40001, "errmsg": "invalid credential"});
    }
    json!({"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": 7200})
}

pub(super) fn wecom(request: &MockRequest, token: &str, redeem: impl FnOnce() -> Code) -> Value {
    let error = |errcode: i64, errmsg: &str| json!({"errcode": errcode, "errmsg": errmsg});
    if request.method != "GET" {
        return error(43001, "require GET method");
    }
    match request.parameter("access_token") {
        "" => return error(41001, "access_token missing"),
        given if given == token => {}
        given if given.starts_with("mock-token-") => return error(42001, "access_token expired"),
        _ => return error(40014, "invalid access_token"),
    }
    match redeem() {
        Code::User(user) => {
            json!({"errcode": 0, "errmsg": "ok", "corpid": APP_ID, "userid": user, "session_key": SESSION_KEY})
        }
        Code::Invalid | Code::Used => error(40029, "invalid code"),
        Code::Busy => error(-1, "system busy"),
        Code::TooOften => error(45009, "api freq out of limit"),
        Code::Banned => error(60111, "userid not found"),
    }
}

fn feishu_token(request: &MockRequest, token: &str) -> Value {
    let body = body(request);
    if request.method != "POST" || body["app_id"] != APP_ID || body["app_secret"] != APP_SECRET {
        return json!({"code": 10014, "msg": "app secret invalid"});
    }
    json!({"code": 0, "msg": "ok", "app_access_token": token, "expire": 7200, "tenant_access_token": "t-other"})
}

pub(super) fn feishu(request: &MockRequest, token: &str, redeem: impl FnOnce() -> Code) -> Value {
    let error = |code: i64, msg: &str| json!({"code": code, "msg": msg});
    if request.authorization != format!("Bearer {token}") {
        return error(10202, "access token invalid");
    }
    match redeem() {
        Code::User(user) => json!({"code": 0, "msg": "success", "data": {
            "open_id": user, "tenant_key": "mock", "session_key": SESSION_KEY,
            "access_token": "u-mock", "expires_in": 1_565_512_680, "refresh_token": "ur-mock",
        }}),
        Code::Invalid | Code::Used => error(10213, "code appid not match"),
        Code::Busy => error(2200, "internal error"),
        Code::TooOften => error(99_991_400, "request trigger frequency limit"),
        Code::Banned => error(10228, "user to app has no visibility"),
    }
}
