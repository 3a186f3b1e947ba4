//! The JSON Schema, as a validator reads it.

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

use super::*;

struct Validator(Schemas, SchemaIndex);

impl Validator {
    fn new() -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        let schema = serde_json::from_str(&Schema::get().to_text()).expect("JSON");
        compiler.add_resource("tautline.json", schema).expect("a schema");
        let index = compiler.compile("tautline.json", &mut schemas).expect("a valid schema");
        Self(schemas, index)
    }

    fn accepts(&self, text: &str) -> bool {
        let value: Value = toml::from_str(text).expect("TOML");
        self.0.validate(&value, self.1).is_ok()
    }
}

#[test]
fn schema_accepts_the_example() {
    let validator = Validator::new();
    let value: Value = toml::from_str(EXAMPLE).unwrap();
    let verdict = validator.0.validate(&value, validator.1).map_err(|error| error.to_string());
    assert_eq!(verdict, Ok(()));
}

#[test]
fn schema_and_reader_agree_on_faults() {
    let validator = Validator::new();
    for text in [
        "[server]\nnodes = \"n1\"",
        "[limit]",
        "[limits]\nhello_ms = 0",
        "[limits]\nhello_ms = \"soon\"",
        "[limits]\nchannels_max = \"many\"",
        "[limits]\nmessage_bytes_max = \"64kb\"",
        "[server]\ndurability = \"lax\"",
        "[server]\nproxies = [7]",
        "[auth]\nguests = \"yes\"",
        "[auth]\nhs256_secret = 7",
        "[api]\nkeys = \"0123456789abcdef\"",
        "[drain]\nspread = 5",
        "[[channels]]\npublish = \"any\"",
        "[[channels]]\nmatch = \"a\"\npublish = \"all\"",
        "[[channels]]\nmatch = \"a\"\nhistory = { count = 0 }",
        "[log]\nformat = \"xml\"",
        "[[listen]]\naddress = \"[::]:9\"\nserves = [\"metrics\"]",
        "[[listen]]\ntls = false",
        "[[tls]]\ncertificate = \"chain.pem\"",
        "[rates.user]\nrequests = \"often\"",
        "[rates]\nconnections_per_user_beyond = \"close\"",
        "[plain]\nheartbeats = [{ answer = \"pong\" }]",
    ] {
        assert!(!validator.accepts(text), "{text}");
        error_of(text);
    }
    for text in [
        "",
        "[limits]\nhello_ms = \"1h 30m\"\nmessage_bytes_max = 65536",
        "[server]\ndurability = \"relaxed\"",
        "[log]\nformat = \"json\"",
        "[[listen]]\naddress = \"unix:/run/t.sock\"\nmode = \"0660\"",
        "[rates.user]\nrequests = \"64KiB/10s burst 1MiB\"",
        "[plain]\nheartbeats = [{ text = \"ping\", answer = \"pong\" }, { type = \"beat\" }]",
    ] {
        assert!(validator.accepts(text), "{text}");
        settings_of(text, &[], &Flags::default());
    }
}

#[test]
fn every_option_has_a_description() {
    fn undescribed(path: &str, node: &Value, found: &mut Vec<String>) {
        for (name, option) in node["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            if option["description"].as_str().is_none_or(str::is_empty) {
                found.push(path.clone());
            }
            undescribed(&path, option, found);
            undescribed(&path, &option["items"], found);
        }
    }
    let schema: Value = serde_json::from_str(&Schema::get().to_text()).unwrap();
    let mut found = Vec::new();
    undescribed("", &schema, &mut found);
    assert_eq!(found, [""; 0]);
}
