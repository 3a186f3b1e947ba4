//! Rate limits: refusals that tell when to come again, greedy clients beside others.

use std::num::NonZero;

use crate::common::{Node, Phone, resume};
use serde_json::{Value, json};
use tautline_engine::Retention;
use tautline_hub::{ConnectionBeyond, NodeLimits, RateSet, Rates};

fn set(requests: Option<&str>, publishes: Option<&str>) -> RateSet {
    let rate = |text: &str| text.parse().expect("a rate");
    RateSet { requests: requests.map(rate), publishes: publishes.map(rate), ..RateSet::default() }
}

fn node(rates: Rates) -> Node {
    Node::with(NodeLimits { rates, ..NodeLimits::default() }, Retention::default())
}

/// A guest at an address of its own.
fn guest_from(node: &Node, address: &str) -> Phone {
    let mut phone = node.dial_own(address);
    phone.enter(node, json!({"hello": {"v": 1, "auth": {"guest": true}}}));
    phone
}

fn publish(node: &Node, phone: &mut Phone, id: u64) -> Value {
    phone.ask(node, json!({"id": id, "publish": {"channel": "room:7", "data": id}}))
}

#[test]
fn request_beyond_rate_tells_when_to_retry() {
    let mut node = node(Rates { connection: set(Some("2/s"), None), ..Rates::default() });
    let mut phone = node.guest();
    assert!((1..=2).all(|id| publish(&node, &mut phone, id)["ok"].is_object()));
    let history = json!({"id": 3, "history": {"channel": "room:7", "limit": 5}});
    for request in [history, json!({"id": 4, "publish": {"channel": "room:7", "data": 4}})] {
        let error = phone.ask(&node, request)["error"].clone();
        assert_eq!((&error["code"], &error["retry_after_ms"]), (&json!("rate_limited"), &json!(500)));
    }
    node.advance(499);
    assert_eq!(publish(&node, &mut phone, 5)["error"]["retry_after_ms"], 1);
    node.advance(1);
    assert_eq!(publish(&node, &mut phone, 6)["ok"]["offset"], 3, "refused publishes were not stored");
    assert_eq!(node.hub.stats().rate_limited, 3);
}

#[test]
fn pings_and_repeated_requests_are_not_charged() {
    let mut node = node(Rates { user: set(Some("3/m"), None), ..Rates::default() });
    let mut phone = node.user("u1", &[]);
    let welcome = phone.welcome(&node);
    assert!((1..=3).all(|id| publish(&node, &mut phone, id)["ok"].is_object()));
    phone.say(&node, json!({"ping": {}}));
    assert_eq!(phone.hear_only(&node, "pong").len(), 1);
    node.advance(1);
    let mut back = node.dial();
    back.enter(&node, resume(&welcome, 2, json!({})));
    for id in 1..=3 {
        let again = json!({"id": id, "again": true, "publish": {"channel": "room:7", "data": id}});
        assert_eq!(back.ask(&node, again)["ok"]["offset"], id, "its kept reply");
    }
    assert_eq!(publish(&node, &mut back, 4)["error"]["code"], "rate_limited", "and nothing else is free");
}

#[test]
fn refused_publish_in_doubt_stays_in_doubt() {
    let mut node = node(Rates { user: set(None, Some("1/h")), ..Rates::default() });
    let mut phone = node.user("u1", &[]);
    let welcome = phone.welcome(&node);
    assert!(publish(&node, &mut phone, 1)["ok"].is_object());
    drop(phone);
    node.advance(130_000);
    let mut back = node.dial();
    back.enter(&node, resume(&welcome, 2, json!({})));
    let again = json!({"id": 2, "again": true, "publish": {"channel": "room:7", "data": 2}});
    assert_eq!(back.ask(&node, again)["error"]["code"], "in_doubt", "nobody knows that it was not executed");
}

#[test]
fn user_on_two_connections_has_one_rate() {
    let node = node(Rates { user: set(None, Some("4/s")), ..Rates::default() });
    let mut phones = [node.user("u1", &[]), node.user("u1", &[])];
    let mut publish_all = |id| phones.each_mut().map(|phone| publish(&node, phone, id)["ok"].is_object());
    assert_eq!((publish_all(1), publish_all(2), publish_all(3)), ([true; 2], [true; 2], [false; 2]));
    let mut other = node.user("u2", &[]);
    assert!(publish(&node, &mut other, 1)["ok"].is_object());
}

#[test]
fn hundred_refusals_in_a_row_close_the_connection() {
    let node = node(Rates { connection: set(Some("1/m"), None), ..Rates::default() });
    let mut phone = node.guest();
    for id in 1..=101 {
        phone.say(&node, json!({"id": id, "publish": {"channel": "room:7", "data": id}}));
    }
    let bye = phone.bye(&node);
    assert_eq!((&bye["code"], &bye["reconnect"]), (&json!("rate_limited"), &json!("later")));
    assert_eq!((&bye["retry_after_ms"], phone.close), (&json!(60_000), Some(4003)));
}

