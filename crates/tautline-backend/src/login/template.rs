//! A request that configuration describes, with names in braces that are filled in.

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;
use serde_json::Value;
use tautline_files::secret::Secret;

use super::vendor::{CodeRequest, escape, is_header_name, is_header_value};
use crate::token::check_url;

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

/// A request with names in braces: in its URL, and in the values of its parameters and headers.
pub(super) struct Template<'t> {
    pub(super) url: &'t str,
    pub(super) send: ParametersIn,
    pub(super) parameters: &'t BTreeMap<String, Secret>,
    pub(super) headers: &'t BTreeMap<String, Secret>,
}

/// A name in braces, and what takes its place.
pub(super) type Filling<'f> = (&'static str, &'f str);

impl Template<'_> {
    /// Checks what could fail each time; `public` are names that may stand in the name of the host.
    ///
    /// # Errors
    /// The option that is not valid.
    pub(super) fn check(&self, fillings: &[Filling<'_>], public: &[&str]) -> Result<(), String> {
        // No URL has braces.
        check_url(&self.url.replace(['{', '}'], ""))?;
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("", self.url));
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let is_in_host = |name: &str| scheme.contains(name) || host.contains(name);
        if let Some((name, _)) = fillings.iter().find(|(name, _)| !public.contains(name) && is_in_host(name))
        {
            return Err(format!(
                "`url` has `{name}` in the name of its host: a client must not choose the server, and no \
                 resolver may see a secret"
            ));
        }
        for (name, value) in self.headers {
            if !is_header_name(name) || !is_header_value(&fill(value.expose(), fillings, str::to_owned)) {
                return Err(format!("header {name:?}: its name or value is not allowed in HTTP"));
            }
        }
        match self.request(fillings).is_valid() {
            true => Ok(()),
            false => Err("`url` is not valid".to_owned()),
        }
    }

    /// Whether a name stands anywhere in it.
    pub(super) fn has(&self, name: &str) -> bool {
        let mut values = self.parameters.values().chain(self.headers.values());
        self.url.contains(name) || values.any(|value| value.expose().contains(name))
    }

    pub(super) fn request(&self, fillings: &[Filling<'_>]) -> CodeRequest {
        let url = fill(self.url, fillings, escape);
        let filled: Vec<(&str, String)> = (self.parameters.iter())
            .map(|(name, value)| (name.as_str(), fill(value.expose(), fillings, str::to_owned)))
            .collect();
        let parameters: Vec<(&str, &str)> =
            filled.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut request = match self.send {
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
        for (name, value) in self.headers {
            request.headers.push((name.clone(), fill(value.expose(), fillings, str::to_owned)));
        }
        request
    }
}

/// Replaces the names in one pass, so that a code cannot bring a name along.
fn fill(template: &str, fillings: &[Filling<'_>], write: impl Fn(&str) -> String) -> String {
    let (mut filled, mut rest) = (String::new(), template);
    while let Some(begin) = rest.find('{') {
        filled.push_str(&rest[..begin]);
        rest = &rest[begin..];
        match fillings.iter().find(|(name, _)| rest.starts_with(name)) {
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
