//! Reads `/metrics` each second, as Prometheus does: what that costs shows in pairs of runs with and without it.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

const EVERY: Duration = Duration::from_secs(1);

/// Reads from now on, in a thread of its own, until the process ends.
///
/// # Errors
/// When there is no thread.
pub(super) fn start(address: SocketAddr, key: &'static str) -> io::Result<()> {
    let read = move || {
        loop {
            thread::sleep(EVERY);
            let answer = scrape(address, key).expect("the gateway answers while it is measured");
            assert!(answer.starts_with(b"HTTP/1.1 200"), "the key may read");
        }
    };
    thread::Builder::new().name("scrapes".to_owned()).spawn(read).map(drop)
}

/// One answer, however long.
fn scrape(address: SocketAddr, key: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}
