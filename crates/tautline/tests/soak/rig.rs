//! A gateway, a bad network before it, and what the gateway itself remembers.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::value::RawValue;
use tautline_chaos::{Chaos, Selector, StormReport};
use tautline_client::{Client, ClientOptions, Login, ReadFrom, SubscriptionEvent};
use tautline_gateway::Gateway;
use tautline_hub::{Access, ChannelRule, PublishOptions, Retention, RulePattern};
use tautline_netem::{Rules, StormPlan};
use tautline_protocol::{ChannelName, Limits};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep_until},
};

use crate::{ledger::Log, reader::LAST_PUBLICATION};

/// Each phone listens to all of them.
pub const ROOMS: [&str; 4] = ["room:1", "room:2", "room:3", "room:4"];

/// How long clients are told to stay away at most when the gateway drains, and how long it is closed.
const DRAIN_SPREAD_MS: u64 = 2_000;
const CLOSED: Duration = Duration::from_millis(500);

/// How often each call was executed, by payload.
pub type Executed = BTreeMap<String, u32>;

/// Everything but the phones.
pub struct Rig {
    pub gateway: Gateway,
    pub chaos: Chaos,
    direct: SocketAddr,
    executed: Arc<Mutex<Executed>>,
}

impl Rig {
    pub async fn start(seed: u64) -> Self {
        // Four sockets for each phone, and those that were given up and wait for their end.
        raise_open_files(8_192);
        let executed = Arc::new(Mutex::new(Executed::new()));
        let gateway = gateway(&executed);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let direct = listener.local_addr().expect("it listens");
        tokio::spawn(gateway.serve(listener));
        let chaos = Chaos::builder().upstream(direct.to_string()).rules(Rules::wifi()).seed(seed);
        let chaos = chaos.start().await.expect("the proxy starts");
        Self { gateway, chaos, direct, executed }
    }

    /// Blows for so long, with two drains in it.
    pub async fn storm(&self, seed: u64, seconds: u64) -> StormReport {
        let plan = StormPlan {
            lasts_ms: seconds * 1_000,
            every_ms_least: 5,
            every_ms_most: 60,
            fault_ms_most: 5_000,
            everybody: 0.005,
            ..StormPlan::default()
        };
        let begun = Instant::now();
        let drains = async {
            for third in 1..=2 {
                sleep_until(begun + Duration::from_millis(seconds * 1_000 * third / 3)).await;
                self.gateway.hub().drain(DRAIN_SPREAD_MS);
                sleep_until(Instant::now() + CLOSED).await;
                self.gateway.hub().reopen();
            }
        };
        let (report, ()) = tokio::join!(self.chaos.run_storm(seed, plan, &Selector::All), drains);
        report.expect("the plan is valid")
    }

    /// Says the last word in every room, and reads all that was ever said, by a way without a network.
    pub async fn end_and_read_logs(&self) -> BTreeMap<String, Log> {
        let last = RawValue::from_string(format!("\"{LAST_PUBLICATION}\"")).expect("json");
        let url = format!("ws://{}/connect", self.direct);
        let witness = Client::connect(ClientOptions::new(url, Login::guest())).expect("a good address");
        let mut logs = BTreeMap::new();
        for room in ROOMS {
            let name = ChannelName::parse(room).expect("a name");
            let published = self.gateway.publish(&name, &last, PublishOptions::default()).await;
            published.expect("the log has room");
            let mut log = Log::default();
            let mut subscription = witness.subscribe(room, ReadFrom::Start).await.expect("subscribed once");
            while log.last().is_none_or(|payload| payload != LAST_PUBLICATION) {
                match subscription.next().await.expect("the witness stays") {
                    SubscriptionEvent::Publication(publication) => {
                        log.push(publication.offset, publication.json().expect("text"));
                    }
                    SubscriptionEvent::Subscribed { .. } => {}
                    other => panic!("the witness was told {other:?}"),
                }
            }
            logs.insert(room.to_owned(), log);
        }
        logs
    }

    pub fn executed(&self) -> Executed {
        self.executed.lock().expect("nothing panics over the ledger").clone()
    }
}

/// Guests may do anything, dead lines are noticed within seconds, and the log forgets nothing.
fn gateway(executed: &Arc<Mutex<Executed>>) -> Gateway {
    let everything = ChannelRule {
        subscribe: Access::Any,
        publish: Access::Any,
        retention: Retention { count: 1_000_000, bytes: 1 << 30, ..Retention::default() },
        ..ChannelRule::closed(RulePattern::parse("*").expect("a pattern"))
    };
    let executed = Arc::clone(executed);
    Gateway::builder()
        .guests(true)
        .limits(Limits { ping_ms: 2_000, pong_ms: 2_000, ..Limits::default() })
        .rules(vec![everything])
        .call("echo", move |call| {
            let payload = serde_json::from_str(call.data.get()).expect("phones send text");
            *executed.lock().expect("nothing panics over the ledger").entry(payload).or_default() += 1;
            async move { Ok(call.data) }
        })
        .build()
        .expect("a sound configuration")
}

fn raise_open_files(wanted: u64) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)));
        setrlimit(Resource::Nofile, limit).expect("the soft limit may be raised to the hard one");
    }
}
