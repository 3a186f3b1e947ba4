//! Promise 3: the app leaves before it is cut, keeps still while nobody looks, and is back at a glance.

use tautline_netem::Fault;
use tautline_protocol::client::{DropCause, Options, State};
use tautline_sim::{DialBehavior, Pair};

#[test]
fn hidden_line_pauses_after_four_seconds() {
    let mut pair = Pair::connected();
    pair.world.hide(0, None);
    pair.advance(3_999);
    assert_eq!((pair.state(), pair.sent("pause").len()), (State::Online, 0));
    pair.advance(1);
    assert_eq!(pair.sent("pause"), [r#"{"pause":{"reason":"background"}}"#]);
    assert_eq!((pair.state(), pair.drops()), (State::Hidden, vec![DropCause::Background]));
    assert_eq!(pair.phone().session.poll_timeout(), None, "no timer is wanted");
    pair.advance(600_000);
    assert_eq!(pair.dials(), 0);
    pair.world.show(0);
    assert_eq!(pair.phone().dialled_at_ms, [pair.now_ms()]);
    pair.advance(80);
    assert_eq!((pair.state(), pair.welcomes()), (State::Online, vec![true]));
}

#[test]
fn paused_session_is_parked_at_once() {
    let mut pair = Pair::connected();
    let sessions = pair.world.stats().sessions;
    pair.world.hide(0, None);
    pair.advance(4_100);
    assert_eq!(pair.world.stats().connections, 0, "nobody is left");
    assert_eq!(pair.world.stats().sessions, sessions);
}

#[test]
fn a_glance_elsewhere_costs_one_ping() {
    let mut pair = Pair::connected();
    pair.world.hide(0, None);
    pair.advance(3_000);
    pair.world.show(0);
    pair.advance(10_000);
    assert_eq!((pair.sent_packets().len(), pair.sent("ping").len()), (1, 1));
    assert_eq!((pair.state(), pair.drops(), pair.dials()), (State::Online, vec![], 0));
}

#[test]
fn dead_line_is_found_two_seconds_after_show() {
    let mut pair = Pair::connected();
    pair.world.hide(0, Some(Fault::half_open()));
    pair.advance(3_000);
    pair.world.show(0);
    pair.advance(1_999);
    assert_eq!(pair.drops(), []);
    pair.advance(1);
    assert_eq!((pair.drops(), pair.dials()), (vec![DropCause::Background], 1));
}

#[test]
fn where_timers_froze_the_clock_tells_on_show() {
    // The host froze the app before it could pause, and killed its socket without a word.
    let mut pair = Pair::connected_with(Options { background_after_ms: 6_000, ..Options::default() });
    pair.world.hide(0, Some(Fault::background_kill()));
    pair.advance(60_000);
    assert_eq!(pair.drops(), [], "it did not run");
    pair.world.show(0);
    assert_eq!(
        (pair.drops(), pair.phone().dialled_at_ms.clone()),
        (vec![DropCause::Background], vec![pair.now_ms()])
    );
    pair.advance(80);
    assert_eq!(pair.state(), State::Online);
}

#[test]
fn show_delivers_publications_made_while_hidden() {
    let mut pair = Pair::subscribed();
    pair.hear("before");
    pair.advance(1_000);
    pair.world.hide(0, Some(Fault::background_kill()));
    pair.advance(30_000);
    pair.hear("meanwhile 1");
    pair.hear("meanwhile 2");
    pair.world.show(0);
    pair.advance(100);
    assert_eq!(pair.heard(), ["before", "meanwhile 1", "meanwhile 2"]);
    assert_eq!(pair.phone().app.gaps, []);
}

#[test]
fn request_expired_while_hidden_settles_on_show() {
    let mut pair = Pair::connected();
    pair.set_dial_behavior(DialBehavior::Refusing);
    pair.fault(Fault::Cut);
    let old = pair.call("old");
    pair.world.hide(0, None);
    pair.advance(29_000);
    assert_eq!(pair.outcome(old), None, "nothing times out while hidden");
    pair.advance(11_000);
    pair.set_dial_behavior(DialBehavior::Clear);
    pair.world.show(0);
    let young = pair.call("young");
    pair.advance(1_000);
    assert_eq!((pair.outcome(old), pair.outcome(young)), (Some("expired"), Some("ok")));
    assert_eq!(pair.executed("old"), 0);
}

#[test]
fn running_background_app_keeps_its_line() {
    let mut pair = Pair::connected_with(Options { background: false, ..Options::default() });
    pair.world.hide(0, None);
    pair.advance(4_900);
    pair.world.show(0);
    pair.advance(5_000);
    assert_eq!((pair.sent("pause").len(), pair.drops()), (0, vec![]));
}
