//! A set of keys that is fetched: rotation, outages, floods of unknown keys.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use jsonwebtoken::{Algorithm, Header};
use serde_json::{Value, json};
use tautline_hub::LoginRefused;
use tautline_protocol::Now;
use tokio::sync::oneshot;

use super::{
    NOW, SOON, is_refused_for,
    pairs::{P256, Pair, RSA},
};
use crate::{
    LoginResult, TokenOptions,
    token::{
        JwksOptions, Known, Tokens,
        jwks::{FORCED_FETCH_EVERY_MS, Fetch, FetchFuture, Fetched},
    },
};

type Answer = Result<Fetched, String>;

/// Answers fetches in the order in which they come, and counts them.
#[derive(Clone, Default)]
struct FakeServer(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    answers: VecDeque<FetchFuture>,
    etags: Vec<Option<String>>,
}

impl FakeServer {
    fn answers(&self, answer: Answer) {
        self.0.lock().unwrap().answers.push_back(Box::pin(std::future::ready(answer)));
    }

    /// An answer that the test gives later.
    fn answers_later(&self) -> oneshot::Sender<Answer> {
        let (sender, receiver) = oneshot::channel();
        let answer = async { receiver.await.unwrap_or(Err("the test is over".to_owned())) };
        self.0.lock().unwrap().answers.push_back(Box::pin(answer));
        sender
    }

    fn fetches(&self) -> usize {
        self.0.lock().unwrap().etags.len()
    }
}

impl Fetch for FakeServer {
    fn fetch(&self, etag: Option<String>) -> FetchFuture {
        let mut script = self.0.lock().unwrap();
        script.etags.push(etag);
        script.answers.pop_front().unwrap_or_else(|| Box::pin(std::future::ready(Err("HTTP 500".to_owned()))))
    }
}

fn document(keys: &[Value]) -> Answer {
    let body = json!({ "keys": keys }).to_string().into_bytes();
    Ok(Fetched { body: Some(body), etag: Some("\"1\"".to_owned()), max_age_ms: Some(300_000) })
}

fn tokens(server: &FakeServer) -> Tokens {
    crate::install_crypto_provider();
    let url = "https://login.example/keys".to_owned();
    let options =
        TokenOptions { jwks: vec![JwksOptions { url, ..JwksOptions::default() }], ..TokenOptions::default() };
    options.tokens("", |_| server.clone(), None).unwrap()
}

fn token(pair: &Pair, kid: Option<&str>) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(pair.algorithms[0]) };
    pair.sign(&header, &json!({"sub": "u42", "exp": SOON + 100_000}))
}

fn at(ms: u64) -> Now {
    Now::new(NOW.mono_ms + ms, NOW.wall_ms + ms)
}

/// As [`crate::Authenticator`] does it.
async fn check(tokens: &Tokens, now: Now, token: &str) -> LoginResult {
    match tokens.check(now, token) {
        Known::Answer(result) => result,
        Known::NoKey(_) => tokens.check_with_newer_keys(now, token).await,
    }
}

fn is_unavailable(result: &LoginResult) -> bool {
    matches!(result, Err(LoginRefused::Unavailable(_)))
}

#[tokio::test]
async fn first_token_fetches_the_set_and_others_use_it() {
    let server = FakeServer::default();
    server.answers(document(&[RSA.jwk("a"), P256.jwk("b")]));
    let tokens = tokens(&server);
    assert!(check(&tokens, NOW, &token(&RSA, Some("a"))).await.is_ok());
    assert!(check(&tokens, at(1), &token(&P256, Some("b"))).await.is_ok());
    assert!(check(&tokens, at(2), &token(&P256, None)).await.is_ok(), "one key fits");
    assert_eq!(server.fetches(), 1);
}

