//! What the simulator has found, each as the shortest test that shows it.

use tautline_engine::Retention;
use tautline_hub::{HubLimits, NodeLimits};
use tautline_netem::{Direction, Fault};
use tautline_protocol::{
    Limits, ReadFrom,
    client::{Input, Options, State},
    packet::Auth,
};
use tautline_sim::{CrashPoint, DialBehavior, EngineKind, EnginePlan, Pair, SurvivingState, WorldConfig};

fn pair_on(kind: EngineKind, limits: impl Into<NodeLimits>, retention: Retention) -> Pair {
    let limits = limits.into();
    let engine = EnginePlan { kind, ..EnginePlan::default() };
    Pair::new_with(Options::default(), WorldConfig { engine, limits, retention, ..WorldConfig::default() })
        .connect()
}

fn disk() -> Pair {
    pair_on(EngineKind::Disk, Limits::default(), Retention::default())
}

/// Loses the reply to a publication, and the server with it.
fn published_before_the_crash(pair: &mut Pair) -> u64 {
    // Something was seen already, and everybody knows it.
    pair.call("before");
    pair.advance(10_000);
    pair.fault(Fault::HalfOpen { direction: Direction::Down, for_ms: None });
    let publish = pair.publish("mine");
    pair.advance(30);
    pair.world.restart();
    pair.fault(Fault::Cut);
    publish
}

#[test]
fn killed_disk_engine_keeps_publications() {
    let mut pair = disk();
    let publish = published_before_the_crash(&mut pair);
    pair.advance(2_000);
    assert_eq!((pair.outcome(publish), pair.executed("mine")), (Some("ok"), 1));
}

#[test]
fn repeated_publish_on_full_engine_is_in_doubt() {
    let mut pair = disk();
    let publish = published_before_the_crash(&mut pair);
    pair.world.fill_engine(2_000);
    pair.advance(2_000);
    // Refused, the app would ask once more, and it would stand there twice.
    assert_eq!((pair.outcome(publish), pair.executed("mine")), (Some("in_doubt"), 1));
}

#[test]
fn publish_on_full_engine_is_refused_until_room() {
    let mut pair = disk();
    pair.world.fill_engine(2_000);
    let refused = pair.publish("refused");
    pair.advance(2_000);
    let taken = pair.publish("taken");
    pair.advance(100);
    assert_eq!([refused, taken].map(|request| pair.outcome(request)), [Some("overloaded"), Some("ok")]);
    assert_eq!(["refused", "taken"].map(|payload| pair.executed(payload)), [0, 1]);
}

#[test]
fn retention_during_paging_leaks_no_pages() {
    let limits = HubLimits { tail_entries_max: 1, pages_max: 1, ..HubLimits::default() };
    let retention = Retention { age_ms: 5_000, ..Retention::default() };
    let mut pair = pair_on(EngineKind::Memory, limits, retention);
    pair.subscribe("room:7");
    // Somebody stays, so that memory goes on knowing the channel.
    let other = pair.world.add_phone(Options::default());
    pair.world.subscribe(other, "room:7", ReadFrom::Now);
    pair.advance(1_000);
    for round in 0..3 {
        pair.hear(&format!("had {round}"));
        pair.advance(100);
        pair.set_dial_behavior(DialBehavior::Refusing);
        pair.fault(Fault::Cut);
        pair.advance(6_000);
        // With this one memory learns that what the phone had is the last that is gone.
        pair.hear(&format!("too old {round}"));
        pair.advance(4_000);
        pair.hear(&format!("kept {round}"));
        pair.hear(&format!("last {round}"));
        pair.advance(1_500);
        pair.set_dial_behavior(DialBehavior::Clear);
        pair.tell(Input::Connect);
        pair.advance(2_000);
        assert_eq!(pair.heard().last(), Some(&&*format!("last {round}")), "round {round}");
        assert_eq!(pair.phone().app.gaps.len(), round + 1);
    }
}

#[test]
fn older_delayed_hello_takes_over_nothing() {
    let engine = EnginePlan { kind: EngineKind::Disk, slow_ms: 3_000, ..EnginePlan::default() };
    for seed in 0..100 {
        let config = WorldConfig { engine, seed, ..WorldConfig::default() };
        let mut pair = Pair::new_with(Options::default(), config);
        // With an inbox, so that the engine is asked before the welcome.
        pair.phone_mut().auth = Some(Auth::Token { token: "user:ann".into() });
        pair.tell(Input::Connect);
        pair.advance(70);
        // The server has the hello, and never hears that its line is gone.
        pair.fault(Fault::HalfOpen { direction: Direction::Up, for_ms: None });
        pair.tell(Input::Network { online: true, kind: Some("a".into()), weak: false });
        pair.tell(Input::Network { online: true, kind: Some("b".into()), weak: false });
        pair.advance(20_000);
        assert_eq!(pair.state(), State::Online, "seed {seed}");
        assert!(pair.sent("hello").len() > 1, "seed {seed}: only one hello was said");
    }
}

