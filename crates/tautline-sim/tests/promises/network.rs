//! Promise 4: without a network nobody dials, and a change of network is no secret for long.

use tautline_netem::Fault;
use tautline_protocol::client::{DropCause, Input, State};
use tautline_sim::{DialBehavior, Pair};

fn network(pair: &mut Pair, online: bool, kind: &str) {
    pair.tell(Input::Network { online, kind: Some(kind.to_owned()), weak: false });
}

#[test]
fn offline_client_dials_slowly_until_the_network_returns() {
    let mut pair = Pair::connected();
    pair.set_dial_behavior(DialBehavior::Refusing);
    network(&mut pair, false, "none");
    pair.fault(Fault::Cut);
    pair.advance(600_000);
    assert_eq!(pair.state(), State::Offline);
    assert!(pair.drops().iter().all(|cause| *cause == DropCause::NetworkLost), "{:?}", pair.drops());
    let dialled_at_ms = pair.phone().dialled_at_ms.clone();
    let waits_ms: Vec<u64> = dialled_at_ms.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits_ms.iter().all(|wait_ms| (10_000..31_000).contains(wait_ms)), "{waits_ms:?}");
    assert!((18..25).contains(&dialled_at_ms.len()), "{dialled_at_ms:?}");
    pair.set_dial_behavior(DialBehavior::Clear);
    pair.forget();
    network(&mut pair, true, "wifi");
    assert_eq!(pair.phone().dialled_at_ms, [pair.now_ms()]);
    pair.advance(80);
    assert_eq!(pair.state(), State::Online);
}

#[test]
fn offline_report_never_withdrawn_delays_one_dial() {
    let mut pair = Pair::connected();
    network(&mut pair, false, "none");
    pair.fault(Fault::Cut);
    pair.advance(4_900);
    assert_eq!((pair.state(), pair.dials()), (State::Offline, 0));
    pair.advance(200);
    assert_eq!(pair.state(), State::Online);
    pair.advance(6_000);
    // The welcome has ended the belief.
    pair.fault(Fault::Cut);
    pair.advance(80);
    assert_eq!(pair.state(), State::Online);
}

#[test]
fn connect_while_offline_dials_at_once() {
    let mut pair = Pair::connected();
    network(&mut pair, false, "none");
    pair.fault(Fault::Cut);
    pair.advance(1_000);
    pair.tell(Input::Connect);
    pair.advance(80);
    assert_eq!(pair.state(), State::Online);
}

#[test]
fn answering_line_survives_an_offline_report() {
    let mut pair = Pair::connected();
    network(&mut pair, false, "none");
    pair.advance(10_000);
    assert_eq!((pair.state(), pair.sent("ping").len(), pair.drops()), (State::Online, 1, vec![]));
}

#[test]
fn dead_line_is_found_two_seconds_after_switch() {
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
fn network_switch_abandons_the_old_dial() {
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
