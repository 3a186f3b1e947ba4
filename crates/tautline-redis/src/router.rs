//! Finds the node for each partition, and repeats what had no effect until its deadline.
//!
//! Start at [`Router::ask`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tautline_engine::EngineError;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    address::{Mode, RedisUrl},
    counts::Counts,
    fault::Refusal,
    jitter::Backoff,
    link::{Cut, Link, Waits},
    partition::{PARTITIONS, Partition},
    resp::{Command, Value},
    socket::{self, Account},
};

/// Between two questions where the nodes are.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often Sentinels are asked for the primary although nothing seems to be wrong: a primary that is cut off
/// from them goes on answering.
pub(crate) const SENTINEL_EVERY: Duration = Duration::from_secs(1);
/// How often one command follows `MOVED` in a row before it waits.
const HOPS_MAX: u32 = 4;

/// Which connection to a node: appends that wait for a replica hold up nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    Appends,
    Others,
}

/// The nodes of a Redis, and the ways to them.
pub(crate) struct Router {
    url: RedisUrl,
    waits: Waits,
    links: Mutex<HashMap<(Arc<str>, Lane), Link>>,
    /// The node of each partition, if it is known.
    nodes: Mutex<Box<[Option<Arc<str>>]>>,
    /// When the nodes were last asked for, and one question at a time.
    looked: tokio::sync::Mutex<Option<Instant>>,
    pub(crate) counts: Arc<Counts>,
}

impl Router {
    pub(crate) fn new(url: RedisUrl, waits: Waits) -> Self {
        let node = match &url.mode {
            Mode::Single(address) => Some(Arc::from(&**address)),
            _ => None,
        };
        let nodes = Mutex::new(vec![node; PARTITIONS].into());
        let (links, looked) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { url, waits, links, nodes, looked, counts: Arc::default() }
    }

    /// Sends commands for one partition, and waits for the reply to each. They are repeated together, so each
    /// must be one that may be executed twice.
    pub(crate) async fn ask(
        &self,
        lane: Lane,
        partition: Partition,
        commands: &[Command],
        until: Instant,
    ) -> Result<Vec<Value>, EngineError> {
        self.ask_again(lane, partition, commands, until, &mut false).await
    }

    /// As [`Router::ask_at`], timed where it is answered.
    async fn ask_timed(
        &self,
        node: Option<&Arc<str>>,
        lane: Lane,
        commands: &[Command],
        whole: bool,
    ) -> Result<Vec<Value>, Cut> {
        let since = Instant::now();
        let outcome = self.ask_at(node, lane, commands, whole).await;
        if outcome.is_ok() {
            let us = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.counts.round_trips.record_us(us);
        }
        outcome
    }

    /// The same for commands that were asked before: `sent` is true where the first of them may have been
    /// executed, before or now.
    pub(crate) async fn ask_again(
        &self,
        lane: Lane,
        partition: Partition,
        commands: &[Command],
        until: Instant,
        sent: &mut bool,
    ) -> Result<Vec<Value>, EngineError> {
        let (mut backoff, mut hops, mut whole) = (Backoff::default(), 0, false);
        loop {
            let node = self.find_node(partition).await;
            let mut outcome = self.ask_timed(node.as_ref(), lane, commands, whole).await;
            if let Ok(replies) = &outcome
                && let Some(Refusal::Ask(address)) = refusal(replies)
            {
                outcome = self.ask_there(lane, &address, commands).await;
            }
            *sent |= match &outcome {
                Ok(replies) => replies.first().is_some_and(|reply| reply.error().is_none()),
                Err(cut) => cut.sent,
            };
            let words = match outcome {
                Ok(replies) => match refusal(&replies) {
                    Some(Refusal::NoScript) if !whole => {
                        whole = true;
                        continue;
                    }
                    Some(Refusal::Moved(address)) => {
                        self.set_node(partition, &address);
                        hops += 1;
                        if hops < HOPS_MAX {
                            continue;
                        }
                        self.look_beside(node.as_deref()).await;
                        "the nodes of the cluster do not agree".to_owned()
                    }
                    Some(Refusal::Ask(_)) => "a slot is being moved".to_owned(),
                    Some(Refusal::NotPrimary) => {
                        self.look().await;
                        "the primary is being changed".to_owned()
                    }
                    Some(Refusal::CutOff) => {
                        self.look_beside(node.as_deref()).await;
                        "the cluster is down for this node".to_owned()
                    }
                    Some(Refusal::Later) => "Redis is not ready".to_owned(),
                    _ => return Ok(replies),
                },
                Err(cut) => {
                    self.look_beside(node.as_deref()).await;
                    cut.words
                }
            };
            (hops, whole) = (0, false);
            let wait = backoff.next_wait();
            if Instant::now() + wait >= until {
                return Err(match *sent {
                    true => EngineError::InDoubt(words),
                    false => EngineError::Unavailable(words),
                });
            }
            sleep(wait).await;
        }
    }

