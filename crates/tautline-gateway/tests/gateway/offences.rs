//! Misbehaviour of clients: one function for each kind, to be run once or a thousand times.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tautline_websocket::{FrameHeader, Opcode, encode_binary, encode_text};

use crate::{
    bystander::Bystander,
    logins::token,
    rig::{API_KEY, Answer, Client, Rig, TEST_TIMEOUT, http_answer},
};

const MASK: [u8; 4] = [7, 1, 9, 4];
const HALF_A_HEAD: &[u8] = b"GET /connect HTTP/1.1\r\nHost: line.example\r\nX-Slow: ";

/// A whole text message, good or bad.
pub fn text(text: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_text(&mut frame, text, Some(MASK));
    frame
}

pub fn unmasked_text() -> Vec<u8> {
    let mut frame = Vec::new();
    encode_text(&mut frame, "{\"ping\":{}}", None);
    frame
}

pub fn binary() -> Vec<u8> {
    let mut frame = Vec::new();
    encode_binary(&mut frame, b"{\"ping\":{}}", Some(MASK));
    frame
}

/// A text message with any payload.
pub fn bytes_as_text(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_binary(&mut frame, payload, Some(MASK));
    frame[0] = 0x81;
    frame
}

/// The header of a frame without its payload.
pub fn head_of_text(payload_bytes: usize) -> Vec<u8> {
    FrameHeader::new(Opcode::Text, payload_bytes, Some(MASK)).as_bytes().to_vec()
}

/// Sends these bytes behind `welcome`.
pub fn send(rig: &Rig, bystander: &mut Bystander, bytes: &[u8]) -> Answer {
    send_as(rig.guest(), bystander, bytes)
}

/// Sends these bytes in place of `hello`.
pub fn send_instead_of_hello(rig: &Rig, bystander: &mut Bystander, bytes: &[u8]) -> Answer {
    send_as(rig.connect(), bystander, bytes)
}

fn send_as(mut offender: Client, bystander: &mut Bystander, bytes: &[u8]) -> Answer {
    offender.write_raw(bytes);
    bystander.check_service();
    offender.final_answer()
}

pub fn send_nothing(rig: &Rig, bystander: &mut Bystander) -> Answer {
    let offender = rig.connect();
    bystander.check_service();
    offender.final_answer()
}

/// Starts a message that never ends.
pub fn trickle_half_a_message(rig: &Rig, bystander: &mut Bystander) -> Answer {
    let mut offender = rig.connect();
    offender.write_raw(&head_of_text(60_000));
    bystander.check_service();
    trickle(offender.socket.get_ref(), b' ');
    offender.final_answer()
}

/// Starts a request whose head never ends. Returns the bytes received before the end of the stream.
pub fn trickle_half_a_head(rig: &Rig, bystander: &mut Bystander) -> Vec<u8> {
    let stream = begin_half_a_head(rig);
    bystander.check_service();
    trickle(&stream, b'x');
    read_to_end(stream)
}

pub fn begin_half_a_head(rig: &Rig) -> TcpStream {
    let mut stream = rig.dial();
    stream.write_all(HALF_A_HEAD).expect("the gateway reads");
    stream
}

/// Starts a request to the API whose body never ends.
pub fn send_half_a_body(rig: &Rig, bystander: &mut Bystander) -> Answer {
    let request = format!(
        "POST /api/v1/publish HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {API_KEY}\r\nContent-Length: 99\r\n\r\n{{"
    );
    let begin = Instant::now();
    while begin.elapsed() < TEST_TIMEOUT {
        let mut stream = rig.dial();
        stream.write_all(request.as_bytes()).expect("the gateway reads");
        bystander.check_service();
        let answer = read_to_end(stream);
        // On a slow machine the head may be late itself, which is another offence.
        if !answer.is_empty() {
            return http_answer(&String::from_utf8_lossy(&answer));
        }
    }
    panic!("half a body is never answered");
}

