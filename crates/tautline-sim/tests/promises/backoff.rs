//! Promise 2: back at once the first time, then ever more patiently, and never before the server's own time.

use tautline_netem::Fault;
use tautline_protocol::client::{Input, State};
use tautline_sim::{DialBehavior, Pair};

/// A refused dial takes a round trip.
const REFUSAL_MS: u64 = 40;

#[test]
fn first_dial_after_a_cut_is_immediate() {
    let mut pair = Pair::connected();
    pair.advance(10_000);
    let cut_at_ms = pair.now_ms();
    pair.fault(Fault::Cut);
    pair.advance(1_000);
    assert_eq!(pair.phone().dialled_at_ms, [cut_at_ms]);
    assert_eq!(pair.state(), State::Online);
}

#[test]
fn failing_dials_back_off_to_a_ceiling() {
    let mut pair = Pair::connected();
    pair.set_dial_behavior(DialBehavior::Refusing);
    pair.fault(Fault::Cut);
    pair.advance(600_000);
    let dials = &pair.phone().dialled_at_ms;
    for (retry, pause) in dials.windows(2).enumerate() {
        let ceiling_ms = 30_000.min(500 << (retry + 1).min(16)) + REFUSAL_MS;
        let waited_ms = pause[1] - pause[0];
        assert!(
            waited_ms <= ceiling_ms,
            "retry {retry} came after {waited_ms} ms, the ceiling is {ceiling_ms}"
        );
    }
    // Full jitter under 30 seconds means 15 on average.
    assert!((25..70).contains(&dials.len()), "{} dials in ten minutes", dials.len());
}

#[test]
fn flapping_network_causes_no_dial_loop() {
    let mut pair = Pair::connected();
    for _ in 0..600 {
        pair.advance(500);
        if pair.state() == State::Online {
            pair.fault(Fault::Cut);
        }
    }
    assert!((10..60).contains(&pair.dials()), "{} dials in five minutes", pair.dials());
}

#[test]
fn five_stable_seconds_reset_the_backoff() {
    let mut pair = Pair::connected();
    pair.set_dial_behavior(DialBehavior::Refusing);
    pair.fault(Fault::Cut);
    pair.advance(120_000);
    pair.set_dial_behavior(DialBehavior::Clear);
    pair.advance(30_000 + 100);
    assert_eq!(pair.state(), State::Online);
    pair.advance(5_000);
    pair.forget();
    let cut_at_ms = pair.now_ms();
    pair.fault(Fault::Cut);
    pair.advance(100);
    assert_eq!(pair.phone().dialled_at_ms, [cut_at_ms]);
}

#[test]
fn a_connection_that_lived_four_seconds_does_not() {
    let mut pair = Pair::connected();
    pair.fault(Fault::Cut);
    pair.advance(4_000);
    assert_eq!(pair.state(), State::Online);
    pair.forget();
    let cut_at_ms = pair.now_ms();
    pair.fault(Fault::Cut);
    assert!(matches!(pair.state(), State::Waiting { .. }), "{:?}", pair.state());
    pair.advance(30_000);
    assert!(pair.phone().dialled_at_ms[0] > cut_at_ms);
}

#[test]
fn retry_after_of_a_drain_beats_retry_now() {
    let mut pair = Pair::connected();
    pair.advance(10_000);
    pair.world.drain_and_stay_closed(60_000);
    pair.advance(20);
    let told_at_ms = pair.now_ms();
    let bye: serde_json::Value = serde_json::from_str(pair.received("bye")[0]).expect("json");
    let retry_after_ms = bye["bye"]["retry_after_ms"].as_u64().expect("drained with a time");
    assert!(retry_after_ms > 5_000, "{retry_after_ms} is no wait to speak of: take another seed");
    pair.world.reopen();
    for _ in 0..4 {
        pair.advance(1_000);
        pair.tell(Input::Connect);
    }
    pair.advance(60_000);
    assert_eq!(pair.phone().dialled_at_ms, [told_at_ms + retry_after_ms]);
    assert_eq!(pair.state(), State::Online);
}

#[test]
fn hundred_drained_phones_reconnect_spread_out() {
    let mut pair = Pair::connected();
    for _ in 1..100 {
        let phone = pair.world.add_phone(tautline_protocol::client::Options::default());
        pair.world.tell(phone, Input::Connect);
    }
    pair.advance(10_000);
    let drained_at_ms = pair.now_ms();
    pair.world.drain(10_000);
    pair.advance(11_000);
    let mut by_second = [0_u32; 11];
    for phone in &pair.world.phones {
        assert_eq!(phone.state(), State::Online);
        let dialled_at_ms = phone.dialled_at_ms.last().expect("came back");
        by_second[usize::try_from((dialled_at_ms - drained_at_ms) / 1_000).expect("an index")] += 1;
    }
    assert!(by_second[..10].iter().all(|dials| (1..30).contains(dials)), "{by_second:?}");
}
