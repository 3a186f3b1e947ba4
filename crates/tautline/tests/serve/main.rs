//! The binary as people meet it: flags, lines, signals, exit codes, and who gets in.

mod guide;
mod listeners;
mod nodes;
mod process;
mod redis;
mod reload;
mod server_client;
#[cfg(target_os = "linux")]
mod streams;
mod terminal;
mod trace;
mod trust;
mod webhooks;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
};

use process::{Server, output_of};
use rustix::process::Signal;
use serde_json::json;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A file of this test alone.
fn config_file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.toml"));
    fs::write(&path, text).expect("the target folder can be written");
    path
}

#[test]
fn unknown_flag_exits_with_2() {
    let output = output_of(&["serve", "--lisen", "127.0.0.1:0"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty(), "nothing was started");
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("--lisen") && message.contains("--listen"), "{message}");
}

#[test]
fn the_allocator_reads_what_it_is_told() {
    // It says nothing of a symbol by another name: then it goes by its defaults.
    let output = output_of(&["--version"], &[("_RJEM_MALLOC_CONF", "confirm_conf:true")]);
    let said = String::from_utf8(output.stderr).unwrap();
    for setting in ["background_thread:true", "max_background_threads:1", "dirty_decay_ms:1000"] {
        assert!(said.contains(&format!("Set conf value: {setting}")), "{said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn io_uring_is_used_unless_disabled() {
    let rings_of = |arguments: &[&str]| {
        let server = Server::start(&[&["--dev"], arguments].concat(), &[]);
        let mut line = server.connect();
        line.hello(&json!({"guest": true}));
        line.receive("welcome");
        let rings = server.open_files().filter(|file| file.contains("io_uring")).count();
        server.signal(Signal::TERM);
        drop(line);
        (rings, server.end().2)
    };
    let (rings, log) = rings_of(&[]);
    let is_available = !log.contains("io_uring is not available");
    assert_eq!(log.contains("sending messages by io_uring"), is_available, "{log}");
    assert_eq!(rings > 0, is_available, "{log}");
    let without = config_file("without-io-uring", "[server]\nio_uring = false");
    let (rings, log) = rings_of(&["--config", without.to_str().unwrap()]);
    assert_eq!(rings, 0);
    assert!(!log.contains("io_uring"), "{log}");
}

#[test]
fn invalid_file_exits_with_2_and_its_line() {
    let path = config_file("fault", "[server]\nlisten = \"127.0.0.1:0\"\nnodes = \"n1\"\n");
    let path = path.to_str().unwrap();
    for arguments in [&["serve", "--config", path][..], &["token", "--user", "u42", "--config", path][..]] {
        let output = output_of(arguments, &[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty(), "nothing was started");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.starts_with(&format!("tautline: {path}:3:1: unknown option `nodes`")), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn check_with_findings_exits_with_1() {
    let rules = "[[channels]]\nmatch = \"*\"\n[[channels]]\nmatch = \"room:*\"\nsubscribe = \"token\"\n";
    let path = config_file("hardly_meant", rules);
    let arguments = ["check", "--config", path.to_str().unwrap()];
    let output = output_of(&arguments, &[("TAUTLINE_MOTD", SECRET)]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stdout).unwrap();
    let words = ["TAUTLINE_MOTD is not known", "nobody can connect", "opens it to nobody", "never holds"];
    assert_eq!(told.lines().count(), words.len(), "{told}");
    assert!(told.lines().zip(words).all(|(line, words)| line.contains(words)), "{told}");
    assert!(!told.contains(SECRET), "{told}");

    let output = output_of(&["check"], &[("TAUTLINE_AUTH_SECRET", SECRET)]);
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"nothing to object to\n"[..]));
    let fault = config_file("fault_to_check", "[server]\nnodes = \"n1\"\n");
    assert_eq!(output_of(&["check", "--config", fault.to_str().unwrap()], &[]).status.code(), Some(2));
    assert_eq!(output_of(&["check"], &[("TAUTLINE_AUTH_SECRETS", SECRET)]).status.code(), Some(2));
}

#[test]
fn serve_logs_what_is_hardly_meant_and_starts() {
    let server = Server::start(&[], &[("TAUTLINE_MOTD", "hello")]);
    assert!(server.line.contains("listening"), "{}", server.line);
    server.signal(Signal::TERM);
    let log = server.end().2;
    assert!(log.contains("TAUTLINE_MOTD is not known") && log.contains("nobody can connect"), "{log}");
}

#[test]
fn json_log_lines_are_objects() {
    let in_file = config_file("json_log", "[log]\nformat = \"json\"");
    let by_file = ["--dev", "--log", "debug", "--config", in_file.to_str().unwrap()];
    let by_flag = ["--dev", "--log", "debug", "--log-format", "json"];
    let by_variable = [("TAUTLINE_LOG_FORMAT", "json")];
    for (arguments, variables) in [(&by_file[..], &[][..]), (&by_flag, &[]), (&by_file[..3], &by_variable)] {
        let server = Server::start(arguments, variables);
        let mut line = server.connect();
        line.hello(&json!({"guest": true}));
        line.receive("welcome");
        drop(line);
        server.signal(Signal::TERM);
        let log = server.end().2;
        for line in log.lines() {
            let event: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
            for name in ["timestamp", "level", "target", "message"] {
                assert!(event[name].is_string(), "{line}");
            }
        }
        assert!(log.contains("OPEN TO EVERYBODY") && log.contains("connection opened"), "{log}");
    }
}

#[test]
fn invalid_variable_exits_with_2() {
    let output = output_of(&["serve"], &[("TAUTLINE_LISTEN", "nowhere")]);
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.starts_with("tautline: environment variable TAUTLINE_LISTEN: "), "{message}");
}

#[test]
fn taken_port_exits_with_1_and_the_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = output_of(&["serve", "--listen", &address, "--engine", "memory"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains(&format!("tautline: cannot listen on {address}: Address already in use")),
        "{message}"
    );
}

#[test]
fn listening_line_names_the_real_port() {
    let server = Server::start(&["--dev"], &[]);
    let address: SocketAddr = server.address().parse().expect("the line holds the address");
    assert_ne!(address.port(), 0);
    assert_eq!(
        server.line,
        format!(
            "tautline {} listening on http://{address} (WebSocket at /connect, engine memory)\n",
            env!("CARGO_PKG_VERSION")
        )
    );
    TcpStream::connect(address).expect("it is ready");
}

#[test]
fn sigterm_exits_with_0_and_silent_stdout() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = Server::start(&["--dev"], &[]);
        server.signal(signal);
        let (code, more, log) = server.end();
        assert_eq!((code, more.as_str()), (Some(0), ""), "{log}");
        assert!(log.contains("draining"), "{log}");
        assert!(log.contains("OPEN TO EVERYBODY"), "{log}");
    }
}

