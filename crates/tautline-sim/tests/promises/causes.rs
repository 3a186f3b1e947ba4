//! Promise 9: every drop has one cause, and the next hello reports it.

use tautline_netem::{Direction, Fault};
use tautline_protocol::{
    client::{DropCause, Input, Options, State},
    packet::Auth,
};
use tautline_sim::{DialBehavior, Pair};

fn last_drop(pair: &Pair) -> serde_json::Value {
    let hello = *pair.sent("hello").last().expect("a hello was said");
    serde_json::from_str::<serde_json::Value>(hello).expect("json")["hello"]["last_drop"].clone()
}

#[test]
fn every_kind_of_drop_has_its_cause() {
    type Story = fn(&mut Pair);
    let stories: [(DropCause, Story); 9] = [
        (DropCause::ClosedByApp, |pair| pair.tell(Input::Close)),
        (DropCause::Background, |pair| pair.world.hide(0, None)),
        (DropCause::NetworkLost, |pair| {
            pair.tell(Input::Network { online: false, kind: None, weak: false });
            pair.fault(Fault::Cut);
        }),
        (DropCause::NetworkChanged, |pair| {
            pair.tell(Input::Network { online: true, kind: Some("4g".into()), weak: false });
            pair.fault(Fault::half_open());
        }),
        (DropCause::PeerSilent, |pair| pair.fault(Fault::half_open())),
        (DropCause::ServerRestart, |pair| pair.world.drain(1_000)),
        (DropCause::Unknown, |pair| pair.fault(Fault::Cut)),
        (DropCause::Unknown, |pair| pair.fault(Fault::Fin)),
        (DropCause::Unknown, |pair| pair.world.restart()),
    ];
    for (cause, story) in stories {
        let mut pair = Pair::connected();
        pair.tell(Input::Network { online: true, kind: Some("wifi".into()), weak: false });
        story(&mut pair);
        pair.advance(40_000);
        assert_eq!(pair.drops(), [cause]);
    }
}

#[test]
fn dials_that_fail_have_causes_too() {
    for (dial_behavior, cause, expected) in [
        (DialBehavior::Dead, DropCause::ConnectTimeout, 1..=3),
        (DialBehavior::Refusing, DropCause::Unknown, 4..=12),
    ] {
        let mut pair = Pair::new(Options::default());
        pair.set_dial_behavior(dial_behavior);
        pair.tell(Input::Connect);
        pair.advance(30_000);
        let drops = pair.drops();
        assert!(
            drops.iter().all(|drop| *drop == cause) && expected.contains(&drops.len()),
            "{dial_behavior:?}: {drops:?}"
        );
    }
}

#[test]
fn refused_login_is_reported_as_stop_cause() {
    let mut pair = Pair::new(Options::default());
    pair.phone_mut().auth = Some(Auth::Token { token: "bad".into() });
    pair.tell(Input::Connect);
    pair.advance(1_000);
    assert_eq!(
        (pair.state(), pair.drops()),
        (State::Stopped(DropCause::AuthFailed), vec![DropCause::AuthFailed])
    );
}

#[test]
fn next_hello_reports_first_drop_and_attempts() {
    let mut pair = Pair::connected();
    pair.advance(10_000);
    pair.set_dial_behavior(DialBehavior::Refusing);
    pair.fault(Fault::Cut);
    let cut_at_ms = pair.now_ms();
    pair.advance(20_000);
    pair.set_dial_behavior(DialBehavior::Clear);
    pair.advance(30_000);
    let dials = pair.phone().dialled_at_ms.clone();
    let said_at_ms = dials.last().expect("came back") + 40;
    let told = last_drop(&pair);
    assert_eq!((&told["cause"], &told["code"]), (&"unknown".into(), &1006.into()));
    assert_eq!(
        (&told["attempts"], &told["offline_ms"]),
        (&dials.len().into(), &(said_at_ms - cut_at_ms).into())
    );
}

#[test]
fn server_message_is_kept_beside_the_cause() {
    let mut pair = Pair::connected();
    pair.world.drain(100);
    pair.advance(1_000);
    let told = last_drop(&pair);
    assert_eq!(
        (&told["cause"], &told["code"], &told["reason"]),
        (&"server_restart".into(), &4001.into(), &"server_restart".into())
    );
}

#[test]
fn hello_without_a_drop_reports_nothing() {
    let mut pair = Pair::connected();
    pair.fault(Fault::Reset { direction: Direction::Down });
    pair.advance(1_000);
    assert_eq!(last_drop(&pair)["cause"], "unknown");
    // A drop is reported once: the next hello speaks of its own.
    pair.advance(10_000);
    pair.world.hide(0, None);
    pair.advance(10_000);
    pair.world.show(0);
    pair.advance(1_000);
    let told = last_drop(&pair);
    assert_eq!((&told["cause"], &told["attempts"]), (&"background".into(), &1.into()));
    assert_eq!(told["code"], serde_json::Value::Null);
}
