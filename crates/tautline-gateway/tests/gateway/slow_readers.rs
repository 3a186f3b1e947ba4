//! Slow readers delay only themselves.

use std::time::Duration;

use serde_json::json;

use crate::rig::{Client, Rig, config, open_to_all};

const PUBLICATIONS: usize = 400;

/// Publishes far more than socket and log hold; `after_each` runs behind each publication.
fn publish_much(publisher: &mut Client, mut after_each: impl FnMut()) {
    let data = "x".repeat(4096);
    for _ in 0..PUBLICATIONS {
        publisher.request("publish", &json!({"channel": "busy", "data": data}));
        after_each();
    }
}

/// How many publications and gaps a subscriber receives up to the last publication.
fn catch_up(client: &mut Client) -> (usize, usize) {
    let (mut publications, mut gaps) = (0, 0);
    loop {
        let packet = client.receive();
        gaps += usize::from(packet["gap"].is_object());
        if packet["pub"].is_object() {
            publications += 1;
            if packet["pub"]["offset"] == PUBLICATIONS {
                return (publications, gaps);
            }
        }
    }
}

#[test]
fn stalled_reader_delays_no_other_and_gets_a_gap() {
    let rig = Rig::serve(open_to_all());
    let (mut stalled, mut quick, mut publisher) = (rig.guest(), rig.guest(), rig.guest());
    stalled.request("subscribe", &json!({"channel": "busy"}));
    quick.request("subscribe", &json!({"channel": "busy"}));
    let mut offset = 0;
    publish_much(&mut publisher, || {
        offset += 1;
        assert_eq!(quick.receive()["pub"]["offset"], offset);
    });
    // 400 publications of 4 KiB do not fit a log of 1 MiB: a gap reports the lost ones.
    let (publications, gaps) = catch_up(&mut stalled);
    assert!(gaps == 1 && publications < PUBLICATIONS, "{publications} publications, {gaps} gaps");
}

#[test]
fn stalled_reader_is_closed_at_its_timeout() {
    let mut config = config();
    config.stall_timeout = Duration::from_millis(100);
    let rig = Rig::serve(open_to_all().config(config));
    let (mut stalled, mut publisher) = (rig.guest(), rig.guest());
    stalled.request("subscribe", &json!({"channel": "busy"}));
    publish_much(&mut publisher, || {});
    rig.wait_until("the stalled one has gone", |gateway| gateway.stats().connections == 1);
}
