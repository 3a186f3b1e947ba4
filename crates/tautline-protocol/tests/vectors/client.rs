//! Runs `spec/vectors/client/*.json`: scripts of inputs, and what the client does about each. TypeScript runs them too.
//!
//! With `UPDATE_VECTORS=1` the files are written afresh from what the machine does (a `timeout` without `at` is placed where
//! it is due). What comes out is then to be read against the protocol, line by line: the machine blesses its own bugs.

use std::{fmt::Write as _, fs, path::PathBuf};

use serde_json::{Value, json};
use tautline_protocol::{Now, client::Session};

use crate::forms;

const WALL_START_MS: u64 = 1_763_666_000_000;

#[test]
fn the_client_does_what_the_vectors_say() {
    let update = std::env::var_os("UPDATE_VECTORS").is_some();
    let mut count = 0;
    for path in vector_files() {
        let text = fs::read_to_string(&path).expect("a readable file");
        let mut file: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let vectors = file["vectors"].as_array_mut().expect("`vectors` is a list");
        for vector in vectors.iter_mut() {
            run(vector, update);
            count += 1;
        }
        if update {
            fs::write(&path, render(vectors)).expect("a writable file");
        }
    }
    assert!(count >= 60, "only {count} vectors were found");
}

fn vector_files() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/vectors/client");
    let entries = fs::read_dir(folder).expect("the vectors are there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn run(vector: &mut Value, update: bool) {
    let name = vector["name"].as_str().expect("a name").to_owned();
    let seed = u32::try_from(vector["seed"].as_u64().expect("a seed")).expect("32 bits");
    let mut session = Session::new(forms::options(&vector["options"]), seed);
    for (index, step) in vector["steps"].as_array_mut().expect("steps").iter_mut().enumerate() {
        let due = session.poll_timeout();
        if update && step["at"].is_null() {
            step["at"] = json!(due.expect("a timeout without `at` needs a deadline"));
        }
        let at = step["at"].as_u64().expect("a time");
        let context = format!("{name:?}, step {index} at {at}");
        let is_timeout = step["in"]["type"] == "timeout";
        if step["late"] != true {
            assert!(due.is_none_or(|due| at <= due), "{context}: a timeout was due at {due:?}");
            assert!(!is_timeout || due == Some(at), "{context}: the timeout is due at {due:?}");
        }
        let message = forms::message_text(&step["in"]);
        session.handle_input(Now::new(at, WALL_START_MS + at), forms::input(&step["in"], &message));
        let store = session.poll_store().as_ref().map(forms::store);
        let outputs: Vec<Value> =
            std::iter::from_fn(|| session.poll_output()).map(|output| forms::output(&output)).collect();
        let (out, next) = (Value::Array(outputs), json!(session.poll_timeout()));
        if update {
            if let Some(store) = store {
                step["store"] = store;
            }
            step["out"] = out;
            step["next"] = next;
        } else {
            assert_eq!(store.as_ref(), step.get("store"), "{context}: what is stored");
            assert_eq!(out, step["out"], "{context}: outputs");
            assert_eq!(next, step["next"], "{context}: next timeout");
        }
    }
}

/// One vector after the other, an output a line, `type` first: made to be read.
fn render(vectors: &[Value]) -> String {
    let mut text = String::from("{\"vectors\": [\n");
    for (index, vector) in vectors.iter().enumerate() {
        let (name, options, seed) = (&vector["name"], &vector["options"], &vector["seed"]);
        let _ = write!(text, "{{\"name\": {name}, \"options\": {options}, \"seed\": {seed}, \"steps\": [");
        for (index, step) in vector["steps"].as_array().into_iter().flatten().enumerate() {
            text.push_str(if index == 0 { "\n" } else { ",\n" });
            let store =
                step.get("store").map_or_else(String::new, |store| format!("\"store\": {store},\n    "));
            let late = if step["late"] == true { "\"late\": true, " } else { "" };
            let _ = write!(
                text,
                "  {{\"at\": {}, {late}\"in\": {}, {store}\"out\": [",
                step["at"],
                object(&step["in"])
            );
            for (index, output) in step["out"].as_array().into_iter().flatten().enumerate() {
                let _ = write!(text, "{}\n    {}", if index == 0 { "" } else { "," }, object(output));
            }
            let _ = write!(text, "], \"next\": {}}}", step["next"]);
        }
        text.push_str(if index + 1 == vectors.len() { "\n]}\n" } else { "\n]},\n" });
    }
    text.push_str("]}\n");
    text
}

fn object(value: &Value) -> String {
    let fields = value.as_object().expect("an object");
    let mut text = format!("{{\"type\": {}", value["type"]);
    for (name, value) in fields.iter().filter(|(name, _)| *name != "type") {
        let _ = write!(text, ", \"{name}\": {value}");
    }
    text + "}"
}
