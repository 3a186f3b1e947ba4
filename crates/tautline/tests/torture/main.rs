//! A gateway with a real disk, killed again and again under three hundred clients on a bad network: nothing acknowledged is
//! lost, nothing is doubled or reordered, and what a relaxed disk takes back is told as a gap.
//!
//! Half a minute of it is a test. `cargo xtask torture` is the long form: `TORTURE_SECONDS`, `TORTURE_KILLS`, `TORTURE_PHONES`,
//! `TORTURE_DURABILITY` (`strict`, `relaxed`) and `TORTURE_SEED` set it up.

mod api;
mod fault_injector;
mod ledger;
mod phone;
mod processes;
#[path = "../common/reader.rs"]
mod reader;

use std::{env, str::FromStr, sync::Arc, time::Duration};

use tautline_netem::Rng;
use tokio::{
    task::JoinSet,
    time::{Instant, interval_at, timeout},
};

use self::{ledger::Ledger, phone::Phone, processes::Rig};

/// Where everybody talks; each phone listens to some of it.
pub const ROOMS: [&str; 12] = [
    "room:a", "room:b", "room:c", "room:d", "room:e", "room:f", "room:g", "room:h", "room:i", "room:j",
    "room:k", "room:l",
];
/// When all is over, everything must be settled and received within this time.
const QUIET_WITHIN: Duration = Duration::from_secs(150);

/// How bad it gets.
struct Plan {
    seconds: u64,
    kills: u64,
    phones: usize,
    durability: String,
    seed: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeatedly_killed_gateway_loses_nothing_acknowledged() {
    let plan = Plan {
        seconds: setting("TORTURE_SECONDS", 30),
        kills: setting("TORTURE_KILLS", 4),
        phones: setting("TORTURE_PHONES", 300),
        durability: setting("TORTURE_DURABILITY", "strict".to_owned()),
        seed: setting("TORTURE_SEED", 7),
    };
    torture(&plan).await;
}

async fn torture(plan: &Plan) {
    let Plan { seconds, kills, phones, durability, seed } = plan;
    println!("TORTURE_SEED={seed}: {phones} phones for {seconds} s, {kills} kills, {durability}");
    let rig = Arc::new(Rig::start(durability, *seed, *seconds).await);
    let mut everybody = Vec::new();
    for number in 0..*phones {
        everybody.push(Phone::connect(number, rig.through_chaos()).await);
    }
    for phone in &everybody {
        phone.is_subscribed().await;
    }

    let lasts = Duration::from_secs(*seconds);
    let faults = fault_injector::run(Arc::clone(&rig), *seed, *kills, lasts);
    let (faults, mut requests) = tokio::join!(faults, talk(&everybody, &rig, *seed, lasts));
    rig.storm_is_over().await;

    let mut ledger = Ledger::of(durability);
    let settled = async {
        while let Some(request) = requests.join_next().await {
            ledger.settle(request.expect("no request panics"));
        }
    };
    timeout(QUIET_WITHIN, settled).await.expect("every request settles");
    let logs = timeout(QUIET_WITHIN, phone::end_and_read_logs(&rig)).await.expect("the logs can be read");
    let received = timeout(QUIET_WITHIN, phone::hear_to_the_end(everybody)).await;
    let received = received.expect("everybody hears the last word");

    ledger.check(&logs, &received);
    println!("{faults}; {}", ledger.summary(&received, &logs));
    assert!(ledger.faults().is_empty(), "TORTURE_SEED={seed}: {:#?}", ledger.faults());
    let gaps: usize = received.iter().map(|received| received.gaps).sum();
    assert!(gaps == 0 || durability == "relaxed", "a strict disk has no gaps, these are {gaps}");
    let talked: usize = logs.values().map(|log| log.publications.len()).sum();
    assert!(talked as u64 > seconds * 10, "nobody talked: {talked} publications");
    rig.ends_well();
}

/// Lets phones publish and call, and the back end publish, at their own pace; gives the requests that are under way.
async fn talk(phones: &[Phone], rig: &Arc<Rig>, seed: u64, lasts: Duration) -> JoinSet<ledger::Asked> {
    let mut rng = Rng::stream(seed, 1);
    let mut requests = JoinSet::new();
    let ends = Instant::now() + lasts;
    let mut pace = interval_at(Instant::now(), Duration::from_millis(10));
    let mut asked = 0_u64;
    while Instant::now() < ends {
        pace.tick().await;
        let phone = &phones[usize::try_from(rng.below(phones.len() as u64)).expect("an index")];
        let room = ROOMS[usize::try_from(rng.below(ROOMS.len() as u64)).expect("an index")];
        let payload = format!("p{asked}");
        asked += 1;
        match rng.below(10) {
            0..6 => requests.spawn(phone.publish(room, payload)),
            6..8 => requests.spawn(phone.call(payload)),
            _ => requests.spawn(api::publish_until_it_is_there(rig.direct(), room, payload)),
        };
    }
    requests
}

fn setting<T: FromStr>(name: &str, default: T) -> T {
    match env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, which cannot be understood")),
        Err(_) => default,
    }
}
