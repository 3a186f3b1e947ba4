//! Gateways whose logs are in a Redis: one that is killed with it, and two on one.

#[path = "../../../tautline-redis/tests/redis/server.rs"]
#[allow(dead_code, reason = "the tests of the engine use the rest")]
pub mod server;

use serde_json::{Value, json};

use self::server::Server as Redis;
use crate::process::{Line, Server};

const TICKETS: (&str, &str) = ("TAUTLINE_TICKET_KEYS", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");

fn gateway(redis: &Redis, node: &str) -> Server {
    Server::start_on(&redis.url(), &["--dev"], &[TICKETS, ("TAUTLINE_NODE", node)])
}

pub fn guest(server: &Server) -> (Line, Value) {
    let mut line = server.connect();
    line.hello(&json!({"guest": true}));
    let welcome = line.receive("welcome")["welcome"].clone();
    (line, welcome)
}

fn publish(line: &mut Line, id: u64, data: u64) -> Value {
    line.send(&json!({"id": id, "publish": {"channel": "room:7", "data": data}}));
    let answer = line.receive("id");
    assert!(answer.get("ok").is_some(), "{answer}");
    answer["ok"].clone()
}

/// Receives publications until the last of these.
fn expect(line: &mut Line, data: std::ops::RangeInclusive<u64>) {
    for data in data {
        let packet = line.receive_any(&["pub", "gap"]);
        assert_eq!(packet["pub"]["data"], json!(data), "{packet}");
    }
}

#[test]
fn killed_gateway_and_killed_redis_lose_nothing() {
    let Some(mut redis) = Redis::start(&["--appendonly", "yes", "--appendfsync", "always"]) else { return };
    let first = gateway(&redis, "n1");
    let (mut line, welcome) = guest(&first);
    let cursor = publish(&mut line, 1, 1);
    (2..=5).for_each(|n| drop(publish(&mut line, n, n)));
    first.kill();
    redis.kill_and_restart();
    let second = gateway(&redis, "n1");
    let mut line = second.connect();
    let cursors = json!({"room:7": cursor});
    line.send(&json!({"hello": {"v": 1, "resume": {"ticket": welcome["ticket"], "attempt": 1, "cursors": cursors}}}));
    line.receive("welcome");
    expect(&mut line, 2..=5);
    // Redis alone is killed under a gateway that goes on.
    redis.kill_and_restart();
    line.send(&json!({"id": 6, "publish": {"channel": "room:7", "data": 6}}));
    // A look may find the publication before its answer has come.
    let packets = [line.receive_any(&["id", "pub"]), line.receive_any(&["id", "pub"])];
    let of = |key| packets.iter().find_map(|packet| packet.get(key)).is_some();
    assert!(of("ok") && of("pub"), "{packets:?}");
    let offset = |packet: &Value| packet.get("pub").or(packet.get("ok")).map(|body| body["offset"].clone());
    assert_eq!(packets.each_ref().map(offset), [Some(json!(6)), Some(json!(6))]);
}

#[test]
fn publication_on_one_node_is_delivered_on_another() {
    let Some(redis) = Redis::start(&[]) else { return };
    let (one, other) = (gateway(&redis, "n1"), gateway(&redis, "n2"));
    let ((mut publisher, _), (mut subscriber, _)) = (guest(&one), guest(&other));
    subscriber.send(&json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    assert_eq!(subscriber.receive("id")["ok"]["offset"], 0);
    (1..=20).for_each(|n| drop(publish(&mut publisher, n, n)));
    expect(&mut subscriber, 1..=20);
    // Without hints it is found by a look; and the way of hints is made again.
    for round in 1..=3 {
        redis.operate("CLIENT KILL TYPE pubsub");
        publish(&mut publisher, 20 + round, 20 + round);
        expect(&mut subscriber, 20 + round..=20 + round);
    }
    // Data that is lost begins a new epoch, and the reader is told.
    redis.operate("FLUSHALL");
    let gap = subscriber.receive_any(&["gap", "pub"]);
    assert_eq!(gap["gap"]["reason"], "new_epoch", "{gap}");
    publish(&mut publisher, 30, 30);
    expect(&mut subscriber, 30..=30);
}
