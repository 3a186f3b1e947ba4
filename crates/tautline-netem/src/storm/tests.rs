//! Stories about schedules of faults: repeatable, bounded, made of what was asked for.

use std::collections::HashSet;
use std::mem::discriminant;

use super::*;

fn scheduled(seed: u64, plan: &StormPlan) -> Vec<ScheduledFault> {
    Storm::new(seed, plan.clone()).unwrap().collect()
}

#[test]
fn the_same_seed_brings_the_same_storm() {
    let plan = StormPlan::default();
    assert_eq!(scheduled(7, &plan), scheduled(7, &plan));
    assert_ne!(scheduled(7, &plan), scheduled(8, &plan));
}

#[test]
fn a_storm_keeps_to_its_plan() {
    let plan = StormPlan { lasts_ms: 60_000, every_ms_least: 50, every_ms_most: 60, ..StormPlan::default() };
    let scheduled = scheduled(7, &plan);
    assert!((1_000..=1_200).contains(&scheduled.len()), "{} scheduled", scheduled.len());
    assert!(scheduled.last().unwrap().at <= Now::from_millis(60_000));
    for pair in scheduled.windows(2) {
        let pause = pair[1].at - pair[0].at;
        assert!((50..=60).contains(&pause.as_millis()), "{pause:?}");
    }
    for scheduled in scheduled {
        assert_eq!(scheduled.fault.validate(), Ok(()));
        if let Fault::Stall { for_ms: Some(ms), .. } = scheduled.fault {
            assert!((200..=8_000).contains(&ms), "{ms}");
        }
    }
}

#[test]
fn every_kind_of_fault_has_its_turn() {
    let kinds: HashSet<_> =
        scheduled(7, &StormPlan::default()).iter().map(|scheduled| discriminant(&scheduled.fault)).collect();
    assert_eq!(kinds.len(), 7);
}

#[test]
fn a_fault_without_weight_never_comes() {
    let weights = Weights { cut: 0, fin: 0, reset: 0, half_open: 0, stall: 3, refuse: 0, background_kill: 0 };
    let plan = StormPlan { weights, ..StormPlan::default() };
    let scheduled = scheduled(7, &plan);
    assert!(!scheduled.is_empty());
    assert!(scheduled.iter().all(|scheduled| matches!(scheduled.fault, Fault::Stall { .. })));
}

#[test]
fn a_storm_that_is_over_stays_over() {
    let plan = StormPlan { lasts_ms: 1_000, every_ms_least: 400, every_ms_most: 400, ..StormPlan::default() };
    let mut storm = Storm::new(7, plan).unwrap();
    assert_eq!(storm.by_ref().count(), 2);
    assert!((0..10).all(|_| storm.next().is_none()));
}

#[test]
fn a_fault_hits_one_or_everybody() {
    assert_eq!(Reach::One(7).among(&['a', 'b', 'c']), ['b']);
    assert_eq!(Reach::Everybody.among(&['a', 'b', 'c']), ['a', 'b', 'c']);
    assert!(Reach::One(7).among::<char>(&[]).is_empty());
}

#[test]
fn invalid_storm_plan_is_refused_with_a_reason() {
    let refused = |json: &str| {
        let plan: StormPlan = serde_json::from_str(json).unwrap();
        Storm::new(1, plan).unwrap_err().to_string()
    };
    assert!(refused(r#"{"every_ms_least":0}"#).starts_with("every_ms_least 0"));
    assert!(refused(r#"{"fault_ms_least":9000}"#).contains("the least first"));
    assert!(refused(r#"{"lasts_ms":86400001}"#).contains("longer than a day"));
    assert!(refused(r#"{"everybody":2.0}"#).contains("probability"));
    let none =
        r#"{"weights":{"cut":0,"fin":0,"reset":0,"half_open":0,"stall":0,"refuse":0,"background_kill":0}}"#;
    assert!(refused(none).contains("all weights are 0"));
}
