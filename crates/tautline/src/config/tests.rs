//! Where settings come from, which of them wins, and what is said about those that are wrong.

use std::path::Path;

use tautline_hub::{Permission, Rate, RateSet};

use super::*;

mod api_keys;
mod schema;
mod secrets;
mod show;
mod variables;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER_SECRET: &str = "fedcba9876543210fedcba9876543210";

fn load(text: &str, variables: &[(&str, &str)], flags: &Flags) -> Result<Loaded, ConfigError> {
    let environment = Environment::of(variables.iter().copied());
    Loaded::of(Some(Path::new("tautline.toml")), text, flags, &environment)
}

fn error_of(text: &str) -> String {
    load(text, &[], &Flags::default()).err().expect("the file has a fault").to_string()
}

fn settings_of(text: &str, variables: &[(&str, &str)], flags: &Flags) -> Settings {
    load(text, variables, flags).map_err(|error| error.to_string()).unwrap().settings
}

#[test]
fn unknown_option_is_refused_with_line_and_alternatives() {
    let error = error_of("[server]\n\nlisten = \"127.0.0.1:0\"\n  nodes = \"n1\"\n");
    assert_eq!(error, "tautline.toml:4:3: unknown option `nodes` in `server`: is `node` meant?");
    let error = error_of("[server]\n[limit]\n");
    assert_eq!(error, "tautline.toml:2:2: unknown option `limit`: is `limits` meant?");
    let error = error_of("[limits]\nmessages = 1\n");
    assert_eq!(
        error,
        "tautline.toml:2:1: unknown option `messages` in `limits`: is `message_bytes_max` meant?"
    );
    let error = error_of("[[channels]]\nmatch = \"a\"\nhistory = { counts = 1 }\n");
    assert_eq!(
        error,
        "tautline.toml:3:13: unknown option `counts` in `channels.0.history`: is `count` meant?"
    );
    let error = error_of("[drain]\ncolour = 1\n");
    assert!(error.contains("expected one of `notice`, `spread`, `timeout`"), "{error}");
}

#[test]
fn wrong_type_points_at_the_value() {
    for (text, place, words) in [
        ("[auth]\nguests = \"yes\"", "2:10", "expected a boolean"),
        ("[server]\nlisten = \"localhost\"", "2:10", "IP:port"),
        ("[server]\nengine = \"disk\"", "2:10", "`disk:`"),
        ("[server]\nengine = \"disk:\"", "2:10", "a folder"),
        ("[server]\ndurability = \"lax\"", "2:14", "`relaxed`"),
        ("[server]\nnode = \"node 1\"", "2:8", "letters"),
        ("[server]\nallowed_origins = [\"shop.example\"]", "2:19", "https://shop.example"),
        ("[server]\nconnections_max = 0", "2:19", "nonzero"),
        ("[server]\nproxies = [\"lan\"]", "2:11", "is no network"),
        ("[server]\nhttp_head_timeout = \"10 sec\"", "2:21", "ms, s, m, h or d"),
        ("[server]\nsend_buffer_bytes = \"20kb\"", "2:21", "KiB"),
        ("[server]\nhttp_idle_timeout = 75", "2:21", "in quotes"),
        ("[server]\nbackend_timeout = \"0s\"", "2:19", "longer than nothing"),
        ("[limits]\nping_ms = 9_223_372_036_854_775_807", "2:11", "36500d is the most"),
        ("[plain]\npath = \"plain\"", "2:8", "begins with `/`"),
        ("[plain]\nlogins_max = 0", "2:14", "nonzero"),
        ("[plain]\nheartbeats = [{ text = \"hb\" }]", "2:14", "a heartbeat is"),
        ("[limits]\nhello_ms = 0", "2:12", "above zero"),
        ("[rates.connection]\nrequests = \"20\"", "2:12", "is no rate"),
        ("[rates.user]\nrequest = \"20/s\"", "2:1", "unknown option `request`"),
        ("[rates]\nconnections_per_user_beyond = \"close\"", "2:31", "close_oldest"),
        ("[limits]\nhello_ms = \"0s\"", "2:12", "above zero"),
        ("[limits]\nhello_ms = \"1 second\"", "2:12", "ms, s, m, h or d"),
        ("[limits]\nchannels_max = 0", "2:16", "nonzero"),
        ("[limits]\nmessage_bytes_max = \"64kb\"", "2:21", "KiB"),
        ("[drain]\nspread = \"5 seconds\"", "2:10", "ms, s, m, h or d"),
        ("[drain]\nspread = 5", "2:10", "\"90s\""),
        ("[[channels]]\nmatch = \"a*b\"", "2:9", "ends in one `*`"),
        ("[[channels]]\nmatch = \"a\"\npublish = \"all\"", "3:11", "`none`, `backend`"),
        ("[[channels]]\nmatch = \"a\"\nhistory = { age = \"0s\" }", "3:19", "longer than nothing"),
        ("[tickets]\nkeys = [\"c2hvcnQ=\"]", "2:8", "32 random bytes"),
        ("[auth]\nhs256_secret = \"short\"", "2:16", "at least 32"),
        ("[api]\nkeys = [\"short\"]", "2:8", "at least 16"),
    ] {
        let error = error_of(text);
        assert!(error.starts_with(&format!("tautline.toml:{place}: ")), "{text}: {error}");
        assert!(error.contains(words), "{text}: {error}");
        assert!(!error.contains('\n'), "one line: {error}");
    }
}

