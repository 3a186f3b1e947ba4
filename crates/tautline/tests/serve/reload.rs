//! The configuration is read again while clients are connected.

use std::{fs, path::Path};

use super::*;

const OLD_KEY: &str = "the-old-key-of-us";
const NEW_KEY: &str = "the-new-key-of-us";

fn settings(node: &str, key: &str) -> String {
    format!(
        "[server]\nnode = \"{node}\"\nallowed_origins = [\"https://shop.example\"]\n[auth]\nguests = true\n\
         [api]\nkeys = [\"{key}\"]\n[[channels]]\nmatch = \"*\"\nsubscribe = \"any\"\n"
    )
}

fn server(file: &Path) -> Server {
    Server::start(&["--config", file.to_str().expect("UTF-8")], &[])
}

/// The status of a publication with this key.
fn publish(server: &Server, key: &str) -> String {
    let body = r#"{"channel":"news","data":1}"#;
    let mut stream = TcpStream::connect(server.address()).expect("it listens");
    write!(
        stream,
        "POST /api/v1/publish HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn sighup_applies_what_can_change_and_lists_the_rest() {
    let file = config_file("reload-sighup", &settings("n1", OLD_KEY));
    let mut server = server(&file);
    let mut line = server.connect();
    line.hello(&json!({"guest": true}));
    line.receive("welcome");
    line.send(&json!({"id": 1, "subscribe": {"channel": "news"}}));
    line.receive("ok");
    fs::write(&file, settings("n2", NEW_KEY)).expect("it can be written");
    server.signal(Signal::HUP);
    let log = server.log_line("configuration reloaded");
    assert!(log.contains("applied: api.keys") && !log.contains("server.node"), "{log}");
    let log = server.log_line("with the next start only");
    assert!(log.contains(": server.node event="), "{log}");
    assert_eq!((publish(&server, OLD_KEY).as_str(), publish(&server, NEW_KEY).as_str()), ("401", "200"));
    line.receive("pub");
}

#[test]
fn faulty_file_changes_nothing_and_names_its_line() {
    let file = config_file("reload-faulty", &settings("n1", OLD_KEY));
    let mut server = server(&file);
    fs::write(&file, settings("n1", NEW_KEY) + "publisch = \"any\"\n").expect("it can be written");
    server.signal(Signal::HUP);
    let log = server.log_line("was not reloaded");
    assert!(log.contains("reload-faulty.toml:11:1: unknown option `publisch`"), "{log}");
    assert!(log.contains("is `publish` meant?") && !log.contains(NEW_KEY), "{log}");
    assert_eq!((publish(&server, OLD_KEY).as_str(), publish(&server, NEW_KEY).as_str()), ("200", "401"));
}

#[test]
fn changed_file_is_read_without_a_signal() {
    let secret = config_file("reload-key", OLD_KEY);
    let file = config_file("reload-changed", &settings("n1", "file:reload-key.toml"));
    let mut server = server(&file);
    assert_eq!(publish(&server, OLD_KEY), "200");
    fs::write(&secret, format!("{NEW_KEY}\n")).expect("it can be written");
    let log = server.log_line("a file has changed");
    assert!(log.contains("applied: api.keys"), "{log}");
    assert_eq!((publish(&server, OLD_KEY).as_str(), publish(&server, NEW_KEY).as_str()), ("401", "200"));
}

fn token(secret: &str) -> serde_json::Value {
    let claims = json!({"sub": "u1", "exp": 4_000_000_000_u64});
    json!({"token": tautline_backend::sign_hs256(&claims, secret.as_bytes()).expect("it can be signed")})
}

/// What the server answers to a hello.
fn answer_to(server: &Server, hello: &serde_json::Value) -> serde_json::Value {
    let mut line = server.connect();
    line.send(&json!({"hello": hello}));
    line.receive_any(&["welcome", "bye", "challenge"])
}

#[test]
fn replaced_token_secret_admits_and_refuses_at_once() {
    let (old, new) = ("old-0123456789abcdef0123456789ab", "new-0123456789abcdef0123456789ab");
    let text = |secret: &str, rest: &str| format!("[auth]\nhs256_secret = \"{secret}\"\n{rest}");
    let file = config_file("reload-secret", &text(old, ""));
    let mut server = server(&file);
    let mut line = server.connect();
    line.hello(&token(old));
    let ticket = line.receive("welcome")["welcome"]["ticket"].clone();
    assert_eq!(answer_to(&server, &json!({"v": 1, "auth": token(new)}))["bye"]["code"], "unauthorized");

    // Both for a while: tickets and tokens of both are accepted.
    fs::write(&file, text(new, &format!("hs256_secret_old = \"{old}\"\n"))).expect("it can be written");
    server.signal(Signal::HUP);
    let log = server.log_line("configuration reloaded");
    assert!(log.contains("applied: auth.hs256_secret, auth.hs256_secret_old"), "{log}");
    for secret in [old, new] {
        let answer = answer_to(&server, &json!({"v": 1, "auth": token(secret)}));
        assert_eq!(answer["welcome"]["user"], "u1", "{answer}");
    }

    fs::write(&file, text(new, "")).expect("it can be written");
    server.signal(Signal::HUP);
    server.log_line("configuration reloaded");
    assert_eq!(answer_to(&server, &json!({"v": 1, "auth": token(old)}))["bye"]["code"], "unauthorized");
    let resume = json!({"v": 1, "resume": {"ticket": ticket, "attempt": 2, "cursors": {}}});
    assert_eq!(answer_to(&server, &resume)["challenge"]["code"], "ticket_revoked");
    line.send(&json!({"ping": {}}));
    line.receive("pong");
}

#[test]
fn filter_and_rates_change_while_it_runs() {
    let text = |node: &str, filter: &str, rates: &str| {
        settings(node, OLD_KEY) + &format!("[log]\nfilter = \"{filter}\"\n[rates]\n{rates}\n")
    };
    let file = config_file("reload-filter", &text("n1", "info", ""));
    let mut server = server(&file);
    let rates = "api_key = { publishes = \"1/h\" }\nconnections_per_user_max = 5";
    fs::write(&file, text("n2", "warn", rates)).expect("it can be written");
    server.signal(Signal::HUP);
    // A warning, which the new filter lets through, and not the information before it.
    let log = server.log_line("with the next start only");
    assert!(log.contains(": server.node event="), "{log}");
    assert_eq!(publish(&server, OLD_KEY), "200");
    assert_eq!(publish(&server, OLD_KEY), "429");
    fs::write(&file, text("n1", "info", "")).expect("it can be written");
    server.signal(Signal::HUP);
    let log = server.log_line("configuration reloaded");
    assert!(log.contains("applied: log.filter, rates.api_key.publishes"), "{log}");
    assert!(log.contains("rates.connections_per_user_max"), "{log}");
    assert_eq!(publish(&server, OLD_KEY), "200");
}

#[test]
fn changed_hooks_are_asked_at_once() {
    let back_end = |name: &'static str| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let mut request = [0; 4096];
                // Each request of this test fits, and comes alone.
                let _ = stream.read(&mut request).expect("a request");
                let body = format!(r#"{{"result":{{"data":"{name}"}}}}"#);
                let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n";
                write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).expect("it reads");
            }
        });
        url
    };
    let text = |url: &str| {
        settings("n1", OLD_KEY)
            + &format!(
                "[[hooks]]\non = \"call\"\nurl = \"{url}\"\nallow_networks = [\"127.0.0.1\"]\n\
                 secrets = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]\n"
            )
    };
    let file = config_file("reload-hooks", &text(&back_end("old")));
    let mut server = server(&file);
    let mut line = server.connect();
    line.hello(&json!({"guest": true}));
    line.receive("welcome");
    line.send(&json!({"id": 1, "call": {"method": "any"}}));
    assert_eq!(line.receive("ok")["ok"]["data"], "old");
    fs::write(&file, text(&back_end("new"))).expect("it can be written");
    server.signal(Signal::HUP);
    let log = server.log_line("configuration reloaded");
    assert!(log.contains("applied: hooks"), "{log}");
    line.send(&json!({"id": 2, "call": {"method": "any"}}));
    assert_eq!(line.receive("ok")["ok"]["data"], "new");
    fs::write(&file, settings("n1", OLD_KEY)).expect("it can be written");
    server.signal(Signal::HUP);
    server.log_line("configuration reloaded");
    line.send(&json!({"id": 3, "call": {"method": "any"}}));
    assert_eq!(line.receive("error")["error"]["code"], "not_found");
}

