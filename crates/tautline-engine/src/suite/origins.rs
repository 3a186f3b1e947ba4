//! Repeated requests: recognised, known to be new, or in doubt.

use std::sync::mpsc;

use super::{
    Rig,
    asking::{ALL, Log, NOW, answer_to, is_new, is_repeated, receive},
};
use crate::{Appended, Doubt, EngineError, Origin, Retention};

/// The incarnation in which the session began is unknown.
const UNKNOWN: Option<Doubt> = Some(Doubt { session_incarnation: 0 });

fn request(session: u128, id: u64) -> Option<Origin> {
    Some(Origin::Request { session, id })
}

pub(super) fn repeated_key_returns_first_result(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7");
    let key = Some(Origin::Key(u128::MAX - 7));
    log.publish(NOW, "0");
    let Ok(Appended::New { epoch, entry, .. }) = log.append(NOW + 1, "1", key, None) else {
        panic!("expected a new append")
    };
    log.publish(NOW + 2, "2");
    match log.append(NOW + 3, "3", key, None) {
        Ok(Appended::Repeated { epoch: again, offset, at }) => {
            assert_eq!((again, offset, at), (epoch, entry.offset(), entry.at()));
        }
        other => panic!("expected a repeated append, got {other:?}"),
    }
    assert!(is_new(&log.append(NOW, "1", Some(Origin::Key(5)), None), 4), "another key");
    assert!(is_new(&log.append(NOW, "1", Some(Origin::Key(6)), UNKNOWN), 5), "a key alone is never in doubt");
    assert!(is_repeated(&log.append(NOW, "1", Some(Origin::Key(6)), UNKNOWN), 5));
    let elsewhere = Log::of(&*engine, "room:8");
    assert!(is_new(&elsewhere.append(NOW, "1", key, None), 1), "each log has its own keys");
}

pub(super) fn key_is_forgotten_with_its_publication(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7").keeping(Retention { count: 2, ..ALL });
    let key = Some(Origin::Key(1));
    assert!(is_new(&log.append(NOW, "1", key, None), 1));
    log.publish(NOW, "2");
    assert!(is_repeated(&log.append(NOW, "1", key, None), 1));
    log.publish(NOW, "3");
    assert!(is_new(&log.append(NOW, "1", key, None), 4));
    assert!(is_repeated(&log.append(NOW, "1", key, None), 4));
}

pub(super) fn concurrent_keys_are_distinguished_or_recognised(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7");
    let (give, take) = mpsc::channel();
    for n in 0..100 {
        let origin = Some(Origin::Key(n / 2));
        engine.submit(log.job(NOW, "1", (origin, None), answer_to(&give)));
    }
    for offset in 1..=50 {
        assert!(is_new(&receive(&take), offset));
        assert!(is_repeated(&receive(&take), offset), "submitted right after the first");
    }
}

pub(super) fn request_in_log_is_not_appended_again(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7");
    assert!(is_new(&log.append(NOW + 1, "1", request(7, 1), None), 1));
    assert!(is_new(&log.append(NOW + 2, "1", request(7, 2), None), 2));
    match log.append(NOW + 9, "1", request(7, 1), UNKNOWN) {
        Ok(Appended::Repeated { offset, at, .. }) => assert_eq!((offset, at), (1, NOW + 1)),
        other => panic!("expected a repeated append, got {other:?}"),
    }
    assert!(is_repeated(&log.append(NOW, "1", request(7, 2), UNKNOWN), 2));
}

pub(super) fn request_is_new_where_older_one_is_kept(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7").keeping(Retention { count: 2, ..ALL });
    assert!(is_new(&log.append(NOW, "1", request(7, 300), None), 1));
    assert!(is_new(&log.append(NOW, "1", request(7, 70_000), UNKNOWN), 2), "300 is kept, and older");
    log.publish(NOW, "2");
    assert!(is_repeated(&log.append(NOW, "1", request(7, 70_000), UNKNOWN), 2), "it is found regardless");
    assert!(
        matches!(log.append(NOW, "1", request(7, 70_001), UNKNOWN), Err(EngineError::InDoubt(_))),
        "70,000 was in doubt itself: it may have come long after 70,001"
    );
    assert!(matches!(log.append(NOW, "1", request(7, 301), UNKNOWN), Err(EngineError::InDoubt(_))));
    assert!(
        matches!(log.append(NOW, "1", request(8, 70_002), UNKNOWN), Err(EngineError::InDoubt(_))),
        "of another one"
    );
}

