//! What appends cost the process of a Redis: `figures <redis URL> <its process id> [seconds]`.
//!
//! Prints microseconds of the server's CPU for each publication, so it does not matter what else the machine
//! does, nor how fast this program is.

use std::{
    fs,
    sync::mpsc,
    time::{Duration, Instant},
};

use tautline_engine::{Answer, Append, Content, Engine as _, Job, Retention, StatRequest, budget::Holder};
use tautline_protocol::ChannelName;
use tautline_redis::{RedisEngine, RedisOptions};

/// Ticks of `/proc/<pid>/stat` in a second, everywhere where Linux runs.
const TICKS_A_SECOND: f64 = 100.0;
/// Data of a usual size: the entry has 96 bytes, about.
const DATA: &str = "{\"text\":\"a message of a person, which is seldom longer than this one is\"}";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "figures <redis URL> <its process id> [seconds]";
    let url = arguments.next().ok_or(usage)?.parse()?;
    let process: u32 = arguments.next().ok_or(usage)?.parse()?;
    let seconds = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let mut options = RedisOptions::new(url);
    options.prefix = format!("figures-{}", std::process::id());
    let engine = RedisEngine::open(options)?;
    let idle = cpu(process)?;
    std::thread::sleep(Duration::from_secs(2));
    println!("idle engine: {:.2} % of a core", (cpu(process)? - idle) / 2.0 * 100.0);
    let run = |name: &str, channels: &[String], at_once: usize, kept: usize| -> std::io::Result<()> {
        let (before, since) = (cpu(process)?, Instant::now());
        let count = appends(&engine, channels, at_once, kept, Duration::from_secs(seconds));
        report(name, count, cpu(process)? - before, since.elapsed());
        Ok(())
    };
    let spread: Vec<_> = (0..2_000).map(|number| format!("room:{number}")).collect();
    run("one channel, one at a time", &spread[..1], 1, 1_000)?;
    run("one channel, one at a time, log full", &spread[..1], 1, 100)?;
    run("one channel, 16 at once", &spread[1..2], 16, 1_000)?;
    run("one channel, 64 at once", &spread[2..3], 64, 1_000)?;
    let together = together(&spread);
    run("8 channels of a partition, each one at a time", &together, 8, 1_000)?;
    run("2,000 channels, 512 at once", &spread, 512, 1_000)?;
    let (before, since) = (cpu(process)?, Instant::now());
    let count = stats(&engine, &spread, Duration::from_secs(seconds));
    report("stats", count, cpu(process)? - before, since.elapsed());
    let before = cpu(process)?;
    std::thread::sleep(Duration::from_secs(5));
    println!("looks at 2,000 served channels: {:.2} % of a core", (cpu(process)? - before) / 5.0 * 100.0);
    Ok(())
}

fn report(name: &str, count: usize, cpu: f64, wall: Duration) {
    let each = cpu * 1e6 / count as f64;
    let a_second = count as f64 / wall.as_secs_f64();
    println!("{name}: {each:.1} µs, {:.0} a core-second ({a_second:.0} a second)", 1e6 / each);
}

/// Seconds of CPU that a process has used.
fn cpu(process: u32) -> std::io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").ok_or(std::io::ErrorKind::InvalidData)?;
    let ticks = fields.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    Ok(ticks.sum::<f64>() / TICKS_A_SECOND)
}

/// Eight channels that one script appends to: those of the same partition, as their CRC says.
fn together(names: &[String]) -> Vec<String> {
    let crc = |name: &str| {
        name.bytes().fold(0_u16, |crc, byte| {
            (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
            })
        })
    };
    let of = |name: &str| crc(name) % 128;
    names.iter().filter(|name| of(name) == of(&names[10])).take(8).cloned().collect()
}

fn appends(engine: &RedisEngine, names: &[String], at_once: usize, kept: usize, wanted: Duration) -> usize {
    let channels: Vec<_> = names.iter().map(|name| ChannelName::parse(name).expect("a valid name")).collect();
    let (give, take) = mpsc::channel();
    let submit = |number: usize| {
        let give = give.clone();
        engine.submit(Job::Append(Append {
            channel: channels[number % channels.len()].clone(),
            content: Content { data: DATA.into(), from: None, tags: None },
            origin: None,
            doubt: None,
            expect: None,
            holder: Holder::BACK_END,
            retention: Retention { count: kept, ..Retention::default() },
            wall_ms: 1_700_000_000_000,
            answer: Answer::new(move |outcome| {
                let _ = give.send((number, outcome.is_ok()));
            }),
        }));
    };
    (0..at_once).for_each(&submit);
    let (since, mut done, mut under_way) = (Instant::now(), 0, at_once);
    while under_way > 0 {
        let (number, appended) = take.recv().expect("every job is answered");
        assert!(appended, "Redis has refused a publication");
        done += 1;
        under_way -= 1;
        if since.elapsed() < wanted {
            submit(number + at_once);
            under_way += 1;
        }
    }
    done
}

fn stats(engine: &RedisEngine, names: &[String], wanted: Duration) -> usize {
    let channels: Vec<_> = names.iter().map(|name| ChannelName::parse(name).expect("a valid name")).collect();
    let (give, take) = mpsc::channel();
    let (since, mut done) = (Instant::now(), 0);
    while since.elapsed() < wanted {
        for channel in &channels {
            let give = give.clone();
            engine.submit(Job::Stat(StatRequest {
                channel: channel.clone(),
                offset: None,
                user: None,
                holder: Holder::BACK_END,
                retention: Retention::default(),
                wall_ms: 1_700_000_000_000,
                answer: Answer::new(move |outcome| {
                    let _ = give.send(outcome.is_ok());
                }),
            }));
        }
        channels.iter().for_each(|_| assert!(take.recv().expect("every job is answered")));
        done += channels.len();
    }
    done
}
