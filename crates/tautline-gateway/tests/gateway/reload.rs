//! Settings that are replaced while clients are connected.

use std::net::{SocketAddr, TcpStream};

use rustls::version::TLS13;
use serde_json::{Value, json};
use tautline_backend::{Authenticator, AuthenticatorOptions};
use tautline_gateway::{ApiKeys, Tls};
use tautline_hub::{Access, ChannelRule, Rates, RulePattern};
use tautline_protocol::Limits;
use tungstenite::WebSocket;

use crate::{
    rig::{Client, Rig, config, open_to_all},
    tls::{self, Authority, Secure},
};

const RELOADS: usize = 20;
/// Clients from here on subscribe.
const SUBSCRIBERS: usize = 100;

/// 5,000 are a matter of patience and of open files: `TAUTLINE_TEST_RELOAD_CLIENTS=5000` after `ulimit -n 12000`.
fn clients_wanted() -> usize {
    let said = std::env::var("TAUTLINE_TEST_RELOAD_CLIENTS").ok();
    said.map_or(300, |said| said.parse().expect("a number of clients"))
}

fn status_of(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

/// The status of a publication with this key.
fn publish(rig: &Rig, key: &str) -> String {
    let body = r#"{"channel":"news","data":1}"#;
    let answer = rig.exchange(&format!(
        "POST /api/v1/publish HTTP/1.1\r\nHost: line.example\r\nAuthorization: Bearer {key}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    status_of(&answer).to_owned()
}

/// The status of a handshake from this page.
fn connect(rig: &Rig, origin: &str) -> String {
    let answer = rig.exchange(&format!(
        "GET /connect HTTP/1.1\r\nHost: line.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: {origin}\r\n\r\n"
    ));
    status_of(&answer).to_owned()
}

fn rule(access: Access) -> ChannelRule {
    let closed = ChannelRule::closed(RulePattern::parse("*").expect("a pattern"));
    ChannelRule { subscribe: access, publish: access, ..closed }
}

fn still_connected(clients: &mut [Client]) {
    for client in clients {
        assert_eq!(client.echo(&json!(7)), 7);
    }
}

/// Clients by TLS, one in ten of those wanted, and the certificate that the next one is to be shown.
struct SecureClients {
    authority: Authority,
    tls: Tls,
    address: SocketAddr,
    clients: Vec<WebSocket<Secure<TcpStream>>>,
}

impl SecureClients {
    fn of(rig: &Rig) -> Self {
        let authority = Authority::new();
        let tls = Tls::new(vec![authority.issue("a.example").0]).expect("a certificate");
        let address = rig.serve_also(|listener| listener.tls(tls.clone()));
        let mut of = Self { authority, tls, address, clients: Vec::new() };
        of.clients = (0..clients_wanted() / 10).map(|_| of.connect()).collect();
        of
    }

    /// Without a ticket of an earlier TLS session, which would spare it the certificate.
    fn connect(&self) -> WebSocket<Secure<TcpStream>> {
        tls::guest(tls::secure(tls::dial(self.address), &self.authority.client(&[&TLS13]), "a.example"))
    }

    /// New handshakes see the new certificate, and nobody is dropped.
    fn replace_certificate(&mut self, nth: u64) {
        let (certificate, der) = self.authority.issue("a.example");
        self.tls.replace(vec![certificate]).expect("a good certificate");
        let fresh = self.connect();
        let seen = fresh.get_ref().conn.peer_certificates().expect("it was shown one");
        assert_eq!(seen[0], der, "reload {nth}");
        let place = usize::try_from(nth).expect("twenty") % self.clients.len();
        // The one that is replaced leaves by its own will.
        let mut before = std::mem::replace(&mut self.clients[place], fresh);
        tls::assert_echo(&mut before, 2_000 + nth, "still here");
        for client in &mut self.clients {
            tls::assert_echo(client, 1_000 + nth, "still here");
        }
    }
}

#[test]
fn twenty_reloads_drop_nobody_and_hold_at_once() {
    let mut config = config();
    config.connections_per_address_max = 2 * clients_wanted();
    // Most of them say nothing until the end, which takes a while with thousands.
    let limits = Limits { ping_ms: 600_000, ..Limits::default() };
    let rig = Rig::serve(open_to_all().config(config).limits(limits));
    let mut clients: Vec<_> = (0..clients_wanted()).map(|_| rig.guest()).collect();
    let mut secure = SecureClients::of(&rig);
    let key = |nth: usize| format!("key-of-reload-{nth:04}");
    let origin = |nth: usize| format!("https://shop-{nth}.example");
    for nth in 1..=RELOADS {
        rig.gateway.set_api_keys(ApiKeys::all_open([key(nth)]).expect("a good key"));
        rig.gateway.set_allowed_origins([origin(nth)]);
        assert_eq!(
            (publish(&rig, &key(nth)).as_str(), publish(&rig, &key(nth - 1)).as_str()),
            ("200", "401")
        );
        let (new, old) = (connect(&rig, &origin(nth)), connect(&rig, &origin(nth - 1)));
        assert_eq!((new.as_str(), old.as_str()), ("101", "403"));
        let is_open = nth % 2 == 0;
        rig.gateway.hub().set_rules(vec![rule(if is_open { Access::Any } else { Access::None })]);
        rig.gateway.hub().set_rates(&Rates { keys_max: nth, ..Rates::default() });
        let subscriber = SUBSCRIBERS + nth;
        if !is_open && nth > 1 {
            assert!(clients[subscriber - 1].receive()["unsubscribed"].is_object(), "the permission is gone");
        }
        let answer = clients[subscriber].request("subscribe", &json!({"channel": "room:7"}));
        assert_eq!(answer["ok"].is_object(), is_open, "{answer}");
        secure.replace_certificate(nth as u64);
        still_connected(&mut clients[..5]);
    }
    still_connected(&mut clients);
    rig.gateway.set_allowed_origins([""; 0]);
    assert_eq!(connect(&rig, "https://any.example"), "101");
}

#[test]
fn replaced_logins_drop_nobody_and_hold_at_once() {
    let secret = |nth: usize| format!("{nth:02} a secret of the app and its gateway");
    let logins = |nth: usize| {
        let mut options = AuthenticatorOptions::default();
        options.hs256_secrets = vec![secret(nth).into_bytes()];
        Authenticator::new(&options).expect("a good secret")
    };
    let rig = Rig::serve(open_to_all().backend(logins(0)));
    let hello = |hello: &Value| {
        let mut client = rig.connect();
        client.send(&json!({ "hello": hello }));
        (client.receive(), client)
    };
    let log_in = |nth: usize| {
        let claims = json!({"sub": "u1", "exp": 4_000_000_000_u64});
        let token = tautline_backend::sign_hs256(&claims, secret(nth).as_bytes()).expect("it can be signed");
        hello(&json!({"v": 1, "auth": {"token": token}}))
    };
    let mut clients = Vec::new();
    for nth in 0..RELOADS {
        let (welcome, client) = log_in(nth);
        assert_eq!(welcome["welcome"]["user"], "u1", "{welcome}");
        clients.push(client);
        rig.gateway.set_backend(logins(nth + 1));
        assert_eq!(log_in(nth).0["bye"]["code"], "unauthorized");
        let resume = json!({"ticket": welcome["welcome"]["ticket"], "attempt": 2, "cursors": {}});
        let answer = hello(&json!({"v": 1, "resume": resume})).0;
        assert_eq!(answer["challenge"]["code"], "ticket_revoked", "{answer}");
    }
    still_connected(&mut clients);
}
