//! A vendor that is described by configuration: one request with the code, one answer with the id, and a token
//! of the app before them where the vendor wants one.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use tautline_files::secret::Secret;
use tautline_protocol::Now;

use super::{
    template::{Filling, ParametersIn, Template},
    vendor::{AppToken, CodeError, CodeRequest, TokenSource, Vendor, id_at, json},
};

/// How long a token is used whose answer does not say it, and the longest, in seconds.
const TOKEN_LIFE_S: f64 = 600.0;
const TOKEN_LIFE_S_MAX: f64 = 86_400.0;
/// The longest token in bytes.
const TOKEN_BYTES_MAX: usize = 4096;

/// The answers and requests of a vendor that is not built in.
///
/// Values of `parameters` and `headers`, and `url`, may hold `{code}`, `{app_id}`, `{app_secret}` and, with `token`,
/// `{token}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct GenericOptions {
    /// Where `parameters` go. Default `query`.
    pub send: ParametersIn,
    /// Names and values, which may be secrets. Default none.
    pub parameters: BTreeMap<String, Secret>,
    /// Header names and values, which may be secrets. Default none.
    pub headers: BTreeMap<String, Secret>,
    /// Where the id is in the answer (a JSON pointer, RFC 6901). Default `/openid`.
    pub id: Option<String>,
    /// Where an error is. Nothing there, 0, `"0"` and an empty text are success. Default `/errcode`.
    pub error: Option<String>,
    /// Errors after which a new code may be good. Default none.
    pub denied: Vec<String>,
    /// Errors that say *too often*. Default none.
    pub rate_limited: Vec<String>,
    /// Errors that say that the user is kept out. Default none.
    pub banned: Vec<String>,
    /// Errors after which the same may work. Default none. All other errors are the operator's.
    pub temporary: Vec<String>,
    /// Where the app gets a token that requests with codes must carry. Default: the vendor wants none.
    pub token: Option<AppTokenOptions>,
}

/// The request for a token of the app, and its answer. The token is kept until shortly before its end.
///
/// Values of `parameters` and `headers`, and `url`, may hold `{app_id}` and `{app_secret}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AppTokenOptions {
    /// Where the token is asked for.
    pub url: String,
    /// Where `parameters` go. Default `query`.
    pub send: ParametersIn,
    /// Names and values, which may be secrets. Default none.
    pub parameters: BTreeMap<String, Secret>,
    /// Header names and values, which may be secrets. Default none.
    pub headers: BTreeMap<String, Secret>,
    /// Where the token is in the answer (a JSON pointer). Default `/access_token`.
    pub token: Option<String>,
    /// Where its life in seconds is. Default `/expires_in`; ten minutes where nothing is there.
    pub expires_in: Option<String>,
    /// Where an error is. Default `/errcode`.
    pub error: Option<String>,
    /// Errors of this request after which the same may work. Default none. All others are the operator's.
    pub temporary: Vec<String>,
    /// Errors of a request with a code that say that the token has ended: a new one is fetched. Default none.
    pub ended: Vec<String>,
}

pub(super) struct Generic {
    pub(super) url: String,
    pub(super) app_id: String,
    pub(super) app_secret: Secret,
    pub(super) options: GenericOptions,
}

impl Generic {
    /// Checks what could fail at each login.
    ///
    /// # Errors
    /// The option that is not valid.
    pub(super) fn check(&self) -> Result<(), String> {
        let template = self.template();
        template.check(&self.fillings("code", "token"), &["{app_id}"])?;
        self.check_token(&template)?;
        check_pointers(&[("id", &self.options.id), ("error", &self.options.error)])
    }

    fn check_token(&self, codes: &Template<'_>) -> Result<(), String> {
        match (&self.options.token, codes.has("{token}")) {
            (None, false) => return Ok(()),
            (None, true) => return Err("`{token}` stands here, and `generic.token` says nothing".to_owned()),
            (Some(_), false) => {
                return Err("`{token}` stands nowhere: `generic.token` is of no use".to_owned());
            }
            (Some(_), true) => {}
        }
        let token = self.options.token.as_ref().expect("it was found above");
        let within = |error| format!("token: {error}");
        let template = token.template();
        if let Some(name) = ["{code}", "{token}"].into_iter().find(|name| template.has(name)) {
            return Err(within(format!("`{name}` is not known yet when the token is asked for")));
        }
        template.check(&self.app_fillings(), &["{app_id}"]).map_err(within)?;
        let pointers = [("token", &token.token), ("expires_in", &token.expires_in), ("error", &token.error)];
        check_pointers(&pointers).map_err(within)
    }