#[test]
fn sigterm_says_bye_before_exit() {
    let path = config_file("drain", "[drain]\nspread = \"100ms\"\ntimeout = \"10s\"");
    let server = Server::start(&["--dev", "--config", path.to_str().unwrap()], &[]);
    let mut line = server.connect();
    line.hello(&json!({"guest": true}));
    line.receive("welcome");
    server.signal(Signal::TERM);
    let bye = line.receive("bye");
    assert_eq!((&bye["bye"]["code"], &bye["bye"]["reconnect"]), (&json!("server_restart"), &json!("later")));
    drop(line);
    assert_eq!(server.end().0, Some(0));
}

#[test]
fn draining_server_is_not_ready_but_serves() {
    let path = config_file("notice", "[drain]\nnotice = \"1h\"");
    let server = Server::start(&["--dev", "--config", path.to_str().unwrap()], &[]);
    assert!(http_get(server.address(), "/health/ready").starts_with("HTTP/1.1 200"));
    server.signal(Signal::TERM);
    while http_get(server.address(), "/health/ready").starts_with("HTTP/1.1 200") {
        std::thread::yield_now();
    }
    assert!(http_get(server.address(), "/health/ready").starts_with("HTTP/1.1 503"));
    assert!(http_get(server.address(), "/health/live").starts_with("HTTP/1.1 200"));
    let mut line = server.connect();
    line.hello(&json!({"guest": true}));
    line.receive("welcome");
    server.signal(Signal::TERM);
    assert_eq!(server.end().0, Some(143), "the second signal ends it at once");
}

/// The answer to one request.
fn http_get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it takes the request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

#[test]
fn signals_that_reload_others_end_nothing() {
    let server = Server::start(&["--dev"], &[]);
    let mut line = server.connect();
    line.hello(&json!({"guest": true}));
    line.receive("welcome");
    for (id, signal) in [(2, Signal::USR1), (3, Signal::USR2)] {
        server.signal(signal);
        line.send(&json!({"id": id, "call": {"method": "echo", "data": id}}));
        assert_eq!(line.receive("id")["ok"]["data"], id);
    }
    assert!(http_get(server.address(), "/health/ready").starts_with("HTTP/1.1 200"));
    server.signal(Signal::TERM);
    drop(line);
    let (code, _, log) = server.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("SIGUSR1 does not end it"), "{log}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let path = config_file("second_signal", "[drain]\nspread = \"1h\"\ntimeout = \"1h\"");
    let server = Server::start(&["--dev", "--config", path.to_str().unwrap()], &[]);
    let mut line = server.connect();
    line.hello(&json!({"guest": true}));
    line.receive("welcome");
    server.signal(Signal::TERM);
    line.receive("bye");
    // The close frame is not answered, so that only the second signal can end the wait.
    server.signal(Signal::TERM);
    assert_eq!(server.end().0, Some(143));
}

