//! Sentinels and clusters: the suite, and a primary that is killed under appends. They take minutes, so they
//! run where [`LONG`] is set: `cargo xtask redis`.

use std::{
    collections::HashSet,
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use tautline_engine::{Appended, suite::run_all};
use tautline_redis::{RedisEngine, RedisOptions, Wake};

use super::{
    InRedis,
    asking::{NOW, append_at, publish_at, read, stat, wait},
    server::{LONG, Server},
};

const PATIENCE: Duration = Duration::from_secs(60);

pub fn is_long() -> bool {
    std::env::var_os(LONG).is_some()
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

/// A primary, two replicas and three Sentinels.
struct Sentinels {
    servers: Vec<Server>,
    sentinels: Vec<Server>,
}

impl Sentinels {
    fn start() -> Option<Self> {
        let primary = Server::start(&[])?;
        let of = primary.port().to_string();
        let replicas: Vec<_> =
            (0..2).filter_map(|_| Server::start(&["--replicaof", "127.0.0.1", &of])).collect();
        let lines = [
            format!("sentinel monitor shop 127.0.0.1 {of} 2"),
            "sentinel down-after-milliseconds shop 1000".to_owned(),
            "sentinel failover-timeout shop 3000".to_owned(),
        ];
        let options: Vec<_> = std::iter::once("--sentinel").chain(lines.iter().map(String::as_str)).collect();
        let sentinels: Vec<_> = (0..3).filter_map(|_| Server::start(&options)).collect();
        let servers: Vec<_> = std::iter::once(primary).chain(replicas).collect();
        wait_until("replicas are in step", || {
            servers[0].operate("INFO replication").matches("state=online").count() == 2
        });
        wait_until("Sentinels know each other", || {
            let known = |sentinel: &Server| sentinel.operate("SENTINEL MASTER shop");
            sentinels.iter().all(|sentinel| {
                let said = known(sentinel);
                said.contains("num-other-sentinels\r\n$1\r\n2") && said.contains("num-slaves\r\n$1\r\n2")
            })
        });
        Some(Self { servers, sentinels })
    }

    fn url(&self) -> String {
        let hosts: Vec<_> =
            self.sentinels.iter().map(|server| format!("127.0.0.1:{}", server.port())).collect();
        format!("redis+sentinel://{}/shop", hosts.join(","))
    }
}

/// Three primaries with a replica each.
fn cluster() -> Option<Vec<Server>> {
    let options = [
        "--cluster-enabled",
        "yes",
        "--cluster-node-timeout",
        "1500",
        "--cluster-require-full-coverage",
        "no",
    ];
    let servers: Vec<_> = (0..6).map(|_| Server::start(&options)).collect::<Option<_>>()?;
    let addresses = servers.iter().map(|server| format!("127.0.0.1:{}", server.port()));
    let mut create = Command::new("redis-cli");
    create.args(["--cluster", "create"]).args(addresses).args(["--cluster-replicas", "1", "--cluster-yes"]);
    let created = create.stdout(Stdio::null()).status().expect("redis-cli comes with redis-server");
    assert!(created.success());
    wait_until("the cluster is whole", || {
        servers.iter().all(|server| {
            let links = |server: &Server| server.operate("INFO replication");
            server.operate("CLUSTER INFO").contains("cluster_state:ok")
                && (links(server).contains("role:master") || links(server).contains("master_link_status:up"))
        })
    });
    Some(servers)
}

fn url_of(cluster: &[Server]) -> String {
    let hosts: Vec<_> = cluster.iter().map(|server| format!("127.0.0.1:{}", server.port())).collect();
    format!("redis+cluster://{}", hosts.join(","))
}

fn suite_at(url: &str) {
    let mut number = 0;
    run_all(&mut || {
        number += 1;
        Box::new(InRedis::new(url, number))
    });
}

/// Appends while something fails; nothing is doubled or reordered, and what was acknowledged to a reader is
/// there or its log has another epoch.
fn appends_through(url: &str, fail: impl FnOnce()) {
    let options = RedisOptions { job_wait: PATIENCE, ..RedisOptions::new(url.parse().expect("a valid URL")) };
    let engine = RedisEngine::open(options).expect("Redis is there");
    let rooms: Vec<_> = (0..20).map(|number| format!("room:{number}")).collect();
    let mut last = 0;
    let mut write = |rounds: u64| {
        let mut under_way = Vec::new();
        for number in last + 1..=last + rounds {
            // Each at a time of its own, by which one that takes the place of another is told from it.
            let append = |room| append_at(&engine, room, &number.to_string(), NOW + number);
            under_way.extend(rooms.iter().map(|room| (room, number, append(room))));
        }
        last += rounds;
        under_way
    };
    write(50).iter().for_each(|(_, _, outcome)| drop(wait(outcome).expect("appended")));
    // A channel that is looked after: what is seen of it is remembered.
    rooms.iter().for_each(|room| drop(stat(&engine, room).expect("a stat")));
    let under_way = write(50);
    let since = Instant::now();
    fail();
    let (mut acknowledged, mut failed) = (Vec::new(), 0);
    for (room, number, outcome) in &under_way {
        match wait(outcome) {
            Ok(Appended::New { epoch, .. }) => acknowledged.push((*room, *number, epoch)),
            Ok(other) => panic!("each was appended by this process alone: {other:?}"),
            Err(_) => failed += 1,
        }
    }
    assert!(failed * 10 <= under_way.len(), "{failed} of {} have failed", under_way.len());
    println!("outage: {:?}", since.elapsed());
    assert!(publish_at(&engine, "room:0", "9999", NOW + 9_999) > 0);
    let is_kept_or_told = |(room, number, epoch): &(&String, u64, std::sync::Arc<str>)| {
        read(&engine, room).contains(&number.to_string())
            || stat(&engine, room).expect("a stat").log.epoch != *epoch
    };
    wait_until("what was acknowledged is there, or its log has another epoch", || {
        acknowledged.iter().all(is_kept_or_told)
    });
    for room in &rooms {
        let numbers: Vec<u64> =
            read(&engine, room).iter().map(|text| text.parse().expect("a number")).collect();
        assert!(numbers.is_sorted_by(|one, other| one < other), "doubled or reordered: {numbers:?}");
    }
}

#[test]
fn sentinels_keep_every_promise_and_survive_killed_primary() {
    if !is_long() {
        return;
    }
    let Some(mut sentinels) = Sentinels::start() else { return };
    let url = sentinels.url();
    suite_at(&url);
    appends_through(&url, || sentinels.servers[0].kill());
}

#[test]
fn cluster_keeps_every_promise_and_survives_killed_primary() {
    if !is_long() {
        return;
    }
    let Some(mut cluster) = cluster() else { return };
    let url = url_of(&cluster);
    suite_at(&url);
    appends_through(&url, || cluster[0].kill());
}

#[test]
fn dead_shard_holds_up_no_looks_at_others() {
    if !is_long() {
        return;
    }
    let Some(mut cluster) = cluster() else { return };
    let url = url_of(&cluster);
    let open = |job_wait| {
        let options = RedisOptions::new(url.parse().expect("a valid URL"));
        RedisEngine::open(RedisOptions { job_wait, wake: Wake::Looks, ..options }).expect("Redis is there")
    };
    let (engine, other_node) = (open(PATIENCE), open(Duration::from_secs(1)));
    let (give, told) = mpsc::channel();
    engine.on_hint(move |channel, head| drop(give.send((channel.to_string(), head))));
    let rooms: Vec<_> = (0..20).map(|number| format!("room:{number}")).collect();
    rooms.iter().for_each(|room| drop(stat(&engine, room).expect("a stat")));
    let of_first = format!("master_port:{}\r", cluster[0].port());
    let is_of_first = |server: &mut &mut Server| server.operate("INFO replication").contains(&of_first);
    cluster
        .iter_mut()
        .filter_map(|mut server| is_of_first(&mut server).then_some(server))
        .for_each(Server::kill);
    cluster[0].kill();
    let outcomes: Vec<_> = rooms.iter().map(|room| (room, append_at(&other_node, room, "1", NOW))).collect();
    let appended = outcomes.iter().filter(|(_, outcome)| wait(outcome).is_ok());
    let mut untold: HashSet<_> = appended.map(|(room, _)| (*room).clone()).collect();
    assert!(!untold.is_empty() && untold.len() < rooms.len(), "one shard is dead: {untold:?}");
    while !untold.is_empty() {
        let (room, head) = told.recv_timeout(PATIENCE / 4).expect("living shards are looked at");
        // A log that begins is told of whatever its head is.
        if head > 0 {
            untold.remove(&room);
        }
    }
}
