//! Coming back after a week is the same act as coming back after a tunnel.

use tautline_engine::Retention;
use tautline_hub::HubLimits;
use tautline_protocol::{
    Limits, ReadFrom,
    client::{Input, Options, State},
};
use tautline_sim::{DialBehavior, EngineKind, EnginePlan, Pair, WorldConfig};

const WEEK_MS: u64 = 7 * 24 * 3600 * 1000;
const PUBLICATIONS: usize = 100_000;
/// What a log that is kept for a month may hold.
const ROOMY: Retention = Retention { count: 1_000_000, bytes: 1 << 30, age_ms: 30 * 24 * 3600 * 1000 };

#[test]
fn week_away_replays_100000_publications_in_order() {
    let config = WorldConfig {
        retention: ROOMY,
        engine: EnginePlan { kind: EngineKind::Disk, slow_ms: 2, ..EnginePlan::default() },
        ..WorldConfig::default()
    };
    let mut pair = Pair::new_with(Options::default(), config).connect();
    pair.subscribe("room:7");
    pair.advance(1_000);
    pair.set_dial_behavior(DialBehavior::Refusing);
    pair.fault(tautline_netem::Fault::Cut);
    pair.world.phones[0].auth = Some(tautline_protocol::packet::Auth::Guest { guest: true });
    pair.world.hide(0, None);
    for number in 0..PUBLICATIONS {
        pair.hear(&format!("{number}"));
        if number % 1_000 == 999 {
            pair.world.leap(WEEK_MS / 100);
        }
    }
    let other = reader_of_another_room(&mut pair);
    pair.set_dial_behavior(DialBehavior::Clear);
    pair.forget();
    pair.world.show(0);
    let mut meanwhile = 0;
    let tail = HubLimits::default().tail_bytes_max + HubLimits::default().pages_max * 1024;
    while pair.heard().len() < PUBLICATIONS {
        let before = pair.heard().len();
        pair.world.publish("room:8", "meanwhile");
        meanwhile += 1;
        pair.advance(100);
        assert_eq!(pair.world.phones[other].app.received.len(), meanwhile, "the other one waits for nobody");
        assert!(pair.world.stats().log_bytes <= tail, "{:?}", pair.world.stats());
        assert!(pair.heard().len() > before || pair.state() != State::Online, "it reads on");
    }
    let numbers: Vec<usize> = pair.heard().iter().map(|payload| payload.parse().expect("a number")).collect();
    assert!(numbers.iter().copied().eq(0..PUBLICATIONS), "all of them, in order");
    assert!(pair.phone().app.gaps.is_empty());
    let largest = pair.received("pub").iter().map(|message| message.len()).max().unwrap_or(0);
    assert!(largest <= Limits::default().batch_bytes_max, "{largest} bytes in one message");
}

/// Somebody who has nothing to do with it. Returns the number of their phone.
fn reader_of_another_room(pair: &mut Pair) -> usize {
    let other = pair.world.add_phone(Options::default());
    pair.world.tell(other, Input::Subscribe { channel: "room:8".to_owned(), from: ReadFrom::Now });
    pair.world.tell(other, Input::Connect);
    pair.advance(1_000);
    assert_eq!(pair.world.phones[other].state(), State::Online);
    other
}
