//! Section 3: who was here comes back in one round trip and without a login; nothing that is lost on the way leaves a
//! ghost behind.

use tautline_netem::{Direction, Fault};
use tautline_protocol::{
    Limits,
    client::{DropCause, Input, Options, State},
    packet::Auth,
};
use tautline_sim::{DialBehavior, Pair};

/// A dial and a hello, each there and back.
const COME_BACK_MS: u64 = 80;

#[test]
fn resume_restores_everything_in_one_round_trip() {
    let mut pair = Pair::subscribed();
    pair.hear("before");
    pair.advance(10_000);
    pair.forget();
    pair.fault(Fault::Cut);
    pair.hear("meanwhile");
    pair.advance(COME_BACK_MS);
    assert_eq!((pair.state(), pair.welcomes(), pair.logins()), (State::Online, vec![true], 0));
    assert_eq!((pair.sent_packets().len(), pair.sent("hello").len()), (1, 1), "one packet there");
    assert_eq!(pair.received("welcome").len(), 1, "one back");
    assert_eq!(pair.heard(), ["before", "meanwhile"], "and what was missed right behind it");
    pair.hear("after");
    pair.advance(20);
    assert_eq!(pair.heard(), ["before", "meanwhile", "after"], "nothing had to be asked");
    assert_eq!(pair.sent("subscribe").len(), 0);
}

#[test]
fn lost_first_welcome_leaves_no_stale_session() {
    let mut pair = Pair::new(Options::default());
    pair.tell(Input::Connect);
    pair.advance(50);
    pair.fault(Fault::HalfOpen { direction: Direction::Down, for_ms: None });
    pair.advance(20);
    assert_eq!(pair.world.stats().sessions, 1, "the server took it in");
    pair.advance(30_000);
    assert_eq!((pair.state(), pair.drops()), (State::Online, vec![DropCause::ConnectTimeout]));
    assert_eq!((pair.welcomes(), pair.world.stats().sessions), (vec![true], 1), "the same one");
    let hellos = pair.sent("hello");
    let key =
        |hello: &str| serde_json::from_str::<serde_json::Value>(hello).expect("json")["hello"]["key"].clone();
    assert_eq!((hellos.len(), key(hellos[0])), (2, key(hellos[1])));
}

#[test]
fn lost_resume_welcome_costs_only_time() {
    let mut pair = Pair::subscribed();
    pair.advance(10_000);
    pair.fault(Fault::Cut);
    pair.advance(50);
    pair.fault(Fault::HalfOpen { direction: Direction::Down, for_ms: None });
    pair.hear("meanwhile");
    pair.advance(30_000);
    assert_eq!((pair.state(), pair.welcomes(), pair.heard()), (State::Online, vec![true], vec!["meanwhile"]));
}

#[test]
fn newest_connection_owns_the_session() {
    let mut pair = Pair::subscribed();
    pair.tell(Input::Network { online: true, kind: Some("wifi".into()), weak: false });
    // The server does not hear that the old connection is gone.
    pair.fault(Fault::half_open());
    pair.tell(Input::Network { online: true, kind: Some("4g".into()), weak: false });
    pair.advance(2_000 + COME_BACK_MS);
    assert_eq!((pair.state(), pair.welcomes()), (State::Online, vec![true]));
    pair.hear("now");
    pair.advance(20);
    assert_eq!(pair.heard(), ["now"]);
    assert_eq!((pair.world.stats().connections, pair.world.stats().sessions), (1, 1), "one");
    pair.advance(120_000);
    assert_eq!(pair.drops(), [DropCause::NetworkChanged], "the bye to the old one did not reach the new one");
}

#[test]
fn overtaken_hello_takes_over_nothing() {
    let mut pair = Pair::connected();
    pair.tell(Input::Network { online: true, kind: Some("wifi".into()), weak: false });
    pair.advance(10_000);
    pair.forget();
    pair.fault(Fault::Cut);
    pair.advance(45);
    // The hello is on its way and gets stuck; the client goes on by another network.
    pair.fault(Fault::Stall { direction: Direction::Up, for_ms: Some(3_000) });
    pair.tell(Input::Network { online: true, kind: Some("4g".into()), weak: false });
    pair.advance(COME_BACK_MS);
    assert_eq!((pair.state(), pair.sent("hello").len()), (State::Online, 2));
    pair.advance(60_000);
    assert_eq!(
        pair.drops(),
        [DropCause::Unknown, DropCause::NetworkChanged],
        "the first hello came too late"
    );
    assert_eq!(pair.state(), State::Online);
}

#[test]
fn resumed_session_is_kept_while_open() {
    let mut pair = Pair::connected_within(Limits { park_ms: 5_000, ..Limits::default() });
    pair.fault(Fault::Cut);
    pair.advance(20_000);
    let call = pair.call("alive");
    pair.advance(1_000);
    assert_eq!((pair.outcome(call), pair.dials()), (Some("ok"), 1));
}

#[test]
fn expired_ticket_is_challenged_in_place() {
    let mut pair = Pair::connected_within(Limits { ticket_ms: 20_000, ..Limits::default() });
    pair.subscribe("room:7");
    pair.advance(1_000);
    pair.forget();
    pair.world.hide(0, None);
    pair.advance(60_000);
    pair.hear("meanwhile");
    pair.world.show(0);
    pair.advance(1_000);
    assert_eq!((pair.received("challenge").len(), pair.logins(), pair.dials()), (1, 1, 1));
    assert_eq!((pair.state(), pair.welcomes()), (State::Online, vec![false]));
    assert_eq!(
        (pair.heard(), pair.phone().app.gaps.len()),
        (vec!["meanwhile"], 0),
        "cursors are honoured all the same"
    );
}

#[test]
fn open_line_receives_fresh_tickets() {
    let mut pair = Pair::connected_within(Limits { ticket_ms: 20_000, ..Limits::default() });
    pair.advance(300_000);
    assert!(pair.received("ticket").len() > 20);
    pair.fault(Fault::Cut);
    pair.advance(1_000);
    assert_eq!((pair.state(), pair.welcomes(), pair.logins()), (State::Online, vec![true], 0));
}

#[test]
fn expired_token_is_replaced_before_online() {
    let mut pair = Pair::new(Options::default());
    pair.phone_mut().auth = Some(Auth::Token { token: "expired".into() });
    pair.tell(Input::Connect);
    pair.advance(COME_BACK_MS);
    assert_eq!(pair.drops(), [DropCause::AuthFailed]);
    pair.phone_mut().auth = Some(Auth::Token { token: "good".into() });
    pair.advance(10_000);
    assert_eq!(pair.state(), State::Online);
}

#[test]
fn app_without_a_login_is_asked_again() {
    let mut pair = Pair::new(Options::default());
    pair.phone_mut().auth = None;
    pair.tell(Input::Connect);
    pair.advance(10_000);
    assert!(pair.logins() > 1 && pair.dials() == 0, "{} logins, {} dials", pair.logins(), pair.dials());
    pair.phone_mut().auth = Some(Auth::Guest { guest: true });
    pair.advance(30_000);
    assert_eq!(pair.state(), State::Online);
}

#[test]
fn restarted_server_resumes_without_a_login() {
    let mut pair = Pair::connected();
    pair.advance(10_000);
    pair.set_dial_behavior(DialBehavior::Refusing);
    pair.world.restart();
    pair.advance(20_000);
    pair.set_dial_behavior(DialBehavior::Clear);
    pair.advance(30_000);
    assert_eq!((pair.state(), pair.welcomes(), pair.logins()), (State::Online, vec![true], 0));
}
