//! What must hold whatever happens: a random driver feeds thousands of sessions with anything a host, a server and an app
//! can come up with, and checks the promises that no single script can show.

mod device;
mod driver;

use std::collections::BTreeMap;

use super::{Input, State};
use device::Device;
use driver::Driver;

const SEEDS: u32 = 3_000;
const STEPS: usize = 120;

#[test]
fn every_request_settles_exactly_once_and_no_third_socket_exists_whatever_happens() {
    let mut tally = BTreeMap::<&str, u32>::new();
    for seed in 0..SEEDS {
        let mut driver = Driver::new(seed);
        for _ in 0..STEPS {
            driver.step();
        }
        driver.feed(Input::Close);
        let unsettled: Vec<_> = driver.requests.iter().filter(|(_, times)| **times != 1).collect();
        assert!(unsettled.is_empty(), "seed {seed}: settled never or twice: {unsettled:?}");
        assert_eq!(driver.session.state(), State::Closed, "seed {seed}");
        assert_eq!(driver.session.poll_timeout(), None, "seed {seed}");
        for (what, times) in &driver.tally {
            *tally.entry(what).or_default() += times;
        }
    }
    // A driver that never gets anywhere would prove nothing.
    for what in [
        "ok",
        "refused",
        "timeout",
        "expired",
        "overflow",
        "in_doubt",
        "cancelled",
        "closed",
        "publication",
        "idle",
        "connecting",
        "online",
        "waiting",
        "offline",
        "hidden",
        "stopped",
    ] {
        assert!(tally.get(what).is_some_and(|times| *times >= 20), "too little of {what:?} in {tally:?}");
    }
}

#[test]
fn no_id_means_two_things_and_no_request_is_lost_however_often_the_app_is_destroyed() {
    let mut lives = 0;
    for seed in 0..SEEDS {
        let mut driver = Driver::new(seed);
        driver.device = Some(Device::default());
        driver.feed(Input::Restore(None));
        for _ in 0..STEPS {
            driver.step();
        }
        while driver.session.state() != State::Closed {
            driver.feed(Input::Close);
        }
        let unsettled: Vec<_> = driver.requests.iter().filter(|(_, times)| **times != 1).collect();
        assert!(unsettled.is_empty(), "seed {seed}: settled never or twice: {unsettled:?}");
        lives += driver.tally.get("destroyed").copied().unwrap_or_default();
    }
    assert!(lives > 2 * SEEDS, "only {lives} lives are no proof");
}

#[test]
fn a_session_that_wants_up_always_has_a_timer_or_somebody_to_wait_for() {
    for seed in 0..SEEDS {
        let mut driver = Driver::new(seed);
        driver.feed(Input::Connect);
        for step in 0..STEPS {
            driver.step();
            let state = driver.session.state();
            if matches!(state, State::Connecting | State::Online | State::Waiting { .. }) {
                assert!(
                    driver.session.poll_timeout().is_some(),
                    "seed {seed}, step {step}: {state:?} waits for nothing"
                );
            }
        }
    }
}

#[test]
fn the_same_inputs_give_the_same_outputs() {
    for seed in 0..50 {
        let tell = |mut driver: Driver| {
            (0..STEPS).for_each(|_| driver.step());
            format!("{:?} {:?}", driver.session, driver.tally)
        };
        assert_eq!(tell(Driver::new(seed)), tell(Driver::new(seed)), "seed {seed}");
    }
}
