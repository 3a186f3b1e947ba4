//! `alipay.system.oauth.token` of Alipay: requests and answers are signed (RSA2: SHA-256 and PKCS#1 v1.5).

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey},
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tautline_protocol::{Now, utc};

use super::vendor::{self, CodeError, CodeRequest, Vendor, id_at};
use crate::token::{PublicKey, decode_base64};

pub(super) const URL: &str = "https://openapi.alipay.com/gateway.do";

/// China time, which has no daylight saving.
const UTC_OFFSET_MS: u64 = 8 * 3_600_000;

pub(super) struct Alipay {
    url: String,
    app_id: String,
    key: RsaKeyPair,
    /// Alipay's own, `RSAPublicKey` of PKCS#1.
    alipay_key: Vec<u8>,
    /// In certificate mode: the serial numbers of the app's and of Alipay's root certificates.
    serial_numbers: Option<(String, String)>,
}

/// An answer; either object is signed as it was written.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    alipay_system_oauth_token_response: Option<&'a RawValue>,
    #[serde(borrow)]
    error_response: Option<&'a RawValue>,
    sign: Option<String>,
}

impl Alipay {
    /// `private_key` is the app's: PEM, or the naked base64 of Alipay's tool, in PKCS#8 or PKCS#1.
    /// `alipay_public_key` is Alipay's, and not the one that the app gave to Alipay.
    pub(super) fn new(
        url: String,
        app_id: String,
        private_key: &str,
        alipay_public_key: &str,
        serial_numbers: Option<(String, String)>,
    ) -> Result<Self, String> {
        let der = decode_base64(&without_armor(private_key))
            .map_err(|_| "`app_secret` is the app's private key in base64".to_owned())?;
        let key = RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der)).map_err(|_| {
            "`app_secret` is no RSA key in PKCS#8 or PKCS#1, of 2048 bits at least".to_owned()
        })?;
        let der = decode_base64(&without_armor(alipay_public_key))
            .map_err(|_| "`alipay_public_key` is not base64".to_owned())?;
        let Ok(PublicKey::Rsa(alipay_key)) = PublicKey::from_spki(&der) else {
            return Err("`alipay_public_key` is no public RSA key".to_owned());
        };
        Ok(Self { url, app_id, key, alipay_key, serial_numbers })
    }

    fn sign(&self, text: &str) -> String {
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .expect("the buffer is as long as the modulus");
        BASE64_STANDARD.encode(signature)
    }

    /// Whether Alipay has signed these bytes, as they were sent: written anew, they would differ.
    fn is_signed(&self, raw: &RawValue, sign: Option<&str>) -> bool {
        let Some(signature) = sign.and_then(|sign| BASE64_STANDARD.decode(sign).ok()) else { return false };
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.alipay_key);
        key.verify(raw.get().as_bytes(), &signature).is_ok()
    }
}

impl Vendor for Alipay {
    fn request(&self, code: &str, _: &str, now: Now) -> CodeRequest {
        let timestamp = timestamp(now.wall_ms + UTC_OFFSET_MS);
        let mut parameters = vec![
            ("app_id", self.app_id.as_str()),
            ("charset", "utf-8"),
            ("code", code),
            ("format", "JSON"),
            ("grant_type", "authorization_code"),
            ("method", "alipay.system.oauth.token"),
            ("sign_type", "RSA2"),
            ("timestamp", &timestamp),
            ("version", "1.0"),
        ];
        if let Some((app, root)) = &self.serial_numbers {
            parameters.extend([("app_cert_sn", app.as_str()), ("alipay_root_cert_sn", root)]);
        }
        let sign = self.sign(&to_sign(&mut parameters));
        parameters.push(("sign", &sign));
        CodeRequest::form(&self.url, &parameters)
    }

    fn user(&self, body: &[u8]) -> Result<String, CodeError> {
        let answer: Answer<'_> = serde_json::from_slice(body).map_err(|_| CodeError::no_answer())?;
        if let Some(error) = answer.error_response {
            // Not always signed: without a valid app there is no key to sign for.
            return Err(meaning(&vendor::json(error.get().as_bytes())?));
        }
        let raw = answer.alipay_system_oauth_token_response.ok_or_else(CodeError::no_answer)?;
        if !self.is_signed(raw, answer.sign.as_deref()) {
            return Err(CodeError::operator(
                "the answer is not signed with `alipay_public_key`: it is Alipay's key, and not the app's",
            ));
        }
        let response = vendor::json(raw.get().as_bytes())?;
        // Apps of today get `open_id` alone.
        id_at(&response, "/open_id").or_else(|_| id_at(&response, "/user_id"))
    }
}

/// What is signed: names in order, without empty values, not encoded.
pub(crate) fn to_sign(parameters: &mut [(&str, &str)]) -> String {
    parameters.sort_unstable();
    let pairs = parameters.iter().filter(|(_, value)| !value.is_empty());
    pairs.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn meaning(error: &Value) -> CodeError {
    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    match (text("code"), text("sub_code")) {
        (_, "isv.code-invalid" | "isv.code-is-used" | "isv.code-expired") => CodeError::Denied,
        ("20000", _) => CodeError::Temporary,
        ("40005", _) => CodeError::RateLimited,
        (_, "isv.invalid-app-id") => CodeError::operator("isv.invalid-app-id: `app_id` is not valid"),
        (_, "isv.invalid-signature") => {
            CodeError::operator("isv.invalid-signature: `app_secret` is not the private key of this app")
        }
        ("40006", _) => CodeError::operator("40006: the app may not call alipay.system.oauth.token"),
        (code, _) if code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_digit()) => {
            CodeError::operator(format!("code {code}"))
        }
        _ => CodeError::no_answer(),
    }
}

/// A key without the lines of PEM round it.
fn without_armor(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with("-----")).collect()
}

/// `yyyy-MM-dd HH:mm:ss`.
fn timestamp(ms: u64) -> String {
    let moment = utc(ms);
    let seconds = moment.split('.').next().unwrap_or_default();
    seconds.replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamp_is_a_date_of_china() {
        assert_eq!(timestamp(951_782_399_000 + UTC_OFFSET_MS), "2000-02-29 07:59:59");
        assert_eq!(timestamp(1_800_000_000_000 + UTC_OFFSET_MS), "2027-01-15 16:00:00");
        assert_eq!(timestamp(UTC_OFFSET_MS), "1970-01-01 08:00:00");
    }

    #[test]
    fn signed_text_is_sorted_and_has_no_empty_value() {
        let mut parameters = [("b", "2 ü"), ("a", "1"), ("c", "")];
        assert_eq!(to_sign(&mut parameters), "a=1&b=2 ü");
    }
}
