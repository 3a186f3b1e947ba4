//! Each vendor and its quirks.

use std::collections::BTreeMap;

use serde_json::json;

use super::{FakeNetwork, NOW, logins, mock_request, options, user};
use crate::{
    LoginOptions, Secret,
    login::{
        GenericOptions, LoginKind, ParametersIn,
        vendor::{CodeError, Vendor},
    },
    mock::{ALIPAY_PUBLIC_KEY, APP_ID, APP_PRIVATE_KEY, APP_SECRET, Mock, MockVendor},
};

fn alipay() -> LoginOptions {
    let mut alipay = LoginOptions::new("alipay", APP_ID, Secret::new(APP_PRIVATE_KEY));
    alipay.alipay_public_key = Some(ALIPAY_PUBLIC_KEY.to_owned());
    alipay
}

fn all() -> [(LoginOptions, MockVendor); 6] {
    [
        (options("wechat"), MockVendor::WeChat),
        (options("qq"), MockVendor::WeChat),
        (options("douyin"), MockVendor::Douyin),
        (options("baidu"), MockVendor::Baidu),
        (options("kuaishou"), MockVendor::Kuaishou),
        (alipay(), MockVendor::Alipay),
    ]
}

/// What a vendor makes of a code at a mock.
fn ask(vendor: &dyn Vendor, mock: &mut Mock, code: &str) -> Result<String, CodeError> {
    let answer = mock.answer(&mock_request(&vendor.request(code, "", NOW)));
    vendor.user(answer.body.as_bytes())
}

#[tokio::test]
async fn every_vendor_turns_a_code_into_a_user() {
    for (options, mock) in all() {
        let (network, provider) = (FakeNetwork::to(mock), options.provider.clone());
        let logins = logins(options, &network);
        // Codes have letters that URLs and forms have a meaning for.
        let identity = logins.authenticate(NOW, &provider, "ann.1+/=&? ü", None).await;
        assert_eq!(user(identity).unwrap(), format!("{provider}:ann"));
    }
}

#[test]
fn used_code_is_denied_by_every_vendor() {
    for (options, mock) in all() {
        let (vendor, mut mock) = (options.vendor().unwrap(), Mock::new(mock));
        assert_eq!(ask(&*vendor, &mut mock, "ann.1").as_deref(), Ok("ann"), "{}", options.provider);
        assert_eq!(ask(&*vendor, &mut mock, "ann.1"), Err(CodeError::Denied), "{}", options.provider);
        assert_eq!(ask(&*vendor, &mut mock, "expired.1"), Err(CodeError::Denied), "{}", options.provider);
        assert_eq!(ask(&*vendor, &mut mock, "busy.1"), Err(CodeError::Temporary), "{}", options.provider);
    }
}

#[test]
fn wrong_app_and_wrong_secret_give_a_hint_without_them() {
    for (options, vendor) in all() {
        let mut wrong_app = options.clone();
        wrong_app.app_id = "wrong-app".to_owned();
        let mut wrong_secret = options;
        // For Alipay a key of the right form, which is not the app's.
        wrong_secret.app_secret = Some(match vendor {
            MockVendor::Alipay => Secret::new(crate::mock::OTHER_PRIVATE_KEY),
            _ => Secret::new("wrong-secret"),
        });
        for options in [wrong_app, wrong_secret] {
            let asked = ask(&*options.vendor().unwrap(), &mut Mock::new(vendor), "ann.1");
            let Err(CodeError::Operator(hint)) = asked else { panic!("{}: {asked:?}", options.provider) };
            assert!(hint.contains("`app_id`") || hint.contains("`app_secret`"), "{hint}");
            assert!(!hint.contains("wrong-"), "{hint}");
        }
    }
}

#[test]
fn answer_that_is_not_of_the_vendor_is_the_operators_error() {
    for (options, _) in all() {
        let vendor = options.vendor().unwrap();
        for body in ["", "<html>busy</html>", "[]", "null", "42", "{}", r#"{"openid": ""}"#] {
            let user = vendor.user(body.as_bytes());
            assert!(matches!(user, Err(CodeError::Operator(_))), "{}: {body}: {user:?}", options.provider);
        }
    }
}

