//! More than a thousand tokens that somebody made up, each refused with a reason that repeats nothing.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tautline_hub::LoginRefused;

use super::{
    SECRET, SOON, check_token,
    keys::with_tokens,
    pairs::{ALL, P256, RSA},
};
use crate::{Authenticator, KeyOptions, Secret, TokenOptions};

/// Stands in every token; no refusal may repeat it.
const MARK: &str = "do-not-repeat-me";

/// All kinds of keys at once.
fn authenticator() -> Authenticator {
    let key = |change: &dyn Fn(&mut KeyOptions)| {
        let mut key = KeyOptions::default();
        change(&mut key);
        key
    };
    let mut keys =
        vec![key(&|key| key.secret = Some(Secret::new(String::from_utf8(SECRET.to_vec()).unwrap())))];
    keys.extend(ALL.iter().map(|pair| key(&|key| key.public_key = Some(Secret::new(pair.pem())))));
    with_tokens(TokenOptions { keys, ..TokenOptions::default() })
}

fn claims() -> Value {
    json!({"sub": "u42", "exp": SOON, "mark": MARK})
}

fn hs256(claims: &Value) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET).unwrap()).unwrap()
}

/// A token with any header, signed with the shared secret whatever it says.
fn with_header(header: &Value) -> String {
    let b64 = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", b64(header), b64(&claims()));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET);
    let signature = ring::hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

/// Values that have the wrong type, or the right one and no meaning.
fn odd_values() -> Vec<Value> {
    let names = ["", " ", "a b", "..", "a*b", "*", "\u{0}", "\u{7}", "\u{202e}", "a\nb", "\u{fffd}\u{2066}"];
    let mut values: Vec<Value> = names.iter().map(|name| json!(name)).collect();
    values.extend([
        json!([]),
        json!({}),
        json!(true),
        json!([[]]),
        json!("u".repeat(300)),
        json!([{"sub": "u42"}]),
    ]);
    values
}

fn bad_claims() -> Vec<Value> {
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        claims
    };
    let mut bad = Vec::new();
    for value in odd_values() {
        bad.push(with("exp", value.clone()));
        bad.push(with("nbf", value.clone()));
        if value != json!("..") {
            bad.push(with("sub", value.clone()));
        }
        bad.push(with("aud", value.clone()));
        bad.push(with("iat", value.clone()));
        if !value.is_string() {
            bad.push(with("jti", value.clone()));
        }
        if value != json!({}) {
            bad.push(with("labels", value.clone()));
        }
        if value != json!([]) {
            bad.push(with("subs", value.clone()));
        }
        if value != json!([]) && value != json!({}) {
            bad.push(with("channels", value));
        }
    }
    for exp in [json!(-1), json!(-0.5), json!(0), json!(1_799_999_999.999), json!("1800000060"), json!(null)]
    {
        bad.push(with("exp", exp));
    }
    for nbf in [json!(-1), json!(SOON + 1), json!(1e300), json!(u64::MAX), json!("1800000060")] {
        bad.push(with("nbf", nbf));
    }
    for aud in [json!("shop"), json!(["shop", "app"]), json!(vec!["a"; 1000])] {
        bad.push(with("aud", aud));
    }
    for channels in
        [json!(["a*b"]), json!([null]), json!(["a", 7]), json!(["c".repeat(256)]), json!([["room:*"]])]
    {
        bad.push(with("channels", channels));
    }
    for payload in [json!(null), json!([]), json!("text"), json!(42), json!({})] {
        bad.push(payload);
    }
    bad
}

