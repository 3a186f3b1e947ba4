//! Promise 5: two sockets at most, and nothing is believed of an old one. (The rig counts sockets at every dial.)

use tautline_netem::Fault;
use tautline_protocol::client::{DropCause, Input, Options, State};
use tautline_sim::{Closing, Pair};

/// Changes the network under a line that is dead, so that the client drops it after its probe.
fn leave_the_line(pair: &mut Pair, kind: &str) {
    pair.tell(Input::Network { online: true, kind: Some(kind.to_owned()), weak: false });
    pair.advance(2_000);
    assert_eq!(pair.drops().last(), Some(&DropCause::NetworkChanged));
}

fn on_wifi(options: Options, closing: Closing) -> Pair {
    let mut pair = Pair::connected_with(options);
    pair.world.closing = closing;
    pair.tell(Input::Network { online: true, kind: Some("wifi".into()), weak: false });
    pair.advance(10_000);
    pair.fault(Fault::half_open());
    pair
}

#[test]
fn two_slots_dial_without_waiting() {
    let mut pair = on_wifi(Options::default(), Closing::Never);
    leave_the_line(&mut pair, "4g");
    assert_eq!(pair.phone().dialled_at_ms, [pair.now_ms()]);
    assert_eq!(pair.world.sockets(0), 2);
}

#[test]
fn one_slot_waits_for_the_old_socket() {
    let mut pair = on_wifi(Options { slots: 1, ..Options::default() }, Closing::After(700));
    leave_the_line(&mut pair, "4g");
    let dropped_at_ms = pair.now_ms();
    assert_eq!((pair.dials(), pair.state()), (0, State::Connecting));
    pair.advance(1_000);
    assert_eq!(pair.phone().dialled_at_ms, [dropped_at_ms + 700]);
}

#[test]
fn unreported_close_holds_the_slot_two_seconds() {
    let mut pair = on_wifi(Options { slots: 1, ..Options::default() }, Closing::Never);
    leave_the_line(&mut pair, "4g");
    let dropped_at_ms = pair.now_ms();
    pair.advance(3_000);
    assert_eq!(pair.phone().dialled_at_ms, [dropped_at_ms + 2_000]);
    assert_eq!(pair.state(), State::Online);
}

#[test]
fn repeated_drops_never_open_three_sockets() {
    let mut pair = Pair::connected();
    pair.world.closing = Closing::Never;
    for kind in ["wifi", "4g"].into_iter().cycle().take(40) {
        pair.fault(Fault::half_open());
        pair.tell(Input::Network { online: true, kind: Some(kind.to_owned()), weak: false });
        for _ in 0..20 {
            pair.advance(113);
            assert!(pair.world.sockets(0) <= 2);
        }
    }
    assert!(pair.dials() > 20, "{} dials", pair.dials());
}

#[test]
fn messages_of_an_old_socket_are_ignored() {
    let mut pair = Pair::subscribed();
    pair.world.closing = Closing::After(1_900);
    pair.tell(Input::Network { online: true, kind: Some("wifi".into()), weak: false });
    pair.advance(10_000);
    // The old line only stalls: what was on its way comes later, after the new line has brought it already, and with it
    // the bye that the server said when the new line took over.
    pair.fault(Fault::stall(2_600));
    pair.hear("on its way");
    pair.advance(100);
    leave_the_line(&mut pair, "4g");
    pair.advance(80);
    assert_eq!((pair.state(), pair.heard()), (State::Online, vec!["on its way"]));
    let call = pair.call("after");
    pair.advance(2_000);
    assert_eq!(pair.received("pub").len(), 2, "it came on the old socket as well");
    assert!(pair.received("bye")[0].contains("taken_over"));
    assert_eq!((pair.heard(), pair.outcome(call)), (vec!["on its way"], Some("ok")));
    assert_eq!((pair.state(), pair.drops().len()), (State::Online, 1));
}
