//! `tautline-demo` as a process: its page, its switches and its end. What the page does is tested in a browser (`e2e/`).

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

/// A test that waits longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(20);

fn demo(page: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tautline-demo"));
    command.args(["--listen", "127.0.0.1:0", "--seed", "7", "--page"]).arg(page).env_remove("RUST_LOG");
    command
}

/// A folder with a page of one line.
fn page() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    fs::create_dir_all(&folder).expect("the folder can be made");
    fs::write(folder.join("index.html"), "two phones").expect("the page can be written");
    folder
}

/// A running demo. Killed when dropped.
struct Demo {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: String,
}

impl Demo {
    fn start() -> Self {
        let mut child =
            demo(&page()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary was built");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("stdout can be read");
        let address = line.trim_end().strip_prefix("open http://").expect("the line names a URL").to_owned();
        Self { child, stdout, address }
    }

    /// The whole answer, head and body.
    fn ask(&self, method: &str, path: &str, body: &str) -> String {
        self.ask_with("host: 127.0.0.1\r\ncontent-type: application/json", method, path, body)
    }

    fn ask_with(&self, headers: &str, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\n{headers}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .expect("the connection is open");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the answer is text");
        answer
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Already gone where the test ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn page_switches_and_gateway_share_one_port() {
    let demo = Demo::start();
    assert!(demo.ask("GET", "/", "").ends_with("two phones"));
    assert!(demo.ask("GET", "/health/ready", "").starts_with("HTTP/1.1 200"));
    assert!(demo.ask("GET", "/connect", "").contains("WebSocket"), "the gateway says what it expects there");

    let answer = demo.ask("POST", "/demo/chaos/phone-a", r#"{"action":"unplug"}"#);
    assert!(answer.ends_with(r#"{"reached":0}"#), "{answer}");
    let state = demo.ask("GET", "/demo/state", "");
    assert!(state.contains(r#""phone-a""#) && state.contains(r#""unplugged":"refuse""#), "{state}");
}

#[test]
fn default_group_is_never_faulted() {
    let demo = Demo::start();
    let answer = demo.ask("POST", "/demo/chaos/default", r#"{"action":"cut"}"#);
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("name a phone's"), "{answer}");
    let answer = demo.ask("POST", "/demo/chaos/phone-a", r#"{"action":"explode"}"#);
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("explode"), "{answer}");
}

#[test]
fn drain_needs_a_request_no_foreign_page_sends() {
    let demo = Demo::start();
    let drain = |headers: &str, body: &str| {
        demo.ask_with(headers, "POST", "/demo/drain", body).lines().next().unwrap_or_default().to_owned()
    };
    let json = "content-type: application/json";
    assert_eq!(drain("host: localhost", ""), "HTTP/1.1 400 Bad Request", "as a form of any page sends it");
    assert_eq!(drain("host: localhost\r\ncontent-type: text/plain", "{}"), "HTTP/1.1 400 Bad Request");
    let foreign = format!("host: localhost\r\norigin: https://evil.example\r\n{json}");
    assert_eq!(drain(&foreign, "{}"), "HTTP/1.1 403 Forbidden");
    assert_eq!(drain(&format!("host: localhost\r\n{json}"), "{}"), "HTTP/1.1 200 OK");
}

#[test]
fn foreign_host_names_are_refused() {
    let demo = Demo::start();
    for path in ["/", "/demo/state", "/connect", "/health/ready"] {
        let answer = demo.ask_with("host: evil.example", "GET", path, "");
        assert!(answer.starts_with("HTTP/1.1 403"), "{path}: {answer}");
    }
}

#[test]
fn a_signal_ends_the_show() {
    let mut demo = Demo::start();
    kill_process(Pid::from_child(&demo.child), Signal::TERM).unwrap();
    let mut more = String::new();
    demo.stdout.read_to_string(&mut more).unwrap();
    assert_eq!((demo.child.wait().unwrap().code(), more.as_str()), (Some(0), ""));
}

#[test]
fn missing_page_explains_how_to_build_it() {
    let output = demo(Path::new("/nowhere")).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no page in /nowhere") && said.contains("npm run build"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}