#[tokio::test]
async fn set_of_an_unchanged_url_stays_in_use_with_other_options() {
    let server = FakeServer::default();
    server.answers(document(&[P256.jwk("b")]));
    let before = tokens(&server);
    assert!(check(&before, NOW, &token(&P256, Some("b"))).await.is_ok());
    let url = "https://login.example/keys".to_owned();
    let jwks = vec![JwksOptions { url, ..JwksOptions::default() }];
    let options = TokenOptions { jwks, nbf_leeway: std::time::Duration::ZERO, ..TokenOptions::default() };
    // The key service is down: each further fetch fails.
    let after = options.tokens("", |_| server.clone(), Some(&before)).unwrap();
    assert!(check(&after, at(1), &token(&P256, Some("b"))).await.is_ok());
    let other = options.tokens("other", |_| server.clone(), Some(&before)).unwrap();
    assert!(is_unavailable(&check(&other, at(1), &token(&P256, Some("b"))).await), "another environment");
    assert_eq!(server.fetches(), 2);
}

#[tokio::test]
async fn key_without_a_name_that_was_replaced_is_no_final_answer() {
    let server = FakeServer::default();
    server.answers(document(&[nameless_key()]));
    server.answers(document(&[without_kid(P256.jwk("b"))]));
    let tokens = tokens(&server);
    let good = token(&P256, None);
    assert!(check(&tokens, NOW, &good).await.is_err(), "the set is of this moment");
    // The service has put its new key in the place of the old one.
    assert!(is_unavailable(&check(&tokens, at(1), &good).await), "the client comes again");
    assert!(check(&tokens, at(FORCED_FETCH_EVERY_MS), &good).await.is_ok());
}

fn without_kid(mut jwk: Value) -> Value {
    jwk.as_object_mut().unwrap().remove("kid");
    jwk
}

#[tokio::test]
async fn failed_signature_does_not_hide_an_unfetched_set() {
    let (first, second) = (FakeServer::default(), FakeServer::default());
    crate::install_crypto_provider();
    let set =
        |name: &str| JwksOptions { url: format!("https://{name}.example/keys"), ..JwksOptions::default() };
    let options = TokenOptions { jwks: vec![set("first"), set("second")], ..TokenOptions::default() };
    let server = |url: &str| if url.contains("first") { first.clone() } else { second.clone() };
    let tokens = options.tokens("", server, None).unwrap();
    // A key without a name may have signed every token of its algorithm.
    first.answers(document(&[nameless_key()]));
    second.answers(document(&[P256.jwk("b")]));
    assert!(check(&tokens, NOW, &token(&P256, Some("b"))).await.is_ok());
    let foreign = check(&tokens, at(1), &token(&RSA, Some("b"))).await;
    assert!(foreign.is_err());
}

#[tokio::test]
async fn named_key_counts_beside_one_without_a_name() {
    let server = FakeServer::default();
    server.answers(document(&[P256.jwk("b"), nameless_key()]));
    let tokens = tokens(&server);
    assert!(check(&tokens, NOW, &token(&P256, Some("b"))).await.is_ok());
}

/// A key on P-256 that has no name (RFC 7517, A.1).
fn nameless_key() -> Value {
    json!({
        "kty": "EC",
        "crv": "P-256",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    })
}

#[tokio::test]
async fn thousand_logins_at_once_share_one_fetch() {
    let server = FakeServer::default();
    let answer = server.answers_later();
    let tokens = Arc::new(tokens(&server));
    let logins: Vec<_> = (0..1000)
        .map(|_| {
            let tokens = Arc::clone(&tokens);
            tokio::spawn(async move { check(&tokens, NOW, &token(&P256, Some("b"))).await })
        })
        .collect();
    while server.fetches() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(answer.send(document(&[P256.jwk("b")])).is_ok());
    for login in logins {
        assert!(login.await.unwrap().is_ok());
    }
    assert_eq!(server.fetches(), 1);
}

#[tokio::test]
async fn login_that_is_gone_does_not_end_its_fetch() {
    let server = FakeServer::default();
    let answer = server.answers_later();
    let tokens = Arc::new(tokens(&server));
    let first = {
        let tokens = Arc::clone(&tokens);
        tokio::spawn(async move { check(&tokens, NOW, &token(&P256, Some("b"))).await })
    };
    while server.fetches() == 0 {
        tokio::task::yield_now().await;
    }
    first.abort();
    assert!(first.await.is_err());
    assert!(answer.send(document(&[P256.jwk("b")])).is_ok());
    assert!(check(&tokens, at(1), &token(&P256, Some("b"))).await.is_ok());
    assert_eq!(server.fetches(), 1);
}

