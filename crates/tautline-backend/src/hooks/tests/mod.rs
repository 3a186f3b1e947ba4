//! Hooks against a back end that behaves, and one that does not.

mod back_end;
mod failures;
mod kills;
mod news;
mod permissions;
mod reload;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json, value::RawValue};
use standardwebhooks::Webhook;
use tautline_files::secret::Secret;
use tautline_hub::{CallKey, Identity, LoginDetails, LoginRefused, Permission};
use tautline_protocol::{
    Info, Now, UserId,
    packet::{Auth, client::ClientInfo},
};

use self::back_end::{BackEnd, Reply, Seen};
use super::{HookKind, HookOptions, Hooks};
use crate::{Authenticator, AuthenticatorOptions, Backend as _, Call, CallError, Login, LoginResult};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const SESSION: &str = "AQIDBAUGBwgJCgsMDQ4PEA";

fn options(on: impl Into<Vec<HookKind>>, url: &str) -> HookOptions {
    HookOptions {
        allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
        // Far beyond what a busy machine takes: only tests of the time have less.
        timeout: Some(Duration::from_secs(30)),
        ..HookOptions::new(on, url, Secret::new(SECRET))
    }
}

/// These hooks, and guests without one.
fn hooks(options: &[HookOptions]) -> Hooks {
    let guests = AuthenticatorOptions { guests: true, ..AuthenticatorOptions::default() };
    Hooks::new("", options, Authenticator::new(&guests).unwrap()).unwrap()
}

fn now() -> Now {
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Now::new(5_000, u64::try_from(wall.as_millis()).unwrap())
}

fn key(id: u64) -> CallKey {
    CallKey::parse(&format!("{SESSION}:{id}")).unwrap()
}

