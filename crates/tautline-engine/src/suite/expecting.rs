//! Appends that expect a head: an optimistic lock on the log.

use std::{sync::Arc, sync::mpsc};

use super::{
    Rig,
    asking::{ALL, Log, NOW, answer_to, is_new, is_repeated, receive},
};
use crate::{Appended, EngineError, Job, Origin, Position, Retention};

fn conflicts_at(outcome: &Result<Appended, EngineError>, at: &Position) -> bool {
    matches!(outcome, Err(EngineError::Conflict { head }) if head == at)
}

fn head_of(log: &Log<'_>) -> Position {
    let state = log.stat(NOW).log;
    Position { epoch: state.epoch, offset: state.head }
}

pub(super) fn append_with_expected_head_succeeds_once(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7").keeping(Retention { count: 1, ..ALL });
    log.publish(NOW, "1");
    log.publish(NOW, "2");
    let head = head_of(&log);
    assert!(is_new(&log.append_at(&head, None), 3));
    let moved = Position { offset: 3, ..head.clone() };
    for offset in [0, 1, 2, 4, u64::MAX] {
        let stale = Position { offset, ..head.clone() };
        assert!(conflicts_at(&log.append_at(&stale, None), &moved), "{offset}");
    }
    assert_eq!(head_of(&log), moved, "nothing was written");
    assert!(is_new(&log.append_at(&moved, None), 4));
}

pub(super) fn unwritten_log_is_expected_at_zero_of_its_epoch(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7");
    let head = head_of(&log);
    let ahead = Position { offset: 1, ..head.clone() };
    assert!(conflicts_at(&log.append_at(&ahead, None), &head));
    assert_eq!(head_of(&log), head, "the log has not begun");
    assert!(is_new(&log.append_at(&head, None), 1));
    assert!(conflicts_at(&log.append_at(&head, None), &ahead));
}

pub(super) fn head_of_another_epoch_is_a_conflict(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7");
    log.publish(NOW, "1");
    let head = head_of(&log);
    let another = Position { epoch: Arc::from(format!("{}x", head.epoch)), offset: 1 };
    assert!(conflicts_at(&log.append_at(&another, None), &head));
}

pub(super) fn repeated_key_is_recognised_before_expected_head(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7");
    let (head, key) = (head_of(&log), Some(Origin::Key(7)));
    assert!(is_new(&log.append_at(&head, key), 1));
    assert!(is_repeated(&log.append_at(&head, key), 1), "as it was answered before");
    assert!(conflicts_at(
        &log.append_at(&head, Some(Origin::Key(8))),
        &Position { offset: 1, ..head.clone() }
    ));
}

pub(super) fn of_appends_expecting_one_head_only_first_succeeds(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7");
    log.publish(NOW, "1");
    let head = head_of(&log);
    let (give, take) = mpsc::channel();
    // All in one batch of an engine that has them.
    for _ in 0..20 {
        let mut job = log.job(NOW, "1", (None, None), answer_to(&give));
        if let Job::Append(append) = &mut job {
            append.expect = Some(head.clone());
        }
        engine.submit(job);
    }
    assert!(is_new(&receive(&take), 2));
    let moved = Position { offset: 2, ..head };
    (1..20).for_each(|_| assert!(conflicts_at(&receive(&take), &moved)));
}
