//! Keys that stay: every algorithm, in PEM and in JSON.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::{
    SECRET, SOON, check_token, is_refused_for,
    pairs::{self, ALL, P256, Pair, RSA},
};
use crate::{Authenticator, AuthenticatorOptions, Backend as _, KeyOptions, Secret, TokenOptions};

fn claims() -> Value {
    json!({"sub": "u42", "exp": SOON})
}

fn key(change: impl FnOnce(&mut KeyOptions)) -> KeyOptions {
    let mut key = KeyOptions::default();
    change(&mut key);
    key
}

fn pem(pair: &Pair) -> KeyOptions {
    key(|key| key.public_key = Some(Secret::new(pair.pem())))
}

pub(super) fn with_tokens(tokens: TokenOptions) -> Authenticator {
    try_with_tokens(tokens).unwrap()
}

fn try_with_tokens(tokens: TokenOptions) -> Result<Authenticator, String> {
    let options = AuthenticatorOptions { tokens, ..AuthenticatorOptions::default() };
    Authenticator::new(&options).map_err(|error| error.to_string())
}

pub(super) fn with_keys(keys: Vec<KeyOptions>) -> Authenticator {
    with_tokens(TokenOptions { keys, ..TokenOptions::default() })
}

#[test]
fn every_algorithm_is_accepted_with_its_key() {
    for pair in &ALL {
        let jwk = key(|key| key.jwk = Some(Secret::new(pair.jwk("k").to_string())));
        for authenticator in [with_keys(vec![pem(pair)]), with_keys(vec![jwk])] {
            for algorithm in pair.algorithms {
                let token = pair.sign(&Header::new(*algorithm), &claims());
                let identity = check_token(&authenticator, token).unwrap();
                assert_eq!(vec![identity.source], authenticator.sources(), "{algorithm:?}");
            }
        }
    }
}

#[test]
fn secret_of_each_length_is_accepted_for_its_hash() {
    for (name, algorithm, bytes) in
        [("HS256", Algorithm::HS256, 32), ("HS384", Algorithm::HS384, 48), ("HS512", Algorithm::HS512, 64)]
    {
        let secret = |bytes: usize| {
            key(|key| {
                key.secret = Some(Secret::new("s".repeat(bytes)));
                key.algorithm = Some(name.to_owned());
            })
        };
        let signing = EncodingKey::from_secret("s".repeat(bytes).as_bytes()).unwrap();
        let token = encode(&Header::new(algorithm), &claims(), &signing).unwrap();
        assert!(check_token(&with_keys(vec![secret(bytes)]), token).is_ok(), "{name}");
        let keys = vec![secret(bytes - 1)];
        let error = try_with_tokens(TokenOptions { keys, ..TokenOptions::default() }).unwrap_err();
        assert!(error.contains(&format!("at least {bytes} bytes")), "{error}");
    }
}

#[test]
fn algorithm_that_is_named_is_the_only_one() {
    let only = key(|key| {
        key.public_key = Some(Secret::new(RSA.pem()));
        key.algorithm = Some("PS256".to_owned());
    });
    let authenticator = with_keys(vec![only]);
    assert!(check_token(&authenticator, RSA.sign(&Header::new(Algorithm::PS256), &claims())).is_ok());
    let refused = check_token(&authenticator, RSA.sign(&Header::new(Algorithm::RS256), &claims()));
    assert!(is_refused_for(refused, "not signed with an algorithm of"));
}

#[test]
fn public_key_is_no_secret_of_an_hmac() {
    // The classical confusion: the public key is known to everybody, and is taken as the secret.
    for pair in &ALL {
        let authenticator = with_keys(vec![pem(pair)]);
        for secret in [pair.pem(), pair.pem().trim_end().to_owned()] {
            let signing = EncodingKey::from_secret(secret.as_bytes()).unwrap();
            let token = encode(&Header::new(Algorithm::HS256), &claims(), &signing).unwrap();
            assert!(is_refused_for(check_token(&authenticator, token), "not signed with an algorithm"));
        }
    }
}

#[test]
fn each_key_has_its_own_source() {
    let both = with_keys(vec![pem(&RSA), pem(&P256)]);
    let source = |authenticator: &Authenticator, pair: &Pair| {
        let token = pair.sign(&Header::new(pair.algorithms[0]), &claims());
        check_token(authenticator, token).unwrap().source
    };
    assert_ne!(source(&both, &RSA), source(&both, &P256));
    assert_eq!(source(&both, &RSA), source(&with_keys(vec![pem(&RSA)]), &RSA), "others do not matter");
    assert!(!with_keys(vec![pem(&P256)]).sources().contains(&source(&both, &RSA)), "its tickets end with it");
}

