//! Login codes over real sockets: a vendor that answers, one that hangs, and those who need none.

use serde_json::{Value, json};
use tautline_backend::{
    Authenticator, AuthenticatorOptions, LoginOptions, Secret,
    mock::{APP_ID, APP_SECRET, MockServer, MockVendor},
};
use tautline_gateway::{Gateway, GatewayBuilder};
use tautline_protocol::Limits;
use tokio::runtime::Runtime;

use crate::{
    logins::{FAR_AWAY, SECRET, token},
    rig::{Client, Rig, TEST_TIMEOUT, bye, config_with_long_linger},
};

/// A vendor on its own threads: dropping it resets its connections.
struct Vendor {
    mock: MockServer,
    runtime: Option<Runtime>,
    url: String,
}

impl Vendor {
    fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let url = format!("http://{}/sns/jscode2session", listener.local_addr().expect("it is bound"));
        let mock = MockServer::new(MockVendor::WeChat);
        runtime.spawn(mock.clone().serve(listener));
        Self { mock, runtime: Some(runtime), url }
    }

    /// A gateway that takes codes to this vendor, and tokens.
    fn gateway(&self, change: impl FnOnce(&mut LoginOptions)) -> GatewayBuilder {
        let mut wechat = LoginOptions::new("wechat", APP_ID, Secret::new(APP_SECRET));
        wechat.url = Some(self.url.clone());
        change(&mut wechat);
        let mut options = AuthenticatorOptions::default();
        options.hs256_secrets = vec![SECRET.into()];
        options.logins = vec![wechat];
        let mut config = config_with_long_linger();
        config.backend_timeout = TEST_TIMEOUT;
        // A slow machine needs some time to send thousands of hellos.
        let limits = Limits { hello_ms: 600_000, ..Limits::default() };
        let builder = Gateway::builder().config(config).limits(limits);
        builder.backend(Authenticator::new(&options).expect("valid options"))
    }
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.runtime.take().expect("it is there until now").shutdown_background();
    }
}

fn send_code(rig: &Rig, code: &str) -> Client {
    let mut client = rig.connect();
    client.send(&json!({"hello": {"v": 1, "auth": {"code": code, "provider": "wechat"}}}));
    client
}

fn login(rig: &Rig, code: &str) -> Value {
    send_code(rig, code).receive()
}

#[test]
fn code_logs_in_and_its_ticket_needs_no_vendor() {
    let vendor = Vendor::start();
    let rig = Rig::serve(vendor.gateway(|_| {}));
    let mut welcome = login(&rig, "ann.1");
    assert_eq!(welcome["welcome"]["user"], "wechat:ann");
    for attempt in 1..=200 {
        let ticket = welcome["welcome"]["ticket"].as_str().expect("a ticket").to_owned();
        let mut client = rig.connect();
        client.send(&json!({"hello": {"v": 1, "resume": {"ticket": ticket, "attempt": attempt}}}));
        welcome = client.receive();
        assert_eq!(welcome["welcome"]["resumed"], true, "{welcome}");
    }
    assert_eq!(vendor.mock.requests(), 1);
}

#[test]
fn each_refusal_has_its_bye() {
    let vendor = Vendor::start();
    let rig = Rig::serve(vendor.gateway(|_| {}));
    let refused = |code: &str| send_code(&rig, code).final_answer();
    assert_eq!(refused("expired.1"), bye("unauthorized", 4102, "later"));
    assert_eq!(refused("often.1"), bye("rate_limited", 4003, "later"));
    assert_eq!(refused("banned.1"), bye("banned", 4104, "never"));
    assert_eq!(refused("busy.1"), bye("overloaded", 4002, "later"));
    let often = login(&rig, "often.2");
    assert_eq!(often["bye"]["retry_after_ms"], 60_000);
    let expired = login(&rig, "expired.2");
    assert_eq!(expired["bye"]["retry_after_ms"], 1_000);
}

