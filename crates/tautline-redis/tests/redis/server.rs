//! A Redis of a test, with a port and a directory of its own.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// Set where the long forms of the tests run, which start several servers.
pub const LONG: &str = "TAUTLINE_TEST_REDIS_LONG";

/// How long a server may take to start.
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// A Sentinel that has said nothing for so long has said everything.
const SENTINEL_SILENT: Duration = Duration::from_millis(300);

/// A running server; killed at the end.
pub struct Server {
    process: Child,
    port: u16,
    dir: PathBuf,
    options: Vec<String>,
}

impl Server {
    /// Starts `redis-server` (with `--sentinel` first: a Sentinel with these lines of configuration), or the program that
    /// `TAUTLINE_TEST_REDIS` names. `None`: there is none here, and none was asked for.
    pub fn start(options: &[&str]) -> Option<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("redis-{}-{number}", std::process::id());
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&dir).expect("a directory of the test");
        // The server cannot take any free port itself.
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let options: Vec<_> = options.iter().map(ToString::to_string).collect();
        if options.iter().any(|option| option == "--sentinel") {
            fs::write(dir.join("sentinel.conf"), options[1..].join("\n")).expect("a file of the test");
        }
        let Some(process) = spawn(&dir, port, &options) else {
            println!("skipped: redis-server is not installed, so the Redis engine is not tested");
            return None;
        };
        Some(Self { process, port, dir, options }.ready())
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends commands to the server as its operator, each a line, and returns what it replied in all.
    pub fn operate(&self, commands: &str) -> String {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).expect("the server listens");
        socket.write_all(format!("{commands}\r\nQUIT\r\n").as_bytes()).expect("the server reads");
        // A Sentinel knows no QUIT.
        let is_sentinel = self.options.first().is_some_and(|option| option == "--sentinel");
        let patience = if is_sentinel { SENTINEL_SILENT } else { STARTS_WITHIN };
        socket.set_read_timeout(Some(patience)).expect("a timeout can be set");
        let (mut replies, mut bytes) = (Vec::new(), [0; 4_096]);
        while let Ok(read) = socket.read(&mut bytes)
            && read > 0
        {
            replies.extend_from_slice(&bytes[..read]);
        }
        String::from_utf8_lossy(&replies).into_owned()
    }

    /// Kills the server and starts it again over the same directory.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.restart();
    }

    pub fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it was killed");
    }

    pub fn restart(&mut self) {
        self.process = spawn(&self.dir, self.port, &self.options).expect("it was there a moment ago");
        self.wait_until_ready();
    }

    /// Stops the process, which keeps its connections.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        let killed =
            Command::new("kill").args([&format!("-{signal}"), &self.process.id().to_string()]).status();
        assert!(killed.expect("kill is there").success());
    }

    fn ready(self) -> Self {
        self.wait_until_ready();
        self
    }

    fn wait_until_ready(&self) {
        let since = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() || !self.operate("PING").contains("PONG")
        {
            assert!(since.elapsed() < STARTS_WITHIN, "redis-server does not listen");
            std::thread::yield_now();
        }
    }
}

fn spawn(dir: &Path, port: u16, options: &Vec<String>) -> Option<Child> {
    let program = std::env::var("TAUTLINE_TEST_REDIS").unwrap_or_else(|_| "redis-server".to_owned());
    let mut command = Command::new(program);
    if options.first().is_some_and(|option| option == "--sentinel") {
        command.arg(dir.join("sentinel.conf")).arg("--sentinel").args(["--port", &port.to_string()]);
        return start(command.args(["--bind", "127.0.0.1"]));
    }
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]).arg(dir);
    start(command.args(options))
}

/// Where somebody counts on these tests a missing program fails them.
fn start(command: &mut Command) -> Option<Child> {
    let is_wanted = ["TAUTLINE_TEST_REDIS", LONG, "CI"].iter().any(|name| std::env::var_os(name).is_some());
    match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
        Ok(process) => Some(process),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_wanted => None,
        Err(error) => panic!("redis-server does not start: {error}"),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
