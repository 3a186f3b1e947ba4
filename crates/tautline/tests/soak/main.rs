//! Two hundred real clients for half a minute on a bad network: nothing lost, doubled or reordered, every request settled once.
//!
//! `SOAK_SECONDS` makes it longer, `SOAK_SEED` repeats the network of an earlier run (who is connected when a fault comes
//! depends on the machine, so a seed repeats the faults, not the history).

mod ledger;
mod phone;
#[path = "../common/reader.rs"]
mod reader;
mod rig;

use std::{env, str::FromStr, time::Duration};

use tautline_chaos::Selector;
use tokio::{
    task::JoinSet,
    time::{Instant, interval_at, timeout},
};

use self::{
    ledger::{Ledger, Log},
    phone::Phone,
    rig::{ROOMS, Rig},
};

const PHONES: usize = 200;
/// After the storm everything must be over within this time: the longest wait of a request, and some more.
const QUIET_WITHIN: Duration = Duration::from_secs(150);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clients_lose_nothing_in_a_storm() {
    let seconds: u64 = setting("SOAK_SECONDS", 30);
    let seed: u64 = setting("SOAK_SEED", 7);
    println!("SOAK_SEED={seed} SOAK_SECONDS={seconds}");
    let rig = Rig::start(seed).await;
    let mut phones = Vec::new();
    for number in 0..PHONES {
        phones.push(Phone::connect(number, &rig).await);
    }
    for phone in &phones {
        phone.is_subscribed().await;
    }

    let storm = rig.storm(seed, seconds);
    let talk = talk(&phones, seed, Duration::from_secs(seconds));
    let (storm, mut requests) = tokio::join!(storm, talk);
    rig.chaos.heal(&Selector::All).expect("everybody can be healed");

    let mut ledger = Ledger::default();
    let settled = async {
        while let Some(request) = requests.join_next().await {
            ledger.settle(request.expect("no request panics"));
        }
    };
    timeout(QUIET_WITHIN, settled).await.expect("every request settles");
    // The last publication of every room: a reader that has it has everything before it.
    let logs = timeout(QUIET_WITHIN, rig.end_and_read_logs()).await.expect("the logs can be read");
    let received =
        timeout(QUIET_WITHIN, phone::hear_to_the_end(phones)).await.expect("everybody hears the last word");

    ledger.check(&logs, &received, &rig.executed());
    println!("{storm:?}; {}", ledger.summary(&received, &logs));
    assert!(ledger.faults().is_empty(), "SOAK_SEED={seed}: {:#?}", ledger.faults());
    assert!(storm.hits as u64 > seconds * 5, "the storm was no storm: {storm:?}");
    assert!(logs.values().map(Log::len).sum::<usize>() as u64 > seconds * 20, "nobody talked");
    assert_eq!(rig.gateway.stats().panics, 0);
}

/// Lets every phone publish and call at its own pace; gives the requests that are under way.
async fn talk(phones: &[Phone], seed: u64, lasts: Duration) -> JoinSet<ledger::Asked> {
    let mut rng = tautline_netem::Rng::stream(seed, 1);
    let mut requests = JoinSet::new();
    let ends = Instant::now() + lasts;
    let mut pace = interval_at(Instant::now(), Duration::from_millis(5));
    let mut asked = 0_u64;
    while Instant::now() < ends {
        pace.tick().await;
        let phone = &phones[usize::try_from(rng.below(PHONES as u64)).expect("an index")];
        let payload = format!("p{asked}");
        asked += 1;
        match rng.chance(0.5) {
            true => {
                let room = &ROOMS[usize::try_from(rng.below(ROOMS.len() as u64)).expect("an index")];
                requests.spawn(phone.publish(room, payload))
            }
            false => requests.spawn(phone.call(payload)),
        };
    }
    requests
}

fn setting<T: FromStr>(name: &str, default: T) -> T {
    match env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, which is no number")),
        Err(_) => default,
    }
}
