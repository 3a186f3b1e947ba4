//! What the kernel saw: a sync has returned before the first byte of a reply or a publication leaves.
//!
//! Runs the gateway under `strace`. Without it the test says so and passes, unless `CI` is set.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

const PUBLICATIONS: u64 = 20;
/// Ids of the publishes begin above it, and so are no other request's.
const FIRST_ID: u64 = 100;
const PATIENCE: Duration = Duration::from_secs(30);
/// What each payload begins with; nothing else in the trace does.
const MARK: &str = "seen-by-the-kernel-";

#[test]
fn a_sync_has_returned_before_a_reply_or_a_publication_leaves() {
    if Command::new("strace").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "strace is not installed: `cargo xtask test` installs it");
        println!("skipped: strace is not installed");
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("synced-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("the target folder can be written");
    let trace = folder.join("trace");
    publish_under_strace(&folder, &trace);
    let trace = String::from_utf8_lossy(&fs::read(&trace).expect("strace has written it")).into_owned();
    for number in 1..=PUBLICATIONS {
        Story::of(&trace, &format!("{MARK}{number:03}")).check();
    }
    let _ = fs::remove_dir_all(&folder);
}

/// Publishes one after the other, each once the one before was answered and heard.
fn publish_under_strace(folder: &Path, trace: &Path) {
    let mut strace = Command::new("strace")
        // The tracer is the grandchild, so that signals reach the gateway itself.
        .args([
            "-D",
            "-f",
            "-s",
            "20000",
            "-e",
            "trace=fsync,fdatasync,pwrite64,write,writev,sendto,sendmsg",
            "-o",
        ])
        .arg(trace)
        .arg(env!("CARGO_BIN_EXE_tautline"))
        .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--engine"])
        .arg(format!("disk:{}", folder.join("data").display()))
        .env("RUST_LOG", "off")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("strace is there");
    let mut line = String::new();
    let stdout = strace.stdout.take().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut line).expect("stdout can be read");
    let address =
        line.split("http://").nth(1).and_then(|rest| rest.split(' ').next()).expect("the line names it");
    let (mut writer, mut reader) = (Line::open(address), Line::open(address));
    reader.say(&json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    reader.hear("ok");
    for number in 1..=PUBLICATIONS {
        let data = format!("{MARK}{number:03}");
        writer.say(&json!({"id": FIRST_ID + number, "publish": {"channel": "room:7", "data": data}}));
        writer.hear("ok");
        assert_eq!(reader.hear("pub")["pub"]["data"], data.as_str());
    }
    kill_process(Pid::from_child(&strace), Signal::TERM).expect("it runs");
    strace.wait().expect("it ends");
    let begin = Instant::now();
    let is_whole = || fs::read(trace).is_ok_and(|trace| trace.ends_with(b"+++ exited with 0 +++\n"));
    while !is_whole() {
        assert!(begin.elapsed() < PATIENCE, "strace has not written its last line");
        std::thread::yield_now();
    }
}

/// Where in the trace the steps of one publication are, by line.
struct Story {
    payload: String,
    stored: Option<usize>,
    synced: Option<usize>,
    sent: Option<usize>,
    answered: Option<usize>,
}

impl Story {
    fn of(trace: &str, payload: &str) -> Self {
        let lines: Vec<&str> = trace.lines().collect();
        let find = |from: usize, is: &dyn Fn(&str) -> bool| {
            lines.iter().skip(from).position(|line| is(line)).map(|at| from + at)
        };
        let is_sync = |line: &str| {
            let of_sync = line.contains("fdatasync") || line.contains("fsync");
            of_sync && line.trim_end().ends_with("= 0") && !line.contains("unfinished")
        };
        let to_socket = |line: &str| {
            ["write(", "writev(", "sendto(", "sendmsg("]
                .iter()
                .any(|call| line.contains(call) && !line.contains("pwrite64("))
        };
        let stored = find(0, &|line| line.contains("pwrite64(") && line.contains(payload));
        let number: u64 =
            payload.rsplit('-').next().and_then(|digits| digits.parse().ok()).expect("a number");
        let reply = format!("{{\\\"id\\\":{},\\\"ok\\\":{{\\\"epoch\\\"", FIRST_ID + number);
        Self {
            payload: payload.to_owned(),
            stored,
            synced: stored.and_then(|stored| find(stored, &is_sync)),
            sent: find(0, &|line| to_socket(line) && line.contains("pub") && line.contains(payload)),
            answered: find(0, &|line| to_socket(line) && line.contains(&reply)),
        }
    }

    fn check(&self) {
        let Self { payload, stored, synced, sent, answered } = self;
        let stored = stored.unwrap_or_else(|| panic!("{payload} was never written to the disk"));
        let synced = synced.unwrap_or_else(|| panic!("{payload} was never synced"));
        let sent = sent.unwrap_or_else(|| panic!("{payload} was never sent to its subscriber"));
        let answered = answered.unwrap_or_else(|| panic!("{payload} was never answered"));
        assert!(stored < synced, "{payload}: stored at {stored}, synced at {synced}");
        assert!(synced < sent, "{payload} left at line {sent}, before the sync at {synced} had returned");
        assert!(synced < answered, "{payload} was answered at line {answered}, before the sync at {synced}");
    }
}

/// A guest's WebSocket.
struct Line(WebSocket<TcpStream>);

impl Line {
    fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        let (socket, _) =
            tungstenite::client(format!("ws://{address}/connect"), stream).expect("a handshake");
        let mut line = Self(socket);
        line.say(&json!({"hello": {"v": 1, "auth": {"guest": true}}}));
        line.hear("welcome");
        line
    }

    fn say(&mut self, packet: &Value) {
        self.0.send(Message::text(packet.to_string())).expect("the line is open");
    }

    /// The next packet with this key; those before it are passed over.
    fn hear(&mut self, key: &str) -> Value {
        loop {
            let message = self.0.read().expect("a message comes");
            let lines = message.to_text().expect("text").lines().filter(|line| !line.is_empty());
            let packets = lines.map(|line| serde_json::from_str::<Value>(line).expect("json"));
            if let Some(found) = packets.rev().find(|packet| packet.get(key).is_some()) {
                return found;
            }
        }
    }
}
