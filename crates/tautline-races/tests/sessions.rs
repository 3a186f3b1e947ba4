//! The life of a session and the drain, by two or three threads in many orders: what holds whichever comes first.
//!
//! Shuttle decides at each lock and each atomic which thread goes on. A failure prints the order that led to it, to be given
//! to `shuttle::replay`.

extern crate tautline_races as tautline_hub;

#[path = "../../tautline-hub/tests/hub/common/mod.rs"]
mod common;
#[path = "sessions/rig.rs"]
mod rig;

use common::Phone;
use rig::{Story, in_many_orders};
use serde_json::{Value, json};
use shuttle::thread::spawn;
use tautline_hub::HubLimits;
use tautline_protocol::Limits;

/// What a client that was welcomed may rely on, whatever happened meanwhile: it is answered, others see it, nobody else has
/// its session, and a drain reaches it.
fn holds_the_session(story: &Story, phone: &mut Phone) {
    assert_eq!(phone.close, None, "{:?}", phone.inbox);
    let publish = json!({"id": 99, "publish": {"channel": "room:7", "data": 9}});
    assert!(phone.ask(story, publish).get("ok").is_some());
    assert_eq!(story.hub.stats().sessions, 2, "its own, and the watcher's");
    assert_eq!(story.roster(), ["online"]);
    story.hub.drain(0);
    assert_eq!(phone.bye(story)["code"], "server_restart");
}

#[test]
fn resume_at_the_end_of_park_ms_keeps_the_session() {
    in_many_orders(|| {
        let mut story = Story::new(Limits::default());
        let (mut old, welcome) = story.member();
        old.peer.handle_lost(story.now);
        story.now = story.now.plus_ms(story.hub.limits().park_ms);
        let ticks = {
            let story = story.clone();
            spawn(move || story.hub.tick(story.now))
        };
        let mut new = story.come_back(&welcome, 5);
        ticks.join().expect("no thread panics");
        assert_eq!(new.welcome(&story)["resumed"], true);
        holds_the_session(&story, &mut new);
    });
}

#[test]
fn resume_while_the_old_connection_is_lost_is_online() {
    in_many_orders(|| {
        let story = Story::new(Limits::default());
        let (mut old, welcome) = story.member();
        let loses = {
            let story = story.clone();
            spawn(move || old.peer.handle_lost(story.now))
        };
        let mut new = story.come_back(&welcome, 5);
        loses.join().expect("no thread panics");
        assert_eq!(new.welcome(&story)["resumed"], true);
        holds_the_session(&story, &mut new);
    });
}

#[test]
fn bye_beside_a_resume_counts_wholly_or_not_at_all() {
    in_many_orders(|| {
        let story = Story::new(Limits::default());
        let (mut old, welcome) = story.member();
        let leaves = {
            let story = story.clone();
            spawn(move || {
                let lines = [
                    json!({"id": 9, "publish": {"channel": "closed:1", "data": 1}}),
                    json!({"id": 10, "unsubscribe": {"channel": "party:1"}}),
                    json!({"id": 11, "subscribe": {"channel": "party:1"}}),
                    json!({"pause": {}}),
                    json!({"bye": {}}),
                ];
                old.say_text(&story, &lines.map(|line| line.to_string()).join("\n"));
                old.close
            })
        };
        let mut new = story.come_back(&welcome, 5);
        let close = leaves.join().expect("no thread panics");
        let told = new.hear(&story);
        if told[0].get("welcome").is_some() {
            assert_eq!(close, Some(4105), "taken over");
            holds_the_session(&story, &mut new);
        } else {
            assert_eq!(told[0]["challenge"]["code"], "ticket_revoked");
            assert_eq!((close, story.hub.stats().sessions), (Some(1000), 1));
            assert!(story.roster().is_empty());
        }
    });
}

#[test]
fn take_over_of_a_take_over_leaves_the_newest() {
    in_many_orders(|| {
        let story = Story::new(Limits::default());
        let (mut old, welcome) = story.member();
        let between = {
            let (story, welcome) = (story.clone(), welcome.clone());
            spawn(move || {
                old.drain(&story);
                story.come_back(&welcome, 5)
            })
        };
        let mut newest = story.come_back(&welcome, 6);
        let mut between = between.join().expect("no thread panics");
        // Its look at the channels may have been answered by the other thread.
        assert_eq!(newest.welcome(&story)["resumed"], true);
        assert_eq!(between.bye(&story)["code"], "taken_over");
        holds_the_session(&story, &mut newest);
    });
}

