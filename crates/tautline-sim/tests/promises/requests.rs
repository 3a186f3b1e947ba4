//! Promise 7: an app may ask at any time; requests wait until there is a server to answer.

use tautline_netem::Fault;
use tautline_protocol::{
    ReadFrom,
    client::{Input, Options, RequestVerb, State},
    packet::Auth,
};
use tautline_sim::{DialBehavior, Pair};

#[test]
fn the_first_request_dials_by_itself() {
    let mut pair = Pair::new(Options::default());
    let call = pair.call("first");
    pair.advance(200);
    assert_eq!((pair.outcome(call), pair.state()), (Some("ok"), State::Online));
}

#[test]
fn request_in_any_state_is_answered() {
    let mut pair = Pair::connected();
    pair.advance(10_000);
    let mut asked = Vec::new();
    let mut states = Vec::new();
    let mut ask = |pair: &mut Pair, payload: &str| {
        states.push(pair.state().as_str());
        asked.push(pair.call(payload));
    };
    pair.set_dial_behavior(DialBehavior::Refusing);
    pair.fault(Fault::Cut);
    ask(&mut pair, "while dialling");
    pair.advance(100);
    ask(&mut pair, "while waiting");
    pair.tell(Input::Network { online: false, kind: None, weak: false });
    ask(&mut pair, "while offline");
    pair.world.hide(0, None);
    pair.advance(4_100);
    ask(&mut pair, "while hidden");
    pair.set_dial_behavior(DialBehavior::Clear);
    pair.tell(Input::Network { online: true, kind: None, weak: false });
    pair.world.show(0);
    pair.advance(60);
    ask(&mut pair, "between hello and welcome");
    pair.advance(1_000);
    assert_eq!(states, ["connecting", "waiting", "offline", "hidden", "connecting"]);
    for request in &asked {
        assert_eq!(pair.outcome(*request), Some("ok"), "{:?}", pair.phone().app.asked[request]);
    }
}

#[test]
fn requests_execute_in_order() {
    let mut pair = Pair::new(Options::default());
    pair.set_dial_behavior(DialBehavior::Refusing);
    for number in 0..20 {
        pair.publish(&format!("p{number}"));
        pair.advance(100);
    }
    pair.set_dial_behavior(DialBehavior::Clear);
    pair.advance(10_000);
    let log: Vec<String> = (0..20).map(|number| format!("p{number}")).collect();
    assert_eq!(pair.world.logs().values().flatten().cloned().collect::<Vec<_>>(), log);
}

#[test]
fn refused_login_stops_and_requests_wait() {
    let mut pair = Pair::new(Options::default());
    pair.phone_mut().auth = Some(Auth::Token { token: "bad".into() });
    let call = pair.call("patient");
    pair.advance(10_000);
    assert!(matches!(pair.state(), State::Stopped(_)), "{:?}", pair.state());
    assert_eq!((pair.dials(), pair.outcome(call)), (1, None));
    pair.phone_mut().auth = Some(Auth::Token { token: "good".into() });
    pair.tell(Input::Connect);
    pair.advance(1_000);
    assert_eq!(pair.outcome(call), Some("ok"));
}

#[test]
fn a_line_takes_a_thousand_requests_at_once() {
    let mut pair = Pair::connected_with(Options { outbox_bytes_max: 1 << 20, ..Options::default() });
    let requests: Vec<u64> = (0..1_000).map(|number| pair.call(&format!("c{number}"))).collect();
    pair.advance(5_000);
    for (number, request) in requests.iter().enumerate() {
        assert_eq!(pair.outcome(*request), Some("ok"), "request {number}");
        assert_eq!(pair.executed(&format!("c{number}")), 1);
    }
    assert_eq!(pair.drops(), []);
}

#[test]
fn a_request_that_asks_nonsense_fails_alone() {
    let mut pair = Pair::connected();
    let nonsense = pair.ask(RequestVerb::Publish, r#"{"channel":"no such * name","data":1}"#, "nonsense");
    let sense = pair.publish("sense");
    pair.advance(1_000);
    assert_eq!([nonsense, sense].map(|request| pair.outcome(request)), [Some("bad_request"), Some("ok")]);
    assert_eq!(pair.drops(), []);
}

#[test]
fn subscription_in_any_state_succeeds() {
    let mut pair = Pair::new(Options::default());
    pair.hear("long ago");
    pair.set_dial_behavior(DialBehavior::Refusing);
    pair.tell(Input::Subscribe { channel: "room:7".into(), from: ReadFrom::Start });
    pair.advance(5_000);
    pair.set_dial_behavior(DialBehavior::Clear);
    pair.tell(Input::Connect);
    pair.advance(1_000);
    pair.hear("now");
    pair.advance(1_000);
    assert_eq!(pair.heard(), ["long ago", "now"]);
}
