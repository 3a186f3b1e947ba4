//! A proxy before Redis that enforces the rules of rented ones, as their documentation tells them: no PUBLISH,
//! `unpack` or clock in scripts, keys literal and of one slot, no RESP3, no CLIENT ID, no SCRIPT LOAD for all
//! nodes.

use std::{
    collections::HashSet,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// What one proxy has refused, and the scripts that it knows.
#[derive(Default)]
pub struct Rules {
    pub refused: Mutex<Vec<String>>,
    scripts: Mutex<HashSet<String>>,
}

/// Starts a proxy before the server at this port. Its URL, and what it refuses.
pub fn proxy(port: u16) -> (String, Arc<Rules>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("redis://{}", listener.local_addr().expect("it is bound"));
    let rules = Arc::new(Rules::default());
    let of = Arc::clone(&rules);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let rules = Arc::clone(&of);
            let server = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
            std::thread::spawn(move || carry(&client, &server, &rules));
        }
    });
    (url, rules)
}

/// Carries one command and its reply at a time.
fn carry(client: &TcpStream, server: &TcpStream, rules: &Rules) -> Option<()> {
    let (mut commands, mut replies) = (BufReader::new(client), BufReader::new(server));
    let (mut to_client, mut to_server) = (client, server);
    loop {
        let bytes = frame(&mut commands)?;
        let args = arguments(&bytes);
        if let Some(why) = rules.objection(&args) {
            if !why.starts_with("NOSCRIPT") {
                rules.refused.lock().expect("no thread panics").push(format!("{}: {why}", args[0]));
            }
            to_client.write_all(format!("-{why}\r\n").as_bytes()).ok()?;
            continue;
        }
        to_server.write_all(&bytes).ok()?;
        if args[0].eq_ignore_ascii_case("SUBSCRIBE") {
            // From here on the server speaks when it likes.
            return std::io::copy(&mut replies, &mut to_client).ok().map(drop);
        }
        to_client.write_all(&frame(&mut replies)?).ok()?;
    }
}

impl Rules {
    fn objection(&self, args: &[String]) -> Option<&'static str> {
        match (args[0].to_ascii_uppercase().as_str(), args.get(1).map(String::as_str)) {
            ("HELLO", _) => Some("ERR unknown command 'HELLO'"),
            ("CLIENT", _) => Some("ERR CLIENT is not supported by the proxy"),
            ("SCRIPT", _) => Some("ERR SCRIPT LOAD is not for all nodes"),
            ("EVALSHA", Some(sha)) => {
                let known = self.scripts.lock().expect("no thread panics").contains(sha);
                // As if each command met a node that does not know the script, once.
                (!known).then(|| {
                    self.scripts.lock().expect("no thread panics").insert(sha.to_owned());
                    "NOSCRIPT this node does not know it"
                })
            }
            ("EVAL", Some(text)) => script_objection(text).or_else(|| slot_objection(args)),
            _ => None,
        }
    }
}

fn script_objection(text: &str) -> Option<&'static str> {
    if ["PUBLISH", "unpack", "'TIME'", "SPUBLISH", "SUBSCRIBE"].iter().any(|word| text.contains(word)) {
        return Some("ERR bad lua script for redis cluster, nonsupport this command");
    }
    let is_literal = |call: &str| {
        let key = call.split_once(", ").map_or("", |(_, rest)| rest);
        key.starts_with("KEYS[") && key.as_bytes().get(5).is_some_and(u8::is_ascii_digit)
    };
    let all = text.split("redis.call(").skip(1).all(is_literal);
    (!all).then_some("ERR bad lua script for redis cluster, all the keys that the script uses should be passed using the KEYS array")
}

fn slot_objection(args: &[String]) -> Option<&'static str> {
    let count: usize = args[2].parse().ok()?;
    let tag = |key: &String| key.split(['{', '}']).nth(1).unwrap_or_default().to_owned();
    let tags: HashSet<_> = args[3..3 + count].iter().map(tag).collect();
    (count == 0 || tags.len() > 1 || tags.contains(""))
        .then_some("CROSSSLOT keys in request don't hash to the same slot")
}

/// One command or reply as bytes.
fn frame(from: &mut impl std::io::BufRead) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut left = 1_i64;
    while left > 0 {
        left -= 1;
        let start = bytes.len();
        from.read_until(b'\n', &mut bytes).ok().filter(|read| *read > 0)?;
        let line = std::str::from_utf8(&bytes[start..]).ok()?.trim_end();
        let number = line[1..].parse::<i64>().unwrap_or(-1).max(-1);
        match &line[..1] {
            "$" if number >= 0 => {
                let mut rest = vec![0; usize::try_from(number).ok()? + 2];
                from.read_exact(&mut rest).ok()?;
                bytes.extend(rest);
            }
            "*" => left += number.max(0),
            _ => {}
        }
    }
    Some(bytes)
}

/// The arguments of a command, as text.
fn arguments(bytes: &[u8]) -> Vec<String> {
    let mut rest = BufReader::new(bytes);
    let mut line = String::new();
    rest.read_line(&mut line).expect("it is in memory");
    let count = line.trim_end()[1..].parse().expect("a command is an array");
    (0..count)
        .map(|_| {
            let bulk = frame(&mut rest).expect("a command is whole");
            let at = bulk.iter().position(|byte| *byte == b'\n').expect("a bulk has a line") + 1;
            String::from_utf8_lossy(&bulk[at..bulk.len() - 2]).into_owned()
        })
        .collect()
}