fn ali() -> Arc<Identity> {
    let info = RawValue::from_string(r#"{"name":"Ali"}"#.to_owned()).unwrap();
    let details = LoginDetails {
        info: Some(info.into()),
        labels: [("shop".into(), "7".into())].into(),
        ..LoginDetails::default()
    };
    Arc::new(Identity { user: UserId::parse("ali").ok(), details: details.shared(), ..Identity::default() })
}

fn wechat() -> ClientInfo {
    ClientInfo { sdk: "js/1".to_owned(), platform: "wechat".to_owned(), version: None }
}

fn a_call(id: u64, method: &str) -> Call {
    let data = RawValue::from_string(r#"{"sku": 7}"#.to_owned()).unwrap();
    let call = Call::new(method.to_owned(), data, ali(), key(id)).with("192.0.2.7".parse().ok(), 30_000);
    call.with_client(Some(Arc::new(wechat())))
}

async fn call(hooks: &Hooks, id: u64, method: &str) -> Result<String, CallError> {
    hooks.call(now(), a_call(id, method)).await.map(|data| data.get().to_owned())
}

/// The code of the error with which a call ends.
async fn code(hooks: &Hooks, id: u64) -> String {
    call(hooks, id, "buy").await.unwrap_err().code.to_string()
}

async fn log_in(hooks: &Hooks, auth: &Auth) -> Result<Identity, LoginRefused> {
    hooks.authenticate(Login::new(now(), auth)).await
}

fn token(text: &str) -> Auth {
    Auth::Token { token: text.to_owned() }
}

fn data(data: Value) -> Reply {
    Reply::Json(200, json!({"result": {"data": data}}))
}

/// Whether a receiver with this secret accepts the request.
fn is_accepted(seen: &Seen, secret: &str) -> bool {
    let headers = seen
        .headers
        .iter()
        .map(|(name, value)| (HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap()));
    let headers: HeaderMap = headers.collect();
    Webhook::new(secret).unwrap().verify(&seen.raw, &headers).is_ok()
}

#[tokio::test]
async fn call_is_answered_by_the_back_end() {
    let back_end = BackEnd::always(data(json!({"order": 1}))).await;
    let hooks = hooks(&[options([HookKind::Call], &back_end.url)]);
    assert_eq!(call(&hooks, 7, "buy").await.unwrap(), r#"{"order":1}"#);
    let seen = &back_end.seen()[0];
    let expected = json!({
        "kind": "call", "id": format!("{SESSION}:7"), "session": SESSION, "user": "ali",
        "info": {"name": "Ali"}, "labels": {"shop": "7"}, "address": "192.0.2.7", "method": "buy",
        "data": {"sku": 7}, "client": {"sdk": "js/1", "platform": "wechat"},
    });
    assert_eq!(seen.json(), expected);
    assert_eq!(seen.header("idempotency-key"), format!("{SESSION}:7"));
    assert_eq!(seen.header("tautline-hook"), "call");
    assert_eq!(seen.header("tautline-hook-name"), "127.0.0.1");
    assert_eq!(seen.header("content-type"), "application/json");
    let left: u64 = seen.header("tautline-deadline-ms").parse().unwrap();
    assert!((20_000..=30_000).contains(&left), "{left}");
    let trace: Vec<_> = seen.header("traceparent").split('-').collect();
    assert_eq!((trace[0], trace[1], trace[3]), ("00", "01020304050607080000000000000007", "01"));
    assert_ne!(trace[2], "0".repeat(16));
}

#[tokio::test]
async fn receiver_with_either_secret_accepts_requests() {
    let back_end = BackEnd::always(data(json!(1))).await;
    let secrets = [OLD_SECRET, SECRET].map(Secret::new).into();
    let hooks = hooks(&[HookOptions { secrets, ..options([HookKind::Call], &back_end.url) }]);
    call(&hooks, 1, "buy").await.unwrap();
    let seen = &back_end.seen()[0];
    assert!(is_accepted(seen, SECRET) && is_accepted(seen, OLD_SECRET));
    let forged = Seen { raw: b"{}".to_vec(), ..seen.clone() };
    assert!(!is_accepted(&forged, SECRET));
}

#[tokio::test]
async fn hook_has_its_own_headers() {
    let back_end = BackEnd::always(data(json!(1))).await;
    let headers = [("Authorization".to_owned(), Secret::new("Bearer x"))].into();
    let hooks = hooks(&[HookOptions { headers, ..options([HookKind::Call], &back_end.url) }]);
    call(&hooks, 1, "buy").await.unwrap();
    assert_eq!(back_end.seen()[0].header("authorization"), "Bearer x");
}

#[tokio::test]
async fn answer_without_data_is_null() {
    for reply in [
        Reply::Json(200, json!({"result": {}})),
        Reply::Raw("HTTP/1.1 204 x\r\n\r\n"),
        Reply::Raw("HTTP/1.1 200 x\r\ncontent-length: 0\r\n\r\n"),
    ] {
        let back_end = BackEnd::always(reply).await;
        let hooks = hooks(&[options([HookKind::Call], &back_end.url)]);
        assert_eq!(call(&hooks, 1, "buy").await.unwrap(), "null");
    }
}

#[tokio::test]
async fn first_hook_that_takes_a_method_decides() {
    let (orders, rest) =
        (BackEnd::always(data(json!("orders"))).await, BackEnd::always(data(json!("rest"))).await);
    let of = |matches: &[&str], url: &str, idempotent| {
        let matches = matches.iter().map(ToString::to_string).collect();
        HookOptions { matches, idempotent, ..options([HookKind::Call], url) }
    };
    let hooks = hooks(&[of(&["order.*"], &orders.url, false), of(&["o*", "pay"], &rest.url, true)]);
    assert_eq!(call(&hooks, 1, "order.create").await.unwrap(), "\"orders\"");
    assert_eq!(call(&hooks, 2, "open").await.unwrap(), "\"rest\"");
    assert_eq!(call(&hooks, 3, "unknown").await.unwrap_err(), CallError::no_such_method());
    let idempotent = ["order.create", "open", "pay", "unknown"].map(|method| hooks.is_idempotent(method));
    assert_eq!(idempotent, [false, true, true, false]);
}

#[tokio::test]
async fn back_end_says_whose_a_login_is() {
    let answer = json!({"result": {
        "user": "ali", "expires_at": 4_000_000_000_000_u64, "info": {"name": "Ali"},
        "labels": {"shop": "7"}, "channels": {"publish": ["room:*"]}, "subs": ["news"],
    }});
    let back_end = BackEnd::always(Reply::Json(200, answer)).await;
    let hooks = hooks(&[options([HookKind::Connect], &back_end.url)]);
    let identity = log_in(&hooks, &token("t")).await.unwrap();
    assert_eq!(identity.user.as_ref().map(UserId::as_str), Some("ali"));
    assert_eq!(identity.expires_at, Some(4_000_000_000_000));
    assert!(hooks.sources().contains(&identity.source), "its tickets are valid");
    let details = identity.details.unwrap();
    assert_eq!(details.info.as_ref().map(Info::as_str), Some(r#"{"name":"Ali"}"#));
    assert_eq!(details.labels["shop"], "7".into());
    assert_eq!(details.subs[0].as_str(), "news");
    assert_eq!(details.grants[0].0, Permission::Publish);
    let seen = &back_end.seen()[0];
    let expected = json!({"kind": "connect", "id": seen.header("idempotency-key"), "login": {"token": "t"}});
    assert_eq!(seen.json(), expected);
}

#[tokio::test]
async fn answer_in_the_words_of_centrifugo_is_understood() {
    let answer = json!({"result": {
        "user": "ali", "expire_at": 4_000_000_000_u64, "subs": {"news": {"recover": true}}, "data": {},
    }});
    let back_end = BackEnd::always(Reply::Json(200, answer)).await;
    let hooks = hooks(&[options([HookKind::Connect], &back_end.url)]);
    let identity = log_in(&hooks, &token("t")).await.unwrap();
    assert_eq!(identity.expires_at, Some(4_000_000_000_000));
    assert_eq!(identity.details.unwrap().subs[0].as_str(), "news");
}

#[tokio::test]
async fn refresh_names_the_session_and_its_user() {
    let back_end = BackEnd::always(Reply::Json(200, json!({"result": {"user": "ali"}}))).await;
    let hooks = hooks(&[options([HookKind::Connect], &back_end.url)]);
    let (auth, present) = (token("new"), (key(9), ali()));
    let mut login = Login::new(now(), &auth);
    login.refreshes = Some(&present);
    let client = wechat();
    login.client = Some(&client);
    hooks.authenticate(login).await.unwrap();
    let seen = &back_end.seen()[0];
    assert!(seen.header("traceparent").contains("01020304050607080000000000000009"));
    let expected = json!({
        "kind": "refresh", "id": seen.header("idempotency-key"), "session": SESSION, "user": "ali",
        "info": {"name": "Ali"}, "labels": {"shop": "7"}, "login": {"token": "new"},
        "client": {"sdk": "js/1", "platform": "wechat"},
    });
    assert_eq!(seen.json(), expected);
    // A client may choose the id of its request again.
    hooks.authenticate(login).await.unwrap();
    assert_ne!(back_end.seen()[1].header("idempotency-key"), seen.header("idempotency-key"));
}

#[tokio::test]
async fn login_without_a_word_whose_it_is_is_refused() {
    for reply in [
        Reply::Json(200, json!({})),
        Reply::Json(200, json!({"status": "maintenance"})),
        Reply::Raw("HTTP/1.1 204 x\r\n\r\n"),
        Reply::Raw("HTTP/1.1 200 x\r\n\r\n"),
        Reply::Json(200, json!({"result": {"user": "ali", "info": "x".repeat(60_000)}})),
        Reply::Json(200, json!({"result": {"user": "ali", "subs": vec!["room"; 3_000]}})),
        Reply::Json(200, json!({"result": {"user": "ali", "labels": {"a": "x".repeat(10_000)}}})),
    ] {
        let back_end = BackEnd::always(reply.clone()).await;
        let hooks = hooks(&[options([HookKind::Connect], &back_end.url)]);
        let refused = log_in(&hooks, &token("t")).await;
        assert!(matches!(refused, Err(LoginRefused::Unavailable(_))), "{reply:?}: {refused:?}");
    }
}

#[tokio::test]
async fn login_that_no_hook_takes_goes_on() {
    let back_end = BackEnd::always(Reply::Json(200, json!({"result": {"user": "ali"}}))).await;
    let matches = vec!["code:wechat".to_owned()];
    let hooks = hooks(&[HookOptions { matches, ..options([HookKind::Connect], &back_end.url) }]);
    assert_eq!(log_in(&hooks, &Auth::Guest { guest: true }).await.unwrap().user, None);
    assert!(log_in(&hooks, &token("t")).await.is_err());
    assert_eq!(back_end.seen().len(), 0);
    let code = Auth::Code { code: "c".to_owned(), provider: "wechat".to_owned() };
    assert!(log_in(&hooks, &code).await.unwrap().user.is_some());
}

#[tokio::test]
async fn refused_login_says_why() {
    for (error, refused) in [
        (json!({"code": "not_paid", "message": "pay"}), LoginRefused::Unauthorized("pay".into())),
        (json!({"code": "banned", "message": "out"}), LoginRefused::Banned("out".into())),
        (json!({"code": "token_expired"}), LoginRefused::Expired),
        (
            json!({"code": "rate_limited", "retry_after_ms": 9}),
            LoginRefused::RateLimited { retry_after_ms: 9 },
        ),
        (json!({"code": "unavailable", "message": "later"}), LoginRefused::Unavailable("later".into())),
    ] {
        let back_end = BackEnd::always(Reply::Json(200, json!({"error": error}))).await;
        let hooks = hooks(&[options([HookKind::Connect], &back_end.url)]);
        assert_eq!(log_in(&hooks, &token("t")).await, Err(refused));
    }
}

#[tokio::test]
async fn remembered_login_is_not_asked_about_again() {
    let back_end = BackEnd::always(Reply::Json(200, json!({"result": {"user": "ali"}}))).await;
    let cache = Some(Duration::from_secs(60));
    let hooks = hooks(&[HookOptions { cache, ..options([HookKind::Connect], &back_end.url) }]);
    let first = log_in(&hooks, &token("t")).await.unwrap();
    let auth = token("t");
    let later = Now { mono_ms: now().mono_ms + 10_000, wall_ms: now().wall_ms + 10_000 };
    let second = hooks.authenticate(Login::new(later, &auth)).await.unwrap();
    assert_eq!(back_end.seen().len(), 1);
    assert!(second.issued_at_ms.is_some(), "a revocation of the user meanwhile ends it");
    assert_eq!(second, first);
    log_in(&hooks, &token("u")).await.unwrap();
    assert_eq!(back_end.seen().len(), 2);
}

#[test]
fn unfit_options_are_refused_with_the_reason() {
    let fits = options([HookKind::Call], "https://shop.example/hooks");
    assert_eq!(fits.check(), Ok(()));
    let open = || HookOptions { allow_networks: Vec::new(), ..fits.clone() };
    let at = |url: &str| HookOptions { url: Some(url.to_owned()), ..open() };
    let headers = [("Traceparent".to_owned(), Secret::new("x"))].into();
    for (options, why) in [
        (HookOptions { on: Vec::new(), ..fits.clone() }, "`on`"),
        (HookOptions { url: None, ..fits.clone() }, "`url`"),
        (HookOptions { urls: vec!["https://a".to_owned()], ..fits.clone() }, "`url`"),
        (HookOptions { secrets: Vec::new(), ..fits.clone() }, "`secrets`"),
        (HookOptions { headers, ..fits.clone() }, "`headers`"),
        (HookOptions { cache: Some(Duration::from_secs(1)), ..fits.clone() }, "`cache`"),
        (HookOptions { idempotent: true, on: vec![HookKind::Publish], ..fits.clone() }, "`idempotent`"),
        (HookOptions { name: Some("a b".to_owned()), ..fits.clone() }, "`name`"),
        (at("http://shop.example/"), "allow_networks"),
        (at("https://user:pass@shop.example/"), "password"),
        (at("https://169.254.169.254/"), "private network"),
        (at("shop.example"), "https://"),
    ] {
        let error = options.check().unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
        assert!(!error.contains(SECRET));
    }
}

#[test]
fn section_of_a_file_is_read() {
    let text = r#"
        on = "subscribe"
        match = ["room:*"]
        url = "http://10.1.0.2/hooks"
        secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
        timeout = "2s"
        headers = { authorization = "Bearer x" }
        allow_networks = ["10.1.0.0/16"]
    "#;
    let options: HookOptions = toml::from_str(text).unwrap();
    options.check().unwrap();
    assert_eq!((options.on, options.timeout), (vec![HookKind::Subscribe], Some(Duration::from_secs(2))));
    for wrong in
        ["on = \"join\"", "timeout = 5", "allow_networks = [\"ten\"]", "secrets = \"hush\"", "more = 1"]
    {
        let error = toml::from_str::<HookOptions>(wrong).unwrap_err().to_string();
        assert!(!error.contains("whsec"), "{error}");
    }
}
