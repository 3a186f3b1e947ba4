//! The built binary as a child process: started, listened to, ended.

use std::{
    collections::VecDeque,
    io::{BufRead as _, BufReader, Read as _},
    net::TcpStream,
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// A test that waits longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The binary, without the environment of the test run.
pub fn tautline(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tautline"));
    command.args(arguments);
    for name in [
        "TAUTLINE_LISTEN",
        "TAUTLINE_NODE",
        "TAUTLINE_AUTH_SECRET",
        "TAUTLINE_AUTH_SECRET_OLD",
        "TAUTLINE_ENVIRONMENT",
        "TAUTLINE_API_KEY",
        "TAUTLINE_TICKET_KEYS",
        "TAUTLINE_TOKEN",
        "TAUTLINE_LOG_FORMAT",
        "TAUTLINE_CONFIG",
        "RUST_LOG",
    ] {
        command.env_remove(name);
    }
    command
}

/// Runs it to its end.
pub fn output_of(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    tautline(arguments).envs(variables.iter().copied()).output().expect("the binary was built")
}

/// A running `tautline serve`. Killed when dropped.
pub struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// What it printed first.
    pub line: String,
}

impl Server {
    /// Starts `serve` on a free port, in memory, and waits for the listening line.
    pub fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::spawn(Stdio::piped(), "memory", arguments, variables)
    }

    /// The same with an engine of one's own.
    pub fn start_on(engine: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::spawn(Stdio::piped(), engine, arguments, variables)
    }

    /// The same with a log that goes somewhere else.
    pub fn start_logging_to(log: impl Into<Stdio>, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::spawn(log, "memory", arguments, variables)
    }

    fn spawn(log: impl Into<Stdio>, engine: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = tautline(&["serve", "--listen", "127.0.0.1:0", "--engine", engine])
            .args(arguments)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the binary was built");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("stdout can be read");
        Self { child, stdout, line }
    }

    /// `127.0.0.1:port`, as the line says it.
    pub fn address(&self) -> &str {
        let (_, rest) = self.line.split_once("http://").expect("the line names a URL");
        rest.split_once(' ').expect("words follow the URL").0
    }

    /// The next line of its log with this word in it.
    pub fn log_line(&mut self, word: &str) -> String {
        let mut stderr = BufReader::with_capacity(1, self.child.stderr.as_mut().expect("stderr is piped"));
        loop {
            let mut line = String::new();
            assert_ne!(stderr.read_line(&mut line).expect("stderr can be read"), 0, "no line has `{word}`");
            if line.contains(word) {
                return line;
            }
        }
    }

    /// Kills it where it stands.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Opens a WebSocket.
    pub fn connect(&self) -> Line {
        let stream = TcpStream::connect(self.address()).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        let url = format!("ws://{}/connect", self.address());
        let (socket, _) = tungstenite::client(url, stream).expect("the handshake is accepted");
        Line { socket, received: VecDeque::new() }
    }

    /// What its open files are, by name.
    #[cfg(target_os = "linux")]
    pub fn open_files(&self) -> impl Iterator<Item = String> + use<> {
        let directory = format!("/proc/{}/fd", self.child.id());
        let files = std::fs::read_dir(directory).expect("the process is there").flatten();
        files.filter_map(|file| Some(std::fs::read_link(file.path()).ok()?.display().to_string()))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process is there");
    }

    /// Waits for its end: the exit code, what else it printed, and its log where that goes nowhere else.
    pub fn end(mut self) -> (Option<i32>, String, String) {
        let (mut more, mut log) = (String::new(), String::new());
        self.stdout.read_to_string(&mut more).expect("stdout can be read");
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut log).expect("stderr can be read");
        }
        (self.child.wait().expect("it ends").code(), more, log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A WebSocket that speaks packets.
pub struct Line {
    socket: WebSocket<TcpStream>,
    /// Packets of the last message that nobody has asked for yet.
    received: VecDeque<Value>,
}

impl Line {
    /// Says hello with a login.
    pub fn hello(&mut self, auth: &Value) {
        self.send(&json!({"hello": {"v": 1, "auth": auth}}));
    }

    /// Waits for the close frame, and says its code.
    pub fn closed(&mut self) -> u16 {
        loop {
            match self.socket.read() {
                Ok(Message::Close(Some(frame))) => return frame.code.into(),
                Ok(_) => {}
                Err(error) => panic!("no close frame: {error}"),
            }
        }
    }

    /// Sends one packet.
    pub fn send(&mut self, packet: &Value) {
        self.socket.send(Message::text(packet.to_string())).expect("the connection is open");
    }

    /// The next packet with this verb or key; those before it are passed over.
    pub fn receive(&mut self, key: &str) -> Value {
        self.receive_any(&[key])
    }

    /// The same with one of several.
    pub fn receive_any(&mut self, keys: &[&str]) -> Value {
        loop {
            while let Some(packet) = self.received.pop_front() {
                if keys.iter().any(|key| packet.get(key).is_some()) {
                    return packet;
                }
            }
            let message = self.socket.read().expect("a message comes");
            let lines = message.to_text().expect("packets are text").lines().filter(|line| !line.is_empty());
            self.received
                .extend(lines.map(|line| serde_json::from_str::<Value>(line).expect("a packet is json")));
        }
    }
}
