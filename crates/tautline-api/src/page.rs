//! The document as a page for people: plain HTML without scripts, made from the same document.

use std::{
    fmt::{Display, Write as _},
    sync::OnceLock,
};

use axum::response::IntoResponse;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use serde_json::{Map, Value};

use crate::{document, problem::KINDS};

const STYLE: &str = include_str!("page.css");
/// How deep examples are built: deeper than any schema of the document.
const DEPTH_MAX: usize = 8;

/// Shows this document as a page
///
/// It loads nothing from anywhere.
#[utoipa::path(get, path = "/api/docs", tag = "document",
    responses((status = 200, description = "The page", body = String, content_type = "text/html")))]
pub(crate) async fn page() -> impl IntoResponse {
    static PAGE: OnceLock<Bytes> = OnceLock::new();
    let page = PAGE.get_or_init(|| Page { document: document::openapi() }.render().into()).clone();
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, page)
}

struct Page {
    document: Value,
}

impl Page {
    fn render(&self) -> String {
        let info = &self.document["info"];
        let title = escape(str_of(&info["title"]));
        let mut page = format!(
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport \
             content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style><body><nav><h1>{title}</h1>"
        );
        let tags = self.document["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
        for tag in tags {
            self.list(&mut page, str_of(&tag["name"]));
        }
        page += "<h2><a href=#types>types</a></h2><h2><a href=#problems>problems</a></h2></nav><main>";
        page += &paragraphs(str_of(&info["description"]));
        page += "<p>For machines: <a href=/api/v1/openapi.json>openapi.json</a> (OpenAPI 3.1).</p>";
        for tag in tags {
            let name = escape(str_of(&tag["name"]));
            add(&mut page, format_args!("<h2 id=tag-{name}>{name}</h2>"));
            page += &paragraphs(str_of(&tag["description"]));
            for (path, method, operation) in self.operations(str_of(&tag["name"])) {
                self.operation(&mut page, path, method, operation);
            }
        }
        self.types(&mut page);
        problems(&mut page);
        page + "</main></body></html>\n"
    }

    fn operations<'a>(&'a self, tag: &'a str) -> impl Iterator<Item = (&'a str, &'a str, &'a Value)> {
        let paths = self.document["paths"].as_object().into_iter().flatten();
        let all = paths.flat_map(|(path, methods)| {
            let methods = methods.as_object().into_iter().flatten();
            methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        });
        all.filter(move |(_, _, operation)| operation["tags"][0] == tag)
    }

    fn list(&self, page: &mut String, tag: &str) {
        let name = escape(tag);
        add(page, format_args!("<h2><a href=#tag-{name}>{name}</a></h2><ul>"));
        for (path, _, operation) in self.operations(tag) {
            let (id, path) = (escape(str_of(&operation["operationId"])), escape(short(path)));
            add(page, format_args!("<li><a href=#op-{id}>{path}</a>"));
        }
        *page += "</ul>";
    }

    fn operation(&self, page: &mut String, path: &str, method: &str, operation: &Value) {
        let id = escape(str_of(&operation["operationId"]));
        let (verb, shown) = (method.to_uppercase(), escape(path));
        let summary = escape(str_of(&operation["summary"]));
        add(
            page,
            format_args!(
                "<section id=op-{id}><h3>{summary}</h3><p class=at><b>{verb}</b> <code>{shown}</code></p>"
            ),
        );
        *page += &paragraphs(str_of(&operation["description"]));
        let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        if !parameters.is_empty() {
            *page += "<h4>Parameters</h4><dl>";
            for parameter in parameters.iter().map(|parameter| self.resolve(parameter)) {
                let words = str_of(&parameter["description"]);
                self.member(
                    page,
                    str_of(&parameter["name"]),
                    &parameter["schema"],
                    parameter["required"] == true,
                    words,
                );
            }
            *page += "</dl>";
        }
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        if !body.is_null() {
            *page += "<h4>Body</h4>";
            self.members(page, body);
            let example = serde_json::to_string_pretty(&self.example(body, 0)).unwrap_or_default();
            add(page, format_args!("<pre>{}</pre>", escape(&example)));
        }
        let answer = operation["responses"]["200"]["content"]["application/json"]["schema"].clone();
        if !self.resolve(&answer)["properties"].is_null() {
            *page += "<h4>Answer</h4>";
            self.members(page, &answer);
        }
        *page += "</section>";
    }

