//! Methods: each call is settled once, whatever its handler does.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json, value::to_raw_value};
use tautline_gateway::{CallError, GatewayBuilder};
use tokio::sync::Semaphore;

use crate::rig::{Rig, config, open_to_all};

fn with_all_kinds() -> GatewayBuilder {
    open_to_all()
        .call("panic", |_| async { panic!("a bug of the app, part of the test") })
        .call("panic_at_once", |_| -> std::future::Ready<_> { panic!("a bug of the app, part of the test") })
        .call("panic_later", |_| async {
            tokio::task::yield_now().await;
            panic!("a bug of the app, part of the test")
        })
        .call("sold_out", |_| async { Err(CallError::new("sold_out", "come back tomorrow")) })
        .call("never", |_| std::future::pending())
        .call("who", |call| async move {
            let who = json!([call.user.map(|user| user.to_string()), call.key.session().is_empty()]);
            Ok(to_raw_value(&who).expect("it is JSON"))
        })
}

fn call(method: &str) -> Value {
    json!({"method": method, "data": null, "timeout_ms": 50})
}

#[test]
fn each_call_failure_has_its_code() {
    let rig = Rig::serve(with_all_kinds());
    let mut client = rig.guest();
    let expected = [
        ("panic", "internal"),
        ("panic_at_once", "internal"),
        ("panic_later", "internal"),
        ("sold_out", "sold_out"),
        ("never", "timeout"),
        ("no_such_method", "not_found"),
    ];
    for (method, code) in expected {
        let answer = client.request("call", &call(method));
        assert_eq!(answer["error"]["code"], code, "{method}: {answer}");
    }
    assert_eq!(client.echo(&json!("still here")), "still here");
    let stats = rig.gateway.stats();
    assert_eq!((stats.panics, stats.calls_running), (0, 0), "a handler's panic is not the connection's");
}

#[test]
fn handler_gets_the_caller() {
    let rig = Rig::serve(with_all_kinds());
    assert_eq!(rig.guest().request("call", &call("who"))["ok"]["data"], json!([null, false]));
}

#[test]
fn call_data_returns_byte_for_byte() {
    let rig = Rig::serve(open_to_all());
    let mut client = rig.guest();
    let odd = r#"{"a":1e400,  "a":12345678901234567890123,"b" : "\u00e9\/" }"#;
    let packet = format!(r#"{{"id":1,"call":{{"method":"echo","data":{odd}}}}}"#);
    client.socket.send(tungstenite::Message::text(packet)).unwrap();
    let answer = client.socket.read().unwrap().into_text().unwrap();
    assert_eq!(answer.as_str().trim_end(), format!(r#"{{"id":1,"ok":{{"data":{odd}}}}}"#));
}

#[test]
fn slow_method_does_not_delay_a_quick_one() {
    let gate = Arc::new(Semaphore::new(0));
    let handler = {
        let gate = Arc::clone(&gate);
        move |call: tautline_gateway::Call| {
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await.expect("it stays open").forget();
                Ok(call.data)
            }
        }
    };
    let rig = Rig::serve(open_to_all().call("slow", handler));
    let mut client = rig.guest();
    let slow = client.send_request("call", &json!({"method": "slow", "data": "at last"}));
    assert_eq!(client.echo(&json!("quick")), "quick");
    gate.add_permits(1);
    assert_eq!(client.receive(), json!({"id": slow, "ok": {"data": "at last"}}));
}

#[test]
fn repeated_call_runs_its_method_once() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let rig = Rig::serve(open_to_all().call("count", move |call| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move { Ok(call.data) }
    }));
    let mut client = rig.guest();
    let first = client.request("call", &call("count"));
    client.send(&json!({"id": 1, "again": true, "call": call("count")}));
    assert_eq!(client.receive(), first);
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[test]
fn call_beyond_ceiling_is_overloaded_until_one_ends() {
    let mut config = config();
    config.calls_running_max = 1;
    let rig = Rig::serve(with_all_kinds().config(config));
    let mut client = rig.guest();
    let first = client.send_request("call", &json!({"method": "never", "data": null, "timeout_ms": 200}));
    let refused = client.request("call", &call("never"));
    assert_eq!(refused["error"]["code"], "overloaded");
    let ended = client.receive();
    assert_eq!((&ended["id"], &ended["error"]["code"]), (&json!(first), &json!("timeout")));
    assert_eq!(client.echo(&json!(1)), 1);
}

#[test]
fn one_user_gets_half_of_the_running_methods() {
    let mut config = config();
    config.calls_running_max = 9;
    let rig = Rig::serve(with_all_kinds().config(config));
    let mut greedy = rig.guest();
    let forever = json!({"method": "never", "data": null, "timeout_ms": 30_000});
    for _ in 0..9 {
        greedy.send_request("call", &forever);
    }
    for _ in 0..4 {
        assert_eq!(greedy.receive()["error"]["code"], "overloaded");
    }
    for _ in 0..8 {
        let mut modest = rig.guest();
        assert_eq!(modest.request("call", &call("sold_out"))["error"]["code"], "sold_out");
    }
}
