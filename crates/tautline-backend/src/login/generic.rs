//! A vendor that is described by configuration: one request with the code, one answer with the id.

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;
use serde_json::Value;
use tautline_files::secret::Secret;
use tautline_protocol::Now;

use super::vendor::{CodeError, CodeRequest, Vendor, escape, id_at, is_header_name, is_header_value, json};

/// Where the parameters of a request go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ParametersIn {
    /// Behind the URL, in a GET.
    #[default]
    Query,
    /// In a form, in a POST.
    Form,
    /// In JSON, in a POST.
    Json,
}

/// The answers and requests of a vendor that is not built in.
///
/// Values of `parameters` and `headers`, and `url`, may hold `{code}`, `{app_id}` and `{app_secret}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct GenericOptions {
    /// Where `parameters` go. Default `query`.
    pub send: ParametersIn,
    /// Names and values, which may be secrets. Default none.
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, Secret>"))]
    pub parameters: BTreeMap<String, String>,
    /// Header names and values, which may be secrets. Default none.
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, Secret>"))]
    pub headers: BTreeMap<String, String>,
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
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("", &self.url));
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if ["{code}", "{app_secret}"].iter().any(|name| scheme.contains(name) || host.contains(name)) {
            return Err(
                "`url` has `{code}` or `{app_secret}` in the name of its host: a client must not choose \
                 the server, and no resolver may see a secret"
                    .to_owned(),
            );
        }
        for (name, value) in &self.options.headers {
            if !is_header_name(name) || !is_header_value(&self.fill(value, "code", str::to_owned)) {
                return Err(format!("header {name:?}: its name or value is not allowed in HTTP"));
            }
        }
        for (option, pointer) in [("id", &self.options.id), ("error", &self.options.error)] {
            if pointer.as_deref().is_some_and(|pointer| !is_pointer(pointer)) {
                return Err(format!(
                    "`{option}` is no JSON pointer (RFC 6901): it begins with `/`, as in `/data/openid`"
                ));
            }
        }
        match self.request("code", Now::default()).is_valid() {
            true => Ok(()),
            false => Err("`url` is not valid".to_owned()),
        }
    }

    /// Replaces the names in braces in one pass, so that a code cannot bring a name along.
    fn fill(&self, template: &str, code: &str, write: impl Fn(&str) -> String) -> String {
        let names =
            [("{code}", code), ("{app_id}", &self.app_id), ("{app_secret}", self.app_secret.expose())];
        let (mut filled, mut rest) = (String::new(), template);
        while let Some(begin) = rest.find('{') {
            filled.push_str(&rest[..begin]);
            rest = &rest[begin..];
            match names.iter().find(|(name, _)| rest.starts_with(name)) {
                Some((name, value)) => {
                    filled.push_str(&write(value));
                    rest = &rest[name.len()..];
                }
                None => {
                    filled.push('{');
                    rest = &rest[1..];
                }
            }
        }
        filled + rest
    }
}

/// A pointer to a member: RFC 6901 has `~0` for `~` and `~1` for `/`.
fn is_pointer(text: &str) -> bool {
    text.starts_with('/') && text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']))
}

impl Vendor for Generic {
    fn request(&self, code: &str, _: Now) -> CodeRequest {
        let url = self.fill(&self.url, code, escape);
        let filled: Vec<(&str, String)> = (self.options.parameters.iter())
            .map(|(name, value)| (name.as_str(), self.fill(value, code, str::to_owned)))
            .collect();
        let parameters: Vec<(&str, &str)> =
            filled.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut request = match self.options.send {
            ParametersIn::Query if parameters.is_empty() => {
                CodeRequest { method: Method::GET, url, headers: Vec::new(), body: String::new() }
            }
            ParametersIn::Query => CodeRequest::get(&url, &parameters),
            ParametersIn::Form => CodeRequest::form(&url, &parameters),
            ParametersIn::Json => {
                let body = parameters.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value)));
                CodeRequest::json(&url, &Value::Object(body.collect()))
            }
        };
        for (name, value) in &self.options.headers {
            request.headers.push((name.clone(), self.fill(value, code, str::to_owned)));
        }
        request
    }

    fn user(&self, body: &[u8]) -> Result<String, CodeError> {
        let answer = json(body)?;
        let error = match answer.pointer(self.options.error.as_deref().unwrap_or("/errcode")) {
            None | Some(Value::Null | Value::Bool(false)) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        let is_in = |list: &[String]| list.contains(&error);
        match error.as_str() {
            "" | "0" => id_at(&answer, self.options.id.as_deref().unwrap_or("/openid")),
            _ if is_in(&self.options.denied) => Err(CodeError::Denied),
            _ if is_in(&self.options.rate_limited) => Err(CodeError::RateLimited),
            _ if is_in(&self.options.banned) => Err(CodeError::Banned),
            _ if is_in(&self.options.temporary) => Err(CodeError::Temporary),
            // A number, or a short word; a text could repeat what was sent.
            code if code.len() <= 40
                && code.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) =>
            {
                Err(CodeError::operator(format!("error {code}")))
            }
            _ => Err(CodeError::operator("an error that is in no list of this provider")),
        }
    }
}
