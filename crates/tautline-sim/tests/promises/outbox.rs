//! Promise 6: the outbox is bounded, nothing in it waits for ever, and every promise made to the app settles once.

use tautline_netem::{Direction, Fault};
use tautline_protocol::{
    Limits,
    client::{Input, Options, OutboxFull, RequestVerb, State},
};
use tautline_sim::{Ask, DialBehavior, Pair, WorldConfig};

fn offline_with(options: Options) -> Pair {
    let mut pair = Pair::new(options);
    pair.set_dial_behavior(DialBehavior::Refusing);
    pair.tell(Input::Connect);
    pair
}

fn ask_volatile(pair: &mut Pair, payload: &str) -> u64 {
    let body = format!(r#"{{"method":"echo","data":"{payload}"}}"#);
    let verb = RequestVerb::Call;
    pair.world.ask(0, Ask { verb, body: &body, payload, ttl_ms: None, idempotent: false, volatile: true })
}

#[test]
fn full_outbox_rejects_the_new_request() {
    let mut pair = offline_with(Options { outbox_count_max: 2, ..Options::default() });
    let requests = ["a", "b", "c"].map(|payload| pair.call(payload));
    assert_eq!(requests.map(|request| pair.outcome(request)), [None, None, Some("overflow")]);
    pair.set_dial_behavior(DialBehavior::Clear);
    pair.advance(5_000);
    assert_eq!(requests.map(|request| pair.outcome(request)), [Some("ok"), Some("ok"), Some("overflow")]);
    assert_eq!(["a", "b", "c"].map(|payload| pair.executed(payload)), [1, 1, 0]);
}

#[test]
fn full_outbox_drops_the_oldest_volatile_request() {
    let outbox_full = OutboxFull::DropOldestVolatile;
    let mut pair = offline_with(Options { outbox_count_max: 3, outbox_full, ..Options::default() });
    let kept = pair.call("kept");
    let volatile = ["v1", "v2"].map(|payload| ask_volatile(&mut pair, payload));
    let new = pair.call("new");
    assert_eq!(volatile.map(|request| pair.outcome(request)), [Some("overflow"), None]);
    pair.set_dial_behavior(DialBehavior::Clear);
    pair.advance(5_000);
    assert_eq!([kept, volatile[1], new].map(|request| pair.outcome(request)), [Some("ok"); 3]);
    assert_eq!(pair.executed("v1"), 0);
}

#[test]
fn bytes_fill_an_outbox_too() {
    let mut pair = offline_with(Options { outbox_bytes_max: 1_000, ..Options::default() });
    let large = pair.call(&"x".repeat(500));
    let too_much = pair.call(&"y".repeat(500));
    let small = pair.call("small");
    assert_eq!([large, too_much, small].map(|request| pair.outcome(request)), [None, Some("overflow"), None]);
}

#[test]
fn unsent_expired_request_is_never_executed() {
    let mut pair = offline_with(Options::default());
    let call = pair.call("late");
    pair.advance(29_999);
    assert_eq!(pair.outcome(call), None);
    pair.advance(1);
    assert_eq!(pair.outcome(call), Some("expired"));
    pair.set_dial_behavior(DialBehavior::Clear);
    pair.advance(60_000);
    assert_eq!((pair.state(), pair.executed("late")), (State::Online, 0));
}

#[test]
fn sent_unanswered_request_times_out() {
    let mut pair = Pair::connected();
    pair.fault(Fault::HalfOpen { direction: Direction::Down, for_ms: None });
    pair.set_dial_behavior(DialBehavior::Refusing);
    let call = pair.call("unheard");
    pair.advance(30_000);
    assert_eq!((pair.outcome(call), pair.executed("unheard")), (Some("timeout"), 1));
    pair.set_dial_behavior(DialBehavior::Clear);
    pair.advance(60_000);
    assert_eq!((pair.state(), pair.executed("unheard")), (State::Online, 1));
}

#[test]
fn oversized_request_keeps_the_line() {
    let mut pair = Pair::connected();
    let (large, small) = (pair.call(&"x".repeat(64 * 1024)), pair.call("small"));
    assert_eq!(pair.outcome(large), Some("too_large"));
    pair.advance(1_000);
    assert_eq!((pair.outcome(small), pair.drops()), (Some("ok"), vec![]));
}

#[test]
fn closing_settles_everything_and_whatever_comes_later() {
    let mut pair =
        Pair::new_with(Options::default(), WorldConfig { method_ms: Some(5_000), ..WorldConfig::default() });
    pair = pair.connect();
    let running = pair.call("running");
    pair.advance(1_000);
    pair.tell(Input::Close);
    let later = pair.call("later");
    assert_eq!([running, later].map(|request| pair.outcome(request)), [Some("closed"); 2]);
    pair.advance(60_000);
    assert_eq!((pair.state(), pair.dials()), (State::Closed, 0));
    assert_eq!(["running", "later"].map(|payload| pair.executed(payload)), [1, 0]);
    assert_eq!((pair.world.stats().connections, pair.world.stats().sessions), (0, 0), "nobody is left");
}

/// The ticket grows old while the client is away, so that it comes back as somebody new; `idempotent` says of a call that
/// was sent before.
fn come_back_as_somebody_new(idempotent: bool) -> (Pair, [u64; 2]) {
    let limits = Limits { ticket_ms: 20_000, ..Limits::default() };
    let config = WorldConfig { limits: limits.into(), method_ms: Some(2_000), ..WorldConfig::default() };
    let mut pair = Pair::new_with(Options::default(), config).connect();
    let body = r#"{"method":"echo","data":"sent"}"#;
    let ask = Ask {
        verb: RequestVerb::Call,
        body,
        payload: "sent",
        ttl_ms: Some(120_000),
        idempotent,
        volatile: false,
    };
    let sent = pair.world.ask(0, ask);
    pair.advance(1_000);
    pair.set_dial_behavior(DialBehavior::Refusing);
    pair.tell(Input::Network { online: false, kind: None, weak: false });
    pair.fault(Fault::Cut);
    let body = r#"{"method":"echo","data":"unsent"}"#;
    let unsent = pair.world.ask(0, Ask { body, payload: "unsent", ..ask });
    pair.advance(30_000);
    pair.set_dial_behavior(DialBehavior::Clear);
    pair.tell(Input::Network { online: true, kind: None, weak: false });
    pair.advance(5_000);
    assert_eq!(pair.welcomes(), [false], "another session");
    (pair, [sent, unsent])
}

#[test]
fn lost_session_leaves_only_sent_requests_in_doubt() {
    let (pair, requests) = come_back_as_somebody_new(false);
    assert_eq!(requests.map(|request| pair.outcome(request)), [Some("in_doubt"), Some("ok")]);
    assert_eq!(["sent", "unsent"].map(|payload| pair.executed(payload)), [1, 1]);
}

#[test]
fn lost_session_repeats_idempotent_calls() {
    let (pair, requests) = come_back_as_somebody_new(true);
    assert_eq!(requests.map(|request| pair.outcome(request)), [Some("ok"), Some("ok")]);
    assert_eq!(["sent", "unsent"].map(|payload| pair.executed(payload)), [2, 1]);
}
