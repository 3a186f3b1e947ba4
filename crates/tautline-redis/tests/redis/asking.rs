//! Submits jobs and waits for their answers.

use std::{sync::mpsc, time::Duration};

use tautline_engine::{
    Answer, Append, Appended, Content, Doubt, Engine, EngineError, Job, Origin, Page, Read, Retention, Span,
    StatRequest, StatResult, budget::Holder,
};
use tautline_protocol::ChannelName;

pub const NOW: u64 = 1_700_000_000_000;
/// Another time.
pub const LATER: u64 = NOW + 5;
const ALL: Retention = Retention { count: 100_000, bytes: 1 << 30, age_ms: 1 << 40 };

pub type Outcome<T> = mpsc::Receiver<Result<T, EngineError>>;

pub fn submit<T: Send + 'static>(engine: &dyn Engine, job: impl FnOnce(Answer<T>) -> Job) -> Outcome<T> {
    let (give, take) = mpsc::channel();
    engine.submit(job(Answer::new(move |outcome| drop(give.send(outcome)))));
    take
}

pub fn wait<T>(outcome: &Outcome<T>) -> Result<T, EngineError> {
    outcome.recv_timeout(Duration::from_secs(60)).expect("every job is answered")
}

fn channel(name: &str) -> ChannelName {
    ChannelName::parse(name).expect("a valid name")
}

/// Begins to append.
pub fn append(engine: &dyn Engine, name: &str, data: &str) -> Outcome<Appended> {
    append_at(engine, name, data, NOW)
}

/// The same at another time.
pub fn append_at(engine: &dyn Engine, name: &str, data: &str, wall_ms: u64) -> Outcome<Appended> {
    append_of(engine, name, (data, wall_ms), None, None)
}

/// The same for a request.
pub fn append_of(
    engine: &dyn Engine,
    name: &str,
    (data, wall_ms): (&str, u64),
    origin: Option<Origin>,
    doubt: Option<Doubt>,
) -> Outcome<Appended> {
    submit(engine, |answer| {
        Job::Append(Append {
            channel: channel(name),
            content: Content { data: data.into(), from: None, tags: None },
            origin,
            doubt,
            expect: None,
            holder: Holder::BACK_END,
            retention: ALL,
            wall_ms,
            answer,
        })
    })
}

/// Appends, and returns the offset.
pub fn publish(engine: &dyn Engine, name: &str, data: &str) -> u64 {
    publish_at(engine, name, data, NOW)
}

/// The same at another time.
pub fn publish_at(engine: &dyn Engine, name: &str, data: &str, wall_ms: u64) -> u64 {
    match wait(&append_at(engine, name, data, wall_ms)) {
        Ok(Appended::New { entry, .. }) => entry.offset(),
        other => panic!("a publication was to be appended, and became {other:?}"),
    }
}

pub fn stat(engine: &dyn Engine, name: &str) -> Result<StatResult, EngineError> {
    wait(&submit(engine, |answer| {
        Job::Stat(StatRequest {
            channel: channel(name),
            offset: None,
            user: None,
            holder: Holder::BACK_END,
            retention: ALL,
            wall_ms: NOW,
            answer,
        })
    }))
}

/// All payloads of a log.
pub fn read(engine: &dyn Engine, name: &str) -> Vec<String> {
    let page: Page = wait(&submit(engine, |answer| {
        Job::Read(Read {
            channel: channel(name),
            span: Span::After(0),
            count_max: usize::MAX,
            bytes_max: usize::MAX,
            holder: Holder::BACK_END,
            retention: ALL,
            wall_ms: NOW,
            answer,
        })
    }))
    .expect("the log is read");
    let data = |line: &[u8]| {
        let line = String::from_utf8(line.to_vec()).expect("JSON is UTF-8");
        let from = line.find("\"data\":").expect("every publication has data") + 7;
        line[from..line.len() - 3].to_owned()
    };
    page.entries.iter().map(|entry| data(entry.line())).collect()
}