#[test]
fn invalid_toml_points_at_its_line() {
    assert!(error_of("[server]\nlisten = 127.0.0.1\n").starts_with("tautline.toml:2:"));
    let error = error_of("[server]\n\n[[channels]]\npublish = \"any\"\n");
    assert!(error.starts_with("tautline.toml:3:1: missing field `match`"), "{error}");
}

#[test]
fn no_error_quotes_a_secret() {
    for text in [
        format!("[auth]\nhs256_secret = [\"{SECRET}\"]"),
        format!("[auth]\nhs256_sekret = \"{SECRET}\""),
        format!("[auth]\nhs256_secret = \"{SECRET}"),
        format!("[api]\nkeys = \"{SECRET}\""),
        format!("[tickets]\nkeys = [\"{SECRET}\"]"),
    ] {
        let error = error_of(&text);
        assert!(!error.contains(SECRET), "{error}");
    }
    let environment = Environment::of([(TICKET_KEYS, SECRET)]);
    let error = Loaded::load(&Flags::default(), &environment).err().unwrap().to_string();
    assert!(error.starts_with("environment variable TAUTLINE_TICKET_KEYS: a ticket key is"), "{error}");
    assert!(!error.contains(SECRET), "{error}");
}

#[test]
fn debug_shows_no_secret() {
    let ticket_key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let text = format!(
        "[auth]\nhs256_secret = \"{SECRET}\"\n[api]\nkeys = [\"{OTHER_SECRET}\"]\n[tickets]\nkeys = [\"{ticket_key}\"]"
    );
    let settings = settings_of(&text, &[], &Flags::default());
    assert_eq!(settings.ticket_keys[0].0, *b"0123456789abcdef0123456789abcdef");
    let shown = format!("{settings:#?}");
    assert!(
        !shown.contains(SECRET) && !shown.contains(OTHER_SECRET) && !shown.contains(ticket_key),
        "{shown}"
    );
    assert!(!shown.contains("TicketKey(["), "{shown}");
}

#[test]
fn flags_beat_environment_beats_file() {
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:1\"\nnode = \"file\"\n[auth]\nhs256_secret = \"{SECRET}\"\n[api]\nkeys = [\"{SECRET}\"]"
    );
    let variables =
        [(LISTEN, "127.0.0.1:2"), (NODE, "env"), (AUTH_SECRET, OTHER_SECRET), (API_KEY, OTHER_SECRET)];

    let by_file = settings_of(&text, &[], &Flags::default());
    assert_eq!((by_file.listen.unwrap().port(), by_file.node.as_str()), (1, "file"));
    let by_environment = settings_of(&text, &variables, &Flags::default());
    assert_eq!((by_environment.listen.unwrap().port(), by_environment.node.as_str()), (2, "env"));
    assert_eq!(by_environment.hs256_secret, Some(Secret::new(OTHER_SECRET)));
    assert_eq!(by_environment.api_keys, [Secret::new(OTHER_SECRET)]);
    let flags = Flags { listen: Some("127.0.0.1:3".parse().unwrap()), ..Flags::default() };
    assert_eq!(settings_of(&text, &variables, &flags).listen.unwrap().port(), 3);
}

