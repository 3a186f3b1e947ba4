//! Logs that stay empty for long are forgotten, and begin again in another epoch.

use tautline_protocol::Limits;

use super::{
    Rig,
    asking::{ALL, Log, NOW, until},
};
use crate::{Engine, InUse, Job, LogState, Retention, RetentionOf};

const AGE_MS: u64 = 1_000;
const SHORT: Retention = Retention { age_ms: AGE_MS, ..ALL };

/// The time from which a log written at [`NOW`] may be forgotten.
fn later() -> u64 {
    NOW + AGE_MS + Limits::default().ticket_ms + 1
}

/// Submits tidy jobs until a condition holds.
fn tidy_until(engine: &dyn Engine, wall_ms: u64, in_use: &InUse, holds: impl Fn() -> bool) {
    let retention = RetentionOf::all(SHORT);
    until(engine, || {
        let (retention, in_use) = (retention.clone(), in_use.clone());
        engine.submit(Job::Tidy { wall_ms, retention, in_use });
        holds()
    });
}

pub(super) fn forgotten_log_begins_anew_in_another_epoch(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7").keeping(SHORT);
    let old = log.publish(NOW, "1").epoch;
    tidy_until(&*engine, later(), &InUse::nothing(), || log.stat(later()).log.head == 0);
    let log_state = log.stat(later()).log;
    assert_ne!(log_state.epoch, old, "an old cursor at 1 does not match this log");
    let first = log.publish(later(), "1");
    assert_eq!((first.entry.offset(), first.epoch), (1, log_state.epoch), "a cursor at 0 was valid for it");
    if rig.reopen() {
        let engine = rig.engine();
        let elsewhere = Log::of(&*engine, "room:8").publish(later(), "1");
        assert_ne!(elsewhere.epoch, old, "nor after a restart");
    }
}

pub(super) fn logs_forgotten_again_get_an_epoch_each_time(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7").keeping(SHORT);
    let mut epochs = Vec::new();
    for round in 0..3 {
        let wall_ms = NOW + round * (later() - NOW);
        epochs.push(log.publish(wall_ms, "1").epoch);
        let after = wall_ms + later() - NOW;
        tidy_until(&*engine, after, &InUse::nothing(), || log.stat(after).log.head == 0);
    }
    epochs.dedup();
    assert_eq!(epochs.len(), 3, "{epochs:?}");
}

pub(super) fn log_in_use_is_never_forgotten(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = |name| Log::of(&*engine, name).keeping(SHORT);
    let epoch = log("room:7").publish(NOW, "1").epoch;
    log("room:8").publish(NOW, "1");
    let in_use = InUse::new(|channel| channel.as_str() == "room:7");
    tidy_until(&*engine, later(), &in_use, || log("room:8").stat(later()).log.head == 0);
    let LogState { head, epoch: still, .. } = log("room:7").stat(later()).log;
    assert_eq!((head, still), (1, epoch));
    assert_eq!(log("room:7").publish(later(), "2").entry.offset(), 2);
}
