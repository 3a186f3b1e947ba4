//! Any option by its long variable, or by `--set`.

use super::*;

/// Every option of the example that is no element of a list of tables: its variable, and its value as text.
fn every_option() -> Vec<(String, String)> {
    let example: toml::Table = toml::from_str(EXAMPLE).unwrap();
    let options =
        example.into_iter().filter_map(|(section, value)| Some((section, value.as_table()?.clone())));
    let variable = |section: &str, (name, value): (String, toml::Value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (format!("TAUTLINE__{}__{}", section.to_uppercase(), name.to_uppercase()), text)
    };
    options.flat_map(|(section, options)| options.into_iter().map(move |it| variable(&section, it))).collect()
}

#[test]
fn every_option_is_read_from_its_variable() {
    let options = every_option();
    assert!(options.len() > 60, "{options:?}");
    for (name, text) in &options {
        if text.is_empty() {
            continue;
        }
        let loaded = load("", &[(name.as_str(), text.as_str())], &Flags::default());
        let loaded = loaded.map_err(|error| error.to_string()).unwrap();
        // The default address counts where no other is said.
        let listen = name.ends_with("__LISTEN").then_some(Settings::LISTEN_DEFAULT);
        assert_eq!(loaded.settings, Settings { listen, ..Settings::default() }, "{name}={text}");
        assert!(loaded.values.show().contains(&format!("# environment variable {name}\n")), "{name}");
    }
}

#[test]
fn long_variable_beats_short_one_and_file() {
    let variables =
        [(NODE, "short"), ("TAUTLINE__SERVER__NODE", "long"), ("TAUTLINE__LIMITS__PARK_MS", "1h")];
    let settings =
        settings_of("[server]\nnode = \"file\"\n[limits]\npark_ms = 1", &variables, &Flags::default());
    assert_eq!((settings.node.as_str(), settings.limits.protocol.park_ms), ("long", 3_600_000));
    let flags =
        Flags { set: vec!["server.node=flag".to_owned(), "auth.guests=true".to_owned()], ..Flags::default() };
    let settings = settings_of("", &variables, &flags);
    assert_eq!((settings.node.as_str(), settings.guests), ("flag", true));
}

#[test]
fn number_for_a_text_stays_a_text() {
    assert_eq!(settings_of("", &[("TAUTLINE__SERVER__NODE", "8")], &Flags::default()).node, "8");
}

#[test]
fn tables_of_a_list_are_named_by_their_index() {
    let variables = [
        ("TAUTLINE__CHANNELS__0__PUBLISH", "any"),
        ("TAUTLINE__CHANNELS__1__MATCH", "room:*"),
        ("TAUTLINE__CHANNELS__1__HISTORY__COUNT", "5"),
    ];
    let settings = settings_of("[[channels]]\nmatch = \"news\"", &variables, &Flags::default());
    assert_eq!((settings.channels[0].pattern.as_str(), settings.channels[0].publish), ("news", Access::Any));
    assert_eq!((settings.channels[1].pattern.as_str(), settings.channels[1].retention.count), ("room:*", 5));
    let gap = [("TAUTLINE__CHANNELS__2__MATCH", "a")];
    let error = load("", &gap, &Flags::default()).err().unwrap().to_string();
    assert!(error.contains("TAUTLINE__CHANNELS__2__MATCH: element 2 of a list that has 0"), "{error}");
}

#[test]
fn lists_take_commas_or_brackets() {
    for text in ["https://a.example, null", "[\"https://a.example\", \"null\"]"] {
        let variables = [("TAUTLINE__SERVER__ALLOWED_ORIGINS", text)];
        assert_eq!(
            settings_of("", &variables, &Flags::default()).allowed_origins,
            ["https://a.example", "null"]
        );
    }
}

#[test]
fn mistyped_long_variable_or_flag_suggests_the_option() {
    let error = load("", &[("TAUTLINE__SERVER__LISTN", "1")], &Flags::default()).err().unwrap().to_string();
    let words = "unknown option `listn` in `server`: is `listen` meant?";
    assert_eq!(error, format!("environment variable TAUTLINE__SERVER__LISTN: {words}"));
    let flags = Flags { set: vec!["servr.listen=1".to_owned()], ..Flags::default() };
    let error = load("", &[], &flags).err().unwrap().to_string();
    assert_eq!(error, "--set: unknown option `servr`: is `server` meant?");
}

#[test]
fn invalid_value_names_its_variable_or_flag() {
    for (name, text, words) in [
        ("TAUTLINE__SERVER__LISTEN", "8000", "is no address"),
        ("TAUTLINE__LIMITS__PARK_MS", "soon", "is no duration"),
        ("TAUTLINE__AUTH__GUESTS", "yes", "expected a boolean"),
        ("TAUTLINE__CHANNELS__0__PUBLISH", "any", "missing field `match`"),
        ("TAUTLINE__CHANNELS", "[{", "inline table"),
    ] {
        let error = load("", &[(name, text)], &Flags::default()).err().unwrap().to_string();
        assert!(error.starts_with(&format!("environment variable {name}: ")), "{error}");
        assert!(error.contains(words), "{error}");
    }
    let flags = Flags { set: vec!["limits.park_ms".to_owned()], ..Flags::default() };
    assert!(
        load("", &[], &flags).err().unwrap().to_string().starts_with("--set: write an option and its value")
    );
}