#[tokio::test]
async fn unknown_keys_fetch_at_most_every_ten_seconds() {
    let server = FakeServer::default();
    (0..3).for_each(|_| server.answers(document(&[P256.jwk("old")])));
    server.answers(document(&[P256.jwk("new")]));
    let tokens = tokens(&server);
    let unknown = check(&tokens, NOW, &token(&P256, Some("new"))).await;
    assert!(is_refused_for(unknown, "key that is not known here"), "the set is of this moment");
    let new = token(&P256, Some("new"));
    for ms in 1..FORCED_FETCH_EVERY_MS {
        let refused = check(&tokens, at(ms), &new).await;
        assert!(is_unavailable(&refused), "it may be a key of this very moment");
    }
    assert_eq!(server.fetches(), 1);
    for fetches in 2..=3 {
        let now = at(FORCED_FETCH_EVERY_MS * (fetches - 1));
        assert!(check(&tokens, now, &token(&P256, Some("new"))).await.is_err());
        assert_eq!(server.fetches() as u64, fetches);
    }
    let now = at(FORCED_FETCH_EVERY_MS * 3);
    assert!(check(&tokens, now, &token(&P256, Some("new"))).await.is_ok(), "the key was changed");
    assert!(check(&tokens, now, &token(&P256, Some("old"))).await.is_err(), "and the old one is gone");
}

#[tokio::test]
async fn stale_set_is_used_while_it_is_fetched_again() {
    let server = FakeServer::default();
    server.answers(document(&[P256.jwk("old")]));
    let tokens = tokens(&server);
    assert!(check(&tokens, NOW, &token(&P256, Some("old"))).await.is_ok());
    assert!(check(&tokens, at(299_999), &token(&P256, Some("old"))).await.is_ok());
    assert_eq!(server.fetches(), 1, "it is good for max-age");
    let answer = server.answers_later();
    assert!(check(&tokens, at(300_000), &token(&P256, Some("old"))).await.is_ok(), "nobody waits");
    assert!(answer.send(Ok(Fetched { body: None, etag: None, max_age_ms: Some(300_000) })).is_ok());
    tokio::task::yield_now().await;
    assert!(check(&tokens, at(300_001), &token(&P256, Some("old"))).await.is_ok());
    assert_eq!(server.0.lock().unwrap().etags, [None, Some("\"1\"".to_owned())], "unchanged needs no body");
}

#[tokio::test]
async fn outage_keeps_the_last_good_set() {
    let outages: [fn() -> Answer; 6] = [
        || Err("there was no answer in time".to_owned()),
        || Err("the answer is HTTP 500".to_owned()),
        || Ok(Fetched { body: Some(b"<html>".to_vec()), etag: None, max_age_ms: None }),
        || Ok(Fetched { body: Some(vec![b' '; crate::JWKS_BYTES_MAX + 1]), etag: None, max_age_ms: None }),
        || document(&vec![json!({"kty": "RSA"}); 101]),
        || document(&[]),
    ];
    for outage in outages {
        let server = FakeServer::default();
        server.answers(document(&[P256.jwk("a")]));
        let tokens = tokens(&server);
        assert!(check(&tokens, NOW, &token(&P256, Some("a"))).await.is_ok());
        for n in 1..=20 {
            server.answers(outage());
            assert!(check(&tokens, at(n * 300_000), &token(&P256, Some("a"))).await.is_ok());
            tokio::task::yield_now().await;
        }
        assert!(server.fetches() > 10, "it is tried again");
    }
}

#[tokio::test]
async fn without_any_set_clients_are_told_to_come_again() {
    let server = FakeServer::default();
    let tokens = tokens(&server);
    assert!(is_unavailable(&check(&tokens, NOW, &token(&P256, Some("a"))).await));
    assert!(is_unavailable(&check(&tokens, at(9_999), &token(&P256, Some("a"))).await));
    assert_eq!(server.fetches(), 1);
    server.answers(document(&[P256.jwk("a")]));
    assert!(check(&tokens, at(10_000), &token(&P256, Some("a"))).await.is_ok());
}

