//! Webhooks of a gateway that is killed again and again while their receiver is down.
//!
//! `WEBHOOK_KILLS` sets how often; 20 are the long form.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use serde_json::{Value, json};

use crate::process::{Server, output_of};

const PATIENCE: Duration = Duration::from_secs(60);
const SESSIONS_A_LIFE: usize = 5;

/// An event and its id.
type Arrived = (String, Value);

/// Takes the events of one webhook, in the order of their arrival.
struct Receiver {
    url: String,
    is_up: Arc<AtomicBool>,
    arrivals: mpsc::Receiver<Arrived>,
    all: Vec<Arrived>,
}

impl Receiver {
    fn listen(is_up: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/events", listener.local_addr().expect("it is bound"));
        let (tell, arrivals) = mpsc::channel();
        let is_up = Arc::new(AtomicBool::new(is_up));
        let (up, tell) = (Arc::clone(&is_up), Arc::new(Mutex::new(tell)));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (up, tell) = (Arc::clone(&up), Arc::clone(&tell));
                std::thread::spawn(move || while answer(&stream, &up, &tell).is_some() {});
            }
        });
        Self { url, is_up, arrivals, all: Vec::new() }
    }

    /// Takes events until the condition holds.
    fn take_until(&mut self, is_enough: impl Fn(&[Arrived]) -> bool) {
        while !is_enough(&self.all) {
            self.all.push(self.arrivals.recv_timeout(PATIENCE).expect("another event arrives"));
        }
    }
}

