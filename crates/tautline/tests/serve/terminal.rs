//! `listen`, `call` and `publish` against a gateway, as a person at a terminal uses them.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStdout, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    SECRET, config_file,
    process::{Server, output_of, tautline},
};

/// A running `tautline listen`. Killed when dropped.
struct Listener {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Listener {
    fn start(arguments: &[&str]) -> Self {
        let mut child = tautline(&["listen"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary was built");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Self { child, stdout }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("stdout can be read");
        line
    }

    fn json(&mut self) -> Value {
        serde_json::from_str(&self.line()).expect("a line is an object")
    }

    fn interrupt(mut self) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("the process is there");
        let mut words = String::new();
        self.child
            .stderr
            .take()
            .expect("stderr is piped")
            .read_to_string(&mut words)
            .expect("it can be read");
        (self.child.wait().expect("it ends").code(), words)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Already gone in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn publish(url: &str, channel: &str, data: &str) -> Value {
    let output = output_of(&["publish", url, channel, data], &[]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("it says where it went")
}

#[test]
fn listen_prints_from_start_until_ctrl_c() {
    let server = Server::start(&["--dev"], &[]);
    // As it stands in the listening line.
    let url = format!("http://{}/", server.address());
    assert_eq!(publish(&url, "room:7", "{\"n\":  1}")["offset"], 1);

    let mut people = Listener::start(&[&url, "room:7", "--from", "start"]);
    let line = people.line();
    assert!(line.contains("Z room:7 1 {\"n\":  1}\n"), "{line}");
    let mut programs = Listener::start(&[&url, "room:7", "room:8", "--from", "start", "--json"]);
    let told = programs.json();
    assert_eq!(
        (&told["type"], &told["offset"], &told["data"]),
        (&json!("publication"), &json!(1), &json!({"n": 1}))
    );

    publish(&url, "room:8", "\"hello\"");
    let told = programs.json();
    assert_eq!((&told["channel"], &told["data"]), (&json!("room:8"), &json!("hello")));
    for listener in [people, programs] {
        let (code, words) = listener.interrupt();
        assert_eq!((code, words.as_str()), (Some(0), ""));
    }
}

#[test]
fn listen_reports_a_drop_with_its_cause() {
    let server = Server::start(&["--dev"], &[]);
    let url = format!("ws://{}", server.address());
    publish(&url, "room:7", "1");
    let mut listener = Listener::start(&[&url, "room:7", "--from", "start", "--json"]);
    listener.json();
    server.signal(Signal::TERM);
    let told = listener.json();
    assert_eq!((&told["type"], &told["cause"]), (&json!("drop"), &json!("server_restart")));
    let (code, words) = listener.interrupt();
    assert_eq!(code, Some(0));
    assert!(words.contains("line lost: server_restart"), "{words}");
}

#[test]
fn call_prints_answer_or_reason() {
    let server = Server::start(&["--dev"], &[]);
    let url = format!("ws://{}/connect", server.address());
    let output = output_of(&["call", &url, "echo", "{\"a\": 1.50}"], &[]);
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"{\"a\": 1.50}\n"[..]));
    assert!(output.stderr.is_empty(), "{output:?}");

    let output = output_of(&["call", &url, "nothing"], &[]);
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(1), &b""[..]));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.starts_with("tautline: call nothing: not_found"), "{words}");

    let output = output_of(&["call", &url, "echo", "hello"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("own quotes"));
}

/// Clears the screen (C1), sets the title, and runs backwards.
const HOSTILE: &str = "\u{9b}2J\u{1b}]0;owned\u{7}\n\u{202e}gnp.exe";

fn is_safe(text: &str) -> bool {
    !text.trim_end_matches('\n').contains(|c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c))
}

#[test]
fn a_payload_with_control_characters_is_printed_escaped() {
    let server = Server::start(&["--dev"], &[]);
    let url = format!("ws://{}", server.address());
    let hostile = json!(HOSTILE).to_string();
    publish(&url, "room:7", &hostile);
    for arguments in
        [&[&*url, "room:7", "--from", "start"][..], &[&url, "room:7", "--from", "start", "--json"]]
    {
        let line = Listener::start(arguments).line();
        assert!(is_safe(&line) && line.contains("\\u009b2J"), "{line:?}");
    }
    let output = output_of(&["call", &url, "echo", &hostile], &[]);
    let answer = String::from_utf8(output.stdout).unwrap();
    assert!(is_safe(&answer), "{answer:?}");
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap(), HOSTILE);
}

#[test]
fn a_hostile_servers_words_are_printed_escaped() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        // First the transport's own close reason, then a `bye`: the client comes back in between.
        for number in 0.. {
            let mut line = tungstenite::accept(listener.accept().unwrap().0).unwrap();
            line.read().unwrap();
            let bye = json!({"bye": {"code": "kicked", "message": HOSTILE, "reconnect": "never"}});
            if number % 2 == 1 {
                line.send(tungstenite::Message::text(bye.to_string())).unwrap();
            }
            let frame = tungstenite::protocol::CloseFrame { code: 4000.into(), reason: HOSTILE.into() };
            line.close(Some(frame)).unwrap();
            while line.read().is_ok() {}
        }
    });
    for command in [&["publish", &url, "room:7", "1"][..], &["call", &url, "echo"]] {
        let output = output_of(command, &[]);
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(words.matches("owned").count(), 3, "two drops and why it ends: {words:?}");
        assert!(words.lines().all(is_safe), "{words:?}");
    }
}

#[test]
fn refused_token_exits_and_is_never_shown() {
    let path =
        config_file("terminal", "[[channels]]\nmatch = \"room:*\"\nsubscribe = \"any\"\npublish = \"any\"\n");
    let server = Server::start(&["--config", path.to_str().unwrap()], &[("TAUTLINE_AUTH_SECRET", SECRET)]);
    let url = format!("ws://{}", server.address());
    let token = output_of(&["token", "--user", "u42"], &[("TAUTLINE_AUTH_SECRET", SECRET)]);
    let token = String::from_utf8(token.stdout).unwrap();
    let publish = ["publish", &url, "room:7", "1"];
    assert!(output_of(&publish, &[("TAUTLINE_TOKEN", token.trim())]).status.success());

    let help = output_of(&["publish", "--help"], &[("TAUTLINE_TOKEN", token.trim())]);
    assert!(!String::from_utf8(help.stdout).unwrap().contains(token.trim()));
    for (arguments, variables) in [
        (&[][..], &[("TAUTLINE_TOKEN", "a.b.c")][..]),
        (&["--guest"][..], &[("TAUTLINE_TOKEN", token.trim())][..]),
    ] {
        let output = output_of(&[&publish[..], arguments].concat(), variables);
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(1), &b""[..]), "{words}");
        assert!(words.contains("auth_failed") && words.contains("another token"), "{words}");
        assert!(!words.contains("a.b.c") && !words.contains(token.trim()), "{words}");
    }
}