#[test]
fn token_that_names_another_key_is_refused() {
    let named = key(|key| {
        key.public_key = Some(Secret::new(P256.pem()));
        key.kid = Some("2026-11".to_owned());
    });
    let authenticator = with_keys(vec![named]);
    let token = |kid: Option<&str>| {
        P256.sign(&Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::ES256) }, &claims())
    };
    assert!(check_token(&authenticator, token(Some("2026-11"))).is_ok());
    assert!(check_token(&authenticator, token(None)).is_ok(), "a key need not be named");
    assert!(is_refused_for(check_token(&authenticator, token(Some("2026-12"))), "not known here"));
}

#[test]
fn invalid_key_is_refused_with_its_reason_and_not_shown() {
    let private =
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----", crate::mock::APP_PRIVATE_KEY);
    let pem = |text: &str| key(|key| key.public_key = Some(Secret::new(text)));
    let jwk = |jwk: Value| key(|key| key.jwk = Some(Secret::new(jwk.to_string())));
    let with = |pair: &Pair, name: &str, value: Value| {
        let mut jwk = pair.jwk("k");
        jwk[name] = value;
        jwk
    };
    let cases = [
        (key(|_| {}), "one of `secret`, `public_key` and `jwk`"),
        (pem(&private), "this is the private key"),
        (
            pem("-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----"),
            "a certificate is no public key",
        ),
        (pem("ssh-rsa AAAA"), "this is no PEM"),
        (pem("-----BEGIN PUBLIC KEY-----\n????\n-----END PUBLIC KEY-----"), "not base64"),
        (pem("-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----"), "no key of a kind"),
        (pem(pairs::WEAK_RSA), "2048 to 8192 bits, this one has 1024"),
        (jwk(json!([])), "no JSON Web Key"),
        (jwk(with(&RSA, "use", json!("enc"))), "not meant for signatures"),
        (jwk(with(&RSA, "key_ops", json!(["encrypt"]))), "not meant to verify"),
        (jwk(with(&RSA, "e", json!("AQ"))), "exponent of the RSA key is too small"),
        (jwk(with(&RSA, "n", json!("AQAB"))), "2048 to 8192 bits, this one has 17"),
        (jwk(with(&P256, "crv", json!("P-384"))), "do not fit their curve"),
        (jwk(with(&P256, "crv", json!("P-521"))), "a curve other than"),
        (jwk(with(&P256, "alg", json!("ES384"))), "does not sign with ES384"),
        (jwk(with(&P256, "alg", json!("A256GCM"))), "an algorithm other than"),
        (jwk(with(&P256, "kty", json!("RSA"))), "without `n`"),
    ];
    for (options, why) in cases {
        let keys = vec![options];
        let error = try_with_tokens(TokenOptions { keys, ..TokenOptions::default() }).unwrap_err();
        assert!(error.starts_with("[[auth.keys]] number 1: ") && error.contains(why), "{error}");
        assert!(!error.contains("MII") && !error.contains("AAAA"), "{error}");
    }
}

#[test]
fn second_key_of_one_name_is_refused() {
    let named = |pair: &Pair| key(|key| key.jwk = Some(Secret::new(pair.jwk("k").to_string())));
    let keys = vec![named(&RSA), named(&P256)];
    let error = try_with_tokens(TokenOptions { keys, ..TokenOptions::default() }).unwrap_err();
    assert_eq!(error, "[[auth.keys]] number 2: an earlier key has the same `kid`");
}

#[test]
fn issuer_and_audience_must_be_those_that_are_configured() {
    let shop = key(|key| {
        key.public_key = Some(Secret::new(RSA.pem()));
        key.issuers = vec!["https://shop.example".to_owned()];
    });
    let tokens = TokenOptions {
        issuers: vec!["https://login.example".to_owned()],
        audiences: vec!["gateway".to_owned(), "gateway-old".to_owned()],
        keys: vec![shop, pem(&P256)],
        ..TokenOptions::default()
    };
    let authenticator = with_tokens(tokens);
    let check = |pair: &Pair, iss: Value, aud: Value| {
        let claims = json!({"sub": "u42", "exp": SOON, "iss": iss, "aud": aud});
        check_token(&authenticator, pair.sign(&Header::new(pair.algorithms[0]), &claims))
    };
    let (login, shop) = (json!("https://login.example"), json!("https://shop.example"));
    assert!(check(&P256, login.clone(), json!("gateway")).is_ok());
    assert!(check(&P256, login.clone(), json!(["other", "gateway-old"])).is_ok());
    assert!(check(&RSA, shop.clone(), json!("gateway")).is_ok());
    assert!(
        is_refused_for(check(&RSA, login.clone(), json!("gateway")), "`iss`"),
        "that issuer has another key"
    );
    assert!(is_refused_for(check(&P256, shop, json!("gateway")), "`iss`"), "that issuer has another key");
    for iss in [json!(null), json!(42), json!(["https://login.example"]), json!("https://login.example/")] {
        assert!(is_refused_for(check(&P256, iss, json!("gateway")), "`iss`"));
    }
    for aud in
        [json!(null), json!([]), json!(42), json!({"a": "gateway"}), json!(["other"]), json!([["gateway"]])]
    {
        assert!(is_refused_for(check(&P256, login.clone(), aud), "audience"));
    }
}