#[test]
fn dev_guest_publishes_anywhere_and_calls_echo() {
    let server = Server::start(&["--dev"], &[]);
    let mut line = server.connect();
    line.hello(&json!({"guest": true}));
    line.receive("welcome");
    line.send(&json!({"id": 1, "publish": {"channel": "anything", "data": 1}}));
    assert_eq!(line.receive("id")["ok"]["offset"], 1);
    line.send(&json!({"id": 2, "call": {"method": "echo", "data": {"hello": 1}}}));
    assert_eq!(line.receive("id")["ok"]["data"], json!({"hello": 1}));
}

#[test]
fn without_dev_a_guest_is_refused() {
    let server = Server::start(&[], &[("TAUTLINE_AUTH_SECRET", SECRET)]);
    let mut line = server.connect();
    line.hello(&json!({"guest": true}));
    assert_eq!(line.receive("bye")["bye"]["code"], "unauthorized");
}

#[test]
fn token_opens_a_session_and_its_channels() {
    let variables = [("TAUTLINE_AUTH_SECRET", SECRET)];
    let path =
        config_file("token", "[[channels]]\nmatch = \"*\"\nsubscribe = \"token\"\npublish = \"token\"");
    let server = Server::start(&["--config", path.to_str().unwrap()], &variables);
    let output = output_of(&["token", "--user", "u42", "--channels", "room:*"], &variables);
    let token = String::from_utf8(output.stdout).unwrap();

    let mut line = server.connect();
    line.hello(&json!({"token": token.trim()}));
    assert_eq!(line.receive("welcome")["welcome"]["user"], "u42");
    line.send(&json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    assert_eq!(line.receive("id")["ok"]["offset"], 0);
    line.send(&json!({"id": 2, "subscribe": {"channel": "lobby"}}));
    assert_eq!(line.receive("id")["error"]["code"], "permission_denied");
}

#[test]
fn a_token_made_with_another_secret_is_refused() {
    let server = Server::start(&[], &[("TAUTLINE_AUTH_SECRET", SECRET)]);
    let output = output_of(
        &["token", "--user", "u42"],
        &[("TAUTLINE_AUTH_SECRET", "another secret of 32 bytes, or so")],
    );
    let mut line = server.connect();
    line.hello(&json!({"token": String::from_utf8(output.stdout).unwrap().trim()}));
    assert_eq!(line.receive("bye")["bye"]["code"], "unauthorized");
}

#[test]
fn refusal_is_logged_with_user_and_reason() {
    let server = Server::start(&[], &[("TAUTLINE_AUTH_SECRET", SECRET), ("TAUTLINE_API_KEY", SECRET)]);
    let foreign = [("TAUTLINE_AUTH_SECRET", "another secret of 32 bytes, or so")];
    let token = output_of(&["token", "--user", "u42"], &foreign).stdout;
    let token = String::from_utf8(token).unwrap();
    let mut line = server.connect();
    line.hello(&json!({"token": token.trim()}));
    line.receive("bye");
    assert!(http_get(server.address(), "/api/v1/users/u42/inbox").starts_with("HTTP/1.1 401"));
    server.signal(Signal::TERM);
    drop(line);
    let log = server.end().2;
    let told = |words: &str| log.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{log}"));
    let login = told("login refused");
    for part in
        ["event=\"login_refused\"", "user=\"u42\"", "address=127.0.0.1:", "signed with another secret"]
    {
        assert!(login.contains(part), "{login}");
    }
    let key = told("API key refused");
    assert!(key.contains("address=127.0.0.1:") && key.contains("no bearer key"), "{key}");
    assert!(!log.contains(token.trim()) && !log.contains(SECRET), "{log}");
}

#[test]
fn resume_after_memory_restart_reports_a_gap() {
    let variables = [("TAUTLINE_TICKET_KEYS", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")];
    let first = Server::start(&["--dev"], &variables);
    let mut line = first.connect();
    line.hello(&json!({"guest": true}));
    let ticket = line.receive("welcome")["welcome"]["ticket"].clone();
    line.send(&json!({"id": 1, "publish": {"channel": "room:7", "data": 1}}));
    let cursor = line.receive("id")["ok"].clone();
    drop((line, first));

    let second = Server::start(&["--dev"], &variables);
    let mut line = second.connect();
    line.send(&json!({"hello": {"v": 1, "resume": {"ticket": ticket, "attempt": 1, "cursors": {"room:7": cursor}}}}));
    line.receive("welcome");
    let gap = &line.receive("gap")["gap"];
    assert_eq!((&gap["reason"], &gap["after"]), (&json!("new_epoch"), &json!(1)));
    assert_ne!(gap["cursor"]["epoch"], cursor["epoch"]);
}
