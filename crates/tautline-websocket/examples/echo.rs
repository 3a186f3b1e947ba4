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
    Decoder, Deflate, Event, Opcode, Role, accept_key, encode_binary, encode_close, encode_compressed,
    encode_pong, encode_text,
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
    let (answer, deflate) = answer(&request)?;
    stream.write_all(answer.as_bytes())?;

    let mut decoder = Decoder::new(Role::Server, MESSAGE_BYTES_MAX).with_deflate(deflate);
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
    close(&mut stream)
}

/// Appends what is to be sent in answer to what was received.
fn respond(decoder: &mut Decoder, mut unread: &mut [u8], out: &mut Vec<u8>) {
    let deflate = decoder.deflate();
    loop {
        match (decoder.decode(&mut unread), deflate) {
            (Ok(None), _) => return,
            (Ok(Some(Event::Text(text))), None) => encode_text(out, text, None),
            (Ok(Some(Event::Binary(payload))), None) => encode_binary(out, payload, None),
            (Ok(Some(Event::Text(text))), Some(deflate)) => {
                encode_compressed(out, Opcode::Text, text.as_bytes(), deflate, None);
            }
            (Ok(Some(Event::Binary(payload))), Some(deflate)) => {
                encode_compressed(out, Opcode::Binary, payload, deflate, None);
            }
            (Ok(Some(Event::Ping(payload))), _) => encode_pong(out, payload, None),
            (Ok(Some(Event::Pong(_))), _) => {}
            (Ok(Some(Event::Close { code, .. })), _) => encode_close(out, code, "", None),
            (Err(error), _) => encode_close(out, Some(error.close_code()), &error.to_string(), None),
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

/// The answer, and what it agrees on.
fn answer(request: &[u8]) -> Result<(String, Option<Deflate>), Box<dyn Error>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Request::new(&mut headers);
    parsed.parse(request)?;
    let named = |name: &'static str| {
        let headers = parsed.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        headers.filter_map(|header| std::str::from_utf8(header.value).ok())
    };
    let accept = accept_key(named("Sec-WebSocket-Key").next().ok_or("no Sec-WebSocket-Key")?);
    let (deflate, extensions) = match Deflate::accept(named("Sec-WebSocket-Extensions")) {
        Some((deflate, answer)) => (Some(deflate), format!("Sec-WebSocket-Extensions: {answer}\r\n")),
        None => (None, String::new()),
    };
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{extensions}\r\n"
    );
    Ok((answer, deflate))
}

/// Closes so that the peer gets our last frame: with bytes unread, closing at once would reset the connection.
fn close(stream: &mut TcpStream) -> Result<(), Box<dyn Error>> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(LINGER_TIME_MAX))?;
    std::io::copy(stream, &mut std::io::sink())?;
    Ok(())
}