#[test]
fn retracted_entries_are_reported_as_gaps() {
    let mut pair = pair_on(EngineKind::Remote, Limits::default(), Retention::default());
    pair.subscribe("room:7");
    pair.advance(1_000);
    pair.hear("kept");
    pair.world.copy_engine();
    pair.hear("lost");
    pair.advance(100);
    assert_eq!(pair.heard(), ["kept", "lost"]);
    pair.world.fail_over();
    pair.hear("other");
    pair.advance(100);
    let gaps = pair.phone().app.gaps.len();
    assert_eq!((gaps, pair.phone().app.gaps[0].after), (1, 2), "{:?}", pair.phone().app.gaps);
    pair.hear("next");
    pair.advance(100);
    assert_eq!(pair.heard().last(), Some(&"next"));
}

#[test]
fn failover_in_new_epoch_restarts_every_subscription() {
    let mut pair = pair_on(EngineKind::Remote, Limits::default(), Retention::default());
    pair.subscribe("room:7");
    pair.advance(1_000);
    pair.hear("kept");
    pair.advance(100);
    pair.world.copy_engine();
    pair.world.fail_over_aloud();
    pair.hear("new");
    pair.advance(100);
    assert_eq!(pair.phone().app.gaps.len(), 1, "what it had may be another one now");
    assert_eq!(pair.heard(), ["kept", "kept", "new"]);
}

#[test]
fn relaxed_engine_after_loss_announces_new_epoch() {
    let mut pair = pair_on(EngineKind::Relaxed, Limits::default(), Retention::default());
    pair.subscribe("room:7");
    pair.advance(1_000);
    pair.hear("stored");
    pair.advance(2_000);
    pair.hear("lost");
    pair.advance(100);
    pair.world.restart();
    pair.advance(2_000);
    assert_eq!(pair.phone().app.gaps.len(), 1);
    assert_eq!(pair.heard(), ["stored", "lost", "stored"], "what the new epoch begins with");
    pair.hear("next");
    pair.advance(100);
    assert_eq!(pair.heard().last(), Some(&"next"));
}

#[test]
fn acknowledged_entries_stay_handled_after_a_crash() {
    let mut pair = disk();
    pair.phone_mut().auth = Some(Auth::Token { token: "user:ann".into() });
    pair.world.destroy(0, CrashPoint::Now);
    pair.world.launch(0, SurvivingState::Nothing);
    pair.advance(1_000);
    pair.world.publish("user:ann", "handled");
    // The client says so within five seconds, and the hub hands it to the engine within one more.
    pair.advance(8_000);
    pair.world.restart();
    pair.world.destroy(0, CrashPoint::Now);
    pair.world.launch(0, SurvivingState::Nothing);
    pair.advance(2_000);
    pair.world.publish("user:ann", "new");
    pair.advance(1_000);
    assert_eq!(pair.heard(), ["handled", "new"]);
}

#[test]
fn unsynced_publication_is_shown_to_nobody() {
    let mut pair = disk();
    pair.subscribe("room:7");
    pair.advance(1_000);
    pair.world.stall_engine(2_000);
    let publish = pair.publish("mine");
    pair.advance(1_900);
    assert_eq!((pair.outcome(publish), pair.heard().len(), pair.executed("mine")), (None, 0, 0));
    pair.advance(300);
    assert_eq!((pair.outcome(publish), pair.heard()), (Some("ok"), vec!["mine"]));
}

#[test]
fn publish_before_subscribe_is_visible_to_it() {
    let mut pair = disk();
    // Somebody reads it already: memory alone could say where it stands.
    let other = pair.world.add_phone(Options::default());
    pair.world.subscribe(other, "room:7", ReadFrom::Now);
    pair.advance(1_000);
    pair.world.stall_engine(1_000);
    pair.publish("first");
    pair.subscribe("room:7");
    pair.advance(3_000);
    // From now on: behind what was published before.
    assert_eq!(pair.phone().app.standing["room:7"].offset, 1);
    assert!(pair.heard().is_empty());
}
