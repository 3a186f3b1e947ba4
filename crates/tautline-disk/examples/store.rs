//! How fast the store is: `cargo run --release -p tautline-disk --example store [-- publish|spread|resume|relaxed] [dir]`.
//!
//! `publish`: 256 publishers into one channel, strict, each submits its next append in the answer of the last. `spread`: into a
//! channel each. `relaxed`: as `publish`, without waiting for the disk. `resume`: 5,000 channels with 50 publications each are
//! looked at and read at once.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use tautline_disk::{DiskEngine, DiskOptions, Durability};
use tautline_engine::{
    Answer, Append, Content, Engine, Job, Origin, Read, Retention, Span, StatRequest, budget::Holder,
};
use tautline_protocol::ChannelName;

const PUBLISHERS: u64 = 256;
const RUN: Duration = Duration::from_secs(10);
const CHANNELS: u64 = 5_000;
const PUBLICATIONS_EACH: u64 = 50;
/// What a channel keeps where nothing else is said: the file grows to that and is then reused.
const RETENTION: Retention = Retention { count: 1_000, bytes: 1 << 20, age_ms: 3_600_000 };

/// Does one measurement in a directory.
type Run = fn(&Path);

fn main() {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_else(|| "all".to_owned());
    let dir = args.next().map_or_else(|| PathBuf::from("target/store-bench"), PathBuf::from);
    let runs: [(&str, Run); 4] = [
        ("publish", |dir| publish(dir, Durability::Strict, 1)),
        ("spread", |dir| publish(dir, Durability::Strict, PUBLISHERS)),
        ("relaxed", |dir| publish(dir, Durability::Relaxed, 1)),
        ("resume", resume),
    ];
    for (name, run) in runs {
        if what == name || what == "all" {
            let _ = std::fs::remove_dir_all(&dir);
            println!("{name}:");
            run(&dir);
        }
    }
    let _ = std::fs::remove_dir_all(&dir);
}

fn open(dir: &Path, durability: Durability) -> Arc<DiskEngine> {
    let options = DiskOptions { durability, ..DiskOptions::new(dir) };
    Arc::new(DiskEngine::open(options).expect("the store opens").0)
}

fn channel(number: u64) -> ChannelName {
    ChannelName::parse(&format!("room:{number}")).expect("a valid name")
}

/// One publisher after the other's answer, until the time is over.
struct Publishers {
    engine: Arc<DiskEngine>,
    began: Instant,
    channels: u64,
    requests: AtomicU64,
    /// Of each append, in microseconds.
    waits: Mutex<Vec<u32>>,
    done: mpsc::Sender<()>,
}

fn publish(dir: &Path, durability: Durability, channels: u64) {
    let (done, ended) = mpsc::channel();
    let (engine, began) = (open(dir, durability), Instant::now());
    let (requests, waits) = (AtomicU64::new(0), Mutex::default());
    let publishers = Arc::new(Publishers { engine, began, channels, requests, waits, done });
    (0..PUBLISHERS).for_each(|publisher| publish_next(&publishers, publisher));
    (0..PUBLISHERS).for_each(|_| ended.recv().expect("each publisher ends"));
    let took = began.elapsed().as_secs_f64();
    let mut waits = std::mem::take(&mut *lock(&publishers.waits));
    waits.sort_unstable();
    let count = u32::try_from(waits.len()).expect("fewer than 4 billion");
    let wait = |percent: usize| f64::from(waits[waits.len() * percent / 100 - 1]) / 1000.0;
    println!(
        "  {:.0} appends/s, p50 {:.1} ms, p99 {:.1} ms, slowest {:.1} ms",
        f64::from(count) / took,
        wait(50),
        wait(99),
        wait(100),
    );
    for file in ["channels.db", "channels.db-wal"] {
        let bytes = std::fs::metadata(dir.join(file)).map_or(0, |file| file.len());
        println!("  {file}: {:.1} MiB", bytes as f64 / f64::from(1 << 20));
    }
    publishers.engine.close();
}

