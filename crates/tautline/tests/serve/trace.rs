//! One trace id from a phone's call to the back end, through its request to the API, to the webhook that tells of it.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, mpsc},
};

use serde_json::{Value, json};

use super::{config_file, process::Server};

const KEY: &str = "the-key-of-a-back-end";

/// A request that the back end has had.
struct Seen {
    traceparent: String,
    body: Value,
}

/// Reads one HTTP message: its headers and its body.
fn read_message(stream: &TcpStream) -> Option<(HashMap<String, String>, Vec<u8>)> {
    let mut reader = BufReader::with_capacity(1, stream);
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim().split_once(": ") {
            Some((name, value)) => drop(headers.insert(name.to_ascii_lowercase(), value.to_owned())),
            None if line.trim().is_empty() => break,
            None => {}
        }
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((headers, body))
}

/// Publishes as a back end does in the course of a call, and returns the trace of the answer.
fn publish(gateway: SocketAddr, traceparent: &str) -> String {
    let stream = TcpStream::connect(gateway).expect("it listens");
    let body = json!({"channel": "room:7", "data": "ordered"}).to_string();
    write!(
        &stream,
        "POST /api/v1/publish HTTP/1.1\r\nhost: {gateway}\r\nauthorization: Bearer {KEY}\r\n\
         traceparent: {traceparent}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("it can be sent");
    let (mut headers, body) = read_message(&stream).expect("an answer");
    assert!(String::from_utf8_lossy(&body).contains("\"offset\":1"));
    headers.remove("traceparent").expect("the answer has a trace")
}

/// A back end: it publishes when it is called, and takes events.
fn back_end(gateway: &Arc<Mutex<Option<SocketAddr>>>) -> (String, mpsc::Receiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let ((tell, seen), gateway) = (mpsc::channel(), Arc::clone(gateway));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (tell, gateway) = (tell.clone(), Arc::clone(&gateway));
            std::thread::spawn(move || {
                while let Some((mut headers, body)) = read_message(&stream) {
                    let body: Value = serde_json::from_slice(&body).expect("json");
                    let traceparent = headers.remove("traceparent").expect("a trace");
                    if body["kind"] == "call" {
                        let gateway = gateway.lock().expect("nobody panics over it").expect("it runs");
                        let answered = publish(gateway, &traceparent);
                        assert_eq!(answered[..35], traceparent[..35], "the same trace");
                    }
                    tell.send(Seen { traceparent, body }).ok();
                    let answer = r#"{"result":{}}"#;
                    let length = answer.len();
                    write!(&stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{answer}").ok();
                }
            });
        }
    });
    (url, seen)
}

#[test]
fn one_trace_leads_from_a_call_to_its_webhook() {
    let gateway = Arc::default();
    let (url, seen) = back_end(&gateway);
    let common = format!(
        "url = \"{url}\"\nsecrets = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]\n\
         allow_networks = [\"127.0.0.0/8\"]\n"
    );
    let file = config_file(
        "trace",
        &format!(
            "[auth]\nguests = true\n[api]\nkeys = [\"{KEY}\"]\n[[hooks]]\non = \"call\"\n{common}\
             [[webhooks]]\nname = \"shop\"\nevents = [\"message.published\"]\nchannels = [\"room:*\"]\n{common}"
        ),
    );
    let log = ["--log", "debug", "--log-format", "json"];
    let arguments = [&["--config", file.to_str().expect("UTF-8")], &log[..]].concat();
    let mut server = Server::start(&arguments, &[]);
    *gateway.lock().expect("nobody panics over it") = Some(server.address().parse().expect("an address"));
    let mut phone = server.connect();
    phone.hello(&json!({"guest": true}));
    let session = phone.receive("welcome")["welcome"]["session"].as_str().expect("an id").to_owned();
    phone.send(&json!({"id": 5, "call": {"method": "order", "data": 7}}));
    phone.receive("ok");

    // As the phone knows it: the first half of its session's id, and the number of its request.
    let bytes = tautline_hub::CallKey::parse(&format!("{session}:5")).expect("a key");
    let trace = bytes.trace_id().to_string();
    let requests: Vec<Seen> = (0..2).map(|_| seen.recv().expect("another request")).collect();
    for kind in ["call", "message.published"] {
        let is_it = |seen: &&Seen| seen.body["kind"] == kind || seen.body["type"] == kind;
        let it = requests.iter().find(is_it).unwrap_or_else(|| panic!("no {kind}"));
        assert_eq!(it.traceparent[3..35], trace, "{kind}");
        let told = it.body["traceparent"].as_str().unwrap_or(&it.traceparent);
        assert_eq!(told[3..35], trace, "in the event, too");
    }
    let mut expected = HashMap::from([
        ("API answered", "path"),
        ("hook answered", "about"),
        ("call answered", "key"),
        ("events sent", "webhook"),
    ]);
    while !expected.is_empty() {
        let line: Value = serde_json::from_str(&server.log_line(&trace)).expect("a line is an object");
        assert_eq!(line["trace_id"], trace, "{line}");
        let name = expected.remove(line["message"].as_str().expect("a message"));
        assert!(name.is_some_and(|name| line[name].is_string()), "{line}");
    }
}
