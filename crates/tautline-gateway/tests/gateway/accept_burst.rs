//! Hundreds of clients that connect at the same moment, each with its hello behind the handshake.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use serde_json::json;
use tautline_hub::HubLimits;

use crate::{
    handshake::Handshake,
    offences,
    rig::{Rig, config_with_long_linger, open_to_all},
};

/// More than start in one poll of the accept loop, and more than are admitted within a millisecond.
const BURST: usize = 400;

/// All of them are connected before the first one sends anything.
fn connect_burst(rig: &Rig) -> Vec<TcpStream> {
    let mut said = Handshake::new().text().into_bytes();
    said.extend(offences::text(&json!({"hello": {"v": 1, "auth": {"guest": true}}}).to_string()));
    let mut streams: Vec<_> = (0..BURST).map(|_| rig.dial()).collect();
    // A client beyond the ceiling may be closed while it still writes.
    streams.iter_mut().for_each(|stream| drop(stream.write_all(&said)));
    streams
}

fn is_welcomed(stream: &mut TcpStream) -> bool {
    let (mut told, mut buffer) = (String::new(), [0; 4096]);
    while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
        told += &String::from_utf8_lossy(&buffer[..bytes]);
        if told.contains("{\"welcome\"") {
            return told.starts_with("HTTP/1.1 101");
        }
    }
    false
}

#[test]
fn burst_of_clients_is_welcomed_and_leaves_nothing() {
    let limits = HubLimits { admission_wait_ms: 60_000, ..HubLimits::default() };
    let rig = Rig::serve(open_to_all().limits(limits));
    let mut streams = connect_burst(&rig);
    assert!(streams.iter_mut().all(is_welcomed));
    assert_eq!(rig.gateway.stats().connections, BURST);
    drop(streams);
    rig.wait_until("all are gone", |gateway| {
        let stats = gateway.stats();
        (stats.connections, stats.http_connections, stats.hub.connections) == (0, 0, 0)
    });
}

#[test]
fn burst_beyond_ceilings_closes_only_the_excess() {
    let mut config = config_with_long_linger();
    config.http_connections_max = BURST / 4;
    config.connections_max = BURST / 4;
    let limits = HubLimits { admission_wait_ms: 60_000, ..HubLimits::default() };
    let rig = Rig::serve(open_to_all().config(config).limits(limits));
    let mut streams = connect_burst(&rig);
    let welcomed = streams.iter_mut().map(is_welcomed).filter(|is_welcomed| *is_welcomed).count();
    assert!((1..=BURST / 4).contains(&welcomed), "{welcomed}");
    assert_eq!(rig.gateway.stats().connections, welcomed);
}