#[test]
fn bytes_beyond_rate_close_with_the_wait() {
    let bytes = RateSet { bytes: "10KiB/s".parse().ok(), ..RateSet::default() };
    let mut node = node(Rates { address: bytes, ..Rates::default() });
    let mut greedy = guest_from(&node, "6.6.6.6");
    let large = json!({"id": 1, "publish": {"channel": "room:7", "data": "x".repeat(9 * 1024)}});
    assert!(greedy.ask(&node, large.clone())["ok"].is_object());
    greedy.say(&node, large.clone());
    let bye = greedy.bye(&node);
    let wait_ms = bye["retry_after_ms"].as_u64().expect("a wait");
    assert!(bye["code"] == "rate_limited" && (800..=900).contains(&wait_ms), "{bye}");
    let mut innocent = guest_from(&node, "6.6.6.7");
    assert!(innocent.ask(&node, large.clone())["ok"].is_object(), "another address");
    node.advance(wait_ms);
    let mut greedy = node.dial_own("6.6.6.6");
    greedy.enter(&node, json!({"hello": {"v": 1, "auth": {"guest": true}}}));
    greedy.welcome(&node);
}

#[test]
fn hellos_beyond_rate_of_address_and_user_are_closed() {
    let hellos = || RateSet { hellos: "2/m".parse().ok(), ..RateSet::default() };
    let node = node(Rates { address: hellos(), user: hellos(), ..Rates::default() });
    let guest = json!({"hello": {"v": 1, "auth": {"guest": true}}});
    let enter = |mut phone: Phone, hello: &Value| {
        phone.enter(&node, hello.clone());
        phone.hear_only(&node, "bye").pop().map_or(Value::Null, |bye| bye["retry_after_ms"].clone())
    };
    let of_address = ["6.6.6.6", "6.6.6.6", "6.6.6.6", "6.6.6.7"].map(|at| enter(node.dial_own(at), &guest));
    assert_eq!(of_address, [Value::Null, Value::Null, json!(30_000), Value::Null]);
    let of_user = [1, 2, 3].map(|_| {
        let mut phone = node.dial();
        phone.login = Ok(crate::common::identity("u1", &[]));
        enter(phone, &json!({"hello": {"v": 1, "auth": {"token": "…"}}}))
    });
    assert_eq!(of_user, [Value::Null, Value::Null, json!(30_000)]);
}

#[test]
fn greedy_client_beside_a_thousand_innocent_ones() {
    let rates =
        Rates { connection: set(Some("5/s"), None), address: set(None, Some("20/s")), ..Rates::default() };
    let mut node = node(rates);
    let mut greedy = guest_from(&node, "6.6.6.6");
    let admitted = (1..=50).filter(|id| publish(&node, &mut greedy, *id)["ok"].is_object()).count();
    assert_eq!(admitted, 5);
    for n in 0..1_000 {
        if n % 4 == 0 {
            node.advance(1);
        }
        let mut innocent = guest_from(&node, &format!("10.0.{}.{}", n / 250, n % 250));
        assert!(publish(&node, &mut innocent, 1)["ok"].is_object(), "guest {n}");
    }
    assert!(node.hub.stats().rate_keys > 100);
    (0..20).for_each(|_| node.advance(1_000));
    assert_eq!(node.hub.stats().rate_keys, 0, "full buckets hold no memory");
}

fn with_user_connections(max: usize, beyond: ConnectionBeyond) -> Node {
    node(Rates {
        connections_per_user_max: NonZero::new(max),
        connections_per_user_beyond: beyond,
        ..Rates::default()
    })
}

#[test]
fn oldest_connection_of_user_gives_way() {
    let node = with_user_connections(2, ConnectionBeyond::CloseOldest);
    let mut phones = [1, 2, 3].map(|_| node.user("u1", &[]));
    let mut other = node.user("u2", &[]);
    let bye = phones[0].bye(&node);
    assert_eq!(
        (&bye["code"], &bye["reconnect"], phones[0].close),
        (&json!("kicked"), &json!("never"), Some(4103))
    );
    for phone in phones[1..].iter_mut().chain([&mut other]) {
        assert!(publish(&node, phone, 1)["ok"].is_object());
    }
}

