//! One vendor's way from a login code to a user's id, as data: the request, and what its answer means.
//!
//! No I/O: each vendor is tested against its mock without a socket.

use http::{HeaderName, HeaderValue, Method, Uri};
use serde_json::Value;
use tautline_files::secret::Secret;
use tautline_protocol::Now;

/// Turns codes into ids at one vendor.
pub(crate) trait Vendor: Send + Sync + 'static {
    /// The request for a code, with a token of the app where [`Self::token_source`] gives one.
    fn request(&self, code: &str, app_token: &str, now: Now) -> CodeRequest;

    /// The user's id in an answer below HTTP 500. A session key in it is not kept.
    ///
    /// # Errors
    /// What the vendor's error means.
    fn user(&self, body: &[u8]) -> Result<String, CodeError>;

    /// What gives the app a token; `None`: the vendor wants none.
    fn token_source(&self) -> Option<&dyn TokenSource> {
        None
    }
}

/// Gives an app the token that its requests with codes must carry.
pub(crate) trait TokenSource {
    /// The request for a token.
    fn request(&self) -> CodeRequest;

    /// The token in an answer below HTTP 500.
    ///
    /// # Errors
    /// What the vendor's error means.
    fn token(&self, body: &[u8]) -> Result<AppToken, CodeError>;
}

/// A token of the app, and how long it is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AppToken {
    pub(crate) token: Secret,
    pub(crate) life_ms: u64,
}

/// A request to a vendor. It has the app's secret: nothing of it is printed.
pub(crate) struct CodeRequest {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// Why there is no id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CodeError {
    /// The vendor cannot answer now; the code may be used up.
    Temporary,
    /// The vendor has asked for a pause (HTTP 429).
    Busy { retry_after_ms: u64 },
    /// The code is wrong, too old or used: a new one may be good.
    Denied,
    /// This user logs in too often.
    RateLimited,
    /// The vendor keeps this user out.
    Banned,
    /// The token of the app is not good any more; the code is.
    TokenEnded,
    /// The app's settings are wrong, or the answer is not understood: for the operator's log, with a hint.
    Operator(String),
}

impl CodeRequest {
    /// Whether it can be sent: headers and the URL hold what HTTP allows.
    pub(super) fn is_valid(&self) -> bool {
        let mut headers = self.headers.iter();
        self.url.parse::<Uri>().is_ok()
            && headers.all(|(name, value)| is_header_name(name) && is_header_value(value))
    }

    pub(super) fn get(url: &str, parameters: &[(&str, &str)]) -> Self {
        let separator = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{separator}{}", form(parameters));
        Self { method: Method::GET, url, headers: Vec::new(), body: String::new() }
    }

    pub(super) fn form(url: &str, parameters: &[(&str, &str)]) -> Self {
        Self::post(url, "application/x-www-form-urlencoded;charset=utf-8", form(parameters))
    }

    pub(super) fn json(url: &str, body: &Value) -> Self {
        Self::post(url, "application/json", body.to_string())
    }

    fn post(url: &str, content_type: &str, body: String) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { method: Method::POST, url: url.to_owned(), headers, body }
    }
}

impl CodeError {
    pub(super) fn operator(hint: impl Into<String>) -> Self {
        Self::Operator(hint.into())
    }

    /// An answer that is not of the vendor's form, such as a page of a proxy.
    pub(super) fn no_answer() -> Self {
        Self::operator("the answer is not of the form that is documented: check `url`")
    }
}

pub(super) fn is_header_name(name: &str) -> bool {
    HeaderName::try_from(name).is_ok()
}

pub(super) fn is_header_value(value: &str) -> bool {
    HeaderValue::try_from(value).is_ok()
}

/// An answer in JSON, whatever its content type: WeChat says `text/plain`.
pub(super) fn json(body: &[u8]) -> Result<Value, CodeError> {
    serde_json::from_slice(body).ok().filter(Value::is_object).ok_or_else(CodeError::no_answer)
}

/// The id at `pointer`, which is text that is not empty, or a whole number of 64 bits: of a longer one only the first
/// digits would be read, and two users would be one.
pub(super) fn id_at(answer: &Value, pointer: &str) -> Result<String, CodeError> {
    match answer.pointer(pointer) {
        Some(Value::String(id)) if !id.is_empty() => Ok(id.clone()),
        Some(Value::Number(id)) if id.is_u64() || id.is_i64() => Ok(id.to_string()),
        Some(Value::Number(_)) => Err(CodeError::operator(format!(
            "the id at {pointer} is a number beyond 64 bits, or no whole one"
        ))),
        _ => Err(CodeError::operator(format!("the answer has no id at {pointer}"))),
    }
}

/// A number, or a text with one.
pub(super) fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// Names and values as a form, or as a query.
pub(super) fn form(parameters: &[(&str, &str)]) -> String {
    let pairs = parameters.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// All but the unreserved characters of RFC 3986 as `%XX`.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
