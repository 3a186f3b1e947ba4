//! Rate limits over real sockets: a greedy client is refused, others are not.

use serde_json::json;
use tautline_gateway::{NodeLimits, RateSet, Rates};

use crate::{
    api::{post, send_request, with_key},
    rig::{API_KEY, Rig, open_to_all},
};

fn set(requests: &str) -> RateSet {
    RateSet { requests: Some(requests.parse().expect("a rate")), ..RateSet::default() }
}

fn rig(rates: Rates) -> Rig {
    Rig::serve(open_to_all().limits(NodeLimits { rates, ..NodeLimits::default() }))
}

#[test]
fn greedy_client_is_refused_and_closed_beside_innocent_ones() {
    let rig = rig(Rates { connection: set("10/h"), ..Rates::default() });
    let (mut greedy, mut innocent) = (rig.guest(), rig.guest());
    for n in 0..10 {
        assert_eq!(greedy.request("call", &json!({"method": "echo", "data": n}))["ok"]["data"], n);
    }
    let error = greedy.request("call", &json!({"method": "echo"}))["error"].clone();
    let wait_ms = error["retry_after_ms"].as_u64().expect("a wait");
    assert!(error["code"] == "rate_limited" && (300_000..=360_000).contains(&wait_ms), "{error}");
    for _ in 0..100 {
        greedy.send_request("call", &json!({"method": "echo"}));
    }
    let bye = std::iter::repeat_with(|| greedy.receive()).find(|packet| packet["bye"].is_object());
    assert_eq!(bye.expect("it ends")["bye"]["code"], "rate_limited");
    for n in 0..10 {
        assert_eq!(innocent.request("call", &json!({"method": "echo", "data": n}))["ok"]["data"], n);
    }
}

#[test]
fn api_key_beyond_its_rate_gets_429_with_retry_after() {
    let rig = rig(Rates { api_key: set("2/h"), ..Rates::default() });
    let body = r#"{"channel":"room:7","data":1}"#;
    assert_eq!(post(&rig, Some(API_KEY), body).0, 200);
    assert_eq!(send_request(&rig, "GET /api/v1/users/u42/inbox", &with_key(""), "").0, 200);
    for _ in 0..2 {
        let (status, answer) = post(&rig, Some(API_KEY), body);
        assert_eq!((status, &answer["error"]["code"]), (429, &json!("rate_limited")), "{answer}");
        assert!(answer["error"]["retry_after_ms"].as_u64() > Some(1_000_000), "{answer}");
    }
    assert_eq!(post(&rig, Some("not-a-key-of-the-gateway"), body).0, 401, "the key is asked for first");
    assert_eq!(send_request(&rig, "GET /health/live", "", "").0, 200);
    let mut client = rig.guest();
    assert_eq!(client.echo(&json!(1)), json!(1));
}

#[test]
fn each_publication_of_a_request_is_charged_to_the_key() {
    let publishes =
        |rate: &str| RateSet { publishes: Some(rate.parse().expect("a rate")), ..RateSet::default() };
    let many = |path: &str, member: &str, entries: Vec<serde_json::Value>| {
        let rig = rig(Rates { api_key: publishes("10/h"), ..Rates::default() });
        let mut body = json!({});
        body[member] = entries.into();
        if member != "entries" {
            body["data"] = json!(1);
        }
        let send = || send_request(&rig, &format!("POST /api/v1/{path}"), &with_key(""), &body.to_string()).0;
        [send(), send(), send()]
    };
    let entry = json!({"publish": {"channel": "room:7", "data": 1}});
    for statuses in [
        many("batch", "entries", vec![entry; 4]),
        many("broadcast", "channels", (0..4).map(|n| json!(format!("room:{n}"))).collect()),
        many("push/many", "users", (0..4).map(|n| json!(format!("u{n}"))).collect()),
    ] {
        assert_eq!(statuses, [200, 200, 429], "four publications each, of ten");
    }
}
