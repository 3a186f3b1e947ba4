//! Everything that can be asked of the console, each with the scope that it needs.
//!
//! The operations of the server API come from its document, so that a new one is there with the scope of its tag. Whatever
//! is not in this table does not exist for the console.

use std::sync::OnceLock;

use http::Method;
use serde_json::Value;

use crate::ConsoleScope;

/// Something that can be asked of the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The method.
    pub method: Method,
    /// The path behind the mount, with `{…}` where a parameter stands.
    pub path: String,
    /// Its name, in the audit log for instance.
    pub id: String,
    /// What an account needs.
    pub scope: ConsoleScope,
}

/// Those of the console itself.
const OWN: [(Method, &str, &str, ConsoleScope); 4] = [
    (Method::GET, "/overview", "overview", ConsoleScope::Read),
    (Method::GET, "/story/{user}", "story", ConsoleScope::Read),
    (Method::GET, "/audit", "audit", ConsoleScope::Read),
    (Method::POST, "/drain", "drain", ConsoleScope::Admin),
];

/// Operations of the API with the tag `admin` that end nothing for good.
const ACTS: [&str; 7] =
    ["kick", "disconnect", "subscribe", "unsubscribe", "replay_webhook", "enable_webhook", "disable_webhook"];

/// All operations.
#[must_use]
pub fn operations() -> &'static [Operation] {
    static ALL: OnceLock<Vec<Operation>> = OnceLock::new();
    ALL.get_or_init(|| own().chain(of_api(&tautline_api::openapi())).collect())
}

/// The operation of a request, by its path behind the mount.
pub(crate) fn find(method: &Method, path: &str) -> Option<&'static Operation> {
    operations().iter().find(|operation| operation.method == method && fits(&operation.path, path))
}

fn own() -> impl Iterator<Item = Operation> {
    OWN.into_iter().map(|(method, path, id, scope)| Operation {
        method,
        path: path.to_owned(),
        id: id.to_owned(),
        scope,
    })
}

fn of_api(document: &Value) -> Vec<Operation> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let methods = paths.flat_map(|(path, methods)| {
        methods.as_object().into_iter().flatten().map(move |(method, operation)| (path, method, operation))
    });
    let operation = |(path, method, operation): (&String, &String, &Value)| {
        let id = operation["operationId"].as_str()?;
        let scope = match operation["tags"][0].as_str()? {
            "read" | "document" => ConsoleScope::Read,
            "publish" => ConsoleScope::Act,
            _ if ACTS.contains(&id) => ConsoleScope::Act,
            _ => ConsoleScope::Admin,
        };
        let method = method.to_ascii_uppercase().parse().ok()?;
        // The page of the API is for those who hold a key.
        path.starts_with("/api/v1/").then(|| Operation {
            method,
            path: path.clone(),
            id: id.to_owned(),
            scope,
        })
    };
    methods.filter_map(operation).collect()
}

fn fits(template: &str, path: &str) -> bool {
    let (mut template, mut path) = (template.split('/'), path.split('/'));
    loop {
        match (template.next(), path.next()) {
            (None, None) => return true,
            (Some(part), Some(segment)) if part.starts_with('{') && !segment.is_empty() => {}
            (Some(part), Some(segment)) if part == segment => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_has_its_scope() {
        let scope = |method: Method, path: &str| find(&method, path).map(|operation| operation.scope);
        assert_eq!(scope(Method::GET, "/api/v1/sessions"), Some(ConsoleScope::Read));
        assert_eq!(scope(Method::GET, "/api/v1/sessions/abc"), Some(ConsoleScope::Read));
        assert_eq!(scope(Method::POST, "/api/v1/history"), Some(ConsoleScope::Read));
        assert_eq!(scope(Method::POST, "/api/v1/publish"), Some(ConsoleScope::Act));
        assert_eq!(scope(Method::POST, "/api/v1/kick"), Some(ConsoleScope::Act));
        assert_eq!(scope(Method::POST, "/api/v1/webhooks/replay"), Some(ConsoleScope::Act));
        for admin in ["ban", "unban", "revoke", "forget"] {
            assert_eq!(
                scope(Method::POST, &format!("/api/v1/{admin}")),
                Some(ConsoleScope::Admin),
                "{admin}"
            );
        }
        assert_eq!(scope(Method::POST, "/drain"), Some(ConsoleScope::Admin));
    }

    #[test]
    fn path_that_is_in_no_table_is_no_operation() {
        for (method, path) in [
            (Method::GET, "/api/docs"),
            (Method::GET, "/api/v1/kick"),
            (Method::GET, "/api/v1/sessions/"),
            (Method::GET, "/api/v1/sessions/a/b"),
            (Method::POST, "/api/v1/publish/"),
            (Method::POST, "//api/v1/publish"),
            (Method::HEAD, "/overview"),
        ] {
            assert_eq!(find(&method, path), None, "{method} {path}");
        }
    }

    #[test]
    fn every_act_of_the_table_is_an_operation() {
        for act in ACTS {
            assert!(operations().iter().any(|operation| operation.id == act), "{act}");
        }
    }
}
