//! Going down politely.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::json;
use tautline_protocol::Limits;

use crate::rig::{PATIENCE, Rig, config, open_to_all, patient, read_answer};

const SPREAD: Duration = Duration::from_millis(1500);

#[test]
fn every_client_is_told_to_come_back_at_a_moment_of_its_own() {
    let rig = Rig::serve(open_to_all());
    let clients: Vec<_> = (0..20).map(|_| rig.guest()).collect();
    let listening: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            std::thread::spawn(move || {
                let bye = client.hear()["bye"].clone();
                assert_eq!(client.hear_close(), (4001, "server_restart".to_owned()));
                client.expect_hang_up();
                bye
            })
        })
        .collect();
    rig.runtime.block_on(rig.gateway.drain(SPREAD, PATIENCE));
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
fn the_port_is_free_as_soon_as_a_drain_begins() {
    let rig = Rig::serve(open_to_all());
    rig.runtime.block_on(rig.gateway.drain(SPREAD, PATIENCE));
    let refused = TcpStream::connect(rig.address).and_then(|mut stream| {
        stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: line.example\r\n\r\n")?;
        stream.read_exact(&mut [0])
    });
    assert!(refused.is_err());
}

#[test]
fn an_idle_http_connection_does_not_hold_up_a_drain() {
    let rig = Rig::serve(open_to_all());
    let mut idle = rig.dial();
    idle.write_all(b"GET /health/live HTTP/1.1\r\nHost: line.example\r\n\r\n").unwrap();
    assert!(read_answer(&mut idle).starts_with("HTTP/1.1 200"));
    rig.runtime.block_on(rig.gateway.drain(SPREAD, PATIENCE));
    assert_eq!(rig.gateway.stats().http_connections, 0);
    assert_eq!(idle.read(&mut [0]).unwrap(), 0, "it was closed");
}

#[test]
fn a_drain_waits_for_a_peer_that_does_not_go_no_longer_than_it_was_told() {
    let rig = Rig::serve(open_to_all());
    let _mute = rig.connect();
    rig.wait_until("it is there", |gateway| gateway.stats().connections == 1);
    rig.runtime.block_on(rig.gateway.drain(SPREAD, Duration::from_millis(50)));
    assert_eq!(rig.gateway.stats().connections, 1);
}

#[test]
fn a_websocket_that_has_not_said_hello_is_told_at_once_that_the_node_goes_down() {
    let limits = Limits { hello_ms: 3_600_000, ..Limits::default() };
    let rig = Rig::serve(open_to_all().limits(limits));
    let mut mute = rig.connect();
    rig.wait_until("it is there", |gateway| gateway.stats().hub.connections == 1);
    let listening = std::thread::spawn(move || {
        let bye = mute.hear()["bye"].clone();
        (bye, mute.hear_close())
    });
    rig.runtime.block_on(rig.gateway.drain(SPREAD, PATIENCE));
    assert_eq!(rig.gateway.stats().connections, 0);
    let (bye, closed) = listening.join().unwrap();
    assert_eq!((&bye["code"], &bye["reconnect"]), (&json!("server_restart"), &json!("later")));
    assert_eq!(closed, (4001, "server_restart".to_owned()));
}

#[test]
fn a_reader_that_takes_nothing_is_waited_for_no_longer_than_spread_and_linger() {
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
    publisher.vanish();
    rig.wait_until("the publisher has gone", |gateway| gateway.stats().connections == 1);
    rig.runtime.block_on(rig.gateway.drain(Duration::from_millis(100), PATIENCE));
    assert_eq!(rig.gateway.stats().connections, 0, "the stalled one was not waited for");
}

#[test]
fn a_method_that_runs_is_waited_for_longer_than_those_who_cannot_be_asked() {
    let (end, ended) = tokio::sync::watch::channel(false);
    let mut config = patient();
    config.stall_timeout = Duration::from_millis(1);
    let rig = Rig::serve(open_to_all().config(config).call("wait", move |call| {
        let mut ended = ended.clone();
        async move {
            drop(ended.wait_for(|ended| *ended).await);
            Ok(call.data)
        }
    }));
    let (mut caller, mut mute) = (rig.guest(), rig.connect());
    caller.ask("call", &json!({"method": "wait", "data": "done"}));
    rig.wait_until("it runs", |gateway| gateway.stats().calls_running == 1);
    let gateway = rig.gateway.clone();
    let draining = rig.runtime.spawn(async move { gateway.drain(Duration::ZERO, PATIENCE).await });
    // Whoever cannot be asked has gone before the method ends.
    assert_eq!(mute.hear()["bye"]["code"], "server_restart");
    mute.hear_close();
    mute.expect_hang_up();
    end.send_replace(true);
    assert_eq!(caller.hear()["ok"]["data"], "done");
    assert_eq!(caller.hear()["bye"]["code"], "server_restart");
    caller.hear_close();
    caller.expect_hang_up();
    rig.runtime.block_on(draining).unwrap();
    assert_eq!(rig.gateway.stats().connections, 0);
}

#[test]
fn a_node_that_drains_is_not_ready_and_sends_newcomers_away() {
    let rig = Rig::start(open_to_all(), |gateway, listener| {
        let router = gateway.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
    });
    rig.runtime.block_on(rig.gateway.drain(SPREAD, PATIENCE));
    let ready = rig.exchange("GET /health/ready HTTP/1.1\r\nHost: line.example\r\n\r\n");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("draining"), "{ready}");
    let mut newcomer = rig.connect();
    newcomer.say(&json!({"hello": {"v": 1, "auth": {"guest": true}}}));
    assert_eq!(newcomer.hear()["bye"]["code"], "server_restart");
}
