//! `tautline config --show`: values, and where they come from.

use super::*;

fn show(text: &str, variables: &[(&str, &str)], flags: &Flags) -> String {
    load(text, variables, flags).map_err(|error| error.to_string()).unwrap().values.show()
}

/// The line of an option, with its blanks squeezed.
fn line_of(shown: &str, option: &str) -> String {
    let line = shown
        .lines()
        .find(|line| line.starts_with(&format!("{option} =")))
        .unwrap_or_else(|| panic!("{shown}"));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn each_value_has_its_place() {
    let text = "[server]\nnode = \"n7\"\n[[channels]]\nmatch = \"news\"\nhistory = { count = 5 }\n";
    let flags = Flags {
        listen: Some("127.0.0.1:9".parse().unwrap()),
        set: vec!["limits.park_ms=1h".to_owned()],
        ..Flags::default()
    };
    let shown = show(text, &[(ENVIRONMENT, "staging"), ("TAUTLINE__DRAIN__SPREAD", "9s")], &flags);
    assert_eq!(line_of(&shown, "node"), "node = \"n7\" # tautline.toml:2:8");
    assert_eq!(line_of(&shown, "listen"), "listen = \"127.0.0.1:9\" # --listen");
    assert_eq!(line_of(&shown, "park_ms"), "park_ms = \"1h\" # --set");
    assert_eq!(
        line_of(&shown, "environment"),
        "environment = \"staging\" # environment variable TAUTLINE_ENVIRONMENT"
    );
    assert_eq!(line_of(&shown, "spread"), "spread = \"9s\" # environment variable TAUTLINE__DRAIN__SPREAD");
    assert_eq!(line_of(&shown, "history.count"), "history.count = 5 # tautline.toml:5:21");
    assert_eq!(line_of(&shown, "pong_ms"), "pong_ms = 8000 # default");
}

#[test]
fn secrets_are_hidden_wherever_they_come_from() {
    let text = format!("[auth]\nhs256_secret = \"{SECRET}\"\n[api]\nkeys = [\"{SECRET}\"]");
    let shown = show(
        &text,
        &[(AUTH_SECRET_OLD, OTHER_SECRET), ("TAUTLINE__API__KEYS", OTHER_SECRET)],
        &Flags::default(),
    );
    assert!(!shown.contains(SECRET) && !shown.contains(OTHER_SECRET), "{shown}");
    assert_eq!(line_of(&shown, "hs256_secret"), "hs256_secret = \"…\" # tautline.toml:2:16");
    assert_eq!(line_of(&shown, "keys"), "keys = \"…\" # environment variable TAUTLINE__API__KEYS");
}

#[test]
fn shown_values_are_read_as_the_same_settings() {
    let text = "[server]\nnode = \"n7\"\n[limits]\npark_ms = \"1h\"\n[[channels]]\nmatch = \"a\"\n[[channels]]\nmatch = \"b\"\nhistory = { age = \"2h\" }\n";
    let loaded = load(text, &[], &Flags::default()).ok().unwrap();
    // Without the lists of secrets, which are hidden.
    let shown: String = loaded
        .values
        .show()
        .lines()
        .filter(|line| !line.contains('…'))
        .map(|line| format!("{line}\n"))
        .collect();
    let listen = Some(Settings::LISTEN_DEFAULT);
    assert_eq!(
        settings_of(&shown, &[], &Flags::default()),
        Settings { listen, ..loaded.settings },
        "{shown}"
    );
}

#[test]
fn changed_options_are_found_by_name() {
    let values = |text: &str| load(text, &[], &Flags::default()).ok().unwrap().values;
    let (old, new) =
        (values("[server]\nnode = \"a\"\n[[channels]]\nmatch = \"a\""), values("[drain]\nspread = \"5s\""));
    assert_eq!(old.changed(&new), ["channels.0.match", "server.node"]);
    assert_eq!(values("").changed(&new), [""; 0]);
    let key = |key: &str| values(&format!("[api]\nkeys = [\"{key}\"]"));
    assert_eq!(key(SECRET).changed(&key(OTHER_SECRET)), ["api.keys"]);
}

#[test]
fn default_address_is_shown_where_it_holds_alone() {
    let shown = |text: &str| show(text, &[], &Flags::default());
    assert_eq!(line_of(&shown(""), "listen"), "listen = \"127.0.0.1:8000\" # default");
    let listeners = shown("[[listen]]\naddress = \"[::1]:9\"\n");
    assert!(!listeners.contains("127.0.0.1:8000"), "{listeners}");
    assert_eq!(line_of(&listeners, "address"), "address = \"[::1]:9\" # tautline.toml:2:11");
}
