//! Streams that cannot be written: full disks, closed pipes, and readers that stop reading.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, PipeReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    io::ioctl_fionbio,
    process::{Pid, Signal, kill_process},
};
use serde_json::json;

use crate::process::{Server, output_of, tautline};

/// More connections than a pipe has room for the lines on them.
const CONNECTIONS: usize = 600;
/// A test that waits longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Every write to it fails: no space is left.
fn full() -> File {
    File::options().write(true).open("/dev/full").expect("Linux has it")
}

/// A pipe that is full, and stays so while the reading end is held.
fn stuck() -> (PipeReader, Stdio) {
    let (reader, mut writer) = io::pipe().expect("a pipe can be made");
    ioctl_fionbio(&writer, true).expect("a pipe has modes");
    while writer.write(&[b'.'; 4096]).is_ok() {}
    ioctl_fionbio(&writer, false).expect("a pipe has modes");
    (reader, writer.into())
}

fn meet(server: &Server) {
    let mut line = server.connect();
    line.hello(&json!({"guest": true}));
    line.receive("welcome");
}

/// Its end, or `None` where it does not end.
fn end_of(mut child: Child) -> Option<ExitStatus> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return Some(status);
        }
        std::thread::yield_now();
    }
    child.kill().expect("it is our child");
    child.wait().expect("it ends");
    None
}

#[test]
fn serve_with_full_log_disk_serves_and_drains() {
    let server = Server::start_logging_to(full(), &["--dev"], &[]);
    meet(&server);
    server.signal(Signal::TERM);
    assert_eq!(server.end().0, Some(0));
}

#[test]
fn serve_whose_log_nobody_reads_any_more_drains() {
    let (reader, writer) = io::pipe().unwrap();
    let server = Server::start_logging_to(writer, &["--dev", "--log", "debug"], &[]);
    drop(reader);
    meet(&server);
    server.signal(Signal::TERM);
    assert_eq!(server.end().0, Some(0));
}

#[test]
fn serve_with_stuck_log_reader_goes_on() {
    let (reader, stuck) = stuck();
    let server = Server::start_logging_to(stuck, &["--dev", "--log", "debug"], &[]);
    for _ in 0..CONNECTIONS {
        meet(&server);
    }
    server.signal(Signal::TERM);
    assert_eq!(server.end().0, Some(0));
    drop(reader);
}

#[test]
fn serve_with_full_stdout_logs_its_address() {
    let mut serve = tautline(&["serve", "--listen", "127.0.0.1:0", "--engine", "memory", "--dev"])
        .stdout(full())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let address = address_in_log(&mut serve, "listening on http://");
    TcpStream::connect(address).expect("it listens");
    kill_process(Pid::from_child(&serve), Signal::TERM).unwrap();
    assert_eq!(end_of(serve).and_then(|status| status.code()), Some(0));
}

/// What follows `before` in the line that it could not print.
fn address_in_log(child: &mut Child, before: &str) -> String {
    let log = BufReader::new(child.stderr.take().expect("stderr is piped"));
    let mut lines = log.lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("cannot print on stdout")).expect("it is told");
    let (_, rest) = line.split_once(before).unwrap_or_else(|| panic!("{line}"));
    rest.split(' ').next().unwrap_or(rest).to_owned()
}

#[test]
fn listen_whose_reader_stops_ends_at_sigterm() {
    let server = Server::start(&["--dev"], &[]);
    let url = format!("ws://{}", server.address());
    let large = format!("\"{}\"", "x".repeat(60_000));
    for _ in 0..3 {
        assert!(output_of(&["publish", &url, "room:7", &large], &[]).status.success());
    }
    let mut listen = tautline(&["listen", &url, "room:7", "--from", "start"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The second line fills the pipe, and the third finds no room.
    let mut stdout = BufReader::with_capacity(1, listen.stdout.take().unwrap());
    stdout.read_until(b'\n', &mut Vec::new()).unwrap();
    kill_process(Pid::from_child(&listen), Signal::TERM).unwrap();
    assert_eq!(end_of(listen).and_then(|status| status.code()), Some(0));
    drop(stdout);
}

#[test]
fn unprintable_answer_is_an_error() {
    let variables = [("TAUTLINE_AUTH_SECRET", crate::SECRET)];
    let server = Server::start(&["--dev"], &variables);
    let url = format!("ws://{}", server.address());
    for arguments in [&["token", "--user", "u42"][..], &["call", &url, "echo", "1", "--guest"][..]] {
        let mut child =
            tautline(arguments).envs(variables).stdout(full()).stderr(Stdio::piped()).spawn().unwrap();
        let mut words = String::new();
        child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1), "{words}");
        assert!(words.starts_with("tautline: ") && words.contains("No space left"), "{words}");
    }
}