#[test]
fn newest_connection_of_user_is_refused() {
    let mut node = with_user_connections(1, ConnectionBeyond::RefuseNewest);
    let mut first = node.user("u1", &[]);
    let welcome = first.welcome(&node);
    let mut second = node.dial();
    second.login = Ok(crate::common::identity("u1", &[]));
    let hello = json!({"hello": {"v": 1, "auth": {"token": "…"}}});
    second.enter(&node, hello.clone());
    let bye = second.bye(&node);
    assert!(bye["code"] == "rate_limited" && bye["retry_after_ms"].is_u64(), "{bye}");
    node.advance(1);
    let mut back = node.dial();
    back.enter(&node, resume(&welcome, 2, json!({})));
    back.welcome(&node);
    assert_eq!(first.bye(&node)["code"], "taken_over", "a session takes the place of its own connection");
    drop((first, back));
    let mut third = node.dial();
    third.login = Ok(crate::common::identity("u1", &[]));
    third.enter(&node, hello);
    third.welcome(&node);
}

/// The node's rates, and this ceiling of a user's connections.
fn set_ceiling(node: &Node, max: usize, beyond: ConnectionBeyond) {
    node.hub.set_rates(&Rates {
        connections_per_user_max: NonZero::new(max),
        connections_per_user_beyond: beyond,
        ..Rates::default()
    });
}

#[test]
fn new_ceiling_counts_the_connections_before_it() {
    let node = node(Rates::default());
    let mut phones = [1, 2, 3].map(|_| node.user("u1", &[]));
    let mut other = node.user("u2", &[]);
    set_ceiling(&node, 3, ConnectionBeyond::CloseOldest);
    assert!(phones.iter_mut().all(|phone| publish(&node, phone, 1)["ok"].is_object()), "nobody is dropped");
    let mut fourth = node.user("u1", &[]);
    assert_eq!(phones[0].bye(&node)["code"], "kicked", "the oldest, though older than the ceiling");
    for phone in phones[1..].iter_mut().chain([&mut fourth, &mut other]) {
        assert!(publish(&node, phone, 2)["ok"].is_object());
    }
}

#[test]
fn changed_ceiling_holds_for_the_next_connection() {
    let node = with_user_connections(2, ConnectionBeyond::CloseOldest);
    let mut phones = [1, 2].map(|_| node.user("u1", &[]));
    set_ceiling(&node, 2, ConnectionBeyond::RefuseNewest);
    assert_eq!(node.user("u1", &[]).bye(&node)["code"], "rate_limited");
    assert!(phones.iter_mut().all(|phone| publish(&node, phone, 1)["ok"].is_object()));
    node.hub.set_rates(&Rates::default());
    node.user("u1", &[]).welcome(&node);
}

#[test]
fn addresses_of_equal_budget_shares_have_rates_of_their_own() {
    let node = node(Rates { address: set(Some("1/h"), None), ..Rates::default() });
    // 32 bits name a share of a budget. By the birthday of 100,000 addresses some of them have the same ones.
    let mut seen = std::collections::HashMap::new();
    let addresses = (0..2_000_000_u32).map(|n| std::net::Ipv4Addr::from_bits(0x0a00_0000 + n).to_string());
    let pair = addresses.into_iter().find_map(|address| {
        let before = seen.insert(node.hub.holder(address.as_bytes()), address.clone());
        before.map(|before| [before, address])
    });
    let pair = pair.expect("a collision");
    let published = pair.map(|address| publish(&node, &mut guest_from(&node, &address), 1)["ok"].is_object());
    assert_eq!(published, [true, true]);
}

#[test]
fn api_keys_of_equal_budget_shares_have_rates_of_their_own() {
    let node = node(Rates { api_key: set(Some("1/h"), None), ..Rates::default() });
    let mut seen = std::collections::HashMap::new();
    let pair = (0..2_000_000_u32).map(|n| format!("key-{n:016}")).find_map(|key| {
        let before = seen.insert(node.hub.holder(key.as_bytes()), key.clone());
        before.map(|before| [before, key])
    });
    for key in pair.expect("a collision") {
        assert!(node.hub.charge_api_key(node.now, &key, None).is_ok());
        assert!(node.hub.charge_api_key(node.now, &key, None).is_err());
    }
}

#[test]
fn refused_batch_passes_after_the_wait_that_it_was_told() {
    let mut node = node(Rates { api_key: set(None, Some("20/s burst 50")), ..Rates::default() });
    let batch = |node: &Node, count| {
        node.hub.charge_api_key(node.now, "key", Some(100)).expect("no rate of requests or bytes");
        node.hub.charge_publications(node.now, "key", count).map_err(|refused| refused.retry_after_ms)
    };
    assert_eq!(batch(&node, 30), Ok(()));
    for count in [40, 60, 50, 1] {
        let wait_ms = batch(&node, count).expect_err("too soon").expect("a wait");
        node.advance(wait_ms);
        assert_eq!(batch(&node, count), Ok(()), "{count} after {wait_ms} ms");
    }
}

