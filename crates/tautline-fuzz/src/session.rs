//! The client's state machine under a server that says anything, from a storage that holds anything.

use serde_json::value::RawValue;
use tautline_protocol::{
    Now, ReadFrom,
    client::{Input, NewRequest, Options, Output, RequestVerb, Session, Stored},
    json::{packets, parse_client},
    packet::{Auth, Verb},
};

/// Outputs of one input, and timeouts in a row, at most: a machine that goes round in circles never comes to an end.
const ROUNDS_MAX: usize = 10_000;

/// Messages of a server with a 0 byte between them. The first part is what the storage holds; an empty message lets the next
/// deadline come.
pub fn client_session(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut parts = text.split('\0');
    let mut phone = Phone::new(parts.next().unwrap_or_default());
    for message in parts {
        if message.is_empty() {
            phone.wait();
        } else {
            let socket = phone.socket;
            phone.input(Input::SocketMessage { socket, text: message });
        }
    }
    for _ in 0..20 {
        phone.wait();
    }
    phone.input(Input::Close);
    assert_eq!(phone.session.poll_timeout(), None, "a closed client waits for something");
}

struct Phone {
    session: Session,
    now: Now,
    socket: u64,
    to_open: bool,
    to_log_in: bool,
}

impl Phone {
    fn new(stored: &str) -> Self {
        let session = Session::new(Options { store_ms: 1_000, ..Options::default() }, 1);
        let now = Now::new(1_000, 1_763_666_000_000);
        let mut phone = Self { session, now, socket: 0, to_open: false, to_log_in: false };
        phone.input(Input::Restore(Stored::parse(stored).ok().map(Box::new)));
        phone.input(Input::Subscribe { channel: "a".to_owned(), from: ReadFrom::Now });
        for (request, verb, body) in [
            (1, RequestVerb::Publish, r#"{"channel":"a","data":1}"#),
            (2, RequestVerb::Call, r#"{"method":"m"}"#),
        ] {
            let body = RawValue::from_string(body.to_owned()).expect("json");
            let request =
                NewRequest { request, verb, body, ttl_ms: None, idempotent: false, volatile: false };
            phone.input(Input::Request(request));
        }
        phone.input(Input::Connect);
        phone
    }

    fn input(&mut self, input: Input<'_>) {
        self.session.handle_input(self.now, input);
        self.drain();
        for _ in 0..ROUNDS_MAX {
            if std::mem::take(&mut self.to_log_in) {
                self.session.handle_input(self.now, Input::Auth(Auth::Guest { guest: true }));
            } else if std::mem::take(&mut self.to_open) {
                self.session.handle_input(self.now, Input::SocketOpen { socket: self.socket });
            } else {
                return;
            }
            self.drain();
        }
        panic!("logs in and dials for ever");
    }

    fn drain(&mut self) {
        let _ = self.session.poll_store();
        for _ in 0..ROUNDS_MAX {
            match self.session.poll_output() {
                None => return,
                Some(Output::FetchAuth { .. }) => self.to_log_in = true,
                Some(Output::Dial { socket }) => (self.socket, self.to_open) = (socket, true),
                Some(Output::Send { text, .. }) => check_sent(&text),
                Some(_) => {}
            }
        }
        panic!("outputs without an end");
    }

    /// Lets the next deadline come.
    fn wait(&mut self) {
        if let Some(deadline) = self.session.poll_timeout() {
            let ms = deadline.saturating_sub(self.now.mono_ms);
            // What a server says must not make a client sleep for years; waits have ceilings.
            self.now = self.now.plus_ms(ms.min(1 << 40));
            self.input(Input::Timeout);
        }
    }
}

/// Whatever was events: what is sent are packets. A body is the app's, or the storage's, and for the server to judge.
fn check_sent(text: &str) {
    for line in packets(text) {
        match parse_client(line) {
            Ok(packet) => assert!(!matches!(packet.verb, Verb::Unknown(_)), "sent: {line}"),
            Err(error) => panic!("sent: {line}: {error}"),
        }
    }
}