#[test]
fn empty_variable_is_ignored_invalid_one_named() {
    let settings = Loaded::load(&Flags::default(), &Environment::of([(LISTEN, "")])).ok().unwrap().settings;
    assert_eq!(settings, Settings::default());
    let error =
        Loaded::load(&Flags::default(), &Environment::of([(LISTEN, "8000")])).err().unwrap().to_string();
    assert!(error.starts_with("environment variable TAUTLINE_LISTEN: \"8000\" is no address"), "{error}");
}

#[test]
fn by_default_nothing_is_open_to_anybody() {
    let settings = Loaded::load(&Flags::default(), &Environment::default()).ok().unwrap().settings;
    assert!(!settings.dev && !settings.guests);
    assert_eq!((settings.hs256_secret, settings.api_keys.len(), settings.channels.len()), (None, 0, 0));
    let closed = settings_of("[[channels]]\nmatch = \"a\"", &[], &Flags::default());
    assert_eq!((closed.channels[0].subscribe, closed.channels[0].publish), (Access::None, Access::None));
}

#[test]
fn history_and_presence_take_words_of_their_own() {
    let rule = "[[channels]]\nmatch = \"order:$user:*\"\nsubscribe = \"user\"\n";
    let settings = settings_of(&format!("{rule}history_access = \"token\""), &[], &Flags::default());
    let order = &settings.channels[0];
    assert_eq!(order.access(Permission::History), (Access::Token, Permission::History));
    assert_eq!(order.access(Permission::Presence), (Access::User, Permission::Subscribe));
    let flags = Flags { dev: true, ..Flags::default() };
    let settings = settings_of(&format!("{rule}history_access = \"none\""), &[], &flags);
    assert_eq!(settings.channels[0].access(Permission::History).0, Access::Any, "--dev opens all of them");
}

#[test]
fn mistyped_place_is_an_error_of_its_line() {
    let error = error_of("[[channels]]\nmatch = \"order:$usr:*\"");
    assert!(error.contains("`$usr`") && error.contains("`$user` or `$guest`"), "{error}");
}

#[test]
fn dev_opens_channels_and_keeps_history_settings() {
    let flags = Flags { dev: true, ..Flags::default() };
    let settings = settings_of("[[channels]]\nmatch = \"room:*\"\nhistory = { count = 5 }", &[], &flags);
    assert!(settings.guests);
    assert!(
        settings.channels.iter().all(|rule| rule.subscribe == Access::Any && rule.publish == Access::Any)
    );
    assert_eq!(settings.channels[0].retention.count, 5);
    assert!(settings.channels[1].pattern.matches("anything"));
    assert_eq!(settings.channels[1].presence, PresenceMode::Events);
}

#[test]
fn dev_without_api_key_makes_one() {
    let flags = Flags { dev: true, ..Flags::default() };
    let [one, other] = [(); 2].map(|()| settings_of("", &[], &flags));
    assert_eq!(one.api_keys.as_slice(), one.dev_api_key.as_slice());
    assert!(one.api_keys[0].expose().len() >= 32);
    assert_ne!(one.api_keys, other.api_keys);
    let set = settings_of("", &[(API_KEY, SECRET)], &flags);
    assert_eq!((set.api_keys, set.dev_api_key), (vec![Secret::new(SECRET)], None));
}

#[test]
fn old_secret_and_environment_read_from_both_places() {
    let text = format!("[auth]\nhs256_secret_old = \"{SECRET}\"\n[tickets]\nenvironment = \"staging\"");
    let settings = settings_of(&text, &[], &Flags::default());
    assert_eq!(settings.hs256_secret_old, Some(Secret::new(SECRET)));
    assert_eq!(settings.environment, "staging");
    let variables = [(AUTH_SECRET_OLD, OTHER_SECRET), (ENVIRONMENT, "production")];
    let settings = settings_of(&text, &variables, &Flags::default());
    assert_eq!(settings.hs256_secret_old, Some(Secret::new(OTHER_SECRET)));
    assert_eq!(settings.environment, "production");
    assert!(error_of("[auth]\nhs256_secret_old = \"short\"").contains("at least 32"));
}

#[test]
fn the_example_is_valid_and_shows_the_defaults() {
    let mut settings = settings_of(EXAMPLE, &[], &Flags::default());
    let room = settings
        .channels
        .iter()
        .find(|rule| rule.pattern.as_str() == "room:*")
        .expect("the example has rooms");
    assert_eq!(room.retention, Retention::default());
    settings.channels.clear();
    let listen = Some(Settings::LISTEN_DEFAULT);
    assert_eq!(settings, Settings { listen, ..Settings::default() });
}

