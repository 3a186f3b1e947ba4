//! Order, offsets, times, epochs and visibility.

use std::sync::mpsc;

use tautline_protocol::UserId;

use super::{
    Rig,
    asking::{ALL, Log, NOW, answer_to, ask, offsets, receive},
};
use crate::{Append, Appended, Content, Entry, Job, Span, budget::Holder};

pub(super) fn unwritten_log_has_head_zero_and_its_epoch(rig: &mut dyn Rig) {
    let engine = rig.engine();
    assert_ne!(engine.incarnation(), 0, "0 is not a valid incarnation");
    let log = Log::of(&*engine, "room:7");
    let before = log.stat(NOW);
    let log_state = &before.log;
    assert_eq!((log_state.head, log_state.head_at, log_state.base, log_state.base_at), (0, 0, 0, None));
    assert_eq!((before.at, before.acknowledged, before.delivered), (None, None, None));
    assert!(log.read(Span::After(0)).entries.is_empty());
    let first = log.publish(NOW, "1");
    assert_eq!(first.epoch, log_state.epoch, "a cursor at 0 was valid for it");
    assert_eq!(log.stat(NOW).log.epoch, log_state.epoch);
    assert_eq!(log.read(Span::After(0)).log.epoch, log_state.epoch);
}

pub(super) fn offsets_rise_by_one_and_times_never_fall(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7");
    let walls = [NOW, NOW + 5, NOW - 1_000_000, NOW + 4, NOW + 9];
    let published: Vec<_> = walls.map(|wall_ms| log.publish(wall_ms, "1").entry).into();
    let placed: Vec<_> = published.iter().map(|entry| (entry.offset(), entry.at() - NOW)).collect();
    assert_eq!(placed, [(1, 0), (2, 5), (3, 5), (4, 5), (5, 9)]);
    let stat = log.stat(NOW);
    assert_eq!((stat.log.head, stat.log.head_at), (5, NOW + 9));
    assert_eq!(log.read(Span::After(0)).entries, published);
}

pub(super) fn published_content_is_read_unchanged(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "raum:grün-\"7\"");
    let big = format!("\"{}\"", "ä".repeat(100_000));
    let contents = [
        ("{\"a\":\n1}", None, None),
        ("\"\\u0000 \\n ☎ 🦀\"", Some("u-\"1\""), Some("{}")),
        ("null", None, Some("{\"a\":\r\n[1]}")),
        (&*big, Some("u2"), None),
    ];
    for (offset, (data, from, tags)) in (1..).zip(contents) {
        let from = from.map(|user| UserId::parse(user).expect("a valid user"));
        let content = Content { data: data.into(), from, tags: tags.map(Into::into) };
        let appended = ask(&*engine, |answer| {
            let (channel, content) = (log.channel.clone(), content.clone());
            let (origin, doubt, retention, wall_ms) = (None, None, ALL, NOW);
            let holder = Holder::BACK_END;
            Job::Append(Append {
                channel,
                content,
                origin,
                doubt,
                expect: None,
                holder,
                retention,
                wall_ms,
                answer,
            })
        });
        let Ok(Appended::New { entry, .. }) = appended else { panic!("{appended:?}") };
        assert_eq!(entry, Entry::encode(&log.channel, offset, NOW, &content));
        assert_eq!(log.read(Span::After(offset - 1)).entries, [entry]);
    }
}

pub(super) fn logs_are_independent(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let logs = ["a", "b", "ab", "A", "user:a"].map(|name| Log::of(&*engine, name));
    for round in 1..=3 {
        for log in &logs {
            let entry = log.publish(NOW, "1").entry;
            assert_eq!(entry.offset(), round);
        }
    }
    for log in &logs {
        let page = log.read(Span::After(0));
        assert_eq!(offsets(&page), [1, 2, 3]);
        let name = format!("{{\"pub\":{{\"channel\":\"{}\",", log.channel);
        assert!(page.entries.iter().all(|entry| entry.line().starts_with(name.as_bytes())));
    }
}

pub(super) fn answered_append_is_visible_to_later_jobs(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7");
    for offset in 1..=100 {
        log.publish(NOW, "1");
        assert_eq!(log.stat(NOW).log.head, offset);
        assert_eq!(offsets(&log.read(Span::After(offset - 1))), [offset]);
    }
}

pub(super) fn appends_apply_and_answer_in_submission_order(rig: &mut dyn Rig) {
    const COUNT: u64 = 500;
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7");
    let (give, take) = mpsc::channel();
    for number in 1..=COUNT {
        engine.submit(log.job(NOW, &number.to_string(), (None, None), answer_to(&give)));
    }
    for offset in 1..=COUNT {
        let Ok(Appended::New { entry, .. }) = receive(&take) else { panic!("it was not appended") };
        let content = Content { data: offset.to_string().into(), from: None, tags: None };
        assert_eq!(entry, Entry::encode(&log.channel, offset, NOW, &content));
    }
}

pub(super) fn appends_of_each_holder_apply_in_submission_order(rig: &mut dyn Rig) {
    const COUNTS: [u64; 2] = [200, 50];
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7");
    let (give, take) = mpsc::channel();
    // The first holder submits all of its appends before the second one begins. An append says whose it is.
    let numbers =
        [1, 2].into_iter().zip(COUNTS).flat_map(|(holder, count)| (1..=count).map(move |n| (holder, n)));
    for (holder, number) in numbers {
        let data = (1_000 * u64::from(holder) + number).to_string();
        let Job::Append(append) = log.job(NOW, &data, (None, None), answer_to(&give)) else {
            unreachable!("job() makes appends")
        };
        engine.submit(Job::Append(Append { holder: Holder::of_hash(holder), ..append }));
    }
    let mut last = [1_000, 2_000];
    for offset in 1..=COUNTS.iter().sum() {
        let Ok(Appended::New { entry, .. }) = receive(&take) else { panic!("it was not appended") };
        assert_eq!(entry.offset(), offset, "answered in the order in which it took effect");
        let is_next = |last: &u64| {
            let content = Content { data: (last + 1).to_string().into(), from: None, tags: None };
            entry == Entry::encode(&log.channel, offset, NOW, &content)
        };
        let whose = last.iter().position(is_next).expect("the next one of either holder");
        last[whose] += 1;
    }
    assert_eq!(last, [1_000 + COUNTS[0], 2_000 + COUNTS[1]]);
}