    fn template(&self) -> Template<'_> {
        let GenericOptions { send, parameters, headers, .. } = &self.options;
        Template { url: &self.url, send: *send, parameters, headers }
    }

    fn fillings<'f>(&'f self, code: &'f str, token: &'f str) -> [Filling<'f>; 4] {
        let [id, secret] = self.app_fillings();
        [id, secret, ("{code}", code), ("{token}", token)]
    }

    fn app_fillings(&self) -> [Filling<'_>; 2] {
        [("{app_id}", &self.app_id), ("{app_secret}", self.app_secret.expose())]
    }
}

impl AppTokenOptions {
    fn template(&self) -> Template<'_> {
        let Self { url, send, parameters, headers, .. } = self;
        Template { url, send: *send, parameters, headers }
    }
}

fn check_pointers(pointers: &[(&str, &Option<String>)]) -> Result<(), String> {
    for (option, pointer) in pointers {
        if pointer.as_deref().is_some_and(|pointer| !is_pointer(pointer)) {
            return Err(format!(
                "`{option}` is no JSON pointer (RFC 6901): it begins with `/`, as in `/data/openid`"
            ));
        }
    }
    Ok(())
}

/// A pointer to a member: RFC 6901 has `~0` for `~` and `~1` for `/`.
fn is_pointer(text: &str) -> bool {
    text.starts_with('/') && text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']))
}

impl Vendor for Generic {
    fn request(&self, code: &str, app_token: &str, _: Now) -> CodeRequest {
        self.template().request(&self.fillings(code, app_token))
    }

    fn user(&self, body: &[u8]) -> Result<String, CodeError> {
        let answer = json(body)?;
        let options = &self.options;
        let error = error_at(&answer, options.error.as_deref());
        let is_in = |list: &[String]| list.contains(&error);
        match error.as_str() {
            "" => id_at(&answer, options.id.as_deref().unwrap_or("/openid")),
            _ if is_in(&options.denied) => Err(CodeError::Denied),
            _ if is_in(&options.rate_limited) => Err(CodeError::RateLimited),
            _ if is_in(&options.banned) => Err(CodeError::Banned),
            _ if is_in(&options.temporary) => Err(CodeError::Temporary),
            _ if options.token.as_ref().is_some_and(|token| is_in(&token.ended)) => {
                Err(CodeError::TokenEnded)
            }
            _ => Err(unknown(&error, "")),
        }
    }

    fn token_source(&self) -> Option<&dyn TokenSource> {
        self.options.token.as_ref().map(|_| self as &dyn TokenSource)
    }
}

impl TokenSource for Generic {
    fn request(&self) -> CodeRequest {
        let options = self.options.token.as_ref().expect("only then it is a source");
        options.template().request(&self.app_fillings())
    }

    fn token(&self, body: &[u8]) -> Result<AppToken, CodeError> {
        let options = self.options.token.as_ref().expect("only then it is a source");
        let answer = json(body)?;
        let error = error_at(&answer, options.error.as_deref());
        if !error.is_empty() {
            return Err(match options.temporary.contains(&error) {
                true => CodeError::Temporary,
                false => unknown(&error, "the app gets no token: "),
            });
        }
        let pointer = options.token.as_deref().unwrap_or("/access_token");
        let token = answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if token.is_empty()
            || token.len() > TOKEN_BYTES_MAX
            || !token.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(CodeError::operator(format!("the answer has no token of the app at {pointer}")));
        }
        let life = answer.pointer(options.expires_in.as_deref().unwrap_or("/expires_in"));
        let life_s = life.and_then(seconds).unwrap_or(TOKEN_LIFE_S).clamp(0.0, TOKEN_LIFE_S_MAX);
        Ok(AppToken { token: Secret::new(token), life_ms: whole_ms(life_s) })
    }
}

/// An error in an answer; empty: it is a success.
fn error_at(answer: &Value, pointer: Option<&str>) -> String {
    match answer.pointer(pointer.unwrap_or("/errcode")) {
        None | Some(Value::Null | Value::Bool(false)) => String::new(),
        Some(Value::String(text)) if text == "0" => String::new(),
        Some(Value::Number(number)) if number.as_i64() == Some(0) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// An error that is in no list, for the operator.
fn unknown(error: &str, before: &str) -> CodeError {
    // A number, or a short word; a text could repeat what was sent.
    let is_code = error.len() <= 40 && error.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    CodeError::operator(match is_code {
        true => format!("{before}error {error}"),
        false => format!("{before}an error that is in no list of this provider"),
    })
}

/// A number, or a text with one.
fn seconds(value: &Value) -> Option<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.parse().ok())?;
    number.is_finite().then_some(number)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a day at most, and not negative")]
fn whole_ms(life_s: f64) -> u64 {
    (life_s * 1000.0) as u64
}