pub(super) fn request_is_new_where_log_covers_its_session(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let ours = Some(Doubt { session_incarnation: engine.incarnation() });
    let log = Log::of(&*engine, "room:7").keeping(Retention { count: 2, ..ALL });
    assert!(is_new(&log.append(NOW, "1", request(7, 5), ours), 1), "an unwritten log");
    assert!(is_new(&log.append(NOW, "1", request(8, 5), ours), 2), "a log with all entries");
    assert!(is_repeated(&log.append(NOW, "1", request(7, 5), ours), 1), "an entry in it is found");
    log.publish(NOW, "2");
    assert!(
        matches!(log.append(NOW, "1", request(9, 5), ours), Err(EngineError::InDoubt(_))),
        "entries were dropped"
    );
}

pub(super) fn unprovable_request_is_in_doubt_and_not_appended(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let another = Some(Doubt { session_incarnation: engine.incarnation() ^ 1 });
    let log = Log::of(&*engine, "room:7");
    for doubt in [UNKNOWN, another] {
        assert!(matches!(log.append(NOW, "1", request(7, 5), doubt), Err(EngineError::InDoubt(_))));
    }
    assert_eq!(log.stat(NOW).log.head, 0, "nothing was written");
    assert!(is_new(&log.append(NOW, "1", request(7, 5), None), 1));
    assert!(
        matches!(log.append(NOW, "1", request(7, 4), UNKNOWN), Err(EngineError::InDoubt(_))),
        "a younger one proves nothing"
    );
    assert!(matches!(log.append(NOW, "1", request(6, 9), another), Err(EngineError::InDoubt(_))));
    assert_eq!(log.stat(NOW).log.head, 1);
}

pub(super) fn requests_are_found_and_proven_in_long_log(rig: &mut dyn Rig) {
    const KEPT: u64 = 900;
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7").keeping(Retention { count: 900, ..ALL });
    let (give, take) = mpsc::channel();
    // Two sessions alternate; their ids leave gaps.
    let of = |offset: u64| request(u128::from(offset % 2), 10 * offset);
    (1..=2 * KEPT).for_each(|offset| engine.submit(log.job(NOW, "1", (of(offset), None), answer_to(&give))));
    (1..=2 * KEPT).for_each(|offset| assert!(is_new(&receive(&take), offset)));
    for offset in [KEPT + 1, KEPT + 2, KEPT + 300, 2 * KEPT - 300, 2 * KEPT - 1, 2 * KEPT] {
        assert!(is_repeated(&log.append(NOW, "1", of(offset), UNKNOWN), offset), "{offset}");
    }
    for gone in [1, 300, KEPT - 1, KEPT] {
        assert!(matches!(log.append(NOW, "1", of(gone), UNKNOWN), Err(EngineError::InDoubt(_))), "{gone}");
    }
    let oldest = 10 * (KEPT + 2);
    assert!(
        is_new(&log.append(NOW, "1", request(0, oldest + 1), UNKNOWN), 2 * KEPT + 1),
        "the oldest proves it"
    );
    log.publish(NOW, "1");
    assert!(
        matches!(log.append(NOW, "1", request(0, oldest), UNKNOWN), Err(EngineError::InDoubt(_))),
        "it is gone now"
    );
}

pub(super) fn requests_without_doubt_are_always_appended(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7");
    for offset in 1..=3 {
        let appended = log.append(NOW, "1", request(7, 5), None);
        assert!(is_new(&appended, offset), "the hub knows that it was not executed: {appended:?}");
    }
    assert!(is_repeated(&log.append(NOW, "1", request(7, 5), UNKNOWN), 3), "the newest");
}
