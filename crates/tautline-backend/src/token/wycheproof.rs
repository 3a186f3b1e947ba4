//! Wycheproof's vectors for JSON Web Signatures and Keys, where they are beside the checkout.
//!
//! `WYCHEPROOF` names their folder; else one called `wycheproof` is looked for in `data` and `shared/data` of
//! this folder and of all above it.

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;

use super::{
    header::TokenHeader,
    jwk::{Jwk, KeySet},
    key::VerificationKey,
};

/// Vectors that do not apply here, and the reason.
const NOT_APPLICABLE: [(&str, u32, &str); 10] = [
    (
        "json_web_signature",
        346,
        "the key says that it is for PS256 (`alg`), and the token is signed with PS384",
    ),
    (
        "json_web_signature",
        350,
        "the key says that it is for PS256 (`alg`), and the token is signed with PS384",
    ),
    ("json_web_signature", 347, "ES512 (P-521) is not supported, by `ring` nor by jsonwebtoken"),
    ("json_web_signature", 351, "ES512 (P-521) is not supported, by `ring` nor by jsonwebtoken"),
    ("json_web_signature", 367, "it is the same token as 357, which is valid"),
    ("json_web_signature", 370, "it is the same token as 357, which is valid"),
    (
        "json_web_signature",
        372,
        "it wants a `?` in base64url to be ignored; RFC 7515 §2 has no such character",
    ),
    (
        "json_web_signature",
        373,
        "it wants a `?` in base64url to be ignored; RFC 7515 §2 has no such character",
    ),
    ("json_web_key", 7, "a factorable key (ROCA) is its owner's to change: it is not looked for"),
    ("json_web_key", 4, "two keys of a file with one name are refused by the options, before any token"),
];

#[derive(Deserialize)]
struct File {
    #[serde(rename = "testGroups")]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    private: Option<Value>,
    public: Option<Value>,
    tests: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    #[serde(rename = "tcId")]
    id: u32,
    comment: String,
    jws: String,
    result: String,
}

#[test]
fn wycheproof_vectors_get_their_verdicts() {
    let Some(folder) = folder() else {
        println!("skipped: no folder `wycheproof` beside the checkout; WYCHEPROOF may name it");
        return;
    };
    crate::install_crypto_provider();
    let mut counts = BTreeMap::new();
    let mut wrong = Vec::new();
    for name in ["json_web_signature", "json_web_key"] {
        let text = fs::read_to_string(folder.join(format!("{name}_test.json"))).unwrap();
        let file: File = serde_json::from_str(&text).unwrap();
        for group in file.groups {
            let keys = keys(group.public.as_ref().or(group.private.as_ref()).unwrap());
            for vector in group.tests {
                let label = format!("{name} {} {}", vector.id, vector.comment);
                let not_applicable = NOT_APPLICABLE.iter().find(|it| (it.0, it.1) == (name, vector.id));
                if let Some((.., why)) = not_applicable {
                    println!("not applicable: {label}: {why}");
                    *counts.entry("not applicable").or_insert(0) += 1;
                } else if is_valid(&keys, &vector.jws) == (vector.result == "valid") {
                    println!("{}: {label}", vector.result);
                    *counts.entry("as expected").or_insert(0) += 1;
                } else {
                    wrong.push(format!("{label} is {}", vector.result));
                }
            }
        }
    }
    println!("{counts:?}");
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(counts.into_values().sum::<usize>(), 427, "all vectors of the files");
}

fn folder() -> Option<PathBuf> {
    let named = env::var_os("WYCHEPROOF").map(PathBuf::from);
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let beside = here
        .ancestors()
        .flat_map(|above| ["data", "shared/data"].map(|data| above.join(data).join("wycheproof")));
    named.into_iter().chain(beside).find(|folder| folder.is_dir())
}

/// The keys of a group: one, or a set of public keys, or the secrets of a configuration.
fn keys(of: &Value) -> Vec<VerificationKey> {
    let parse = |key: &Value| Jwk::parse(&key.to_string()).and_then(|jwk| jwk.key(None)).ok();
    match of["keys"].as_array() {
        None => parse(of).into_iter().collect(),
        Some(several) if several.iter().all(|key| key["kty"] == "oct") => {
            several.iter().filter_map(parse).collect()
        }
        Some(_) => KeySet::parse(of.to_string().as_bytes()).map(KeySet::into_keys).unwrap_or_default(),
    }
}

/// Whether a token is signed with one of these keys. Its payload need not be claims.
fn is_valid(keys: &[VerificationKey], jws: &str) -> bool {
    let Ok(TokenHeader { algorithm, kid }) = TokenHeader::of(jws) else { return false };
    let Some((message, signature)) = jws.rsplit_once('.') else { return false };
    let payload =
        message.split_once('.').and_then(|(_, payload)| BASE64_URL_SAFE_NO_PAD.decode(payload).ok());
    let mut fitting = keys.iter().filter(|key| key.may_verify(algorithm, kid.as_deref()));
    payload.is_some() && fitting.any(|key| key.is_signature(algorithm, message, signature))
}