fn read_to_end(mut stream: TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    // Bytes that were sent too late are answered with a reset, which ends the stream as well.
    drop(stream.read_to_end(&mut received));
    received
}

/// A request with a reply of this size.
pub fn echo(data_bytes: usize) -> (&'static str, Value) {
    ("call", json!({"method": "echo", "data": "x".repeat(data_bytes)}))
}

/// Repeats a request and never sends `seen`. Returns how many were answered with `ok`, too; replies for which
/// the session has no room are `too_large`.
pub fn never_send_seen(rig: &Rig, bystander: &mut Bystander, request: &(&str, Value)) -> (usize, Answer) {
    const REQUESTS_BETWEEN: usize = 100;
    let (verb, body) = request;
    let mut offender = rig.guest();
    let mut answered = 0;
    for asked in 1.. {
        offender.send_request(verb, body);
        if offender.next_is_bye() {
            break;
        }
        let reply = offender.receive();
        match reply["ok"].is_object() {
            true => answered += 1,
            false => assert_eq!(reply["error"]["code"], "too_large", "{reply}"),
        }
        if asked % REQUESTS_BETWEEN == 0 {
            bystander.check_service();
        }
    }
    (answered, offender.final_answer())
}

/// Subscribes to this many channels. Returns how many were refused with `limit`; the connection must still
/// work.
pub fn subscribe_to(rig: &Rig, bystander: &mut Bystander, channels: usize) -> usize {
    const BATCH: usize = 100;
    let mut offender = rig.guest();
    let mut refused = 0;
    for batch in 0..channels / BATCH {
        for n in 0..BATCH {
            offender.send_request("subscribe", &json!({"channel": format!("room:{batch}:{n}")}));
        }
        bystander.check_service();
        refused += (0..BATCH).filter(|_| offender.receive()["error"]["code"] == "limit").count();
    }
    assert_eq!(offender.echo(&json!("still here")), "still here");
    refused
}

/// Resumes with an invalid ticket each time that it is challenged.
pub fn resume_with_ticket_repeatedly(rig: &Rig, bystander: &mut Bystander, ticket: &str) -> (usize, Answer) {
    let mut offender = rig.connect();
    let mut challenged = 0;
    loop {
        offender.send(&json!({"hello": {"v": 1, "resume": {"ticket": ticket, "attempt": 1}}}));
        bystander.check_service();
        if offender.next_is_bye() {
            return (challenged, offender.final_answer());
        }
        assert_eq!(offender.receive()["challenge"]["code"], "ticket_invalid");
        challenged += 1;
    }
}

/// The bystander's ticket with one letter in its middle changed.
pub fn forged_ticket(bystander: &Bystander) -> String {
    let ticket = bystander.welcome["ticket"].as_str().expect("a welcome brings one");
    let (before, behind) = ticket.split_at(ticket.len() / 2);
    let other = if behind.starts_with('A') { "B" } else { "A" };
    format!("{before}{other}{}", &behind[1..])
}

/// Logs in with a token that expired in 1970.
pub fn log_in_with_expired_token(rig: &Rig, bystander: &mut Bystander) -> Answer {
    let token = token(&json!({"sub": "u42", "exp": 1}));
    let mut offender = rig.connect();
    offender.send(&json!({"hello": {"v": 1, "auth": {"token": token}}}));
    bystander.check_service();
    offender.final_answer()
}

/// Sends single bytes until there is an answer, or the other end has hung up.
fn trickle(mut stream: &TcpStream, byte: u8) {
    stream.set_read_timeout(Some(Duration::from_millis(10))).expect("a socket option");
    let is_waiting = |error: &io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
    let begin = Instant::now();
    while stream.peek(&mut [0]).is_err_and(|error| is_waiting(&error)) && stream.write_all(&[byte]).is_ok() {
        assert!(begin.elapsed() < TEST_TIMEOUT, "the gateway waits for ever");
    }
    stream.set_read_timeout(Some(TEST_TIMEOUT)).expect("a socket option");
}
