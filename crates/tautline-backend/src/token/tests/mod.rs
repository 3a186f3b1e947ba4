//! Claims of tokens that are signed with the shared secret; the modules have other keys, and hostile tokens.

mod hostile;
mod jwks;
mod keys;
mod pairs;

use std::task::{Context, Poll, Waker};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tautline_hub::{Identity, LoginRefused, Permission};
use tautline_protocol::{Now, Pattern, UserId, packet::Auth};

use super::claims::DATE_MS_MAX;
use crate::{Authenticator, AuthenticatorOptions, Backend as _, Login, LoginResult};

const SECRET: &[u8] = b"a secret of the app and its gateway";
const NOW: Now = Now::new(5_000, 1_800_000_000_000);
const SOON: u64 = 1_800_000_060;

fn options(secrets: &[&[u8]], guests: bool) -> AuthenticatorOptions {
    let hs256_secrets = secrets.iter().map(|secret| secret.to_vec()).collect();
    AuthenticatorOptions { hs256_secrets, guests, ..AuthenticatorOptions::default() }
}

fn authenticator(options: &AuthenticatorOptions) -> Authenticator {
    Authenticator::new(options).unwrap()
}

/// The answer to a login that needs nobody else.
fn check(authenticator: &Authenticator, auth: &Auth) -> LoginResult {
    let mut answer = authenticator.authenticate(Login::new(NOW, auth));
    match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it is answered at once"),
    }
}

fn check_token(authenticator: &Authenticator, token: String) -> LoginResult {
    check(authenticator, &Auth::Token { token })
}

fn login(claims: &Value) -> LoginResult {
    login_signed(claims, &Header::new(Algorithm::HS256), SECRET)
}

fn login_signed(claims: &Value, header: &Header, secret: &[u8]) -> LoginResult {
    let authenticator = authenticator(&options(&[SECRET], false));
    let token = encode(header, claims, &EncodingKey::from_secret(secret).unwrap()).unwrap();
    check_token(&authenticator, token)
}

fn is_refused_for(result: LoginResult, word: &str) -> bool {
    matches!(result, Err(LoginRefused::Unauthorized(words)) if words.contains(word))
}

#[test]
fn channels_by_permission_grant_one_each() {
    let channels = json!({"subscribe": ["news:*"], "publish": ["room:7", "room:8"]});
    let identity = login(&json!({"sub": "u42", "exp": SOON, "channels": channels})).unwrap();
    assert!(identity.channels.is_empty());
    let details = identity.details.expect("grants are details");
    let mut grants: Vec<_> =
        details.grants.iter().map(|(permission, pattern)| (*permission, pattern.as_str())).collect();
    grants.sort_unstable();
    let publish = |name| (Permission::Publish, name);
    assert_eq!(grants, [(Permission::Subscribe, "news:*"), publish("room:7"), publish("room:8")]);
}

#[test]
fn channels_of_an_unknown_permission_are_refused() {
    for channels in [json!({"admin": ["*"]}), json!({"publish": "room:7"}), json!({"publish": ["a*b"]})] {
        let refused = login(&json!({"sub": "u42", "exp": SOON, "channels": channels}));
        assert!(is_refused_for(refused, "`channels`"), "{channels}");
    }
}

#[test]
fn good_token_gives_user_channels_and_expiry() {
    let identity = login(&json!({"sub": "u42", "exp": SOON, "channels": ["room:*", "lobby"]})).unwrap();
    assert_eq!(identity.user, UserId::parse("u42").ok());
    assert_eq!(identity.channels.iter().map(Pattern::as_str).collect::<Vec<_>>(), ["room:*", "lobby"]);
    assert_eq!(identity.expires_at, Some(SOON * 1000));
}

