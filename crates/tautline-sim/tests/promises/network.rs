//! Promise 4: without a network nobody dials, and a change of network is no secret for long.

use tautline_netem::Fault;
use tautline_protocol::client::{DropCause, Input, State};
use tautline_sim::{DialBehavior, Pair};

fn network(pair: &mut Pair, online: bool, kind: &str) {
    pair.tell(Input::Network { online, kind: Some(kind.to_owned()), weak: false });
}

#[test]
fn without_a_network_nothing_is_dialled_and_with_one_at_once() {
    let mut pair = Pair::connected();
    network(&mut pair, false, "none");
    pair.fault(Fault::Cut);
    pair.advance(600_000);
    assert_eq!((pair.state(), pair.dials(), pair.drops()), (State::Offline, 0, vec![DropCause::NetworkLost]));
    network(&mut pair, true, "wifi");
    assert_eq!(pair.phone().dialled_at_ms, [pair.now_ms()]);
    pair.advance(80);
    assert_eq!(pair.state(), State::Online);
}

#[test]
fn a_line_that_answers_while_the_host_says_offline_stays() {
    let mut pair = Pair::connected();
    network(&mut pair, false, "none");
    pair.advance(10_000);
    assert_eq!((pair.state(), pair.sent("ping").len(), pair.drops()), (State::Online, 1, vec![]));
}

#[test]
fn a_line_that_died_with_its_network_is_found_out_in_two_seconds() {
    let mut pair = Pair::connected();
    network(&mut pair, true, "wifi");
    pair.fault(Fault::half_open());
    network(&mut pair, true, "4g");
    pair.advance(2_000);
    assert_eq!((pair.drops(), pair.dials()), (vec![DropCause::NetworkChanged], 1));
    pair.advance(80);
    assert_eq!(pair.state(), State::Online);
}

#[test]
fn saying_the_same_again_costs_nothing() {
    let mut pair = Pair::connected();
    network(&mut pair, true, "wifi");
    network(&mut pair, true, "wifi");
    pair.advance(1_000);
    assert_eq!(pair.sent_packets(), [""; 0]);
}

#[test]
fn a_new_network_cuts_a_long_wait_short() {
    let mut pair = Pair::connected();
    pair.set_dial_behavior(DialBehavior::Refusing);
    pair.fault(Fault::Cut);
    while !matches!(pair.state(), State::Waiting { retry_at } if retry_at > pair.world.now().wall_ms + 10_000)
    {
        pair.advance(500);
    }
    pair.set_dial_behavior(DialBehavior::Clear);
    network(&mut pair, false, "none");
    pair.forget();
    network(&mut pair, true, "4g");
    assert_eq!(pair.phone().dialled_at_ms, [pair.now_ms()]);
    pair.advance(80);
    assert_eq!(pair.state(), State::Online);
}

#[test]
fn a_dial_into_the_old_network_is_abandoned_for_the_new_one() {
    let mut pair = Pair::connected();
    network(&mut pair, true, "wifi");
    pair.advance(10_000);
    pair.set_dial_behavior(DialBehavior::Dead);
    pair.fault(Fault::Cut);
    pair.advance(3_000);
    assert_eq!(pair.state(), State::Connecting);
    pair.set_dial_behavior(DialBehavior::Clear);
    network(&mut pair, true, "4g");
    pair.advance(80);
    assert_eq!((pair.state(), pair.drops().last()), (State::Online, Some(&DropCause::NetworkChanged)));
}