#[test]
fn password_of_redis_is_kept_out_of_its_url_and_of_words() {
    let error = error_of("[server]\nengine = \"redis://:opensesame@a\"");
    assert!(error.contains("[redis] password") && !error.contains("opensesame"), "{error}");
    let text =
        "[server]\nengine = \"redis://a/2\"\n[redis]\npassword = \"opensesame\"\nacknowledge = \"replica\"";
    let settings = settings_of(text, &[], &Flags::default());
    assert_eq!(settings.engine.to_string(), "redis://a:6379/2");
    let Engine::Redis(url) = &settings.engine else { panic!("{settings:?}") };
    let options = settings.redis_options(url);
    assert!(options.url.has_password() && options.acknowledge == tautline_redis::Acknowledge::Replica);
    assert!(!format!("{settings:?} {options:?}").contains("opensesame"));
}

#[test]
fn example_names_every_option_of_plain_endpoint() {
    let example: toml::Table = toml::from_str(EXAMPLE).unwrap();
    for name in options::names::<PlainConfig>() {
        let is_default = *name == "token_parameter" && EXAMPLE.contains("# token_parameter = ");
        assert!(is_default || example["plain"].get(name).is_some(), "{name}");
    }
    let written = example["plain"]["names"].as_table().unwrap().len();
    let names = options::names::<tautline_gateway::Names>().len();
    assert_eq!(written, names);
}

#[test]
fn example_names_every_option_of_other_crates() {
    let example: toml::Table = toml::from_str(EXAMPLE).unwrap();
    for (section, known) in [("server", "connections_max"), ("limits", "ping_ms"), ("limits", "pages_max")] {
        let names = Schema::get().root().property(section).expect("a section").names();
        assert!(names.contains(&known), "{names:?}");
        for name in names {
            // Secrets and keys have no default: they are shown behind a `#`.
            let behind = [format!("\n# {name} = "), format!("\n# [[{section}.{name}]]\n")];
            let is_named =
                example[section].get(name).is_some() || behind.iter().any(|it| EXAMPLE.contains(it));
            assert!(is_named, "[{section}] {name}");
        }
    }
}

#[test]
fn gateway_option_of_the_file_reaches_the_gateway() {
    let text = "[server]\nnode = \"n7\"\nstall_timeout = \"1m\"\nproxies = [\"10.0.0.1\"]";
    let settings = settings_of(text, &[], &Flags::default());
    assert_eq!((settings.node.as_str(), settings.gateway.stall_timeout), ("n7", Duration::from_secs(60)));
    assert_eq!(settings.gateway.proxies, ["10.0.0.1/32".parse().unwrap()]);
    assert_eq!(settings.gateway.connections_max, GatewayConfig::default().connections_max);
}

#[test]
fn a_limit_takes_a_duration_or_its_milliseconds() {
    let by_text = settings_of("[limits]\npark_ms = \"1h30m\"\nhello_ms = \"10s\"", &[], &Flags::default());
    let by_number = settings_of("[limits]\npark_ms = 5_400_000\nhello_ms = 10_000", &[], &Flags::default());
    assert_eq!((by_text.limits.protocol.park_ms, by_text.limits.protocol.hello_ms), (5_400_000, 10_000));
    assert_eq!(by_text, by_number);
}