#[test]
fn rarer_claims_are_the_details_of_the_login() {
    let claims = json!({
        "sub": "u42", "exp": SOON, "iat": 1_799_999_000, "jti": "t1", "subs": ["room:7"],
        "info": {"name": "Ann"}, "labels": {"platform": "wechat"},
    });
    let identity = login(&claims).unwrap();
    assert_eq!(identity.issued_at_ms, Some(1_799_999_000_000));
    let details = identity.details.unwrap();
    assert_eq!(details.subs.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["room:7"]);
    assert_eq!(details.info.as_ref().unwrap().as_str(), r#"{"name":"Ann"}"#);
    assert_eq!(details.labels.iter().next(), Some((&"platform".into(), &"wechat".into())));
    assert_eq!(details.token_id.as_deref(), Some("t1"));
    let plain = login(&json!({"sub": "u42", "exp": SOON})).unwrap();
    assert_eq!((plain.issued_at_ms, plain.details), (Some(0), None), "any revocation of its user ends it");
}

#[test]
fn fractional_expiry_is_accepted() {
    let identity = login(&json!({"sub": "u42", "exp": 1_800_000_060.25})).unwrap();
    assert_eq!(identity.expires_at, Some(1_800_000_060_250));
}

#[test]
fn token_expires_at_exactly_its_expiry() {
    assert_eq!(login(&json!({"sub": "u42", "exp": 1_800_000_000})), Err(LoginRefused::Expired));
    assert_eq!(login(&json!({"sub": "u42", "exp": 0})), Err(LoginRefused::Expired));
}

#[test]
fn nbf_a_minute_ahead_is_accepted() {
    let login_with = |nbf: u64| login(&json!({"sub": "u42", "exp": SOON + 600, "nbf": nbf}));
    assert!(login_with(1_800_000_001).is_ok(), "the back end's clock is a second ahead");
    assert!(login_with(SOON).is_ok());
}

#[test]
fn nbf_further_ahead_is_refused_with_its_wait() {
    let refused = login(&json!({"sub": "u42", "exp": SOON + 600, "nbf": SOON + 5}));
    assert_eq!(refused, Err(LoginRefused::NotYet { in_ms: 5_000 }));
    let never = login(&json!({"sub": "u42", "exp": 1, "nbf": SOON + 5}));
    assert_eq!(never, Err(LoginRefused::Expired), "it was valid at no moment, and never will be");
}

#[test]
fn each_bad_token_is_refused_with_its_reason() {
    let good = json!({"sub": "u42", "exp": SOON});
    let hs256 = Header::new(Algorithm::HS256);
    assert!(is_refused_for(login_signed(&good, &hs256, b"another"), "another secret"));
    assert!(is_refused_for(login_signed(&good, &Header::new(Algorithm::HS384), SECRET), "HS256"));
    assert!(is_refused_for(login(&json!({"sub": "u42"})), "`exp`"));
    assert!(is_refused_for(login(&json!({"exp": SOON})), "`sub`"));
    assert!(is_refused_for(login(&json!({"sub": "a b", "exp": SOON})), "`sub`"));
    assert!(is_refused_for(login(&json!({"sub": "u42", "exp": SOON, "channels": ["a*b"]})), "`channels`"));
    assert!(is_refused_for(login(&json!({"sub": "u42", "exp": SOON, "aud": "shop"})), "audience"));
    let authenticator = authenticator(&options(&[SECRET], true));
    assert!(is_refused_for(check_token(&authenticator, "a.b.c".to_owned()), "no token"));
}

#[test]
fn invalid_claim_is_named_in_the_refusal() {
    let sentences = [
        (json!({"sub": "u42", "exp": -5}), "`exp` is negative"),
        (json!({"sub": "u42", "exp": "soon"}), "`exp` is no number"),
        (json!({"sub": "u42", "exp": SOON, "nbf": -1}), "`nbf` is negative"),
        (json!({"sub": 42, "exp": SOON}), "`sub` is not text"),
        (json!({"sub": "u".repeat(251), "exp": SOON}), "at most 250 bytes of UTF-8, this one has 251"),
        (json!({"sub": "u42", "exp": SOON, "channels": "room:*"}), "no list of names"),
        (json!({"sub": "u42", "exp": SOON, "channels": [7]}), "hold what is not text"),
        (json!({"sub": "u42", "exp": SOON, "subs": ["a", "room:*"]}), "`subs` hold a name that is not valid"),
        (json!({"sub": "u42", "exp": SOON, "subs": {"a": 1}}), "`subs` are no list"),
        (json!({"sub": "u42", "exp": SOON, "labels": ["a"]}), "`labels` are no object"),
        (json!({"sub": "u42", "exp": SOON, "labels": {"a": 1}}), "`labels` are no object"),
        (json!({"sub": "u42", "exp": SOON, "jti": 7}), "`jti` is not text"),
        (json!({"sub": "u42", "exp": SOON, "iat": "now"}), "`iat` is no number"),
        (json!({"sub": "u42", "exp": SOON, "iat": 1_800_000_061}), "`iat` is in the future"),
        (json!({"sub": "u42", "exp": SOON, "iat": 1_800_000_000_000_u64}), "`iat` is in the future"),
        (json!({"sub": "u42", "exp": SOON, "iat": 1e300}), "`iat` is in the future"),
        (json!({"sub": "u42", "exp": SOON, "channels": ["c".repeat(256)]}), "at most 255 bytes"),
    ];
    for (claims, sentence) in sentences {
        assert!(is_refused_for(login(&claims), sentence), "{claims}: {:?}", login(&claims));
    }
}

#[test]
fn expiry_beyond_the_last_date_is_clamped() {
    let identity = login(&json!({"sub": "u42", "exp": 1e300})).unwrap();
    assert_eq!(identity.expires_at, Some(DATE_MS_MAX));
}

#[test]
fn unsigned_token_is_refused() {
    // {"alg":"none"} . {"sub":"u42","exp":1800000060} .
    let token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1NDIiLCJleHAiOjE4MDAwMDAwNjB9.".to_owned();
    assert!(is_refused_for(check_token(&authenticator(&options(&[SECRET], true)), token), "not signed"));
}

#[test]
fn without_a_secret_every_token_is_refused() {
    let authenticator = authenticator(&options(&[], true));
    let key = EncodingKey::from_secret(SECRET).unwrap();
    let token = encode(&Header::default(), &json!({"sub": "u42", "exp": SOON}), &key).unwrap();
    assert!(is_refused_for(check_token(&authenticator, token), "no secret"));
}

#[test]
fn guest_is_accepted_only_where_guests_are_allowed() {
    let no_secret = |guests: bool| authenticator(&options(&[], guests));
    let guest = Auth::Guest { guest: true };
    let admitted = check(&no_secret(true), &guest).unwrap();
    assert_eq!(admitted, Identity { source: admitted.source, ..Identity::default() });
    assert!(is_refused_for(check(&no_secret(false), &guest), "guests"));
    assert!(is_refused_for(check(&no_secret(true), &Auth::Guest { guest: false }), "guest"));
}

#[test]
fn each_login_source_has_its_own_digest() {
    const OTHER: &[u8] = b"another secret, of the same length!";
    let both = |environment: &str| {
        let environment = environment.to_owned();
        authenticator(&AuthenticatorOptions { environment, ..options(&[SECRET, OTHER], true) })
    };
    let mut sources = [both(""), both("staging")].map(|authenticator| authenticator.sources()).concat();
    assert_eq!(
        sources[..1],
        authenticator(&options(&[SECRET], false)).sources(),
        "other settings beside it do not matter"
    );
    sources.sort_unstable();
    sources.dedup();
    assert_eq!(sources.len(), 6, "secrets, guests and environments are told apart");
}

#[test]
fn token_of_older_secret_names_its_own_source() {
    const OLD: &[u8] = b"the secret of before, long enough!!";
    let token = |secret: &[u8]| {
        let claims = json!({"sub": "u42", "exp": SOON});
        encode(&Header::default(), &claims, &EncodingKey::from_secret(secret).unwrap()).unwrap()
    };
    let authenticator = authenticator(&options(&[SECRET, OLD], false));
    let check = |secret: &[u8]| check_token(&authenticator, token(secret));
    let source = |secret: &[u8]| check(secret).unwrap().source;
    assert_eq!([source(SECRET), source(OLD)][..], authenticator.sources());
    assert!(is_refused_for(check(b"a secret that never was one of ours"), "another secret"));
}

#[test]
fn login_code_is_refused_with_a_reason() {
    let no_secret = |guests: bool| authenticator(&options(&[], guests));
    let code = Auth::Code { code: "c".to_owned(), provider: "wechat".to_owned() };
    assert!(is_refused_for(check(&no_secret(true), &code), "codes"));
}
