//! Promise 8: with nothing to do the client may hang up, to spare the phone.

use tautline_protocol::client::{Options, State};
use tautline_sim::{DialBehavior, Pair};

fn sparing() -> Pair {
    Pair::connected_with(Options { idle_ms: 60_000, ..Options::default() })
}

#[test]
fn idle_line_closes_without_a_drop() {
    let mut pair = sparing();
    pair.advance(60_000);
    assert_eq!((pair.state(), pair.drops()), (State::Idle, vec![]));
    assert_eq!(pair.sent("pause"), [r#"{"pause":{"reason":"idle"}}"#]);
    pair.advance(600_000);
    assert_eq!(pair.dials(), 0);
}

#[test]
fn request_on_idle_client_dials_and_resumes() {
    let mut pair = sparing();
    pair.advance(70_000);
    let call = pair.call("woken");
    pair.advance(200);
    assert_eq!((pair.outcome(call), pair.welcomes(), pair.logins()), (Some("ok"), vec![true], 0));
    assert!(!pair.sent("hello")[0].contains("last_drop"), "{:?}", pair.sent("hello"));
}

#[test]
fn a_line_with_a_subscription_is_never_idle() {
    let mut pair = sparing();
    pair.subscribe("room:7");
    pair.advance(600_000);
    assert_eq!((pair.state(), pair.dials()), (State::Online, 0));
}

#[test]
fn a_request_that_waits_keeps_the_line_trying() {
    let mut pair = sparing();
    pair.advance(70_000);
    pair.set_dial_behavior(DialBehavior::Refusing);
    let call = pair.call("waiting");
    pair.advance(20_000);
    assert_eq!((pair.outcome(call), pair.dials() > 2), (None, true));
    pair.set_dial_behavior(DialBehavior::Clear);
    pair.advance(9_000);
    assert_eq!(pair.outcome(call), Some("ok"));
}
