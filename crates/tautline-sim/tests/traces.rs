//! Traces are what they say: the same ones for the same seed, and the storm in them is the one that was recorded.
//! `cargo xtask test --only traces` lets TypeScript do the same.

use tautline_sim::{Recording, record_storm};

#[test]
fn one_seed_gives_the_same_traces() {
    for recording in [Recording::Plain, Recording::WithMutations] {
        assert_eq!(record_storm(7, recording), record_storm(7, recording));
    }
}

#[test]
fn replayed_trace_repeats_the_outputs() {
    // Recording asserts it. Four seeds: one for each kind of storm.
    for seed in 0..4 {
        for recording in [Recording::Plain, Recording::WithMutations] {
            let traces = record_storm(seed, recording);
            assert!(traces.len() >= 2, "seed {seed}: two phones at least");
            for trace in &traces {
                assert!(
                    trace["steps"].as_array().is_some_and(|steps| !steps.is_empty()),
                    "{}",
                    trace["name"]
                );
            }
        }
    }
}
