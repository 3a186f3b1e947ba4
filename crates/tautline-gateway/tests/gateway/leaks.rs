//! Thousands of offenders leak no memory, not even memory that no figure of the gateway counts.
#![cfg(target_os = "linux")]

use std::{process::Command, time::Duration};

use tautline_protocol::Limits;

use crate::{
    bystander::Bystander,
    logins::SECRET,
    offences,
    rig::{Rig, config, open_to_all},
};

/// Tells a child process that it runs one test alone.
const ALONE: &str = "TAUTLINE_TEST_ALONE";
/// Makes resident memory follow the memory in use: freed pages are returned at once, and threads cache
/// nothing.
const ALLOCATOR_OPTIONS: (&str, &str) =
    ("_RJEM_MALLOC_CONF", "narenas:1,tcache:false,dirty_decay_ms:0,muzzy_decay_ms:0");
/// How much more may be resident after thousands of offenders than after the first hundreds. Measured: up to
/// 96 KiB, cleared entries on the timer wheel that are freed when their tick comes. One leaked connection or
/// session for each offender would be megabytes.
const GROWTH_BYTES_MAX: u64 = 256 * 1024;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Runs a test in its own process, whose memory is that of this test.
fn in_own_process(test: &str, story: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        return story();
    }
    let program = std::env::current_exe().expect("Linux tells");
    let (options, values) = ALLOCATOR_OPTIONS;
    let mut alone = Command::new(program);
    alone.args([test, "--exact", "--nocapture"]).env(ALONE, "").env(options, values);
    let ran = alone.output().expect("it can be started");
    let told = String::from_utf8_lossy(&ran.stdout);
    let complaint = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && told.contains("1 passed"), "{told}{complaint}");
}

/// Commits an offence again and again, and compares what is resident after the first rounds and after the
/// last.
fn assert_nothing_grows(first_rounds: usize, rounds: usize, mut commit: impl FnMut()) {
    (0..first_rounds).for_each(|_| commit());
    let before = resident_bytes();
    (0..rounds).for_each(|_| commit());
    let after = resident_bytes();
    println!("{before} bytes resident, and {after} after {rounds} more rounds");
    assert!(after < before + GROWTH_BYTES_MAX, "{before} bytes became {after}");
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// Eighteen offences that are answered at once.
fn offend_in_every_way(rig: &Rig, bystander: &mut Bystander) {
    let violations = [
        offences::unmasked_text(),
        offences::binary(),
        offences::bytes_as_text(b"\xff"),
        offences::head_of_text(Limits::default().hello_bytes_max + 1),
        offences::text("[1,2"),
        offences::text(&"[".repeat(60_000)),
    ];
    for bytes in &violations {
        offences::send(rig, bystander, bytes);
        offences::send_instead_of_hello(rig, bystander, bytes);
    }
    rig.exchange("GET /connect HTTP/1.1\r\nHost: line.example\r\n\r\n");
    rig.exchange("\x16\x03\x01 this is TLS, or something else\r\n\r\n");
    offences::resume_with_ticket_repeatedly(rig, bystander, &offences::forged_ticket(bystander));
    offences::log_in_with_expired_token(rig, bystander);
    offences::never_send_seen(rig, bystander, &offences::echo(60_000));
    offences::subscribe_to(rig, bystander, 100);
}

#[test]
fn five_thousand_offenders_leak_no_memory() {
    in_own_process("leaks::five_thousand_offenders_leak_no_memory", || {
        // A client that never says `seen` is too slow after some dozens of requests.
        let limits = Limits { replies_unseen_max: 32, ..Limits::default() };
        let rig = Rig::serve(open_to_all().jwt_hs256(SECRET).limits(limits));
        let mut bystander = Bystander::enter(&rig);
        assert_nothing_grows(50, 300, || {
            offend_in_every_way(&rig, &mut bystander);
            bystander.wait_until_alone(&rig);
        });
    });
}

#[test]
fn five_thousand_stalled_handshakes_leak_no_memory() {
    const OFFENDERS_AT_ONCE: usize = 250;
    const SHORT: Duration = Duration::from_millis(100);
    in_own_process("leaks::five_thousand_stalled_handshakes_leak_no_memory", || {
        let mut config = config();
        config.http_head_timeout = SHORT;
        config.linger_timeout = SHORT;
        let limits = Limits { hello_ms: 100, ..Limits::default() };
        let rig = Rig::serve(open_to_all().config(config).limits(limits));
        let mut bystander = Bystander::enter(&rig);
        assert_nothing_grows(2, 10, || {
            let held: Vec<_> = (0..OFFENDERS_AT_ONCE)
                .map(|_| (rig.try_connect(), offences::begin_half_a_head(&rig)))
                .collect();
            bystander.check_service();
            // All of them are still connected, and are closed all the same.
            bystander.wait_until_alone(&rig);
            drop(held);
        });
    });
}
