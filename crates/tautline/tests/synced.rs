//! What the kernel saw: a sync has returned before the first byte of a reply or a publication leaves.
//!
//! Runs the gateway under `strace`. Without it the test says so and passes, unless `CI` is set.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

const PUBLICATIONS: u64 = 20;
/// Ids of the publishes begin above it, and so are no other request's.
const FIRST_ID: u64 = 100;
const PATIENCE: Duration = Duration::from_secs(30);
const TRACED: &str = "trace=fsync,fdatasync,pwrite64,write,writev,sendto,sendmsg";
/// What each payload begins with; nothing else in the trace does.
const MARK: &str = "seen-by-the-kernel-";

/// The syncs that fail, of those that the store's writer asks for.
const FAILING: &str = "inject=fsync,fdatasync:error=EIO:when=20..24";

#[test]
fn sync_returns_before_a_reply_leaves() {
    let Some(folder) = folder("returned") else { return };
    let trace = folder.join("trace");
    publish_under_strace(&folder, &trace);
    let trace = String::from_utf8_lossy(&fs::read(&trace).expect("strace has written it")).into_owned();
    for number in 1..=PUBLICATIONS {
        Story::of(&trace, &format!("{MARK}{number:03}")).check();
    }
    let _ = fs::remove_dir_all(&folder);
}

#[test]
fn failed_sync_acknowledges_nothing() {
    let Some(folder) = folder("fails") else { return };
    let (mut gateway, address) = serve(&folder, &folder.join("trace"), &["-e", FAILING]);
    let (mut writer, mut reader) = (Line::open(&address), Line::open(&address));
    reader.say(&json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    reader.hear("ok");
    let (mut acknowledged, mut refused) = (Vec::new(), Vec::new());
    for number in 1..=2 * PUBLICATIONS {
        let id = FIRST_ID + number;
        writer.say(&json!({"id": id, "publish": {"channel": "room:7", "data": number}}));
        let answer = writer.hear("id");
        match answer["error"]["code"].as_str() {
            None => acknowledged.push(number),
            Some(code) => {
                assert!(["in_doubt", "unavailable"].contains(&code), "{answer}");
                refused.push(number);
            }
        }
    }
    assert!(!refused.is_empty(), "no sync failed: the fault was not injected");
    assert_eq!(acknowledged.last(), Some(&(2 * PUBLICATIONS)), "the store has got over it");
    // What nobody knows of may have been stored; what was acknowledged was, once and in order.
    let mut heard = Vec::new();
    while heard.last() != Some(&(2 * PUBLICATIONS)) {
        heard.extend(reader.hear_all("pub").iter().filter_map(|packet| packet["pub"]["data"].as_u64()));
    }
    assert!(heard.is_sorted_by(|a, b| a < b), "{heard:?}");
    heard.retain(|number| !refused.contains(number));
    assert_eq!(heard, acknowledged);
    end(&mut gateway);
    let _ = fs::remove_dir_all(&folder);
}

/// A folder for one test. None: there is no `strace`.
fn folder(name: &str) -> Option<PathBuf> {
    if Command::new("strace").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "strace is not installed: `cargo xtask test` installs it");
        // Not by `println!`, which a test that passes is not heard with: the table of steps shows it.
        let _ = writeln!(std::io::stdout(), "\nskipped: strace is not installed: what is synced when");
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("synced-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("the target folder can be written");
    Some(folder)
}

/// The gateway under `strace`, and its address.
fn serve(folder: &Path, trace: &Path, more: &[&str]) -> (Child, String) {
    let config = folder.join("tautline.toml");
    // What a ring sends is not seen under strace. It is sent later than what is written, never sooner.
    fs::write(&config, "[server]\nio_uring = false\n").expect("the folder can be written");
    let mut strace = Command::new("strace")
        // The tracer is the grandchild, so that signals reach the gateway itself.
        .args(["-D", "-f", "-s", "20000", "-e", TRACED])
        .args(more)
        .arg("-o")
        .arg(trace)
        .arg(env!("CARGO_BIN_EXE_tautline"))
        .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--engine"])
        .arg(format!("disk:{}", folder.join("data").display()))
        .arg("--config")
        .arg(config)
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
    (strace, address.to_owned())
}

fn end(gateway: &mut Child) {
    kill_process(Pid::from_child(gateway), Signal::TERM).expect("it runs");
    gateway.wait().expect("it ends");
}

/// Publishes one after the other, each once the one before was answered and heard.
fn publish_under_strace(folder: &Path, trace: &Path) {
    let (mut gateway, address) = serve(folder, trace, &[]);
    let (mut writer, mut reader) = (Line::open(&address), Line::open(&address));
    reader.say(&json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    reader.hear("ok");
    for number in 1..=PUBLICATIONS {
        let data = format!("{MARK}{number:03}");
        writer.say(&json!({"id": FIRST_ID + number, "publish": {"channel": "room:7", "data": data}}));
        writer.hear("ok");
        assert_eq!(reader.hear("pub")["pub"]["data"], data.as_str());
    }
    end(&mut gateway);
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

    /// The last packet with this key in the next message that has one; what else came is passed over.
    fn hear(&mut self, key: &str) -> Value {
        self.hear_all(key).pop().expect("it has one")
    }

    /// All packets with this key in the next message that has one.
    fn hear_all(&mut self, key: &str) -> Vec<Value> {
        loop {
            let message = self.0.read().expect("a message comes");
            let lines = message.to_text().expect("text").lines().filter(|line| !line.is_empty());
            let packets = lines.map(|line| serde_json::from_str::<Value>(line).expect("json"));
            let found: Vec<Value> = packets.filter(|packet| packet.get(key).is_some()).collect();
            if !found.is_empty() {
                return found;
            }
        }
    }
}
