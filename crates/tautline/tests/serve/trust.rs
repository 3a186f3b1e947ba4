//! Who is trusted, and for how long: what opens a session after a restart, and which requests `--dev` answers.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::process::{Server, output_of};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER_SECRET: &str = "fedcba9876543210fedcba9876543210";

/// A folder for the engine of this test alone, and a file that lets guests in.
struct Instance {
    folder: PathBuf,
    guests: PathBuf,
}

impl Instance {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("trust-{name}"));
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("the target folder can be written");
        }
        fs::create_dir_all(&folder).expect("the target folder can be written");
        let guests = folder.join("guests.toml");
        fs::write(&guests, "[auth]\nguests = true\n").expect("the target folder can be written");
        Self { folder, guests }
    }

    fn data(&self) -> String {
        self.folder.join("data").to_str().expect("the path is text").to_owned()
    }

    fn serve(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Server {
        Server::start_on(&format!("disk:{}", self.data()), arguments, variables)
    }

    fn serve_guests(&self) -> Server {
        self.serve(&["--config", self.guests.to_str().expect("the path is text")], &[])
    }
}

/// The ticket that this login gets.
fn ticket(server: &Server, auth: &Value) -> Value {
    let mut line = server.connect();
    line.hello(auth);
    line.receive("welcome")["welcome"]["ticket"].clone()
}

/// What the server says of a ticket: nothing where it is good, else why not.
fn verdict(server: &Server, ticket: &Value) -> Option<String> {
    let mut line = server.connect();
    line.send(&json!({"hello": {"v": 1, "resume": {"ticket": ticket, "attempt": 9, "cursors": {}}}}));
    let answer = line.receive_any(&["welcome", "challenge"]);
    answer["challenge"]["code"].as_str().map(str::to_owned)
}

fn token(secret: &str) -> Value {
    let output = output_of(&["token", "--user", "u42"], &[("TAUTLINE_AUTH_SECRET", secret)]);
    json!({"token": String::from_utf8(output.stdout).expect("a token is text").trim()})
}

fn revoked() -> Option<String> {
    Some("ticket_revoked".to_owned())
}

#[test]
fn dev_ticket_opens_no_production_session() {
    let instance = Instance::new("dev");
    let dev = instance.serve(&["--dev"], &[]);
    let ticket = ticket(&dev, &json!({"guest": true}));
    dev.kill();
    let production = instance.serve_guests();
    assert_eq!(verdict(&production, &ticket), revoked(), "guests are let in, but this one came by --dev");
}

#[test]
fn ticket_of_a_guest_ends_with_the_guests() {
    let instance = Instance::new("guests");
    let open = instance.serve_guests();
    let ticket = ticket(&open, &json!({"guest": true}));
    open.kill();
    let open = instance.serve_guests();
    assert_eq!(verdict(&open, &ticket), None, "a restart alone changes nothing");
    open.kill();
    let closed = instance.serve(&[], &[("TAUTLINE_AUTH_SECRET", SECRET)]);
    assert_eq!(verdict(&closed, &ticket), revoked());
}

#[test]
fn ticket_of_a_secret_ends_with_the_secret() {
    let instance = Instance::new("secret");
    let first = instance.serve(&[], &[("TAUTLINE_AUTH_SECRET", SECRET)]);
    let ticket = ticket(&first, &token(SECRET));
    first.kill();
    let both = [("TAUTLINE_AUTH_SECRET", OTHER_SECRET), ("TAUTLINE_AUTH_SECRET_OLD", SECRET)];
    let changing = instance.serve(&[], &both);
    assert_eq!(verdict(&changing, &ticket), None, "the old secret is still accepted");
    assert!(verdict(&changing, &self::ticket(&changing, &token(SECRET))).is_none());
    assert!(verdict(&changing, &self::ticket(&changing, &token(OTHER_SECRET))).is_none());
    changing.kill();
    let changed = instance.serve(&[], &[("TAUTLINE_AUTH_SECRET", OTHER_SECRET)]);
    assert_eq!(verdict(&changed, &ticket), revoked());
}

#[test]
fn ticket_of_another_environment_is_challenged() {
    let instance = Instance::new("environment");
    let staging =
        instance.serve(&[], &[("TAUTLINE_AUTH_SECRET", SECRET), ("TAUTLINE_ENVIRONMENT", "staging")]);
    let ticket = ticket(&staging, &token(SECRET));
    staging.kill();
    let production = instance.serve(&[], &[("TAUTLINE_AUTH_SECRET", SECRET)]);
    assert_eq!(verdict(&production, &ticket), revoked());
}