    fn members(&self, page: &mut String, schema: &Value) {
        let schema = self.resolve(schema);
        if let Some(forms) = schema["oneOf"].as_array() {
            for (n, form) in forms.iter().enumerate() {
                *page += if n == 0 { "" } else { "<p>or</p>" };
                self.members(page, form);
            }
            return;
        }
        let values = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let values: Vec<_> = values.map(|value| format!("<code>\"{}\"</code>", escape(value))).collect();
        if !values.is_empty() {
            add(page, format_args!("<p>{}</p>", values.join(", ")));
        }
        let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
        *page += "<dl>";
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            let words = str_of(&member["description"]);
            self.member(page, name, member, required.iter().any(|required| required == name), words);
        }
        *page += "</dl>";
    }

    fn member(&self, page: &mut String, name: &str, schema: &Value, is_required: bool, words: &str) {
        let own = self.resolve(schema);
        let form =
            not_null(own).map(|form| if form["description"].is_null() { self.resolve(form) } else { form });
        let described =
            [words, str_of(&own["description"]), form.map_or("", |form| str_of(&form["description"]))];
        let words = described.into_iter().find(|words| !words.is_empty()).unwrap_or_default();
        let needed = if is_required { "" } else { ", optional" };
        let (name, kind) = (escape(name), self.kind(schema, 0));
        add(page, format_args!("<dt><code>{name}</code> <i>{kind}{needed}</i><dd>{}", inline(words)));
    }

    /// The type in a few words, with a link to those that have a name.
    fn kind(&self, schema: &Value, depth: usize) -> String {
        let own = self.resolve(schema);
        if let Some(name) = schema["$ref"].as_str().and_then(|link| link.rsplit('/').next()).map(escape) {
            return format!("<a href=#type-{name}>{name}</a>");
        }
        let first = || self.kind(not_null(own).unwrap_or(&Value::Null), depth + 1);
        match &own["type"] {
            _ if depth == DEPTH_MAX => String::new(),
            Value::String(kind) if kind == "array" => {
                format!("list of {}", self.kind(&own["items"], depth + 1))
            }
            Value::String(kind) => escape(kind),
            Value::Array(kinds) => {
                let kind = kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null");
                escape(kind.unwrap_or("any JSON"))
            }
            _ if own["oneOf"].is_array() => first(),
            _ => "any JSON".to_owned(),
        }
    }

    /// All types that have a name.
    fn types(&self, page: &mut String) {
        *page += "<h2 id=types>types</h2>";
        for (name, schema) in self.document["components"]["schemas"].as_object().into_iter().flatten() {
            let shown = escape(name);
            add(page, format_args!("<section id=type-{shown}><h3>{shown}</h3>"));
            *page += &paragraphs(str_of(&schema["description"]));
            for (rule, words) in [
                ("minLength", "Characters, at least"),
                ("maxLength", "Characters, at most"),
                ("pattern", "Pattern"),
            ] {
                if let Some(value) = schema.get(rule) {
                    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    add(page, format_args!("<p>{words}: <code>{}</code></p>", escape(&value)));
                }
            }
            self.members(page, schema);
            *page += "</section>";
        }
    }

    fn example(&self, schema: &Value, depth: usize) -> Value {
        let schema = self.resolve(schema);
        if depth == DEPTH_MAX {
            return Value::Null;
        }
        if let Some(example) = schema["examples"].get(0).or_else(|| schema.get("example")) {
            return example.clone();
        }
        if let Some(form) = not_null(schema) {
            return self.example(form, depth + 1);
        }
        match schema["type"].as_str() {
            Some("array") => Value::Array(vec![self.example(&schema["items"], depth + 1)]),
            Some("object") => {
                let members = schema["properties"].as_object().into_iter().flatten();
                let required = |name: &str| {
                    schema["required"].as_array().is_some_and(|all| all.iter().any(|it| it == name))
                };
                let members = members.filter(|(name, _)| required(name));
                members
                    .map(|(name, member)| (name.clone(), self.example(member, depth + 1)))
                    .collect::<Map<_, _>>()
                    .into()
            }
            Some("integer") => 1.into(),
            Some("boolean") => true.into(),
            Some("string") => "…".into(),
            _ => Value::Null,
        }
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let target = schema["$ref"].as_str().and_then(|link| self.document.pointer(link.strip_prefix('#')?));
        target.unwrap_or(schema)
    }
}

/// The first form of several that is not null.
fn not_null(schema: &Value) -> Option<&Value> {
    schema["oneOf"].as_array()?.iter().find(|form| form["type"] != "null")
}

fn problems(page: &mut String) {
    *page += "<h2 id=problems>problems</h2><p>Every refusal has one of these as its <code>code</code>, and its \
              <code>type</code> is a link to the line.</p><dl>";
    for kind in &KINDS {
        let (code, status, title, help) =
            (kind.code, kind.status.as_u16(), escape(kind.title), inline(kind.help));
        add(page, format_args!("<dt id={code}><code>{code}</code> <i>{status}</i> {title}<dd>{help}"));
    }
    *page += "</dl>";
}

fn add(page: &mut String, text: impl Display) {
    write!(page, "{text}").expect("text grows");
}

fn str_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A path without what all have.
fn short(path: &str) -> &str {
    path.strip_prefix("/api/v1").unwrap_or(path)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Text with `code` in it.
fn inline(text: &str) -> String {
    let parts = escape(text);
    let parts = parts.split('`').enumerate();
    parts.map(|(n, part)| if n % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() }).collect()
}

fn paragraphs(text: &str) -> String {
    let blocks = text.split("\n\n").filter(|block| !block.is_empty());
    blocks.map(|block| format!("<p>{}</p>", inline(block))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> String {
        Page { document: document::openapi() }.render()
    }

    #[test]
    fn page_has_each_operation_and_problem_once() {
        let (page, document) = (page(), document::openapi());
        let paths = document["paths"].as_object().expect("paths");
        for operation in paths.values().flat_map(|methods| methods.as_object().expect("methods").values()) {
            let anchor = format!("<section id=op-{}>", str_of(&operation["operationId"]));
            assert_eq!(page.matches(&anchor).count(), 1, "{anchor}");
        }
        for link in page.split("href=#").skip(1).filter_map(|rest| rest.split('>').next()) {
            assert!(page.contains(&format!(" id={link}>")), "{link} leads nowhere");
        }
        assert!(!page.contains("<code></code>"), "every member has a name");
        for kind in &KINDS {
            assert_eq!(page.matches(&format!("<dt id={}>", kind.code)).count(), 1, "{}", kind.code);
        }
    }

    #[test]
    fn page_loads_nothing() {
        let page = page();
        for loader in ["<script", "<link", "<img", "src=", "url(", "@import", "http://", "https://"] {
            assert!(!page.contains(loader), "{loader}");
        }
    }

    #[test]
    fn text_of_the_document_is_escaped() {
        assert_eq!(inline("a `<b>` & c"), "a <code>&lt;b&gt;</code> &amp; c");
        assert_eq!(paragraphs("one\n\ntwo"), "<p>one</p><p>two</p>");
    }
}