#[test]
fn config_command_prints_defaults_schema_and_places() {
    let output = |arguments: &[&str], variables: &[(&str, &str)]| {
        let output = output_of(arguments, variables);
        let error = String::from_utf8(output.stderr).expect("UTF-8");
        (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"), error)
    };
    let (code, default, _) = output(&["config", "--default"], &[]);
    assert!(code == Some(0) && default.contains("listen = \"127.0.0.1:8000\""), "{default}");
    let (code, schema, _) = output(&["config", "--schema"], &[]);
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
    assert_eq!(
        (code, &schema["properties"]["auth"]["properties"]["guests"]["type"]),
        (Some(0), &json!("boolean"))
    );
    let variables = [("TAUTLINE_API_KEY", NEW_KEY), ("TAUTLINE__LIMITS__PARK_MS", "1h")];
    let (code, shown, _) = output(&["config", "--show", "--set", "server.node=n7"], &variables);
    assert!(code == Some(0) && !shown.contains(NEW_KEY), "{shown}");
    for (option, place) in [
        ("keys = \"…\"", "environment variable TAUTLINE_API_KEY"),
        ("park_ms = \"1h\"", "environment variable TAUTLINE__LIMITS__PARK_MS"),
        ("node = \"n7\"", "--set"),
        ("pong_ms = 8000", "default"),
    ] {
        let line = shown
            .lines()
            .find(|line| line.starts_with(option))
            .unwrap_or_else(|| panic!("{option}: {shown}"));
        assert!(line.ends_with(&format!("# {place}")), "{line}");
    }
    let (code, _, error) = output(&["config", "--show", "--set", "server.nod=n7"], &[]);
    assert_eq!(code, Some(2), "{error}");
    assert_eq!(output(&["config"], &[]).0, Some(2));
}