#[test]
fn guests_behind_a_proxy_have_a_rate_each() {
    let node = node(Rates { address: set(Some("1/h"), None), ..Rates::default() });
    let mut guests = [1, 2].map(|_| node.guest());
    assert!(guests.iter_mut().all(|guest| publish(&node, guest, 1)["ok"].is_object()));
    assert!(guests.iter_mut().all(|guest| publish(&node, guest, 2)["error"].is_object()));
}

#[test]
fn guests_have_no_ceiling_of_connections_by_user() {
    let node = with_user_connections(1, ConnectionBeyond::RefuseNewest);
    let mut guests = [1, 2, 3].map(|_| guest_from(&node, "6.6.6.6"));
    assert!(guests.iter_mut().all(|guest| publish(&node, guest, 1)["ok"].is_object()));
}

#[test]
fn refusals_in_a_row_count_though_bytes_are_taken() {
    let connection = RateSet { bytes: "1MiB/s".parse().ok(), ..set(Some("1/m"), None) };
    let node = node(Rates { connection, ..Rates::default() });
    let mut phone = node.guest();
    for id in 1..=101 {
        phone.say(&node, json!({"id": id, "publish": {"channel": "room:7", "data": id}}));
    }
    assert_eq!(phone.bye(&node)["code"], "rate_limited");
}

#[test]
fn obedient_client_is_not_closed_for_scattered_refusals() {
    let mut node = node(Rates { user: set(Some("2/s"), None), ..Rates::default() });
    let mut phones = [node.user("u1", &[]), node.user("u1", &[])];
    for id in 1..=120 {
        let taken = phones.each_mut().map(|phone| publish(&node, phone, id)["ok"].is_object());
        let refused = phones.each_mut().map(|phone| publish(&node, phone, 1_000 + id)["error"].is_object());
        assert_eq!((taken, refused), ([true; 2], [true; 2]));
        // Without a tick, which would drop the user's bucket.
        node.now = node.now.plus_ms(1_000);
    }
    assert_eq!(phones.map(|phone| phone.close), [None; 2]);
}

#[test]
fn invalid_requests_count_as_requests() {
    let garbage =
        [json!({"id": 7, "dance": {}}), json!({"id": 7, "publish": {"channel": 5}}), json!({"dance": {}})];
    for packet in garbage {
        let node = node(Rates { connection: set(Some("2/m"), None), ..Rates::default() });
        let mut phone = node.guest();
        (0..2).for_each(|_| phone.say(&node, packet.clone()));
        let refused = publish(&node, &mut phone, 8);
        assert_eq!(refused["error"]["code"], "rate_limited", "{packet}");
        for heard in phone.hear(&node).iter().filter(|heard| heard["id"] == 7) {
            assert_ne!(heard["error"]["code"], "rate_limited", "{heard}");
        }
        (0..98).for_each(|_| phone.say(&node, packet.clone()));
        assert_eq!(phone.close, None);
        phone.say(&node, packet);
        assert_eq!(phone.bye(&node)["code"], "rate_limited", "a hundred refusals");
    }
}

/// Two users whose keyed hashes of 32 bits are equal on the test's node.
const EQUAL_HASHES: [&str; 2] = ["u27843", "u61583"];

#[test]
fn users_with_equal_hashes_keep_their_own_connections_and_rates() {
    let user = set(None, Some("1/m"));
    let connections_per_user_max = NonZero::new(1);
    let node = node(Rates { user, connections_per_user_max, ..Rates::default() });
    let [one, two] = EQUAL_HASHES;
    assert_eq!(node.hub.holder(one.as_bytes()), node.hub.holder(two.as_bytes()));
    let mut phones = EQUAL_HASHES.map(|user| node.user(user, &[]));
    assert_eq!(phones.each_mut().map(|phone| publish(&node, phone, 1)["ok"].is_object()), [true; 2]);
    assert_eq!(phones.map(|phone| phone.close), [None; 2]);
}

#[test]
fn replaced_rates_hold_for_the_next_request() {
    let node = node(Rates::default());
    let mut phone = node.user("u1", &[]);
    assert!((1..=5).all(|id| publish(&node, &mut phone, id)["ok"].is_object()));
    let slow = Rates { user: set(Some("1/m"), None), ..Rates::default() };
    node.hub.set_rates(&slow);
    assert!(publish(&node, &mut phone, 6)["ok"].is_object(), "new buckets are full");
    assert_eq!(publish(&node, &mut phone, 7)["error"]["code"], "rate_limited");
    node.hub.set_rates(&slow);
    assert!(publish(&node, &mut phone, 8)["ok"].is_object());
    assert_eq!(publish(&node, &mut phone, 9)["error"]["code"], "rate_limited");
    node.hub.set_rates(&Rates::default());
    assert!((10..=20).all(|id| publish(&node, &mut phone, id)["ok"].is_object()));
    assert_eq!(node.hub.stats().rate_limited, 2, "refusals of before are counted on");
}
