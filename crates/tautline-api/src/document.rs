//! The OpenAPI 3.1 document of the API.
//!
//! Start at [`openapi`]. The operations describe themselves; what all of one scope have in common is added here.

use std::sync::OnceLock;

use axum::response::IntoResponse;
use bytes::Bytes;
use http::{
    StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::{
    names::{Address, LabelText},
    problem::{KINDS, PROBLEM_JSON, ProblemBody},
    routes,
};

/// The operations that need no key.
const OPEN: &str = "document";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tautline server API",
        version = "1.0.0",
        description = "For back ends: publish to channels and inboxes, read logs, presence and sessions, and end sessions, \
                       subscriptions and logins.\n\nEvery request carries an API key as `Authorization: Bearer`; a key opens \
                       one scope or several. Refusals are `application/problem+json` (RFC 9457). \
                       A `traceparent` (W3C Trace Context) is taken from a request and is in each answer.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT"),
        contact(name = "Tautline")
    ),
    servers((url = "/", description = "This gateway")),
    tags(
        (name = "publish", description = "Publishes to channels and to the inboxes of users."),
        (name = "read", description = "Reads logs, presence, sessions and figures."),
        (name = "admin", description = "Ends sessions, subscriptions and logins."),
        (name = "document", description = "What you are reading; these need no key.")
    ),
    components(schemas(ProblemBody, Address, LabelText))
)]
struct Base;

pub(crate) fn base() -> utoipa::openapi::OpenApi {
    Base::openapi()
}

/// Problems that no operation of the document has.
const ELSEWHERE: [&str; 3] = ["method_not_allowed", "upgrade_required", "draining"];
/// The operations that take the header `Idempotency-Key`; the entries of a batch have keys of their own.
const IDEMPOTENT: [&str; 4] = ["publish", "push", "broadcast", "push_many"];

/// The operations about one thing, which may not be there.
const NAMING: [&str; 4] = ["session", "replay_webhook", "enable_webhook", "disable_webhook"];

/// A way from an answer to a next request, for readers and for stateful tests.
struct Link {
    from: &'static str,
    name: &'static str,
    to: &'static str,
    /// Parameters of the next request, or its body.
    with: fn() -> Value,
}

const LINKS: [Link; 8] = [
    Link {
        from: "push",
        name: "inbox",
        to: "inbox",
        with: || json!({"parameters": {"user": "$request.body#/user"}}),
    },
    Link {
        from: "publish",
        name: "standing",
        to: "standing",
        with: || json!({"requestBody": {"channels": ["$request.body#/channel"]}}),
    },
    Link {
        from: "publish",
        name: "history",
        to: "history",
        with: || {
            let position = json!({"epoch": "$response.body#/epoch", "offset": "$response.body#/offset"});
            json!({"requestBody": {"channel": "$request.body#/channel", "span": {"after": position}}})
        },
    },
    Link {
        from: "push",
        name: "online",
        to: "online",
        with: || json!({"requestBody": {"users": ["$request.body#/user"]}}),
    },
    Link {
        from: "ban",
        name: "unban",
        to: "unban",
        with: || json!({"requestBody": {"subject": "$request.body#/subject"}}),
    },
    Link {
        from: "sessions",
        name: "session",
        to: "session",
        with: || json!({"parameters": {"session": "$response.body#/sessions/0/session"}}),
    },
    Link {
        from: "webhooks",
        name: "replay",
        to: "replay_webhook",
        with: || {
            let first = "$response.body#/webhooks/0";
            json!({"requestBody": {"webhook": format!("{first}/name"), "from": format!("{first}/offset")}})
        },
    },
    Link {
        from: "session",
        name: "kick",
        to: "kick",
        with: || json!({"requestBody": {"target": {"session": "$response.body#/session"}}}),
    },
];

/// The document.
#[must_use]
pub fn openapi() -> Value {
    let mut document =
        serde_json::to_value(routes::documented().into_openapi()).expect("the document is JSON");
    complete(&mut document);
    document
}

/// Adds keys, refusals and links.
fn complete(document: &mut Value) {
    let components = &mut document["components"];
    components["securitySchemes"] = json!({"key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key. Its scopes are `read`, `publish` and `admin`.",
    }});
    components["parameters"] = json!({"IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Makes repeating harmless; in place of `idempotency_key` in the body.",
        "schema": {"$ref": "#/components/schemas/IdempotencyKey"},
    }});
    let described = KINDS.iter().filter(|kind| !ELSEWHERE.contains(&kind.code));
    components["responses"] =
        described.map(|kind| (kind.status.as_str().to_owned(), response(kind.status))).collect();
    close(&mut components["schemas"]);
    let paths = document["paths"].as_object_mut().expect("the document has paths");
    let operations = paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::iter_mut);
    for (method, operation) in operations {
        add_common(method, operation);
    }
}

