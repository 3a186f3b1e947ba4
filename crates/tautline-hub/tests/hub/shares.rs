//! Shared budgets: one greedy client, a thousand modest ones.

use crate::common::{Node, Phone, resume};
use serde_json::{Value, json, value::RawValue};
use tautline_engine::Retention;
use tautline_hub::PublishOptions;
use tautline_hub::{EngineLimits, HubLimits, NodeLimits};
use tautline_protocol::{ChannelName, Limits};

const KIB: usize = 1024;

fn node(limits: impl Into<NodeLimits>) -> Node {
    Node::with(limits, Retention::default())
}

fn code(reply: &Value) -> &str {
    reply["error"]["code"].as_str().unwrap_or("ok")
}

/// A thousand guests, each at an address of its own, that each perform `act`.
fn thousand(node: &mut Node, mut act: impl FnMut(&Node, usize, &mut Phone)) -> Vec<Phone> {
    (0..1_000)
        .map(|n| {
            if n % 4 == 0 {
                // Few hellos are admitted per millisecond.
                node.advance(1);
            }
            let mut phone = node.guest_at(&format!("10.0.{}.{}", n / 250, n % 250));
            act(node, n, &mut phone);
            phone
        })
        .collect()
}

/// Calls a method whose reply has `bytes` bytes.
fn call(node: &Node, phone: &mut Phone, id: u64, bytes: usize) {
    phone.say(node, json!({"id": id, "call": {"method": "echo"}}));
    phone.settle_calls(node, &json!("x".repeat(bytes)));
}

fn publish(node: &Node, phone: &mut Phone, id: u64, channel: &str) -> String {
    code(&phone.ask(node, json!({"id": id, "publish": {"channel": channel, "data": id}}))).to_owned()
}

#[test]
fn disconnecting_greedy_guests_cost_no_other_replies() {
    let limits =
        HubLimits { replies_floor_bytes: KIB, replies_bytes_max: 1024 * KIB, ..HubLimits::default() };
    let mut node = node(limits);
    for _ in 0..100 {
        let mut greedy = node.guest_at("6.6.6.6");
        (1..=17).for_each(|id| call(&node, &mut greedy, id, 1_200));
        greedy.peer.handle_lost(node.now);
        node.advance(1);
    }
    thousand(&mut node, |node, _, phone| {
        (1..=3).for_each(|id| assert_eq!(publish(node, phone, id, "room:7"), "ok"));
    });
}

#[test]
fn connected_greedy_guests_lose_only_own_replies() {
    let limits =
        HubLimits { replies_floor_bytes: KIB, replies_bytes_max: 1024 * KIB, ..HubLimits::default() };
    let mut node = node(limits);
    let greedy: Vec<_> = (0..40)
        .map(|_| {
            node.advance(1);
            let mut greedy = node.guest_at("6.6.6.6");
            (1..=20).for_each(|id| call(&node, &mut greedy, id, 3_000));
            greedy
        })
        .collect();
    assert!(node.hub.stats().reply_bytes <= 512 * KIB, "half of the budget: {:?}", node.hub.stats());
    thousand(&mut node, |node, _, phone| {
        (1..=3).for_each(|id| assert_eq!(publish(node, phone, id, "room:7"), "ok"));
    });
    drop(greedy);
    node.advance(120_000);
    assert_eq!(node.hub.stats().reply_bytes, 0, "all bytes are returned");
}

#[test]
fn floors_of_one_address_take_half_and_a_thousand_are_served() {
    let mut node = node(HubLimits { replies_bytes_max: 1024 * KIB, ..HubLimits::default() });
    let greedy: Vec<_> = (0..100)
        .map(|_| {
            node.advance(1);
            let mut greedy = node.guest_at("6.6.6.6");
            (1..=4).for_each(|id| call(&node, &mut greedy, id, 3_800));
            greedy
        })
        .collect();
    assert!(node.hub.stats().reply_bytes <= 520 * KIB, "half of the budget: {:?}", node.hub.stats());
    thousand(&mut node, |node, _, phone| {
        (1..=3).for_each(|id| assert_eq!(publish(node, phone, id, "room:7"), "ok"));
    });
    drop(greedy);
}

#[test]
fn session_within_floor_is_served_beside_greedy_neighbour() {
    let node = node(HubLimits { replies_bytes_max: 256 * KIB, ..HubLimits::default() });
    let mut greedy = node.guest_at("6.6.6.6");
    (1..=10).for_each(|id| call(&node, &mut greedy, id, 62_000));
    let mut modest = node.guest_at("6.6.6.6");
    (1..=8).for_each(|id| assert_eq!(publish(&node, &mut modest, id, "room:7"), "ok"));
}

