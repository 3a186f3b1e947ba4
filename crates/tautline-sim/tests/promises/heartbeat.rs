//! Promise 1: a dead connection is found out by its silence, by nothing else, and left without a bye.

use tautline_netem::{Direction, Fault};
use tautline_protocol::client::{DropCause, State};
use tautline_sim::{Closing, Event, Pair};

const PING_EVERY_MS: u64 = 25_000;
const PONG_WITHIN_MS: u64 = 8_000;

#[test]
fn quiet_line_sends_only_pings() {
    let mut pair = Pair::connected();
    pair.advance(4 * PING_EVERY_MS + 1_000);
    assert_eq!(pair.sent("ping").len(), 4);
    assert_eq!((pair.sent_packets().len(), pair.received("pong").len()), (4, 4));
    assert_eq!((pair.state(), pair.drops()), (State::Online, vec![]));
}

#[test]
fn unanswered_ping_closes_the_line() {
    let mut pair = Pair::connected();
    pair.fault(Fault::half_open());
    pair.advance(PING_EVERY_MS + PONG_WITHIN_MS - 1_000);
    assert_eq!((pair.drops(), pair.sent("ping").len()), (vec![], 1), "not before its time");
    pair.advance(1_000);
    assert_eq!((pair.drops(), pair.sent("ping").len()), (vec![DropCause::PeerSilent], 1));
    assert_eq!((pair.state(), pair.welcomes()), (State::Online, vec![true]));
}

#[test]
fn next_dial_does_not_wait_for_close_report() {
    let mut pair = Pair::connected();
    pair.world.closing = Closing::Never;
    pair.fault(Fault::half_open());
    pair.advance(PING_EVERY_MS + PONG_WITHIN_MS);
    let events = &pair.phone().events;
    let lost = events.iter().position(|event| matches!(event, Event::Drop(_))).expect("it was lost");
    let dialled = events.iter().position(|event| *event == Event::Dial).expect("it was dialled");
    assert!(lost < dialled, "{events:?}");
    let patience_ended_ms = pair.phone().dialled_at_ms[0];
    assert!(patience_ended_ms <= 1_000 + PING_EVERY_MS + PONG_WITHIN_MS, "{patience_ended_ms}");
    assert_eq!((pair.state(), pair.world.sockets(0)), (State::Online, 2), "the dead one is still about");
}

#[test]
fn listening_line_pings_to_stay_alive() {
    let mut pair = Pair::subscribed();
    for heard in 0..30 {
        pair.hear(&format!("h{heard}"));
        pair.advance(5_000);
    }
    assert_eq!((pair.heard().len(), pair.drops()), (30, vec![]));
    assert_eq!(pair.sent("ping").len(), 6, "the last one 150 seconds after the first");
}

#[test]
fn server_drops_unheard_client_without_loss() {
    let mut pair = Pair::subscribed();
    pair.fault(Fault::HalfOpen { direction: Direction::Up, for_ms: None });
    for heard in 0..70 {
        pair.hear(&format!("h{heard}"));
        pair.advance(1_000);
    }
    assert_eq!((pair.drops(), pair.state()), (vec![DropCause::PeerSilent], State::Online));
    assert!(pair.received("bye")[0].contains("peer_silent"), "the server said why");
    assert_eq!(pair.heard().len(), 70);
}

#[test]
fn stall_shorter_than_the_timeout_is_survived() {
    let mut pair = Pair::connected();
    pair.advance(PING_EVERY_MS - 2_000);
    pair.fault(Fault::stall(PONG_WITHIN_MS - 1_000));
    pair.advance(60_000);
    assert_eq!((pair.drops(), pair.dials()), (vec![], 0));
}

#[test]
fn seen_is_reported_once_within_five_seconds() {
    let mut pair = Pair::connected();
    let call = pair.call("c1");
    pair.advance(5_100);
    assert_eq!(pair.outcome(call), Some("ok"));
    assert_eq!(pair.sent("ping"), [r#"{"seen":1,"ping":{}}"#]);
    pair.advance(10_000);
    assert_eq!(pair.sent("ping").len(), 1);
    assert_eq!(pair.world.stats().reply_bytes, 0, "the server forgets replies that were seen");
}