#[test]
fn revoke_all_voids_every_ticket() {
    let instance = Instance::new("revoke-all");
    let server = instance.serve_guests();
    let ticket = ticket(&server, &json!({"guest": true}));
    let revoke = |folder: &str, variables: &[(&str, &str)]| {
        let output = output_of(&["revoke-all", "--data", folder], variables);
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).expect("text"))
    };
    let (code, said) = revoke(&instance.data(), &[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("stop it first"), "{said}");
    server.kill();
    let (code, said) = revoke(&instance.data(), &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("is void"), "{said}");
    let server = instance.serve_guests();
    assert_eq!(verdict(&server, &ticket), Some("ticket_invalid".to_owned()));
    server.kill();
    let (code, said) = revoke("/nowhere", &[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("holds no ticket keys"), "{said}");
    let keys = [("TAUTLINE_TICKET_KEYS", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")];
    let (code, said) = revoke(&instance.data(), &keys);
    assert_eq!(code, Some(1));
    assert!(said.contains("TAUTLINE_TICKET_KEYS"), "{said}");
}

#[test]
fn bye_holds_after_the_process_was_killed() {
    let instance = Instance::new("bye");
    let server = instance.serve_guests();
    let mut line = server.connect();
    line.hello(&json!({"guest": true}));
    let ticket = line.receive("welcome")["welcome"]["ticket"].clone();
    line.send(&json!({"bye": {}}));
    assert_eq!(line.closed(), 1000);
    server.kill();
    let server = instance.serve_guests();
    assert_eq!(verdict(&server, &ticket), revoked());
}

/// The status of the answer to one request.
fn status(server: &Server, head: &str, body: &str) -> u16 {
    let mut stream = TcpStream::connect(server.address()).expect("it listens");
    let length = body.len();
    let request = format!("{head}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).expect("it takes the request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

fn publish(server: &Server, host: &str, key: &str) -> u16 {
    let head = format!("POST /api/v1/publish HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}");
    status(server, &head, r#"{"channel":"room:7","data":1}"#)
}

#[test]
fn dev_makes_and_prints_its_api_key() {
    let mut server = Server::start(&["--dev"], &[]);
    assert_eq!(publish(&server, "localhost", "dev"), 401);
    let line = server.log_line("OPEN TO EVERYBODY");
    let key = line.split('`').nth(3).expect("the key is quoted").to_owned();
    assert_eq!(publish(&server, "localhost", &key), 200, "{line}");
    let mut server = Server::start(&["--dev"], &[("TAUTLINE_API_KEY", SECRET)]);
    assert_eq!(publish(&server, "localhost", SECRET), 200);
    assert!(!server.log_line("OPEN TO EVERYBODY").contains(SECRET), "what is configured is not printed");
}

#[test]
fn dev_answers_names_of_this_machine_alone() {
    let server = Server::start(&["--dev"], &[("TAUTLINE_API_KEY", SECRET)]);
    for (host, expected) in [
        ("127.0.0.1:8000", 200),
        ("localhost", 200),
        ("[::1]:9", 200),
        ("evil.example", 403),
        ("192.168.1.5", 403),
    ] {
        assert_eq!(publish(&server, host, SECRET), expected, "{host}");
    }
}

#[test]
fn dev_refuses_pages_of_foreign_origins() {
    let server = Server::start(&["--dev"], &[]);
    let connect = |origin: &str| {
        let head = format!(
            "GET /connect HTTP/1.1\r\nHost: {}\r\nOrigin: {origin}\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            server.address()
        );
        status(&server, &head, "")
    };
    assert_eq!(connect("https://evil.example"), 403);
    assert_eq!(connect("null"), 403);
    assert_eq!(
        connect("http://localhost:5173"),
        426,
        "it lacks its `Connection: Upgrade`, and is judged for that"
    );
}

#[test]
fn guests_without_listed_origins_are_warned_about() {
    let instance = Instance::new("warned");
    let mut server = instance.serve_guests();
    let line = server.log_line("allowed_origins");
    assert!(line.contains("WARN") && line.contains("every web page"), "{line}");
}

/// A hostile first message, and what must not be in the log of it.
fn hostile(n: usize, ticket: &str) -> (Value, Vec<String>) {
    let mark = format!("{n:04}-do-not-repeat-me");
    let claims = json!({"sub": "u42", "exp": 4_000_000_000_u64, "jti": mark});
    let signed = tautline_backend::sign_hs256(&claims, mark.as_bytes()).expect("it can be signed");
    let parts =
        |token: &str| token.split('.').skip(1).map(str::to_owned).filter(|part| !part.is_empty()).collect();
    match n % 8 {
        0 => (json!({"auth": {"token": mark}}), vec![mark]),
        1 => (json!({"auth": {"token": signed}}), parts(&signed)),
        2 => {
            // {"alg":"none"}
            let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", signed.split('.').nth(1).expect("three parts"));
            (json!({"auth": {"token": unsigned}}), parts(&unsigned))
        }
        3 => (json!({"auth": {"provider": "wechat", "code": mark}}), vec![mark]),
        4 => (json!({"resume": {"ticket": mark, "attempt": 9, "cursors": {}}}), vec![mark]),
        5 => {
            let mut bytes = ticket.as_bytes().to_vec();
            let at = n % bytes.len();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).expect("letters");
            (
                json!({"resume": {"ticket": changed, "attempt": 9, "cursors": {}}}),
                vec![changed[20..60].to_owned()],
            )
        }
        6 => (json!({"auth": {"token": format!("{mark}{}", "a".repeat(30_000))}}), vec![mark]),
        _ => (json!({"auth": {"token": [mark.clone()], "user": mark}}), vec![mark]),
    }
}

#[test]
fn thousand_hostile_inputs_leave_no_secret_in_the_log() {
    const INPUTS: usize = 1000;
    let instance = Instance::new("hostile");
    let config = instance.folder.join("hostile.toml");
    let api_key = "an-api-key-not-to-be-logged";
    let text = format!(
        "[auth]\nhs256_secret = \"{SECRET}\"\n[api]\nkeys = [\"{api_key}\"]\n[[login]]\nprovider = \"wechat\"\n\
         app_id = \"wx1\"\napp_secret = \"an-app-secret-not-to-be-logged\"\nurl = \"http://127.0.0.1:9/\"\n"
    );
    fs::write(&config, text).expect("the target folder can be written");
    let log = instance.folder.join("log");
    let file = fs::File::create(&log).expect("the target folder can be written");
    let arguments = ["--log", "debug", "--config", config.to_str().expect("the path is text")];
    let server = Server::start_logging_to(file, &arguments, &[]);
    let mut bystander = server.connect();
    bystander.hello(&token(SECRET));
    let ticket = bystander.receive("welcome")["welcome"]["ticket"].as_str().expect("a ticket").to_owned();

    let mut forbidden =
        vec![SECRET.to_owned(), api_key.to_owned(), "an-app-secret".to_owned(), ticket.clone()];
    for n in 0..INPUTS {
        let (mut hello, secrets) = hostile(n, &ticket);
        hello["v"] = json!(1);
        let mut line = server.connect();
        line.send(&json!({ "hello": hello }));
        let answer = line.receive_any(&["bye", "challenge", "welcome"]);
        assert!(answer["welcome"].is_null(), "{n}: {answer}");
        assert!(!secrets.iter().any(|secret| answer.to_string().contains(secret)), "{n}: {answer}");
        forbidden.extend(secrets);
    }
    for n in 0..20 {
        let secret = format!("{n:04}-not-a-key-of-the-api");
        let mut stream = TcpStream::connect(server.address()).expect("it listens");
        let head = format!("Host: a\r\nConnection: close\r\nAuthorization: Bearer {secret}\r\n\r\n");
        let request = format!("GET /api/v1/users/u1/inbox?key={secret} HTTP/1.1\r\n{head}");
        stream.write_all(request.as_bytes()).expect("it takes the request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 401") && !answer.contains(&secret), "{answer}");
        forbidden.push(secret);
    }
    bystander.send(&json!({"ping": {}}));
    bystander.receive("pong");
    server.signal(rustix::process::Signal::TERM);
    drop(bystander);
    assert_eq!(server.end().0, Some(0));
    let log = fs::read_to_string(&log).expect("it was written");
    assert!(log.contains("login refused"), "{log}");
    let found: Vec<_> = forbidden.iter().filter(|secret| log.contains(secret.as_str())).collect();
    assert!(found.is_empty(), "{found:?}");
}
