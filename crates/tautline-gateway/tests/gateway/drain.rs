//! Going down politely.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::json;

use crate::rig::{PATIENCE, Rig, open_to_all, read_answer};

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
