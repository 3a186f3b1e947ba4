//! Sections 1 and 5: what was published is handed over once and in order, or its absence is told by a gap.

use tautline_engine::Retention;
use tautline_netem::{Direction, Fault};
use tautline_protocol::{
    ReadFrom,
    client::{Input, Options, State},
    packet::{Auth, server::GapReason},
};
use tautline_sim::{Pair, WorldConfig};

const ROOM: &str = "room:7";

#[test]
fn cut_anywhere_delivers_each_publication_once() {
    for fault in [Fault::Cut, Fault::Fin, Fault::HalfOpen { direction: Direction::Down, for_ms: Some(100) }] {
        for moment_ms in 0..100 {
            let mut pair = Pair::subscribed();
            pair.tell(Input::Network { online: true, kind: Some("wifi".into()), weak: false });
            for number in 0..20 {
                if number * 5 == moment_ms / 5 * 5 {
                    pair.advance(moment_ms % 5);
                    pair.fault(fault);
                    pair.tell(Input::Network { online: true, kind: Some("4g".into()), weak: false });
                }
                pair.hear(&format!("h{number}"));
                pair.advance(5);
            }
            pair.advance(10_000);
            let all: Vec<String> = (0..20).map(|number| format!("h{number}")).collect();
            assert_eq!(pair.heard(), all, "{fault:?} after {moment_ms} ms");
            assert_eq!(pair.phone().app.gaps, []);
        }
    }
}

#[test]
fn resume_beyond_retention_reports_the_gap() {
    let retention = Retention { count: 3, ..Retention::default() };
    let mut pair =
        Pair::new_with(Options::default(), WorldConfig { retention, ..WorldConfig::default() }).connect();
    pair.subscribe(ROOM);
    pair.advance(1_000);
    pair.hear("h1");
    pair.advance(1_000);
    pair.world.hide(0, None);
    pair.advance(10_000);
    for number in 2..=9 {
        pair.hear(&format!("h{number}"));
    }
    pair.world.show(0);
    pair.advance(1_000);
    let [gap] = &pair.phone().app.gaps[..] else { panic!("{:?}", pair.phone().app.gaps) };
    assert_eq!((gap.reason, gap.after, gap.cursor.offset), (GapReason::Retention, 1, 6));
    assert_eq!(pair.heard(), ["h1", "h7", "h8", "h9"]);
}

#[test]
fn a_server_that_lost_its_logs_says_so() {
    let mut pair = Pair::subscribed();
    pair.hear("old");
    pair.advance(10_000);
    pair.world.restart();
    pair.hear("new");
    pair.advance(10_000);
    let [gap] = &pair.phone().app.gaps[..] else { panic!("{:?}", pair.phone().app.gaps) };
    assert_eq!((gap.reason, gap.after, gap.cursor.offset), (GapReason::NewEpoch, 1, 0));
    assert_eq!((pair.state(), pair.heard()), (State::Online, vec!["old", "new"]));
}

#[test]
fn stalled_reader_delays_nobody_and_loses_nothing() {
    let mut pair = Pair::subscribed();
    pair.fault(Fault::Stall { direction: Direction::Down, for_ms: Some(6_000) });
    for number in 0..500 {
        pair.hear(&format!("{number} {}", "x".repeat(1_000)));
        pair.advance(10);
    }
    pair.advance(10_000);
    assert_eq!(pair.heard().len(), 500);
    let messages =
        pair.phone().events.iter().filter(|event| matches!(event, tautline_sim::Event::Received(_)));
    assert!(messages.count() < 300, "what waited leaves in batches");
    assert_eq!(pair.sent("subscribe").len(), 0, "no batch left a hole that the client had to mend");
}

#[test]
fn resubscribe_delivers_only_new_publications() {
    let mut pair = Pair::subscribed();
    pair.world.unsubscribe(0, ROOM);
    pair.advance(1_000);
    pair.hear("unheard");
    pair.advance(1_000);
    pair.subscribe(ROOM);
    pair.advance(1_000);
    pair.hear("heard");
    pair.fault(Fault::Cut);
    pair.advance(1_000);
    assert_eq!(pair.heard(), ["heard"]);
}

/// A pair whose client has said hello and not had its welcome, with one publication in the log and one to come.
fn between_hello_and_welcome() -> Pair {
    let mut pair = Pair::subscribed();
    pair.hear("h1");
    pair.advance(10_000);
    pair.fault(Fault::Cut);
    pair.advance(70);
    pair.hear("h2");
    pair
}

/// Found by storms 157, 518 and 925: the welcome's word about the old subscription was taken for the new one.
#[test]
fn resubscribe_before_welcome_begins_at_its_cursor() {
    let mut pair = between_hello_and_welcome();
    pair.world.unsubscribe(0, ROOM);
    pair.tell(Input::Subscribe { channel: ROOM.into(), from: ReadFrom::Start });
    pair.advance(1_000);
    assert_eq!((pair.state(), pair.heard()), (State::Online, vec!["h1", "h1", "h2"]));
}

#[test]
fn unsubscribe_before_welcome_reaches_the_server() {
    let mut pair = between_hello_and_welcome();
    pair.world.unsubscribe(0, ROOM);
    pair.advance(1_000);
    pair.forget();
    pair.hear("h3");
    pair.advance(1_000);
    assert_eq!((pair.state(), pair.heard()), (State::Online, vec!["h1"]));
    assert_eq!(pair.received("pub").len(), 0, "nothing is sent in vain");
}

#[test]
fn channel_without_subscribers_is_dropped() {
    let mut pair = Pair::connected();
    let before = pair.world.stats().channels;
    pair.subscribe("room:empty");
    pair.advance(1_000);
    assert_eq!(pair.world.stats().channels, before + 1);
    pair.fault(Fault::Cut);
    pair.advance(1_000);
    pair.tell(Input::Unsubscribe { channel: "room:empty".into() });
    pair.advance(10_000);
    assert_eq!(pair.world.stats().channels, before);
}

#[test]
fn an_inbox_needs_no_subscription_and_survives_cuts() {
    let mut pair = Pair::new(Options::default());
    pair.phone_mut().auth = Some(Auth::Token { token: "user:u42".into() });
    pair.world.publish("user:u42", "waiting");
    let mut pair = pair.connect();
    pair.fault(Fault::Cut);
    pair.world.publish("user:u42", "meanwhile");
    pair.advance(10_000);
    pair.world.publish("user:u42", "now");
    pair.advance(1_000);
    assert_eq!(pair.heard(), ["waiting", "meanwhile", "now"]);
    assert_eq!(pair.sent("subscribe").len(), 0);
    pair.advance(5_000);
    let acks = *pair.sent("acks").last().expect("what was handled is reported");
    assert!(acks.contains(r#""offset":3"#), "{acks}");
}

#[test]
fn subscribe_from_start_delivers_the_whole_log() {
    let mut pair = Pair::connected();
    for number in 0..10 {
        pair.hear(&format!("h{number}"));
    }
    pair.tell(Input::Subscribe { channel: ROOM.into(), from: ReadFrom::Start });
    pair.advance(30);
    pair.fault(Fault::Cut);
    pair.advance(1_000);
    assert_eq!(pair.heard(), (0..10).map(|number| format!("h{number}")).collect::<Vec<_>>());
}
