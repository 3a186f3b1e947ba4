//! An echo server over plain sockets, which the conformance suite is run against: `cargo xtask autobahn`.
//!
//! Call it with an address to listen on, or without for a free port; it prints where it listens.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "an example is a shell: it owns the sockets and threads that the crate does without"
)]

use std::{
    error::Error,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    time::Duration,
};

use tautline_websocket::{
    Decoder, Event, Role, accept_key, encode_binary, encode_close, encode_pong, encode_text,
};

/// The suite's longest messages have 16 MiB.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
const REQUEST_BYTES_MAX: usize = 16 << 10;
const READ_BYTES_MAX: usize = 64 << 10;
/// How long a peer may take to hang up once both have said goodbye.
const LINGER_TIME_MAX: Duration = Duration::from_secs(2);

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || {
            if let Err(error) = serve(stream) {
                eprintln!("connection lost: {error}");
            }
        });
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> Result<(), Box<dyn Error>> {
    stream.set_nodelay(true)?;
    // A client sends its first frame only after our answer, so nothing follows the request.
    let request = read_request(&mut stream)?;
    stream.write_all(answer(&request)?.as_bytes())?;

    let mut decoder = Decoder::new(Role::Server, MESSAGE_BYTES_MAX);
    let mut buffer = vec![0; READ_BYTES_MAX];
    let mut out = Vec::new();
    while !decoder.is_over() {
        let bytes = stream.read(&mut buffer)?;
        if bytes == 0 {
            return Ok(());
        }
        respond(&mut decoder, &mut buffer[..bytes], &mut out);
        stream.write_all(&out)?;
        out.clear();
    }
    hang_up(&mut stream)
}

/// Appends what is to be sent in answer to what was received.
fn respond(decoder: &mut Decoder, mut unread: &mut [u8], out: &mut Vec<u8>) {
    loop {
        match decoder.decode(&mut unread) {
            Ok(None) => return,
            Ok(Some(Event::Text(text))) => encode_text(out, text, None),
            Ok(Some(Event::Binary(payload))) => encode_binary(out, payload, None),
            Ok(Some(Event::Ping(payload))) => encode_pong(out, payload, None),
            Ok(Some(Event::Pong(_))) => {}
            Ok(Some(Event::Close { code, .. })) => encode_close(out, code, "", None),
            Err(error) => encode_close(out, Some(error.close_code()), &error.to_string(), None),
        }
    }
}

fn read_request(stream: &mut TcpStream) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        let bytes = stream.read(&mut buffer)?;
        if bytes == 0 || request.len() + bytes > REQUEST_BYTES_MAX {
            return Err("no whole request".into());
        }
        request.extend_from_slice(&buffer[..bytes]);
    }
    Ok(request)
}

fn answer(request: &[u8]) -> Result<String, Box<dyn Error>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Request::new(&mut headers);
    parsed.parse(request)?;
    let key = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case("sec-websocket-key"));
    let accept = accept_key(std::str::from_utf8(key.ok_or("no Sec-WebSocket-Key")?.value)?);
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ))
}

/// Closes so that the peer gets our last frame: with bytes unread, closing at once would reset the connection.
fn hang_up(stream: &mut TcpStream) -> Result<(), Box<dyn Error>> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(LINGER_TIME_MAX))?;
    std::io::copy(stream, &mut std::io::sink())?;
    Ok(())
}