fn response(status: StatusCode) -> Value {
    let of_status = KINDS.iter().filter(|kind| kind.status == status && !ELSEWHERE.contains(&kind.code));
    let words: Vec<String> = of_status.map(|kind| format!("`{}`: {}.", kind.code, kind.title)).collect();
    let content = json!({PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}});
    json!({"description": words.join(" "), "content": content})
}

/// An object with one member of several takes no other.
fn close(schemas: &mut Value) {
    let schemas = schemas.as_object_mut().into_iter().flat_map(Map::values_mut);
    for form in schemas.filter_map(|schema| schema.get_mut("oneOf")?.as_array_mut()).flatten() {
        if form["type"] == "object" {
            form["additionalProperties"] = false.into();
        }
    }
}

fn add_common(method: &str, operation: &mut Value) {
    let scope = operation["tags"][0].as_str().unwrap_or_default().to_owned();
    if scope == OPEN {
        operation["security"] = json!([]);
        return;
    }
    operation["security"] = json!([{"key": [scope]}]);
    let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
    let mut refusals = vec!["400", "401", "403", "429", "500", "503"];
    if method == "post" {
        refusals.extend(["408", "413"]);
    }
    if scope == "publish" || id == "history" {
        refusals.push("409");
    }
    if NAMING.contains(&&*id) {
        refusals.push("404");
    }
    if IDEMPOTENT.contains(&&*id) {
        operation["parameters"] = json!([{"$ref": "#/components/parameters/IdempotencyKey"}]);
    }
    let responses = operation["responses"].as_object_mut().expect("every operation has responses");
    for status in refusals {
        responses.insert(status.to_owned(), json!({"$ref": format!("#/components/responses/{status}")}));
    }
    let links = LINKS.iter().filter(|link| link.from == id).map(|link| {
        let mut to = (link.with)();
        to["operationId"] = link.to.into();
        (link.name.to_owned(), to)
    });
    let links: Map<String, Value> = links.collect();
    if !links.is_empty() {
        responses["200"]["links"] = links.into();
    }
}

/// The document as it is sent.
pub(crate) fn bytes() -> Bytes {
    static BYTES: OnceLock<Bytes> = OnceLock::new();
    let made = || serde_json::to_vec_pretty(&openapi()).expect("the document is JSON").into();
    BYTES.get_or_init(made).clone()
}

/// Serves this document
///
/// It needs no key: it is about the program, not about this gateway.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "document",
    responses((status = 200, description = "The document", body = serde_json::Value)))]
pub(crate) async fn document() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_documented_and_nothing_else() {
        let (router, _) = routes::documented().split_for_parts();
        // axum lists its paths only here.
        let debug = format!("{router:?}");
        let routed: BTreeSet<&str> = debug.split('"').filter(|word| word.starts_with("/api/")).collect();
        let document = openapi();
        let documented: BTreeSet<&str> =
            document["paths"].as_object().expect("paths").keys().map(String::as_str).collect();
        assert!(documented.contains("/api/v1/openapi.json") && documented.len() > 10, "{documented:?}");
        assert_eq!(routed, documented);
    }

    #[test]
    fn every_reference_has_a_target() {
        let document = openapi();
        let text = document.to_string();
        let references = text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next());
        let mut count = 0;
        for reference in references {
            assert!(document.pointer(reference).is_some(), "{reference}");
            count += 1;
        }
        assert!(count > 100, "{count}");
    }

    #[test]
    fn every_link_leads_to_an_operation() {
        let document = openapi();
        let operations =
            || document["paths"].as_object().into_iter().flatten().flat_map(|(_, path)| path.as_object());
        let ids: BTreeSet<&str> = operations()
            .flat_map(Map::values)
            .filter_map(|operation| operation["operationId"].as_str())
            .collect();
        for link in &LINKS {
            assert!(ids.contains(link.from) && ids.contains(link.to), "{} -> {}", link.from, link.to);
        }
    }

    #[test]
    fn every_operation_names_its_scope_and_its_refusals() {
        let document = openapi();
        for (path, methods) in document["paths"].as_object().expect("paths") {
            for (method, operation) in methods.as_object().expect("methods") {
                let scope = operation["tags"][0].as_str().expect("a tag");
                let expected = if scope == OPEN { json!([]) } else { json!([{"key": [scope]}]) };
                assert_eq!(operation["security"], expected, "{method} {path}");
                assert!(operation["summary"].is_string(), "{method} {path}");
            }
        }
    }
}