fn bad_headers() -> Vec<Value> {
    let mut bad: Vec<Value> =
        ["none", "None", "NONE", "nOnE", "", "HS256 ", "hs256", "HS1", "RSA1_5", "ES512", "dir"]
            .map(|alg| json!({ "alg": alg }))
            .to_vec();
    // Signed with the secret, and said to be signed with a key.
    for alg in
        ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "HS384", "HS512"]
    {
        bad.push(json!({ "alg": alg }));
    }
    for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!("b64"), json!(42), json!({"b64": false})] {
        bad.push(json!({"alg": "HS256", "crit": crit, "b64": false}));
    }
    bad.extend([
        json!({}),
        json!([]),
        json!(null),
        json!("HS256"),
        json!({"alg": null}),
        json!({"alg": ["HS256"]}),
    ]);
    bad.extend([json!({"alg": "HS256", "kid": 42}), json!({"alg": "HS256", "kid": {"a": 1}})]);
    bad.push(json!({"alg": "HS256", "kid": "k".repeat(10_000)}));
    bad
}

/// Good tokens with something cut off, turned over, put in or changed in its case.
fn mutated(token: &str) -> Vec<String> {
    let mut bad = Vec::new();
    for index in (0..token.len()).step_by(3) {
        bad.push(token[..index].to_owned());
        let mut turned = token.as_bytes().to_vec();
        turned[index] = if turned[index] == b'A' { b'B' } else { b'A' };
        bad.push(String::from_utf8(turned).unwrap());
        for put in ["=", " ", "\n", ".", "%", "é", "\u{0}"] {
            bad.push(format!("{}{put}{}", &token[..index], &token[index..]));
        }
    }
    bad.extend([format!("{token}."), format!(".{token}"), format!("{token}.{token}"), token.to_uppercase()]);
    bad
}

fn hostile() -> Vec<String> {
    let mut tokens: Vec<String> = bad_claims().iter().map(hs256).collect();
    tokens.extend(bad_headers().iter().map(with_header));
    tokens.extend(mutated(&hs256(&claims())));
    for pair in [&RSA, &P256] {
        let token = pair.sign(&Header::new(pair.algorithms[0]), &claims());
        // The rest is the signature alone, of which there is enough.
        tokens.extend(mutated(&token).into_iter().step_by(5));
    }
    // Signed with keys of nobody here.
    for secret in ["another secret, and long enough too", "s", &RSA.pem(), &P256.pem()] {
        let key = EncodingKey::from_secret(secret.as_bytes()).unwrap();
        for alg in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            tokens.push(encode(&Header::new(alg), &claims(), &key).unwrap());
        }
    }
    // A megabyte, in each part.
    let long = "A".repeat(1024 * 1024);
    let good = hs256(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    tokens.push(format!("{long}.{}.{}", parts[1], parts[2]));
    tokens.push(format!("{}.{long}.{}", parts[0], parts[2]));
    tokens.push(format!("{}.{}.{long}", parts[0], parts[1]));
    tokens.push(hs256(&json!({"sub": "u42", "exp": SOON, "mark": long})));
    tokens.push(".".repeat(1024 * 1024));
    tokens.push("[".repeat(100_000));
    let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    tokens.push(format!("{}.{}.x", parts[0], BASE64_URL_SAFE_NO_PAD.encode(nested)));
    tokens
}

#[test]
fn thousand_hostile_tokens_are_refused_with_a_reason() {
    let authenticator = authenticator();
    assert!(check_token(&authenticator, hs256(&claims())).is_ok(), "what is not changed is good");
    let tokens = hostile();
    assert!(tokens.len() >= 1000, "{}", tokens.len());
    for token in tokens {
        let shown: String = token.chars().take(200).collect();
        let refused = match check_token(&authenticator, token.clone()) {
            Err(refused) => refused,
            Ok(identity) => panic!("accepted as {identity:?}: {shown}"),
        };
        let words = refused.to_string();
        let is_clear = match &refused {
            LoginRefused::Unauthorized(words) => words.len() > 10 && words.len() < 200,
            LoginRefused::Expired | LoginRefused::NotYet { .. } => true,
            _ => false,
        };
        assert!(is_clear, "{refused:?}: {shown}");
        let secret = String::from_utf8_lossy(SECRET);
        assert!(
            !words.contains(MARK) && !words.contains(&*secret) && !words.contains("eyJ"),
            "{words}: {shown}"
        );
    }
}