fn publish_next(publishers: &Arc<Publishers>, publisher: u64) {
    if publishers.began.elapsed() > RUN {
        publishers.done.send(()).expect("main waits");
        return;
    }
    let (then, next) = (Instant::now(), Arc::clone(publishers));
    let answer = Answer::new(move |outcome| {
        outcome.expect("the disk takes it");
        let wait = then.elapsed().as_micros();
        lock(&next.waits).push(u32::try_from(wait).unwrap_or(u32::MAX));
        publish_next(&next, publisher);
    });
    let id = publishers.requests.fetch_add(1, Ordering::Relaxed);
    let wall_ms = 1_700_000_000_000 + u64::try_from(publishers.began.elapsed().as_millis()).unwrap_or(0);
    publishers.engine.submit(Job::Append(Append {
        channel: channel(publisher % publishers.channels),
        content: Content { data: format!("\"{}\"", "x".repeat(126)).into(), from: None, tags: None },
        origin: Some(Origin::Request { session: u128::from(publisher) << 64 | 7, id }),
        doubt: None,
        expect: None,
        holder: Holder::BACK_END,
        retention: RETENTION,
        wall_ms,
        answer,
    }));
}

fn resume(dir: &Path) {
    let engine = open(dir, Durability::Strict);
    let (give, take) = mpsc::channel();
    for _ in 0..PUBLICATIONS_EACH {
        for number in 0..CHANNELS {
            let give = give.clone();
            engine.submit(Job::Append(Append {
                channel: channel(number),
                content: Content { data: format!("\"{}\"", "x".repeat(126)).into(), from: None, tags: None },
                origin: None,
                doubt: None,
                expect: None,
                holder: Holder::BACK_END,
                retention: RETENTION,
                wall_ms: 1_700_000_000_000,
                answer: Answer::new(move |outcome| give.send(outcome.is_ok()).expect("main waits")),
            }));
        }
        (0..CHANNELS).for_each(|_| assert!(take.recv().expect("every job is answered"), "the disk takes it"));
    }
    engine.close();
    let reopened = Instant::now();
    let engine = open(dir, Durability::Strict);
    println!("  opened in {:.0} ms", reopened.elapsed().as_secs_f64() * 1000.0);
    let (give, take) = mpsc::channel();
    let began = Instant::now();
    (0..CHANNELS).for_each(|number| look_and_read(&engine, channel(number), &give));
    let read: usize = (0..CHANNELS).map(|_| take.recv().expect("every job is answered")).sum();
    let took = began.elapsed().as_secs_f64();
    println!("  {CHANNELS} channels looked at and {read} publications read in {:.0} ms", took * 1000.0);
}

fn look_and_read(engine: &Arc<DiskEngine>, channel: ChannelName, give: &mpsc::Sender<usize>) {
    let (then, name, give) = (Arc::clone(engine), channel.clone(), give.clone());
    let (retention, wall_ms) = (RETENTION, 1_700_000_000_000);
    let answer = Answer::new(move |looked: Result<tautline_engine::StatResult, _>| {
        assert_eq!(looked.expect("the store is whole").log.head, PUBLICATIONS_EACH);
        let (count_max, bytes_max, span) = (usize::MAX, 64 * 1024, Span::After(0));
        let answer = Answer::new(move |page: Result<tautline_engine::Page, _>| {
            give.send(page.expect("the store is whole").entries.len()).expect("main waits");
        });
        then.submit(Job::Read(Read {
            channel: name,
            span,
            count_max,
            bytes_max,
            holder: Holder::BACK_END,
            retention,
            wall_ms,
            answer,
        }));
    });
    engine.submit(Job::Stat(StatRequest {
        channel,
        offset: Some(1),
        user: None,
        holder: Holder::BACK_END,
        retention,
        wall_ms,
        answer,
    }));
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
