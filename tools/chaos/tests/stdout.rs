//! The program `tautline-chaos` where nobody can read what it prints.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    net::TcpStream,
    process::{Command, Stdio},
};

#[test]
fn full_stdout_proxy_listens_and_logs_its_address() {
    // Every write to it fails: no space is left.
    let full = File::options().write(true).open("/dev/full").expect("Linux has it");
    let mut chaos = Command::new(env!("CARGO_BIN_EXE_tautline-chaos"))
        .args(["--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:9"])
        .env_remove("RUST_LOG")
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    let log = BufReader::new(chaos.stderr.take().expect("stderr is piped"));
    let mut lines = log.lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("cannot print on stdout")).expect("it is logged");
    let address =
        line.split_once("chaos: ").and_then(|(_, rest)| rest.split(' ').next()).expect("its address");
    TcpStream::connect(address).expect("it listens");
    chaos.kill().expect("it is our child");
    chaos.wait().expect("it ends");
}
