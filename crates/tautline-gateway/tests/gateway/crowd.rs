//! Hundreds that come at the same moment, all with their hello behind the handshake.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use serde_json::json;
use tautline_protocol::Limits;

use crate::{
    handshake::Handshake,
    offences,
    rig::{Rig, open_to_all, patient},
};

/// More than begin in one turn, and more than are let in within a millisecond.
const CROWD: usize = 400;

fn come(rig: &Rig) -> Vec<TcpStream> {
    let mut said = Handshake::new().text().into_bytes();
    said.extend(offences::text(&json!({"hello": {"v": 1, "auth": {"guest": true}}}).to_string()));
    let mut streams: Vec<_> = (0..CROWD).map(|_| rig.dial()).collect();
    streams.iter_mut().for_each(|stream| stream.write_all(&said).expect("the gateway reads"));
    streams
}

/// What a stream is told up to a word, or to its end.
fn told(stream: &mut TcpStream, word: &str) -> String {
    let (mut told, mut buffer) = (String::new(), [0; 4096]);
    while !told.contains(word) {
        match stream.read(&mut buffer).expect("the gateway answers in time") {
            0 => break,
            bytes => told += &String::from_utf8_lossy(&buffer[..bytes]),
        }
    }
    told
}

#[test]
fn a_crowd_is_let_in_whatever_the_order_and_leaves_nothing_behind() {
    let limits = Limits { newcomer_wait_ms: 60_000, ..Limits::default() };
    let rig = Rig::serve(open_to_all().limits(limits));
    let mut streams = come(&rig);
    for stream in &mut streams {
        let told = told(stream, "\"ping_ms\"");
        assert!(told.starts_with("HTTP/1.1 101") && told.contains("{\"welcome\""), "{told:?}");
    }
    assert_eq!(rig.gateway.stats().connections, CROWD);
    drop(streams);
    rig.wait_until("all are gone", |gateway| {
        let stats = gateway.stats();
        (stats.connections, stats.http_connections, stats.hub.connections) == (0, 0, 0)
    });
}

#[test]
fn with_more_than_may_be_there_the_rest_are_closed_and_those_who_are_in_go_on() {
    let mut config = patient();
    config.http_connections_max = CROWD / 4;
    config.connections_max = CROWD / 4;
    let limits = Limits { newcomer_wait_ms: 60_000, ..Limits::default() };
    let rig = Rig::serve(open_to_all().config(config).limits(limits));
    let mut said = Handshake::new().text().into_bytes();
    said.extend(offences::text(&json!({"hello": {"v": 1, "auth": {"guest": true}}}).to_string()));
    let mut streams: Vec<_> = (0..CROWD).map(|_| rig.dial()).collect();
    let mut welcomed = 0;
    for stream in &mut streams {
        // Who was closed at the door may hear of it while he still speaks.
        if stream.write_all(&said).is_err() {
            continue;
        }
        let mut buffer = [0; 4096];
        let mut told = String::new();
        while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
            told += &String::from_utf8_lossy(&buffer[..bytes]);
            if told.contains("\"ping_ms\"") {
                welcomed += 1;
                break;
            }
        }
    }
    assert!((1..=CROWD / 4).contains(&welcomed), "{welcomed}");
    assert_eq!(rig.gateway.stats().connections, welcomed);
}