#[tokio::test]
async fn key_of_a_set_that_signs_no_tokens_is_left_out() {
    let server = FakeServer::default();
    let secret = json!({"kty": "oct", "alg": "HS256", "kid": "s", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"});
    let mut encrypts = RSA.jwk("e");
    encrypts["use"] = "enc".into();
    server.answers(document(&[json!(42), json!({"kty": "new"}), secret, encrypts, P256.jwk("a")]));
    let tokens = tokens(&server);
    assert!(check(&tokens, NOW, &token(&P256, Some("a"))).await.is_ok());
    assert!(check(&tokens, at(1), &token(&RSA, Some("e"))).await.is_err());
    let hs256 = Header { kid: Some("s".to_owned()), ..Header::new(Algorithm::HS256) };
    let secret = jsonwebtoken::EncodingKey::from_secret(b"secretsecretsecretsecretsecretsecret").unwrap();
    let token = jsonwebtoken::encode(&hs256, &json!({"sub": "u42", "exp": SOON}), &secret).unwrap();
    let refused = check(&tokens, at(2), &token).await;
    assert!(is_refused_for(refused, "not signed with an algorithm"), "a public set has no secret");
    assert_eq!(server.fetches(), 1, "a token with a secret fetches nothing");
}

#[tokio::test]
async fn name_that_two_keys_have_names_none() {
    let server = FakeServer::default();
    let other = json!({"kty": "EC", "crv": "P-256", "kid": "a", "use": "sig",
        "x": "04N0xi21hshyvBp7I167sbE_bXqyqkAPfefdklMO7wY", "y": "UI8exy-C06a7DUnjIdENkxeFtHM4-l_41LqEw9nVgmw"});
    server.answers(document(&[P256.jwk("a"), other, RSA.jwk("b")]));
    let tokens = tokens(&server);
    assert!(check(&tokens, NOW, &token(&RSA, Some("b"))).await.is_ok());
    assert!(check(&tokens, at(1), &token(&P256, Some("a"))).await.is_err());
}

#[tokio::test]
async fn token_without_a_name_is_refused_where_several_keys_fit() {
    let server = FakeServer::default();
    let mut second = P256.jwk("b");
    (second["x"], second["y"]) = (second["y"].clone(), second["x"].clone());
    server.answers(document(&[P256.jwk("a"), second]));
    let tokens = tokens(&server);
    assert!(check(&tokens, NOW, &token(&P256, Some("a"))).await.is_ok());
    assert!(check(&tokens, at(1), &token(&P256, None)).await.is_err());
}

#[tokio::test]
async fn slow_set_holds_up_no_token_of_another() {
    let (slow, quick) = (FakeServer::default(), FakeServer::default());
    crate::install_crypto_provider();
    let set =
        |name: &str| JwksOptions { url: format!("https://{name}.example/keys"), ..JwksOptions::default() };
    let options = TokenOptions { jwks: vec![set("slow"), set("quick")], ..TokenOptions::default() };
    let server = |url: &str| if url.contains("slow") { slow.clone() } else { quick.clone() };
    let tokens = options.tokens("", server, None).unwrap();
    let never = slow.answers_later();
    quick.answers(document(&[P256.jwk("b")]));
    assert!(check(&tokens, NOW, &token(&P256, Some("b"))).await.is_ok());
    assert_eq!((slow.fetches(), quick.fetches()), (1, 1), "they are asked at the same time");
    assert!(never.send(document(&[RSA.jwk("a")])).is_ok());
    assert!(check(&tokens, at(1), &token(&RSA, Some("a"))).await.is_ok(), "whose answer is used, too");
    assert_eq!(slow.fetches(), 1);
}

#[test]
fn sets_with_one_url_or_a_password_in_it_are_refused() {
    let check = |urls: &[&str]| {
        let jwks = urls.iter().map(|url| JwksOptions { url: (*url).into(), ..JwksOptions::default() });
        let options = TokenOptions { jwks: jwks.collect(), ..TokenOptions::default() };
        options.check().map_err(|error| error.to_string())
    };
    assert_eq!(check(&["https://a.example/keys", "https://b.example/keys"]), Ok(()));
    assert!(check(&["https://a.example/keys"; 2]).unwrap_err().contains("the same `url`"));
    let error = check(&["https://ann:hunter2@a.example/keys"]).unwrap_err();
    assert!(error.contains("no user name") && !error.contains("hunter2"), "{error}");
}