#[test]
fn drain_reaches_connections_that_are_coming_in() {
    in_many_orders(|| {
        let story = Story::new(Limits::default());
        let (mut old, welcome) = story.member();
        old.peer.handle_lost(story.now);
        let drains = {
            let story = story.clone();
            spawn(move || story.hub.drain(0))
        };
        let begins = {
            let story = story.clone();
            spawn(move || story.guest())
        };
        let mut back = story.come_back(&welcome, 5);
        drains.join().expect("no thread panics");
        let mut begun = begins.join().expect("no thread panics");
        for phone in [&mut back, &mut begun] {
            assert_eq!(phone.bye(&story)["code"], "server_restart");
            assert_eq!(phone.close, Some(4001));
        }
    });
}

#[test]
fn drain_lets_what_runs_be_answered_first() {
    in_many_orders(|| {
        let story = Story::new(Limits::default());
        let (mut phone, _) = story.member();
        phone.say(&story, json!({"id": 9, "call": {"method": "m"}}));
        let call = phone.calls.pop().expect("a call");
        let drains = {
            let story = story.clone();
            spawn(move || story.hub.drain(0))
        };
        let answers = {
            let story = story.clone();
            spawn(move || story.hub.answer(call.reply_to, Ok(serde_json::value::RawValue::NULL)))
        };
        phone.drain(&story);
        drains.join().expect("no thread panics");
        answers.join().expect("no thread panics");
        let told = phone.hear(&story);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0]["id"] == 9 && told[1]["bye"]["code"] == "server_restart", "{told:?}");
    });
}

#[test]
fn two_hellos_of_one_key_open_one_session() {
    in_many_orders(|| {
        let story = Story::new(Limits::default());
        let hello = json!({"hello": {"v": 1, "auth": {"guest": true}, "key": "0123456789abcdef"}});
        let (mut older, mut newer) = (story.dial(), story.dial());
        let held = {
            let (story, hello) = (story.clone(), hello.clone());
            spawn(move || {
                older.say(&story, hello);
                older
            })
        };
        newer.say(&story, hello);
        let mut older = held.join().expect("no thread panics");
        newer.welcome(&story);
        assert_eq!(older.bye(&story)["code"], "taken_over");
        assert_eq!(story.hub.stats().sessions, 2, "its own, and the watcher's");
        newer.ask(&story, json!({"id": 1, "subscribe": {"channel": "party:1"}}));
        holds_the_session(&story, &mut newer);
    });
}

#[test]
fn sessions_max_is_kept_by_hellos_at_once() {
    in_many_orders(|| {
        let story = Story::new(HubLimits { sessions_max: 2, ..HubLimits::default() });
        let other = {
            let story = story.clone();
            spawn(move || story.guest())
        };
        let mut phones = [story.guest(), other.join().expect("no thread panics")];
        let told: Vec<Value> = phones.iter_mut().flat_map(|phone| phone.hear(&story)).collect();
        let count = |verb: &str| told.iter().filter(|packet| packet.get(verb).is_some()).count();
        assert_eq!((count("welcome"), count("bye")), (1, 1), "{told:?}");
        assert_eq!(story.hub.stats().sessions, 2);
    });
}

#[test]
fn call_that_ends_beside_a_resume_is_answered_once() {
    in_many_orders(|| {
        let story = Story::new(Limits::default());
        let (mut old, welcome) = story.member();
        let call = json!({"id": 9, "call": {"method": "m"}});
        old.say(&story, call.clone());
        let running = old.calls.pop().expect("a call");
        let answers = {
            let story = story.clone();
            spawn(move || story.hub.answer(running.reply_to, Ok(serde_json::value::RawValue::NULL)))
        };
        let mut new = story.come_back(&welcome, 5);
        let mut again = call;
        again["again"] = json!(true);
        new.say(&story, again);
        answers.join().expect("no thread panics");
        let told = new.hear(&story);
        assert_eq!(told.iter().filter(|packet| packet["id"] == 9).count(), 1, "{told:?}");
        assert!(new.calls.is_empty());
    });
}