#[test]
fn code_of_a_client_that_was_cut_off_is_good_when_it_comes_back() {
    let vendor = Vendor::start();
    let rig = Rig::serve(vendor.gateway(|_| {}));
    send_code(&rig, "slow.1").disconnect();
    assert_eq!(login(&rig, "slow.1")["welcome"]["user"], "wechat:slow");
    assert_eq!(vendor.mock.requests(), 1);
}

/// 2,000 are a matter of patience and of open files: `TAUTLINE_TEST_LOGIN_CLIENTS=2000`.
fn clients_wanted() -> usize {
    let said = std::env::var("TAUTLINE_TEST_LOGIN_CLIENTS").ok();
    said.map_or(200, |said| said.parse().expect("a number of clients"))
}

#[test]
fn slow_vendor_lets_all_in_and_delays_nobody_else() {
    let vendor = Vendor::start();
    let rig = Rig::serve(vendor.gateway(|wechat| {
        wechat.codes_per_address_max = 10_000;
        wechat.calls_per_second_max = 10_000;
        wechat.calls_running_max = 50;
    }));
    let code = |n: usize| format!("slow.{n}");
    let mut clients: Vec<_> = (0..clients_wanted()).map(|n| (n, send_code(&rig, &code(n)))).collect();
    rig.wait_until("the vendor is asked", |_| vendor.mock.requests() > 0);
    let mut other = {
        let mut other = rig.connect();
        let claims = json!({"sub": "other", "exp": FAR_AWAY});
        other.send(&json!({"hello": {"v": 1, "auth": {"token": token(&claims)}}}));
        assert_eq!(other.receive()["welcome"]["user"], "other");
        other
    };
    let mut let_in = 0;
    while let Some((n, mut client)) = clients.pop() {
        let answer = client.receive();
        if answer["welcome"]["user"] == "wechat:slow" {
            let_in += 1;
        } else {
            assert_eq!(answer["bye"]["code"], "overloaded", "{answer}");
            assert!(answer["bye"]["retry_after_ms"].is_u64(), "{answer}");
            // Those who come again wait behind all others here, so that there are turns for them.
            clients.insert(0, (n, send_code(&rig, &code(n))));
        }
        if let_in % 50 == 0 {
            other.send(&json!({"ping": {}}));
            assert!(other.receive()["pong"].is_object());
        }
    }
    assert_eq!(
        (let_in, vendor.mock.requests()),
        (clients_wanted(), clients_wanted()),
        "each code was sent once"
    );
}

#[test]
fn vendor_that_hangs_holds_up_nobody_else_and_everybody_is_told() {
    const NEW_CLIENTS: usize = 2_000;
    let vendor = Vendor::start();
    let rig = Rig::serve(vendor.gateway(|wechat| {
        wechat.timeout = TEST_TIMEOUT;
        wechat.codes_per_address_max = 10_000;
        wechat.calls_per_second_max = 10_000;
    }));
    let clients: Vec<_> = (0..NEW_CLIENTS).map(|n| send_code(&rig, &format!("hang.{n}"))).collect();
    // Its calls hang until it is dropped, and meanwhile others come and go.
    rig.wait_until("the vendor is asked", |_| vendor.mock.requests() > 0);
    for n in 0..20 {
        let mut client = rig.connect();
        let claims = json!({"sub": format!("u{n}"), "exp": FAR_AWAY});
        client.send(&json!({"hello": {"v": 1, "auth": {"token": token(&claims)}}}));
        assert_eq!(client.receive()["welcome"]["user"], format!("u{n}"));
    }
    assert!(vendor.mock.requests() <= 64, "{} calls at once", vendor.mock.requests());
    drop(vendor);
    for mut client in clients {
        let answer = client.receive();
        assert_eq!(answer["bye"]["code"], "overloaded", "{answer}");
        assert!(answer["bye"]["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0), "{answer}");
    }
}