#[test]
fn origins_of_mini_games_and_apps_are_accepted() {
    let listed =
        r#"["weapp://wechat-game-runtime", "capacitor://localhost", "null", "https://shop.example:443"]"#;
    let settings = settings_of(&format!("[server]\nallowed_origins = {listed}"), &[], &Flags::default());
    assert_eq!(settings.allowed_origins.len(), 4);
    for origin in ["nul", "://host", "weapp://", "https://shop.example/path", "1x://host", "*"] {
        let error = error_of(&format!("[server]\nallowed_origins = [\"{origin}\"]"));
        assert!(error.contains("is no origin"), "{origin}: {error}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let flags = Flags { config: Some(PathBuf::from("/nowhere/tautline.toml")), ..Flags::default() };
    let error = Loaded::load(&flags, &Environment::default()).err().unwrap().to_string();
    assert!(error.starts_with("/nowhere/tautline.toml: cannot be read: No such file"), "{error}");
}

#[test]
fn login_sections_are_read_beside_the_secret() {
    let text = format!(
        "[auth]\nhs256_secret = \"{SECRET}\"\nissuers = [\"https://shop.example\"]\nexp_leeway = \"5s\"\n\
         [[auth.keys]]\nsecret = \"{OTHER_SECRET}\"\n[[auth.jwks]]\nurl = \"https://login.example/keys\"\n\
         [[login]]\nprovider = \"wechat\"\napp_id = \"wx1\"\napp_secret = \"{OTHER_SECRET}\"\n\
         [[login]]\nprovider = \"jd\"\nkind = \"generic\"\nurl = \"https://jd.example/{{code}}\"\n\
         [login.generic]\nid = \"/id\"\n"
    );
    let settings = settings_of(&text, &[], &Flags::default());
    assert_eq!(settings.hs256_secret, Some(Secret::new(SECRET)));
    assert_eq!((settings.tokens.keys.len(), settings.tokens.jwks.len(), settings.logins.len()), (1, 1, 2));
    assert_eq!(settings.tokens.exp_leeway, Duration::from_secs(5));
    assert!(!format!("{settings:?}").contains(OTHER_SECRET), "secrets are not printed");
}

#[test]
fn invalid_login_section_is_refused_with_its_place() {
    let login = "[[login]]\nprovider = \"wechat\"\napp_id = \"wx1\"\napp_secret = \"s\"\n";
    for (text, place, words) in [
        ("[auth]\nissuer = []".to_owned(), "2:1", "unknown option `issuer`"),
        ("[auth]\nexp_leeway = 5".to_owned(), "2:14", "a duration in quotes"),
        ("[[auth.keys]]\nalgorithm = \"HS256\"".to_owned(), "1:", "one of `secret`, `public_key` and `jwk`"),
        ("[[auth.jwks]]\nurl = \"http://login.example\"".to_owned(), "1:", "begins with https://"),
        ("[[login]]\nprovider = \"jd\"".to_owned(), "1:", "`kind` is missing"),
        ("[[login]]\nprovider = \"wechat\"\napp_key = \"wx1\"".to_owned(), "3:1", "unknown option `app_key`"),
        (format!("{login}{login}"), "1:", "an earlier one has this name"),
    ] {
        let error = error_of(&text);
        assert!(error.starts_with(&format!("tautline.toml:{place}")) && error.contains(words), "{error}");
    }
}

#[test]
fn hook_sections_are_read_and_checked() {
    let hook = "[[hooks]]\non = [\"call\", \"publish\"]\nurl = \"https://shop.example/\"\n";
    let secret = "secrets = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]\n";
    let settings = settings_of(&format!("{hook}{secret}timeout = \"2s\"\n"), &[], &Flags::default());
    assert_eq!(settings.hooks.len(), 1);
    assert!(!format!("{settings:?}").contains("whsec"), "secrets are not printed");
    for (text, place, words) in [
        (hook.to_owned(), "1:", "`secrets`"),
        (format!("{hook}{secret}match = \"room:*\""), "1:", "a section for each"),
        (format!("{hook}{secret}timeout = 5"), "5:", "a duration in quotes"),
        (hook.replace("call", "join"), "2:", "unknown variant `join`"),
        ("[[hooks]]\non = \"join\"".to_owned(), "2:", "unknown variant `join`"),
        (hook.replace("https", "http") + secret, "1:", "allow_networks"),
    ] {
        let error = error_of(&text);
        assert!(error.starts_with(&format!("tautline.toml:{place}")) && error.contains(words), "{error}");
    }
}

#[test]
fn example_names_every_option_of_hooks() {
    for name in options::names::<HookOptions>() {
        assert!(
            EXAMPLE.contains(&format!("\n# {name} = ")) || *name == "urls" && EXAMPLE.contains("`urls`"),
            "{name}"
        );
    }
}

#[test]
fn rates_are_read_by_scope() {
    let text = "[rates]\nconnections_per_user_max = 5\n[rates.connection]\nrequests = \"50/s burst 200\"\n\
                [rates.api_key]\nbytes = \"1MiB/10s\"";
    let rates = settings_of(text, &[], &Flags::default()).limits.rates;
    assert_eq!(rates.connections_per_user_max.map(NonZero::get), Some(5));
    assert_eq!(rates.connection.requests, Rate::new(50, 1_000, 200));
    assert_eq!(rates.api_key.bytes, Rate::new(1 << 20, 10_000, 1 << 20));
    assert_eq!((rates.user, rates.connection.bytes), (RateSet::default(), None));
}
