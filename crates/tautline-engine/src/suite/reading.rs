//! Pages of a log.

use super::{
    Rig,
    asking::{ALL, Log, NOW, offsets},
};
use crate::{Retention, Span};

pub(super) fn pages_follow_or_precede_an_offset(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7").keeping(Retention { count: 8, ..ALL });
    (1..=10).for_each(|_| drop(log.publish(NOW, "1")));
    let read = |span, count_max| offsets(&log.page(NOW, span, count_max, usize::MAX));
    assert_eq!(read(Span::After(5), 99), [6, 7, 8, 9, 10]);
    assert_eq!(read(Span::After(5), 2), [6, 7], "the oldest behind it");
    assert_eq!(read(Span::After(0), 2), [3, 4], "deleted entries are skipped, and the log state says so");
    assert_eq!(log.page(NOW, Span::After(0), 2, usize::MAX).log.base, 2);
    assert_eq!(read(Span::After(10), 9), [0; 0]);
    assert_eq!(read(Span::After(99), 9), [0; 0]);
    assert_eq!(read(Span::Before(6), 99), [3, 4, 5]);
    assert_eq!(read(Span::Before(6), 2), [4, 5], "the newest before it");
    assert_eq!(read(Span::Before(99), 2), [9, 10]);
    assert_eq!(read(Span::Before(u64::MAX), 2), [9, 10]);
    for nothing in [0, 1, 3] {
        assert_eq!(read(Span::Before(nothing), 9), [0; 0]);
    }
}

pub(super) fn pages_are_bounded_with_at_least_one_publication(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7");
    let line = log.publish(NOW, "\"0123456789\"").entry.line().len();
    (2..=6).for_each(|_| drop(log.publish(NOW, "\"0123456789\"")));
    let read = |span, bytes_max| offsets(&log.page(NOW, span, 99, bytes_max));
    assert_eq!(read(Span::After(0), 3 * line), [1, 2, 3]);
    assert_eq!(read(Span::After(0), 3 * line - 1), [1, 2]);
    assert_eq!(read(Span::After(0), 1), [1]);
    assert_eq!(read(Span::Before(7), 3 * line), [4, 5, 6]);
    assert_eq!(read(Span::Before(7), 3 * line - 1), [5, 6]);
    assert_eq!(read(Span::Before(7), 1), [6]);
}

pub(super) fn offset_time_known_while_it_or_successor_kept(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7").keeping(Retention { count: 3, ..ALL });
    (1..=6).for_each(|n| drop(log.publish(NOW + n, "1")));
    let expected = [(0, None), (2, None), (3, Some(3)), (4, Some(4)), (5, Some(5)), (6, Some(6)), (7, None)];
    for (offset, at) in expected {
        let at = at.map(|n| NOW + n);
        assert_eq!(log.look_for(NOW, Some(offset), None).at, at, "{offset} by a stat");
        assert_eq!(log.read(Span::After(offset)).at, at, "{offset} by a page after it");
        assert_eq!(log.read(Span::Before(offset)).at, at, "{offset} by a page before it");
    }
    assert_eq!(log.stat(NOW).at, None, "nobody asked");
}
