//! Jobs from many threads, and callbacks that submit jobs.

use std::sync::{Arc, Mutex, mpsc};

use tautline_protocol::ChannelName;

use super::{
    Rig,
    asking::{ALL, Log, NOW, answer_to, receive},
};
use crate::{Answer, Append, Appended, Content, Engine, Job, budget::Holder};

#[expect(
    clippy::disallowed_methods,
    reason = "callers submit from many threads; the engine stays deterministic"
)]
pub(super) fn concurrent_appends_are_answered_in_order(rig: &mut dyn Rig) {
    const THREADS: u64 = 8;
    const EACH: u64 = 100;
    let engine = rig.engine();
    let answered = Arc::new(Mutex::new(Vec::new()));
    let (give, take) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let log = Log::of(&*engine, "room:7");
                for _ in 0..EACH {
                    let (answered, give) = (Arc::clone(&answered), give.clone());
                    let answer = Answer::new(move |outcome| {
                        let Ok(Appended::New { entry, .. }) = outcome else { panic!("{outcome:?}") };
                        answered.lock().expect("no thread panics").push(entry.offset());
                        let _ = give.send(());
                    });
                    engine.submit(log.job(NOW, "1", (None, None), answer));
                }
            });
        }
    });
    (0..THREADS * EACH).for_each(|_| receive(&take));
    assert_eq!(*answered.lock().expect("no thread panics"), (1..=THREADS * EACH).collect::<Vec<_>>());
}

pub(super) fn callback_may_submit_next_job(rig: &mut dyn Rig) {
    const LENGTH: u64 = 200;
    let (give, take) = mpsc::channel();
    append_after_append(rig.engine(), LENGTH, give);
    assert_eq!(receive(&take), LENGTH);
}

/// Appends, and submits the next append from the callback until an offset is reached.
fn append_after_append(engine: Arc<dyn Engine>, last: u64, done: mpsc::Sender<u64>) {
    let next = Arc::clone(&engine);
    let answer = Answer::new(move |outcome| {
        let Ok(Appended::New { entry, .. }) = outcome else { panic!("{outcome:?}") };
        if entry.offset() == last {
            let _ = done.send(last);
        } else {
            append_after_append(next, last, done);
        }
    });
    let channel = ChannelName::parse("room:7").expect("a valid name");
    let content = Content { data: "1".into(), from: None, tags: None };
    let (origin, doubt, retention, wall_ms) = (None, None, ALL, NOW);
    let holder = Holder::BACK_END;
    engine.submit(Job::Append(Append {
        channel,
        content,
        origin,
        doubt,
        expect: None,
        holder,
        retention,
        wall_ms,
        answer,
    }));
}

pub(super) fn unawaited_answers_do_not_block_others(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7");
    for _ in 0..50 {
        let (give, _) = mpsc::channel();
        engine.submit(log.job(NOW, "1", (None, None), answer_to(&give)));
    }
    assert_eq!(log.publish(NOW, "1").entry.offset(), 51);
}
