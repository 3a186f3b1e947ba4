//! Lives of one session by chance, in several threads: whichever order they take, nothing is left of them.

extern crate tautline_races as tautline_hub;

#[path = "../../tautline-hub/tests/hub/common/mod.rs"]
mod common;
#[path = "sessions/rig.rs"]
mod rig;

use std::sync::Arc;

use common::acts::{CALM_ACTS, Shared, act};
use rig::{Story, in_many_orders};
use shuttle::{
    rand::{Rng as _, thread_rng},
    thread::spawn,
};
use tautline_protocol::Limits;

const THREADS: usize = 2;
const ACTS_A_THREAD: usize = 5;

#[test]
fn lives_in_threads_leave_no_counter_behind() {
    in_many_orders(|| {
        let mut story = Story::new(Limits::default());
        let shared = Arc::new(Shared::default());
        let live = || {
            let (story, shared) = (story.clone(), Arc::clone(&shared));
            spawn(move || {
                let mut phone = story.dial();
                for _ in 0..ACTS_A_THREAD {
                    let chance = &mut |below| thread_rng().gen_range(0..below);
                    act(&story, &shared, &mut phone, CALM_ACTS, chance);
                }
            })
        };
        let threads: Vec<_> = (0..THREADS).map(|_| live()).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
        shared.give_up();
        // Who waits for a turn and has left gives it up when it comes.
        while story.hub.pump() {}
        // Beyond the silence that an act may have let pass.
        story.now = story.now.plus_ms(600_000 + story.hub.limits().park_ms);
        story.hub.tick(story.now);
        assert!(story.roster().is_empty());
        let left = story.hub.stats();
        assert_eq!((left.connections, left.sessions), (1, 1), "the watcher's: {left:?}");
        assert_eq!((left.reply_bytes, left.append_bytes, left.pages, left.hellos_waiting), (0, 0, 0, 0));
    });
}