#[test]
fn leeways_are_those_that_are_configured() {
    let mut tokens = TokenOptions { keys: vec![pem(&P256)], ..TokenOptions::default() };
    (tokens.nbf_leeway, tokens.exp_leeway) = (std::time::Duration::ZERO, std::time::Duration::from_secs(30));
    let authenticator = with_tokens(tokens);
    let check =
        |claims: Value| check_token(&authenticator, P256.sign(&Header::new(Algorithm::ES256), &claims));
    let late = check(json!({"sub": "u42", "exp": 1_800_000_000 - 29})).unwrap();
    assert_eq!(late.expires_at, Some(1_800_000_001_000), "a session that it opens ends with the leeway");
    assert!(check(json!({"sub": "u42", "exp": 1_800_000_000 - 30})).is_err());
    assert!(check(json!({"sub": "u42", "exp": SOON, "nbf": 1_800_000_000})).is_ok());
    assert!(check(json!({"sub": "u42", "exp": SOON, "nbf": 1_800_000_001})).is_err());
}

#[test]
fn options_are_read_from_a_file() {
    let text = format!(
        "issuers = [\"https://login.example\"]\nexp_leeway = \"5s\"\n[[keys]]\nalgorithm = \"HS512\"\nsecret = \"{}\"\n[[jwks]]\nurl = \"http://login.example/keys\"",
        "s".repeat(64)
    );
    let options: TokenOptions = toml::from_str(&text).unwrap();
    assert_eq!(options.exp_leeway, std::time::Duration::from_secs(5));
    let error = options.check().unwrap_err().to_string();
    assert!(error.starts_with("[[auth.jwks]] number 1: a URL begins with https://"), "{error}");
    assert!(!format!("{options:?}").contains("sss"), "secrets are not printed");
    assert!(toml::from_str::<TokenOptions>("[[keys]]\nsecrets = 1").is_err());
    assert_eq!(toml::from_str::<TokenOptions>("").unwrap(), TokenOptions::default());
    assert!(SECRET.len() >= crate::HS256_SECRET_BYTES_MIN);
}

#[test]
fn jwk_without_alg_is_bound_by_its_type_or_the_option() {
    let mut jwk = RSA.jwk("k");
    jwk.as_object_mut().unwrap().remove("alg");
    let with = |algorithm: Option<&str>| {
        key(|key| {
            key.jwk = Some(Secret::new(jwk.to_string()));
            key.algorithm = algorithm.map(str::to_owned);
        })
    };
    let check = |authenticator: &Authenticator, algorithm| {
        check_token(authenticator, RSA.sign(&Header::new(algorithm), &claims())).is_ok()
    };
    let by_type = with_keys(vec![with(None)]);
    assert!(check(&by_type, Algorithm::RS256) && check(&by_type, Algorithm::PS512));
    let by_option = with_keys(vec![with(Some("PS256"))]);
    assert!(check(&by_option, Algorithm::PS256) && !check(&by_option, Algorithm::RS256));
    for (algorithm, why) in [("ES256", "does not sign with"), ("HS256", "does not sign with")] {
        let keys = vec![with(Some(algorithm))];
        let error = try_with_tokens(TokenOptions { keys, ..TokenOptions::default() }).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn compressed_points_are_refused_with_the_way_out() {
    let compressed = [
        "-----BEGIN PUBLIC KEY-----\nMDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgADgieZRt9D/kGBjdzQ4Mzo1DmZYO9y\nMSxKmrHPyXfc9Io=\n-----END PUBLIC KEY-----",
        "-----BEGIN PUBLIC KEY-----\nMEYwEAYHKoZIzj0CAQYFK4EEACIDMgACZ52n1P/TqMnIFKntWTdmIT5FSIusezf3\n5B22+9EIa4glTv7I5HOm4PY6N5SX9l+i\n-----END PUBLIC KEY-----",
    ];
    for pem in compressed {
        let keys = vec![key(|key| key.public_key = Some(Secret::new(pem)))];
        let error = try_with_tokens(TokenOptions { keys, ..TokenOptions::default() }).unwrap_err();
        assert!(error.contains("-conv_form uncompressed"), "{error}");
    }
}