#[test]
fn dropped_parked_reply_is_in_doubt() {
    let node = node(HubLimits { replies_bytes_max: 256 * KIB, ..HubLimits::default() });
    let mut phone = node.guest_at("1.1.1.1");
    let welcome = phone.welcome(&node);
    call(&node, &mut phone, 1, 50_000);
    phone.peer.handle_lost(node.now);
    let mut other = node.guest_at("2.2.2.2");
    (1..=2).for_each(|id| call(&node, &mut other, id, 50_000));
    assert_eq!(publish(&node, &mut other, 3, "room:7"), "ok");
    let mut back = node.dial_from("1.1.1.1");
    back.say(&node, resume(&welcome, 5, json!({})));
    assert_eq!(back.welcome(&node)["requests_seen"], 1);
    let again = back.ask(&node, json!({"id": 1, "again": true, "call": {"method": "echo"}}));
    assert_eq!(code(&again), "in_doubt");
    assert!(back.calls.is_empty());
}

#[test]
fn simultaneous_replies_stay_within_session_limit() {
    let node = node(Limits { replies_unseen_bytes_max: 100 * KIB, ..Limits::default() });
    let mut greedy = node.guest_at("6.6.6.6");
    greedy.hear(&node);
    for id in 1..=256 {
        greedy.say(&node, json!({"id": id, "call": {"method": "echo"}}));
    }
    greedy.settle_calls(&node, &json!("x".repeat(10 * KIB)));
    let replies = greedy.hear(&node);
    let kept = replies.iter().filter(|reply| code(reply) == "ok").count();
    assert_eq!((replies.len(), kept), (256, 9));
    assert!(replies.iter().all(|reply| matches!(code(reply), "ok" | "too_large")));
    assert!(node.hub.stats().reply_bytes < 150 * KIB, "{:?}", node.hub.stats());
}

#[test]
fn greedy_guest_gets_half_of_channels() {
    let mut node = node(EngineLimits { channel_count_max: 4_000, ..EngineLimits::default() });
    let mut greedy: Vec<Phone> = Vec::new();
    let mut refused = 0;
    for n in 0..4_000 {
        if n % 1_000 == 0 {
            greedy.push(node.guest_at("6.6.6.6"));
        }
        let phone = greedy.last_mut().expect("there is one");
        let asked = json!({"id": n + 1, "subscribe": {"channel": format!("new:{n}")}});
        refused += usize::from(code(&phone.ask(&node, asked)) == "limit");
    }
    assert_eq!(refused, 4_000 - 1_751, "half of the unreserved part");
    let phones = thousand(&mut node, |node, n, phone| {
        let asked = json!({"id": 1, "subscribe": {"channel": format!("mine:{n}")}});
        assert_eq!(code(&phone.ask(node, asked)), "ok", "guest {n}");
    });
    drop((phones, greedy));
    (0..8).for_each(|_| node.advance(1));
    assert_eq!(node.hub.stats().channels, 0, "all channels are dropped");
}

#[test]
fn full_channel_budget_leaves_users_their_inbox() {
    let mut node = node(EngineLimits { channel_count_max: 80, ..EngineLimits::default() });
    let _full = thousand(&mut node, |node, n, phone| {
        phone.say(node, json!({"id": 1, "subscribe": {"channel": format!("new:{n}")}}));
    });
    let mut user = node.user("u1", &[]);
    assert!(user.welcome(&node)["channels"]["user:u1"]["error"].is_null(), "the back end's reserve");
}

#[test]
fn greedy_publisher_gets_half_of_logs() {
    let mut node = node(EngineLimits { channel_count_max: 50, ..EngineLimits::default() });
    let mut greedy = node.guest_at("6.6.6.6");
    let codes: Vec<_> = (1..=60).map(|id| publish(&node, &mut greedy, id, &format!("room:{id}"))).collect();
    assert_eq!(codes.iter().filter(|code| *code == "ok").count(), 23);
    assert!(codes[23..].iter().all(|code| code == "limit"), "{codes:?}");
    assert_eq!(publish(&node, &mut greedy, 61, "room:1"), "ok", "existing logs accept appends");
    let mut others = Vec::new();
    for n in 0..30 {
        node.advance(1);
        let mut phone = node.guest_at(&format!("10.0.0.{n}"));
        others.push(publish(&node, &mut phone, 1, &format!("mine:{n}")));
    }
    assert_eq!(others.iter().filter(|code| *code == "ok").count(), 21, "all but the reserve");
    assert!(others[21..].iter().all(|code| code == "overloaded"), "none of them is greedy: {others:?}");
    for n in 0..6 {
        let channel = ChannelName::parse(&format!("api:{n}")).expect("valid");
        node.try_publish(&channel, RawValue::NULL, PublishOptions::default()).expect("the reserve");
    }
}

