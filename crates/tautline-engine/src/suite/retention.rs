//! Retention.

use super::{
    Rig,
    asking::{ALL, Log, NOW, offsets, until},
};
use crate::{InUse, Job, LogState, Retention, RetentionOf, Span};

pub(super) fn oldest_are_dropped_by_count(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7").keeping(Retention { count: 3, ..ALL });
    let bases = [1, 2, 3, 4, 5].map(|n| {
        let fresh = log.publish(NOW + n, "1");
        (fresh.base, fresh.base_at.map(|at| at - NOW))
    });
    assert_eq!(bases, [(0, None), (0, None), (0, None), (1, Some(1)), (2, Some(2))]);
    let LogState { base, base_at, head, .. } = log.stat(NOW).log;
    assert_eq!((base, base_at, head), (2, Some(NOW + 2), 5));
    assert_eq!(offsets(&log.read(Span::After(0))), [3, 4, 5]);
}

pub(super) fn oldest_are_dropped_by_bytes(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7");
    let line = log.publish(NOW, "\"0123456789\"").entry.line().len();
    let log = log.keeping(Retention { bytes: 3 * line, ..ALL });
    let bases = [2, 3, 4, 5].map(|_| log.publish(NOW, "\"0123456789\"").base);
    assert_eq!(bases, [0, 0, 1, 2], "by the bytes of packets");
    assert_eq!(log.publish(NOW, &format!("\"{}\"", "x".repeat(line))).base, 4, "one replaces two");
    assert_eq!(offsets(&log.read(Span::After(0))), [5, 6]);
}

pub(super) fn oldest_are_dropped_by_age_without_append(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7").keeping(Retention { age_ms: 1_000, ..ALL });
    [0, 0, 10, 20, 20].into_iter().for_each(|n| drop(log.publish(NOW + n, "1")));
    let log_state = |wall_ms| {
        let LogState { base, base_at, head, head_at, .. } = log.stat(wall_ms).log;
        assert_eq!((head, head_at), (5, NOW + 20), "the head stays");
        (base, base_at.map(|at| at - NOW))
    };
    assert_eq!(log_state(NOW + 1_000), (0, None), "not yet expired");
    assert_eq!(log_state(NOW + 1_001), (2, Some(0)));
    assert_eq!(offsets(&log.page(NOW + 1_001, Span::After(0), 9, 999)), [3, 4, 5]);
    assert_eq!(log_state(NOW + 1_011), (3, Some(10)));
    assert_eq!(offsets(&log.page(NOW + 1_011, Span::Before(5), 9, 999)), [4]);
    assert_eq!(log_state(NOW + 1_021), (5, Some(20)), "nothing is left");
    assert!(log.page(NOW + 1_021, Span::After(0), 9, 999).entries.is_empty());
    let next = log.publish(NOW + 2_000, "1");
    assert_eq!((next.entry.offset(), next.base, next.base_at), (6, 5, Some(NOW + 20)));
}

pub(super) fn reduced_retention_applies_at_once(rig: &mut dyn Rig) {
    let engine = rig.engine();
    for (name, fewer) in [("count", true), ("bytes", false)] {
        let log = Log::of(&*engine, name);
        let line = log.publish(NOW + 1, "1").entry.line().len();
        (2..=5).for_each(|n| drop(log.publish(NOW + n, "1")));
        let less = if fewer { Retention { count: 2, ..ALL } } else { Retention { bytes: 2 * line, ..ALL } };
        let log = log.keeping(less);
        let log_state = log.stat(NOW).log;
        assert_eq!((log_state.base, log_state.base_at, log_state.head), (3, Some(NOW + 3), 5), "by {name}");
        assert_eq!(offsets(&log.read(Span::After(0))), [4, 5]);
        assert_eq!(log.publish(NOW + 6, "1").base, 4);
    }
}

pub(super) fn log_with_zero_retention_still_counts(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7").keeping(Retention { count: 0, ..ALL });
    for n in 1..=3 {
        let fresh = log.publish(NOW + n, "1");
        assert_eq!((fresh.entry.offset(), fresh.base, fresh.base_at), (n, n, Some(NOW + n)));
    }
    let log_state = log.stat(NOW).log;
    assert_eq!((log_state.head, log_state.head_at, log_state.base), (3, NOW + 3, 3));
    assert!(log.read(Span::After(0)).entries.is_empty());
}

pub(super) fn long_log_drops_oldest_as_it_grows(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7").keeping(Retention { count: 100, ..ALL });
    for offset in 1..=1_000_u64 {
        let fresh = log.publish(NOW + offset, &offset.to_string());
        assert_eq!((fresh.entry.offset(), fresh.base), (offset, offset.saturating_sub(100)));
        assert_eq!(fresh.base_at, (fresh.base > 0).then(|| NOW + fresh.base));
    }
    let page = log.read(Span::After(0));
    assert_eq!(offsets(&page), (901..=1_000).collect::<Vec<_>>());
    assert_eq!(page.entries[0].at(), NOW + 901);
}

pub(super) fn maintenance_drops_expired_publications(rig: &mut dyn Rig) {
    const AGE_MS: u64 = 1_000;
    let engine = rig.engine();
    let retention = Retention { age_ms: AGE_MS, ..ALL };
    let log = Log::of(&*engine, "room:7").keeping(retention);
    let big = format!("\"{}\"", "x".repeat(10_000));
    (1..=20).for_each(|_| drop(log.publish(NOW, &big)));
    let rules =
        RetentionOf::new(move |channel| if channel.as_str().starts_with("room:") { retention } else { ALL });
    let before = engine.bytes();
    let wall_ms = NOW + AGE_MS + 1;
    until(&*engine, || {
        engine.submit(Job::Tidy { wall_ms, retention: rules.clone(), in_use: InUse::nothing() });
        before == 0 || engine.bytes() + 20 * 10_000 < before
    });
    let log_state = log.stat(wall_ms).log;
    assert_eq!(
        (log_state.head, log_state.base, log_state.base_at),
        (20, 20, Some(NOW)),
        "the head is remembered"
    );
    assert_eq!(log.publish(wall_ms, "1").entry.offset(), 21);
}