#[test]
fn wechat_success_may_have_errcode_zero_and_is_text() {
    let vendor = options("wechat").vendor().unwrap();
    assert_eq!(vendor.user(br#"{"openid":"o1","session_key":"k"}"#).as_deref(), Ok("o1"));
    assert_eq!(
        vendor.user(br#"{"openid":"o1","session_key":"k","errcode":0,"errmsg":"ok"}"#).as_deref(),
        Ok("o1")
    );
    let answer = Mock::new(MockVendor::WeChat).answer(&mock_request(&vendor.request("ann.1", "", NOW)));
    assert_eq!((answer.status, answer.content_type), (200, "text/plain"));
}

#[test]
fn wechat_errcode_may_be_text() {
    let vendor = options("wechat").vendor().unwrap();
    assert_eq!(vendor.user(br#"{"errcode":"40163","errmsg":""}"#), Err(CodeError::Denied));
    let hint = |code: i64| vendor.user(json!({ "errcode": code }).to_string().as_bytes()).unwrap_err();
    for (code, word) in
        [(40164, "white list"), (61003, "authorised"), (41008, "missing"), (41002, "missing"), (9, "9")]
    {
        assert!(matches!(hint(code), CodeError::Operator(hint) if hint.contains(word)), "{code}");
    }
    assert_eq!((hint(45011), hint(40226)), (CodeError::RateLimited, CodeError::Banned));
}

#[test]
fn wechat_without_a_union_id_says_why() {
    let mut options = options("wechat");
    options.union_id = true;
    let user = options.vendor().unwrap().user(br#"{"openid":"o1"}"#);
    assert!(matches!(user, Err(CodeError::Operator(hint)) if hint.contains("open platform")));
}

#[test]
fn douyin_success_is_in_data_beside_err_no_zero() {
    let vendor = options("douyin").vendor().unwrap();
    let request = mock_request(&vendor.request("ann.1", "", NOW));
    assert_eq!((request.method.as_str(), request.content_type.as_str()), ("POST", "application/json"));
    assert!(matches!(vendor.user(br#"{"err_no":0,"openid":"o1"}"#), Err(CodeError::Operator(_))));
    assert_eq!(vendor.user(br#"{"err_no":40019,"data":{}}"#), Err(CodeError::Denied));
}

#[test]
fn kuaishou_success_is_one_and_not_zero() {
    let vendor = options("kuaishou").vendor().unwrap();
    assert_eq!(vendor.user(br#"{"result":1,"open_id":"o1"}"#).as_deref(), Ok("o1"));
    assert!(matches!(vendor.user(br#"{"result":0,"open_id":"o1"}"#), Err(CodeError::Operator(_))));
}

#[test]
fn alipay_answer_is_verified_as_it_was_written() {
    let vendor = alipay().vendor().unwrap();
    let answer = Mock::new(MockVendor::Alipay).answer(&mock_request(&vendor.request("ann.1", "", NOW))).body;
    assert!(answer.contains(r#""open_id": "ann""#), "with a space that another writer leaves out");
    assert_eq!(vendor.user(answer.as_bytes()).as_deref(), Ok("ann"));
    let refused = |answer: &str| match vendor.user(answer.as_bytes()) {
        Err(CodeError::Operator(hint)) => hint,
        other => panic!("{other:?}"),
    };
    assert!(refused(&answer.replace("ann", "bob")).contains("not signed"), "somebody changed it");
    assert!(
        refused(&answer.replace(r#""open_id": "#, r#""open_id":"#)).contains("not signed"),
        "each byte counts"
    );
    let unsigned = answer.split_once(r#","sign""#).unwrap().0.to_owned() + "}";
    assert!(refused(&unsigned).contains("not signed"));
}

#[test]
fn alipay_answer_with_another_key_is_refused() {
    let mut options = alipay();
    // The likely slip: the app's own public key.
    options.alipay_public_key = Some(crate::mock::APP_PUBLIC_KEY.to_owned());
    let vendor = options.vendor().unwrap();
    let user = ask(&*vendor, &mut Mock::new(MockVendor::Alipay), "ann.1");
    assert!(matches!(user, Err(CodeError::Operator(hint)) if hint.contains("not the app's")));
}

#[test]
fn alipay_keys_may_be_pem_or_naked_base64() {
    let armored = |label: &str, key: &str| {
        let lines: Vec<_> = key.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line)).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    };
    let mut options = alipay();
    options.app_secret = Some(Secret::new(armored("PRIVATE KEY", APP_PRIVATE_KEY)));
    options.alipay_public_key = Some(armored("PUBLIC KEY", ALIPAY_PUBLIC_KEY));
    let user = ask(&*options.vendor().unwrap(), &mut Mock::new(MockVendor::Alipay), "ann.1");
    assert_eq!(user.as_deref(), Ok("ann"));
}

#[test]
fn alipay_user_id_of_older_apps_is_taken_where_there_is_no_open_id() {
    let vendor = alipay().vendor().unwrap();
    let answer = crate::mock::signed_by_alipay("alipay_system_oauth_token_response", r#"{"user_id":"2088"}"#);
    assert_eq!(vendor.user(answer.as_bytes()).as_deref(), Ok("2088"));
}

#[test]
fn alipay_error_may_be_unsigned() {
    let vendor = alipay().vendor().unwrap();
    let error = |code: &str, sub_code: &str| {
        let body = json!({"error_response": {"code": code, "msg": "", "sub_code": sub_code}});
        vendor.user(body.to_string().as_bytes()).unwrap_err()
    };
    assert_eq!(error("40002", "isv.code-invalid"), CodeError::Denied);
    assert_eq!(error("20000", "isp.unknow-error"), CodeError::Temporary);
    assert_eq!(error("40005", "isv.app-call-limited"), CodeError::RateLimited);
    assert!(matches!(error("40006", "isv.insufficient-isv-permissions"), CodeError::Operator(_)));
}

fn generic(url: &str, change: impl FnOnce(&mut GenericOptions)) -> LoginOptions {
    let mut options = options("jd");
    (options.kind, options.url) = (Some(LoginKind::Generic), Some(url.to_owned()));
    let mut generic = GenericOptions::default();
    change(&mut generic);
    options.generic = Some(generic);
    options
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, Secret> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect()
}

#[test]
fn generic_provider_speaks_to_wechat_and_douyin_and_baidu() {
    let wechat = generic("https://a.example/session", |generic| {
        generic.parameters = map(&[
            ("appid", "{app_id}"),
            ("secret", "{app_secret}"),
            ("js_code", "{code}"),
            ("grant_type", "authorization_code"),
        ]);
        generic.denied = vec!["40029".to_owned(), "40163".to_owned()];
        generic.temporary = vec!["-1".to_owned()];
        generic.rate_limited = vec!["45011".to_owned()];
        generic.banned = vec!["40226".to_owned()];
    });
    let douyin = generic("https://a.example/session", |generic| {
        generic.send = ParametersIn::Json;
        generic.parameters = map(&[("appid", "{app_id}"), ("secret", "{app_secret}"), ("code", "{code}")]);
        (generic.id, generic.error) = (Some("/data/openid".to_owned()), Some("/err_no".to_owned()));
        generic.denied = vec!["40018".to_owned()];
        generic.temporary = vec!["-1".to_owned()];
    });
    let baidu = generic("https://a.example/session", |generic| {
        generic.send = ParametersIn::Form;
        generic.parameters = map(&[("client_id", "{app_id}"), ("sk", "{app_secret}"), ("code", "{code}")]);
        generic.error = Some("/error".to_owned());
        generic.denied = vec!["invalid_grant".to_owned()];
        generic.temporary = vec!["temporarily_unavailable".to_owned()];
    });
    for (options, mock) in
        [(wechat, MockVendor::WeChat), (douyin, MockVendor::Douyin), (baidu, MockVendor::Baidu)]
    {
        let (vendor, mut mock) = (options.vendor().unwrap(), Mock::new(mock));
        assert_eq!(ask(&*vendor, &mut mock, "ann.1").as_deref(), Ok("ann"));
        assert_eq!(ask(&*vendor, &mut mock, "ann.1"), Err(CodeError::Denied));
        assert_eq!(ask(&*vendor, &mut mock, "busy.1"), Err(CodeError::Temporary));
    }
}

#[test]
fn code_brings_no_name_in_braces_and_no_parameter_along() {
    let options = generic("https://a.example/{code}/session?app={app_id}", |generic| {
        generic.headers = map(&[("x-app", "{app_id}:{unknown}")]);
    });
    let request = options.vendor().unwrap().request("{app_secret}&a=b/../#?", "", NOW);
    assert_eq!(request.url, "https://a.example/%7Bapp_secret%7D%26a%3Db%2F..%2F%23%3F/session?app=mock-app");
    assert_eq!(request.headers, [("x-app".to_owned(), "mock-app:{unknown}".to_owned())]);
    assert!(!request.url.contains(APP_SECRET));
}

#[test]
fn invalid_options_name_what_is_missing() {
    let with = |change: fn(&mut LoginOptions)| {
        let mut options = alipay();
        change(&mut options);
        options.check().unwrap_err().to_string()
    };
    assert!(with(|it| it.provider.clear()).contains("`provider` is missing"));
    assert!(with(|it| it.provider = "jd".to_owned()).contains("`kind` is missing"));
    assert!(with(|it| it.app_id.clear()).contains("`app_id` is missing"));
    assert!(with(|it| it.app_secret = None).contains("`app_secret` is missing"));
    assert!(with(|it| it.alipay_public_key = None).contains("`alipay_public_key` is missing"));
    assert!(with(|it| it.app_cert_sn = Some("a".to_owned())).contains("go together"));
    assert!(with(|it| it.url = Some("http://openapi.example".to_owned())).contains("begins with https://"));
    assert!(with(|it| it.app_secret = Some(Secret::new("MIIE"))).contains("`app_secret`"));
    assert!(with(|it| it.generic = Some(GenericOptions::default())).contains("only for"));
    assert!(alipay().check().is_ok());
    assert!(!format!("{:?}", alipay()).contains(&APP_PRIVATE_KEY[..40]), "secrets are not printed");
}