#[test]
fn greedy_publisher_gets_half_of_log_bytes() {
    let mut node = node(EngineLimits { log_bytes_max: 800 * KIB, ..EngineLimits::default() });
    let mut greedy = node.guest_at("6.6.6.6");
    let data = "x".repeat(4 * KIB);
    let mut last = String::new();
    for id in 1..=200 {
        let body = json!({"channel": format!("room:{}", id % 20), "data": data});
        last = code(&greedy.ask(&node, json!({"id": id, "seen": id - 1, "publish": body}))).to_owned();
    }
    assert_eq!(last, "limit");
    let bytes = node.hub.stats().log_bytes;
    assert!((350 * KIB..360 * KIB).contains(&bytes), "half of the unreserved part: {bytes}");
    thousand(&mut node, |node, n, phone| {
        assert_eq!(publish(node, phone, 1, "room:1"), "ok", "guest {n}");
    });
}

#[test]
fn presence_changes_without_readers_hold_no_memory() {
    let node = node(Limits::default());
    let mut greedy = node.guest_at("6.6.6.6");
    let mut id = 0;
    for n in 0..100 {
        for _ in 0..130 {
            for verb in ["subscribe", "unsubscribe"] {
                id += 1;
                greedy.say(&node, json!({"id": id, verb: {"channel": format!("party:{n}")}}));
            }
        }
        greedy.inbox.clear();
    }
    assert_eq!(node.hub.stats().presence_bytes, 0);
}

/// A session whose connection is gone stays a member for two minutes.
#[test]
fn greedy_address_gets_half_of_roster_seats() {
    let mut node = node(HubLimits { presence_seats_max: 2_000, ..HubLimits::default() });
    let mut joined = 0;
    for _ in 0..15 {
        node.advance(1);
        let mut greedy = node.guest_at("6.6.6.6");
        for id in 1..=100 {
            let request = json!({"id": id, "subscribe": {"channel": format!("party:{id}")}});
            joined += usize::from(code(&greedy.ask(&node, request)) == "ok");
        }
    }
    assert_eq!((joined, node.hub.stats().presence_seats), (1_001, 1_001), "they are parked by now");
    let phones = thousand(&mut node, |node, n, phone| {
        if n < 900 {
            let request = json!({"id": 1, "subscribe": {"channel": "party:mine"}});
            assert_eq!(code(&phone.ask(node, request)), "ok", "guest {n}");
        }
    });
    drop(phones);
    node.advance(120_000);
    assert_eq!(node.hub.stats().presence_seats, 0, "all seats are returned");
}

#[test]
fn greedy_session_gets_half_of_presence_bytes() {
    let mut node = node(HubLimits { presence_bytes_max: 256 * KIB, ..HubLimits::default() });
    let mut stalled = node.guest_at("6.6.6.6");
    let rooms: Vec<_> = (0..1_000).map(|n| format!("party:{n}")).collect();
    for (id, room) in (1..).zip(&rooms) {
        stalled.say(&node, json!({"id": id, "subscribe": {"channel": room}}));
    }
    stalled.say(&node, json!({"pause": {}}));
    let mut flapping = node.guest_at("6.6.6.7");
    for id in 1..=1_000 {
        flapping.say(&node, json!({"id": id, "subscribe": {"channel": rooms[id - 1]}}));
    }
    let before = node.hub.stats().presence_bytes;
    assert!((110 * KIB..150 * KIB).contains(&before), "about half: {before}");
    let mut watcher = node.user("watcher", &[]);
    watcher.say(&node, json!({"id": 1, "subscribe": {"channel": "party:quiet"}}));
    watcher.hear(&node);
    let phones = thousand(&mut node, |node, n, phone| {
        phone.say(node, json!({"id": 1, "subscribe": {"channel": "party:quiet"}}));
        while node.hub.pump() {}
        assert_eq!(watcher.hear_only(node, "join").len(), 1, "guest {n}");
    });
    drop((phones, watcher, flapping, stalled));
    assert_eq!(node.hub.stats().presence_bytes, 0, "all bytes are returned");
}

#[test]
fn greedy_address_gets_half_of_sessions() {
    let mut node = node(HubLimits { sessions_max: 4_000, ..HubLimits::default() });
    let welcomed = (0..3_000).filter(|_| {
        node.advance(u64::from(node.hub.stats().sessions.is_multiple_of(4)));
        let mut phone = node.guest_at("6.6.6.6");
        phone.hear(&node).iter().any(|packet| packet["welcome"].is_object())
    });
    assert_eq!(welcomed.count(), 1_751, "half of the unreserved part");
    let mut phones = thousand(&mut node, |node, n, phone| {
        assert!(phone.welcome(node)["ticket"].is_string(), "guest {n}");
    });
    phones.clear();
    node.advance(120_000);
    assert_eq!(node.hub.stats().sessions, 0, "all sessions are removed");
}

