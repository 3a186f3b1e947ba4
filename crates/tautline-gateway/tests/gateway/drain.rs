//! Draining.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::json;
use tautline_protocol::Limits;

use crate::rig::{Rig, TEST_TIMEOUT, config, config_with_long_linger, open_to_all, read_answer};

const SPREAD: Duration = Duration::from_millis(1500);

#[test]
fn drain_spreads_reconnects_over_time() {
    let rig = Rig::serve(open_to_all());
    let clients: Vec<_> = (0..20).map(|_| rig.guest()).collect();
    let listening: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            std::thread::spawn(move || {
                let bye = client.receive()["bye"].clone();
                assert_eq!(client.receive_close(), (4001, "server_restart".to_owned()));
                client.expect_eof();
                bye
            })
        })
        .collect();
    rig.runtime.block_on(rig.gateway.drain(SPREAD, TEST_TIMEOUT));
    assert_eq!(rig.gateway.stats().connections, 0);
    let mut waits = Vec::new();
    for listener in listening {
        let bye = listener.join().unwrap();
        assert_eq!((&bye["code"], &bye["reconnect"]), (&json!("server_restart"), &json!("later")));
        waits.push(bye["retry_after_ms"].as_u64().unwrap());
    }
    assert!(waits.iter().all(|wait| *wait <= 1500), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait != waits[0]), "{waits:?}");
}

#[test]
fn drain_closes_the_port_at_once() {
    let rig = Rig::serve(open_to_all());
    rig.runtime.block_on(rig.gateway.drain(SPREAD, TEST_TIMEOUT));
    let refused = TcpStream::connect(rig.address).and_then(|mut stream| {
        stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: line.example\r\n\r\n")?;
        stream.read_exact(&mut [0])
    });
    assert!(refused.is_err());
}

#[test]
fn drain_closes_idle_http_connections() {
    let rig = Rig::serve(open_to_all());
    let mut idle = rig.dial();
    idle.write_all(b"GET /health/live HTTP/1.1\r\nHost: line.example\r\n\r\n").unwrap();
    assert!(read_answer(&mut idle).starts_with("HTTP/1.1 200"));
    rig.runtime.block_on(rig.gateway.drain(SPREAD, TEST_TIMEOUT));
    assert_eq!(rig.gateway.stats().http_connections, 0);
    assert_eq!(idle.read(&mut [0]).unwrap(), 0, "it was closed");
}

#[test]
fn drain_returns_at_its_timeout_despite_open_connections() {
    let rig = Rig::serve(open_to_all());
    let _mute = rig.connect();
    rig.wait_until("it is there", |gateway| gateway.stats().connections == 1);
    rig.runtime.block_on(rig.gateway.drain(SPREAD, Duration::from_millis(50)));
    assert_eq!(rig.gateway.stats().connections, 1);
}

#[test]
fn drain_sends_bye_to_websocket_without_hello() {
    let limits = Limits { hello_ms: 3_600_000, ..Limits::default() };
    let rig = Rig::serve(open_to_all().limits(limits));
    let mut silent = rig.connect();
    rig.wait_until("it is there", |gateway| gateway.stats().hub.connections == 1);
    let listening = std::thread::spawn(move || {
        let bye = silent.receive()["bye"].clone();
        (bye, silent.receive_close())
    });
    rig.runtime.block_on(rig.gateway.drain(SPREAD, TEST_TIMEOUT));
    assert_eq!(rig.gateway.stats().connections, 0);
    let (bye, closed) = listening.join().unwrap();
    assert_eq!((&bye["code"], &bye["reconnect"]), (&json!("server_restart"), &json!("later")));
    assert_eq!(closed, (4001, "server_restart".to_owned()));
}

#[test]
fn drain_drops_stalled_reader_after_spread_and_linger() {
    let mut config = config();
    config.stall_timeout = Duration::from_secs(3600);
    config.unacknowledged_timeout = Duration::from_secs(3600);
    config.linger_timeout = Duration::from_millis(100);
    let rig = Rig::serve(open_to_all().config(config));
    let (mut stalled, mut publisher) = (rig.guest(), rig.guest());
    stalled.request("subscribe", &json!({"channel": "busy"}));
    for _ in 0..400 {
        publisher.request("publish", &json!({"channel": "busy", "data": "x".repeat(4096)}));
    }
    publisher.disconnect();
    rig.wait_until("the publisher has gone", |gateway| gateway.stats().connections == 1);
    rig.runtime.block_on(rig.gateway.drain(Duration::from_millis(100), TEST_TIMEOUT));
    assert_eq!(rig.gateway.stats().connections, 0, "the stalled one was not waited for");
}

#[test]
fn drain_waits_longer_for_running_methods() {
    let (end, ended) = tokio::sync::watch::channel(false);
    let mut config = config_with_long_linger();
    config.stall_timeout = Duration::from_millis(1);
    let rig = Rig::serve(open_to_all().config(config).call("wait", move |call| {
        let mut ended = ended.clone();
        async move {
            drop(ended.wait_for(|ended| *ended).await);
            Ok(call.data)
        }
    }));
    let (mut caller, mut silent) = (rig.guest(), rig.connect());
    caller.send_request("call", &json!({"method": "wait", "data": "done"}));
    rig.wait_until("it runs", |gateway| gateway.stats().calls_running == 1);
    let gateway = rig.gateway.clone();
    let draining = rig.runtime.spawn(async move { gateway.drain(Duration::ZERO, TEST_TIMEOUT).await });
    // The peer that cannot be asked is closed before the method ends.
    assert_eq!(silent.receive()["bye"]["code"], "server_restart");
    silent.receive_close();
    silent.expect_eof();
    end.send_replace(true);
    assert_eq!(caller.receive()["ok"]["data"], "done");
    assert_eq!(caller.receive()["bye"]["code"], "server_restart");
    caller.receive_close();
    caller.expect_eof();
    rig.runtime.block_on(draining).unwrap();
    assert_eq!(rig.gateway.stats().connections, 0);
}

#[test]
fn draining_node_is_not_ready_and_refuses_hello() {
    let rig = Rig::start(open_to_all(), |gateway, listener| {
        let router = gateway.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
    });
    rig.runtime.block_on(rig.gateway.drain(SPREAD, TEST_TIMEOUT));
    let ready = rig.exchange("GET /health/ready HTTP/1.1\r\nHost: line.example\r\n\r\n");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("draining"), "{ready}");
    let mut newcomer = rig.connect();
    newcomer.send(&json!({"hello": {"v": 1, "auth": {"guest": true}}}));
    assert_eq!(newcomer.receive()["bye"]["code"], "server_restart");
}
