//! Checks the rosters after a storm: each client that is subscribed is in them once, and no other session is.

use std::{collections::BTreeMap, task::Waker};

use serde_json::{Value, json};
use tautline_hub::{Authorization, Identity, Output, Peer};

use super::common::CHANNELS;
use crate::{event_log::Event, world::World};

/// A connection may be lost without a fault and come back, and a login may expire: the check repeats, this far
/// apart, for this long beyond the time after which the session of a lost connection ends.
const BETWEEN_LOOKS_MS: u64 = 5_000;
const PATIENCE_MS: u64 = 100_000;

/// Members of a channel and how they stand there, by session.
type Roster = BTreeMap<String, String>;

/// Waits until the sessions of destroyed apps have ended, and compares the rosters with the clients.
///
/// # Panics
/// When they still differ at the end.
pub(super) fn check(world: &mut World) {
    let limits = world.server.hub.limits();
    let end_of_session_ms = limits.silence_ms() + limits.park_ms;
    world.advance(end_of_session_ms + 2_000);
    let (mut expected, mut seen) = (Vec::new(), Vec::new());
    for _ in 0..(end_of_session_ms + PATIENCE_MS) / BETWEEN_LOOKS_MS {
        expected = CHANNELS.map(|channel| expect(world, channel)).to_vec();
        seen = CHANNELS.map(|channel| look(world, channel)).to_vec();
        if seen == expected {
            return;
        }
        world.advance(BETWEEN_LOOKS_MS);
    }
    panic!("the rosters say {seen:?}, and there are {expected:?}");
}

/// Every phone is in front and online: those who want the channel are in it.
fn expect(world: &World, channel: &str) -> Roster {
    let there = world.phones.iter().filter(|phone| phone.wanted.contains(channel));
    there
        .filter_map(|phone| session_of(&phone.events))
        .map(|session| (session, "online".to_owned()))
        .collect()
}

/// The session of the last welcome.
fn session_of(events: &[Event]) -> Option<String> {
    events.iter().rev().find_map(|event| {
        let Event::Received(text) = event else { return None };
        let welcome = text.lines().find(|line| line.starts_with(r#"{"welcome""#))?;
        let packet: Value = serde_json::from_str(welcome).ok()?;
        packet["welcome"]["session"].as_str().map(ToOwned::to_owned)
    })
}

/// Asks the hub as a guest of its own.
fn look(world: &World, channel: &str) -> Roster {
    let (hub, now) = (&world.server.hub, world.now());
    let mut peer = hub.peer(now, Waker::noop().clone());
    peer.handle_message(now, &json!({"hello": {"v": 1, "auth": {"guest": true}}}).to_string());
    drain(world, &mut peer);
    while !peer.wants_input() && hub.pump() {}
    peer.handle_message(now, &json!({"id": 1, "presence": {"channel": channel}}).to_string());
    let told = drain(world, &mut peer);
    let reply = told.iter().find(|packet| packet["id"] == 1).expect("an answer at once");
    let members = reply["ok"]["members"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    members.map(|member| (text(&member["session"]), text(&member["state"]))).collect()
}

fn drain(world: &World, peer: &mut Peer) -> Vec<Value> {
    let mut told = Vec::new();
    while let Some(output) = peer.poll_output(world.now()) {
        match output {
            Output::Message(bytes) => {
                let text = String::from_utf8(bytes.to_vec()).expect("packets are text");
                told.extend(text.lines().filter_map(|line| serde_json::from_str(line).ok()));
            }
            Output::Authenticate(_, reply) => reply.answer(Ok(Identity::default())),
            Output::Authorize(_, reply) => reply.answer(Authorization::ALLOW),
            Output::Call(_) | Output::Close { .. } => {}
        }
    }
    told
}