/// Answers one request; `None` at the end of the connection.
fn answer(stream: &TcpStream, up: &AtomicBool, tell: &Mutex<mpsc::Sender<Arrived>>) -> Option<()> {
    let mut reader = BufReader::with_capacity(1, stream);
    let (mut id, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim().split_once(": ") {
            Some(("webhook-id", value)) => value.clone_into(&mut id),
            Some(("content-length", value)) => length = value.parse().ok()?,
            Some(_) => {}
            None if line.trim().is_empty() => break,
            None => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let is_up = up.load(Ordering::SeqCst);
    if is_up {
        let body = serde_json::from_slice(&body).expect("an event is json");
        tell.lock().expect("nobody panics over it").send((id, body)).ok()?;
    }
    let status = if is_up { "200 OK" } else { "500 Down" };
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").ok()
}

fn config(shop: &Receiver, witness: &Receiver) -> String {
    let webhook = |name: &str, url: &str| {
        format!(
            "[[webhooks]]\nname = \"{name}\"\nurl = \"{url}\"\nevents = [\"session.*\"]\n\
             secrets = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]\nallow_networks = [\"127.0.0.0/8\"]\n"
        )
    };
    let both = [webhook("shop", &shop.url), webhook("witness", &witness.url)].concat();
    format!("[auth]\nguests = true\n[limits]\npark_ms = 1_000\n{both}")
}

fn is_about(event: &Value, kind: &str, session: &str) -> bool {
    event["type"] == kind && event["data"]["session"] == session
}

fn offset(id: &str) -> u64 {
    id.rsplit(':').next().and_then(|offset| offset.parse().ok()).expect("an id ends in an offset")
}

/// What arrived, each event once, by its place in the log.
fn by_offset(arrived: &[Arrived]) -> BTreeMap<u64, (&str, &str)> {
    let mut all = BTreeMap::new();
    for (id, event) in arrived {
        let said =
            (event["type"].as_str().expect("a type"), event["data"]["session"].as_str().expect("a session"));
        let known = all.insert(offset(id), said);
        assert!(known.is_none_or(|known| known == said), "{id} changed");
    }
    all
}

#[test]
fn events_survive_kills_while_their_receiver_is_down() {
    let kills = std::env::var("WEBHOOK_KILLS").map_or(3, |kills| kills.parse().expect("a number"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("webhooks-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the target folder can be written");
    let (mut shop, mut witness) = (Receiver::listen(false), Receiver::listen(true));
    let file = folder.join("tautline.toml");
    fs::write(&file, config(&shop, &witness)).expect("the folder can be written");
    let engine = format!("disk:{}", folder.join("data").display());
    let arguments = ["--config", file.to_str().expect("a path of text")];

    let mut sessions = Vec::new();
    for _ in 0..kills {
        let server = Server::start_on(&engine, &arguments, &[]);
        let mut lines = Vec::new();
        for _ in 0..SESSIONS_A_LIFE {
            let mut line = server.connect();
            line.hello(&json!({"guest": true}));
            let welcome = line.receive("welcome");
            sessions.push(welcome["welcome"]["session"].as_str().expect("an id").to_owned());
            lines.push(line);
        }
        // The witness has its log stored with that of the shop, or after it.
        let newest = &sessions[sessions.len() - SESSIONS_A_LIFE..];
        witness.take_until(|all| {
            let is_told =
                |session: &String| all.iter().any(|(_, event)| is_about(event, "session.opened", session));
            newest.iter().all(is_told)
        });
        server.kill();
    }
    shop.is_up.store(true, Ordering::SeqCst);
    let server = Server::start_on(&engine, &arguments, &[]);
    let is_over = |all: &[Arrived]| {
        let is_closed =
            |session: &String| all.iter().any(|(_, event)| is_about(event, "session.closed", session));
        sessions.iter().all(is_closed)
    };
    shop.take_until(is_over);
    witness.take_until(is_over);
    drop(server);

    let (told, known) = (by_offset(&shop.all), by_offset(&witness.all));
    assert_eq!(
        told.keys().copied().collect::<Vec<_>>(),
        (1..=told.len() as u64).collect::<Vec<_>>(),
        "none is missing"
    );
    let kinds = |all: &BTreeMap<u64, (&str, &str)>| {
        all.values().map(|(kind, session)| format!("{session} {kind}")).collect::<BTreeSet<_>>()
    };
    assert_eq!(kinds(&told), kinds(&known), "both logs say the same");
    assert_eq!(kinds(&told).len(), 2 * sessions.len(), "each session is opened and closed");
    for (id, event) in shop.all.iter().filter(|(_, event)| event["type"] == "session.closed") {
        assert_eq!(event["data"]["cause"], "node_lost", "{id}");
    }
    let mut seen = 0;
    for (id, _) in &shop.all {
        assert!(offset(id) <= seen + 1, "{id} came too early");
        seen = seen.max(offset(id));
    }
    fs::remove_dir_all(folder).expect("it was there");
}

#[test]
fn operator_replays_and_switches_a_webhook() {
    const KEY: (&str, &str) = ("TAUTLINE_API_KEY", "the-key-of-an-operator");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("operator-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("the target folder can be written");
    let (mut shop, witness) = (Receiver::listen(true), Receiver::listen(true));
    let file = folder.join("tautline.toml");
    fs::write(&file, config(&shop, &witness)).expect("the folder can be written");
    let server = Server::start(&["--config", file.to_str().expect("a path of text")], &[KEY]);
    let url = format!("http://{}", server.address());
    let webhooks = |what: &[&str]| {
        let output = output_of(&[&["webhooks", what[0], &url], &what[1..]].concat(), &[KEY]);
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text"));
        (output.status.code(), text.concat())
    };
    let mut line = server.connect();
    line.hello(&json!({"guest": true}));
    line.receive("welcome");
    shop.take_until(|all| !all.is_empty());
    let (code, said) = webhooks(&["replay", "shop", "1"]);
    assert!(code == Some(0) && said.starts_with("shop: active at "), "{said}");
    let first = shop.all[0].clone();
    shop.take_until(|all| all.iter().filter(|event| **event == first).count() == 2);
    let (_, said) = webhooks(&["disable", "shop"]);
    assert!(said.starts_with("shop: off at "), "{said}");
    let (_, said) = webhooks(&["list"]);
    assert!(said.contains("shop: off") && said.contains("witness: active"), "{said}");
    let (_, said) = webhooks(&["enable", "shop", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&said).expect("json")["state"], "active", "{said}");
    let (code, said) = webhooks(&["enable", "nobody"]);
    assert!(code == Some(1) && said.contains("no webhook of this node has this name"), "{said}");
    fs::remove_dir_all(folder).expect("it was there");
}