    async fn ask_at(
        &self,
        node: Option<&Arc<str>>,
        lane: Lane,
        commands: &[Command],
        whole: bool,
    ) -> Result<Vec<Value>, Cut> {
        match node {
            Some(node) => self.link(lane, node).ask(commands, whole).await,
            None => Err(Cut { sent: false, words: format!("no node of {} is known", self.url) }),
        }
    }

    /// Asks the node to which a slot is being moved.
    async fn ask_there(&self, lane: Lane, address: &str, commands: &[Command]) -> Result<Vec<Value>, Cut> {
        let asking = || Command::new("ASKING");
        let commands: Vec<_> = commands.iter().flat_map(|command| [asking(), command.clone()]).collect();
        // Scripts in full: that node may not know them.
        let replies = self.link(lane, &Arc::from(address)).ask(&commands, true).await?;
        Ok(replies.into_iter().skip(1).step_by(2).collect())
    }

    fn link(&self, lane: Lane, node: &Arc<str>) -> Link {
        let mut links = lock(&self.links);
        let link = links.entry((Arc::clone(node), lane));
        link.or_insert_with(|| {
            Link::to(node.to_string(), self.account(), self.waits, Arc::clone(&self.counts))
        })
        .clone()
    }

    fn node(&self, partition: Partition) -> Option<Arc<str>> {
        lock(&self.nodes)[partition.index()].clone()
    }

    /// The node of a partition, asked for where it is not known.
    pub(crate) async fn find_node(&self, partition: Partition) -> Option<Arc<str>> {
        match self.node(partition) {
            Some(node) => Some(node),
            None => {
                self.look().await;
                self.node(partition)
            }
        }
    }

    /// How to log in to a node.
    pub(crate) fn account(&self) -> Account {
        match self.url.mode {
            Mode::Cluster(_) => Account { database: 0, ..self.url.account.clone() },
            _ => self.url.account.clone(),
        }
    }

    fn set_node(&self, partition: Partition, address: &str) {
        let mut nodes = lock(&self.nodes);
        let node = &mut nodes[partition.index()];
        // A node that does not know its own name leaves it out.
        let host = || node.as_deref().and_then(|node| node.rsplit_once(':')).map(|(host, _)| host.to_owned());
        let address = match address.strip_prefix(':') {
            Some(port) => host().map(|host| format!("{host}:{port}")),
            None => Some(address.to_owned()).filter(|address| !address.is_empty()),
        };
        if let Some(address) = address {
            *node = Some(address.into());
        }
    }

    /// Asks where the nodes are, unless that was just done.
    pub(crate) async fn look(&self) {
        self.look_beside(None).await;
    }