/// Tickets outlive their sessions, so an address can collect as many as it likes.
#[test]
fn one_address_resumes_half_of_the_sessions_and_a_thousand_find_room() {
    let mut node = node(HubLimits { sessions_max: 3_000, ..HubLimits::default() });
    let mut tickets = Vec::new();
    for _ in 0..2 {
        for n in 0..1_000 {
            node.advance(u64::from(n % 4 == 0));
            tickets.push(node.guest_at("6.6.6.6").welcome(&node));
        }
        node.advance(120_000);
    }
    let mut back = 0;
    for (n, welcome) in tickets.iter().enumerate() {
        node.advance(u64::from(n % 16 == 0));
        let mut phone = node.dial_from("6.6.6.6");
        phone.enter(&node, resume(welcome, node.now.wall_ms, json!({})));
        back += usize::from(phone.hear(&node).iter().any(|packet| packet["welcome"].is_object()));
    }
    assert_eq!(back, 1_501, "half of all");
    thousand(&mut node, |node, n, phone| {
        assert!(phone.welcome(node)["ticket"].is_string(), "guest {n}");
    });
}

#[test]
fn one_address_ends_half_of_what_is_remembered_and_a_thousand_stay_ended() {
    let mut node = node(EngineLimits { revocations_max: 3_000, ..EngineLimits::default() });
    let end = |node: &mut Node, address: &str| {
        node.advance(1);
        let mut phone = node.guest_at(address);
        let welcome = phone.welcome(node);
        phone.say(node, json!({"bye": {}}));
        assert_eq!(phone.close, Some(1000));
        welcome
    };
    let opens_nothing = |node: &mut Node, welcome: &Value| {
        node.advance(1);
        let mut phone = node.dial();
        phone.enter(node, resume(welcome, node.now.wall_ms, json!({})));
        phone.hear(node)[0]["challenge"]["code"] == "ticket_revoked"
    };
    let first = end(&mut node, "6.6.6.6");
    let thousand: Vec<_> =
        (0..1_000).map(|n| end(&mut node, &format!("10.0.{}.{}", n / 250, n % 250))).collect();
    let greedy: Vec<_> = (0..2_500).map(|_| end(&mut node, "6.6.6.6")).collect();
    let late = end(&mut node, "7.7.7.7");
    assert!(thousand.iter().chain([&first, &late]).all(|welcome| opens_nothing(&mut node, welcome)));
    assert!(!opens_nothing(&mut node, &greedy[2_499]), "beyond its share its own are not remembered");
}

#[test]
fn greedy_address_gets_half_of_calls() {
    let mut node = node(HubLimits { calls_bytes_max: 4096 * KIB, ..HubLimits::default() });
    let mut greedy: Vec<_> = (0..8).map(|_| node.guest_at("6.6.6.6")).collect();
    let call = |id: usize| json!({"id": id, "call": {"method": "slow", "data": "x".repeat(30 * KIB)}});
    for id in 1..=20 {
        greedy.iter_mut().for_each(|phone| phone.say(&node, call(id)));
    }
    let running: usize = greedy.iter().map(|phone| phone.calls.len()).sum();
    assert!((60..70).contains(&running), "half of 132: {running}");
    let mut refused = greedy[7].hear_only(&node, "error");
    assert_eq!(refused.pop().expect("one was refused")["code"], "overloaded");
    let phones = thousand(&mut node, |node, n, phone| {
        phone.say(node, json!({"id": 1, "call": {"method": "slow"}}));
        assert_eq!(phone.calls.len(), 1, "guest {n}");
    });
    drop((phones, greedy));
}

#[test]
fn many_hellos_of_one_address_delay_no_others() {
    let node = node(HubLimits { new_sessions_per_ms_max: 0, ..HubLimits::default() });
    let waiting = |address: &str| {
        let mut phone = node.dial_from(address);
        phone.say(&node, json!({"hello": {"v": 1, "auth": {"guest": true}}}));
        phone
    };
    let welcomed = |phones: &mut [Phone]| {
        let received = phones.iter_mut().map(|phone| phone.hear(&node));
        received.filter(|received| received.iter().any(|packet| packet["welcome"].is_object())).count()
    };
    let mut greedy: Vec<_> = (0..1_500).map(|_| waiting("6.6.6.6")).collect();
    let mut modest: Vec<_> = (0..1_000).map(|n| waiting(&format!("10.0.{}.{}", n / 250, n % 250))).collect();
    for _ in 0..1_001 {
        node.hub.pump();
    }
    assert_eq!((welcomed(&mut modest), welcomed(&mut greedy)), (1_000, 1), "one each");
}
