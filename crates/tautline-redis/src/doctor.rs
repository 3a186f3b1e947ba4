//! Examines a Redis: what it can do, what will be used of it, and what an operator should change.
//!
//! Start at [`examine`]; `doctor/judge.rs` decides without I/O.

mod judge;

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tautline_engine::{Answer, Append, Content, Engine as _, Job, Retention, budget::Holder};
use tautline_protocol::ChannelName;
use tokio::time::Instant;

use self::judge::{Facts, judge};
use crate::{
    OpenError, RedisEngine, RedisOptions, Wake,
    partition::Partition,
    resp::{Command, Value},
    router::Lane,
    shared::Shared,
};

/// Questions by which round trips are measured.
const PINGS: usize = 50;
/// For how long appends are measured, and how many are under way meanwhile.
const APPENDS_FOR: Duration = Duration::from_secs(1);
const APPENDS_AT_ONCE: usize = 256;

/// How good something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// As it should be.
    Good,
    /// It works, and something may be lost or slow.
    Warning,
    /// It does not work.
    Fault,
}

/// One thing that was examined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How good it is.
    pub grade: Grade,
    /// What was examined.
    pub what: &'static str,
    /// What was found, and what to do about it.
    pub words: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grade = match self.grade {
            Grade::Good => "ok  ",
            Grade::Warning => "warn",
            Grade::Fault => "FAIL",
        };
        write!(f, "{grade}  {:<12} {}", self.what, self.words)
    }
}

/// Examines the Redis of these options, with keys of its own that are deleted again. Takes some seconds.
///
/// # Errors
/// [`OpenError`] if it cannot be reached, or runs no scripts of ours.
pub fn examine(options: &RedisOptions) -> Result<Vec<Finding>, OpenError> {
    let process = std::process::id();
    let own = RedisOptions { prefix: format!("{}-doctor-{process}", options.prefix), ..options.clone() };
    let engine = RedisEngine::open(own)?;
    let shared = engine.shared();
    let (facts, pings, published) = engine.wait_for(async {
        let facts = facts(&shared).await;
        (facts, pings(&shared).await, publishes(&shared).await)
    });
    let mut findings = judge(&facts, options);
    findings.push(match pings {
        Some((median, slow)) => {
            let grade = if slow > Duration::from_millis(20) { Grade::Warning } else { Grade::Good };
            finding(grade, "round trip", format!("median {median:.1?}, slowest of {PINGS} {slow:.1?}"))
        }
        None => finding(Grade::Fault, "round trip", "PING is not answered".to_owned()),
    });
    findings.push(match (published, options.wake) {
        (true, Wake::Hints) => {
            finding(Grade::Good, "pub/sub", "PUBLISH works: nodes wake each other by hints".to_owned())
        }
        (false, Wake::Hints) => {
            let words = "PUBLISH is refused: set [redis] wake = \"looks\"";
            finding(Grade::Fault, "pub/sub", words.to_owned())
        }
        (_, Wake::Looks) => {
            finding(Grade::Good, "pub/sub", "not used: nodes look at channels in use".to_owned())
        }
    });
    let appended = appends(&engine);
    let grade = if appended == 0 { Grade::Fault } else { Grade::Good };
    findings.push(finding(
        grade,
        "appends",
        format!("{appended} in a second, {APPENDS_AT_ONCE} at once, one channel"),
    ));
    engine.wait_for(clean(&shared));
    engine.close();
    Ok(findings)
}

fn finding(grade: Grade, what: &'static str, words: String) -> Finding {
    Finding { grade, what, words }
}

async fn ask(shared: &Shared, command: Command) -> Option<Value> {
    let replies = shared.router.ask(Lane::Others, Partition::FIRST, &[command], shared.until()).await.ok()?;
    replies.into_iter().next().filter(|reply| reply.error().is_none())
}

async fn facts(shared: &Shared) -> Facts {
    let mut facts = Facts::default();
    if let Some(info) = ask(shared, Command::new("INFO")).await {
        let lines = info.text().unwrap_or_default().lines();
        let pairs = lines.filter_map(|line| line.split_once(':'));
        facts.info = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    }
    for name in ["appendfsync", "min-replicas-to-write"] {
        let Some(reply) = ask(shared, Command::new("CONFIG").arg("GET").arg(name)).await else { continue };
        if let Some([_, value]) = reply.array()
            && let Some(value) = value.text()
        {
            facts.config.insert(name.to_owned(), value.to_owned());
        }
    }
    if let Some(time) = ask(shared, Command::new("TIME")).await
        && let Some([seconds, micros]) = time.array()
        && let (Some(seconds), Some(micros)) = (seconds.number(), micros.number())
    {
        let ours = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let theirs = seconds * 1_000 + micros / 1_000;
        facts.clock_ms = i64::try_from(i128::from(theirs) - i128::try_from(ours).unwrap_or_default()).ok();
    }
    facts
}

/// The median and the slowest of some round trips.
async fn pings(shared: &Shared) -> Option<(Duration, Duration)> {
    let mut taken = Vec::new();
    for _ in 0..PINGS {
        let since = Instant::now();
        ask(shared, Command::new("PING")).await?;
        taken.push(since.elapsed());
    }
    taken.sort();
    Some((taken[PINGS / 2], taken[PINGS - 1]))
}

async fn publishes(shared: &Shared) -> bool {
    ask(shared, Command::new("PUBLISH").arg(shared.keys.hints()).arg("")).await.is_some()
}

const CHANNEL: &str = "doctor";

/// Appends for a while, and counts.
fn appends(engine: &RedisEngine) -> usize {
    let channel = ChannelName::parse(CHANNEL).expect("a valid name");
    let (give, take) = std::sync::mpsc::channel();
    let submit = || {
        let give = give.clone();
        engine.submit(Job::Append(Append {
            channel: channel.clone(),
            content: Content {
                data: "\"a publication of a usual size, which is not much longer\"".into(),
                from: None,
                tags: None,
            },
            origin: None,
            doubt: None,
            expect: None,
            holder: Holder::BACK_END,
            retention: Retention::default(),
            wall_ms: 1,
            answer: Answer::new(move |outcome| {
                let _ = give.send(outcome.is_ok());
            }),
        }));
    };
    let since = std::time::Instant::now();
    let (mut done, mut under_way) = (0, 0);
    while since.elapsed() < APPENDS_FOR || under_way > 0 {
        while under_way < APPENDS_AT_ONCE && since.elapsed() < APPENDS_FOR {
            submit();
            under_way += 1;
        }
        let Ok(appended) = take.recv() else { return done };
        under_way -= 1;
        done += usize::from(appended);
    }
    done
}

/// Deletes the keys of the examination.
async fn clean(shared: &Shared) {
    let channel = ChannelName::parse(CHANNEL).expect("a valid name");
    let of = Partition::of(CHANNEL);
    let keys = shared.keys.channel(&channel);
    let names = [
        keys.log,
        keys.state,
        keys.origins,
        shared.keys.channels(of),
        shared.keys.last_call(of, shared.process),
    ];
    let delete = names.iter().fold(Command::new("DEL"), Command::arg);
    let _ = shared.router.ask(Lane::Others, of, &[delete], shared.until()).await;
    for partition in Partition::all() {
        let delete = Command::new("DEL").arg(shared.keys.beginning(partition));
        let _ = shared.router.ask(Lane::Others, partition, &[delete], shared.until()).await;
    }
}