    /// The same; one node, which has failed, is asked last.
    async fn look_beside(&self, failed: Option<&str>) {
        let mut looked = self.looked.lock().await;
        if looked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return;
        }
        match &self.url.mode {
            // Away from where a redirection led.
            Mode::Single(address) => lock(&self.nodes).fill(Some(Arc::from(&**address))),
            Mode::Sentinel { sentinels, name } => self.look_by_sentinels(sentinels, name).await,
            Mode::Cluster(seeds) => self.look_in_cluster(seeds, failed).await,
        }
        *looked = Some(Instant::now());
    }

    /// True where Sentinels are to be asked now and then.
    pub(crate) const fn has_sentinels(&self) -> bool {
        matches!(self.url.mode, Mode::Sentinel { .. })
    }

    async fn look_by_sentinels(&self, sentinels: &[String], name: &str) {
        let question = Command::new("SENTINEL").arg("get-master-addr-by-name").arg(name);
        for sentinel in sentinels {
            let Some(reply) = self.question(sentinel, &Account::default(), &question).await else { continue };
            if let Some([host, port]) = reply.array()
                && let (Some(host), Some(port)) = (host.text(), port.text())
            {
                let primary: Arc<str> = match host.contains(':') {
                    true => format!("[{host}]:{port}").into(),
                    false => format!("{host}:{port}").into(),
                };
                let before = self.node(Partition::FIRST);
                if before.as_ref() != Some(&primary) {
                    tracing::info!(event = "redis_primary_found", %primary, before = before.as_deref(), "the primary by the Sentinels");
                    lock(&self.nodes).fill(Some(Arc::clone(&primary)));
                    self.keep_links(&[primary]);
                }
                return;
            }
        }
        tracing::warn!(event = "redis_primary_unknown", name, "no Sentinel names a primary");
    }

    async fn look_in_cluster(&self, seeds: &[String], failed: Option<&str>) {
        let known: Vec<_> = lock(&self.nodes).iter().flatten().map(ToString::to_string).collect();
        let mut asked = Vec::new();
        let is_last = |node: &&String| Some(node.as_str()) == failed;
        let others = known.iter().chain(seeds).filter(|node| !is_last(node));
        for node in others.chain(known.iter().filter(is_last)) {
            if asked.contains(&node) {
                continue;
            }
            asked.push(node);
            let question = Command::new("CLUSTER").arg("SLOTS");
            let Some(reply) = self.question(node, &self.account(), &question).await else { continue };
            let host = node.rsplit_once(':').map_or(node.as_str(), |(host, _)| host);
            let ranges = slots(&reply, host);
            if ranges.is_empty() {
                continue;
            }
            let mut nodes = lock(&self.nodes);
            for partition in Partition::all() {
                let range = ranges.iter().find(|range| (range.0..=range.1).contains(&partition.slot()));
                if let Some((_, _, address)) = range {
                    nodes[partition.index()] = Some(Arc::clone(address));
                }
            }
            drop(nodes);
            let all: Vec<_> = ranges.into_iter().map(|(_, _, address)| address).collect();
            self.keep_links(&all);
            return;
        }
        tracing::warn!(event = "redis_cluster_unknown", nodes = ?seeds, "no node of the cluster says where its slots are");
    }

    /// Gives up connections to nodes that are not used any more.
    fn keep_links(&self, nodes: &[Arc<str>]) {
        lock(&self.links).retain(|(node, _), _| nodes.contains(node));
    }

    /// Asks a node something on a connection of its own.
    async fn question(&self, node: &str, account: &Account, question: &Command) -> Option<Value> {
        let asking = async {
            let mut socket = socket::connect(node, account).await?;
            socket::exchange(&mut socket, std::slice::from_ref(question)).await
        };
        match timeout(self.waits.connect, asking).await {
            Ok(Ok(replies)) => replies.into_iter().next().filter(|reply| reply.error().is_none()),
            _ => None,
        }
    }
}

/// The first refusal among replies.
fn refusal(replies: &[Value]) -> Option<Refusal> {
    replies.iter().find_map(|reply| reply.error().map(Refusal::of))
}

/// First and last slot, and the primary of each range.
fn slots(reply: &Value, asked: &str) -> Vec<(usize, usize, Arc<str>)> {
    let range = |range: &Value| {
        let [first, last, primary, ..] = range.array()? else { return None };
        let [host, port, ..] = primary.array()? else { return None };
        let host = host.text().filter(|host| !host.is_empty()).unwrap_or(asked);
        let host =
            if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
        let slot = |number: &Value| usize::try_from(number.number()?).ok();
        Some((slot(first)?, slot(last)?, format!("{host}:{}", port.number()?).into()))
    };
    reply.array().unwrap_or_default().iter().filter_map(range).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp;

    #[tokio::test]
    async fn redirected_single_mode_looks_back_at_configured_address() {
        let waits = Waits { connect: Duration::from_secs(1), reply: Duration::from_secs(1) };
        let router = Router::new("redis://10.0.0.1:6379".parse().expect("a valid URL"), waits);
        let node = || router.node(Partition::FIRST);
        router.set_node(Partition::FIRST, "");
        assert_eq!(node().as_deref(), Some("10.0.0.1:6379"), "an empty address says nothing");
        router.set_node(Partition::FIRST, "10.0.0.2:6380");
        assert_eq!(node().as_deref(), Some("10.0.0.2:6380"));
        router.look().await;
        assert_eq!(node().as_deref(), Some("10.0.0.1:6379"));
    }

    #[test]
    fn slots_of_cluster_are_read() {
        let bytes = b"*2\r\n*4\r\n:0\r\n:5460\r\n*3\r\n$4\r\n10.1\r\n:7000\r\n$1\r\nx\r\n*3\r\n$4\r\n10.9\r\n:7003\r\n$1\r\ny\r\n\
                      *3\r\n:5461\r\n:16383\r\n*2\r\n$0\r\n\r\n:7001\r\n";
        let (reply, _) = resp::read(bytes).expect("RESP").expect("complete");
        let ranges = slots(&reply, "seed");
        assert_eq!(ranges, [(0, 5_460, Arc::from("10.1:7000")), (5_461, 16_383, Arc::from("seed:7001"))]);
        assert_eq!(slots(&Value::Error("ERR cluster support disabled".to_owned()), "seed"), []);
    }
}
