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
}

impl Router {
    pub(crate) fn new(url: RedisUrl, waits: Waits) -> Self {
        let node = match &url.mode {
            Mode::Single(address) => Some(Arc::from(&**address)),
            _ => None,
        };
        let nodes = Mutex::new(vec![node; PARTITIONS].into());
        Self { url, waits, links: Mutex::default(), nodes, looked: tokio::sync::Mutex::default() }
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
        let (mut backoff, mut hops, mut sent, mut whole) = (Backoff::default(), 0, false, false);
        loop {
            let words = match self.ask_once(lane, partition, commands, whole).await {
                Ok(replies) => match replies.iter().find_map(|reply| reply.error().map(Refusal::of)) {
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
                        self.look().await;
                        "the nodes of the cluster do not agree".to_owned()
                    }
                    Some(Refusal::Ask(address)) => match self.ask_there(lane, &address, commands).await {
                        Ok(replies) if !replies.iter().any(|reply| reply.error().is_some()) => {
                            return Ok(replies);
                        }
                        Ok(_) => "a slot is being moved".to_owned(),
                        Err(cut) => {
                            sent |= cut.sent;
                            cut.words
                        }
                    },
                    Some(Refusal::NotPrimary) => {
                        self.look().await;
                        "the primary is being changed".to_owned()
                    }
                    Some(Refusal::Later) => "Redis is not ready".to_owned(),
                    _ => return Ok(replies),
                },
                Err(cut) => {
                    sent |= cut.sent;
                    self.look().await;
                    cut.words
                }
            };
            (hops, whole) = (0, false);
            let wait = backoff.next_wait();
            if Instant::now() + wait >= until {
                return Err(match sent {
                    true => EngineError::InDoubt(words),
                    false => EngineError::Unavailable(words),
                });
            }
            sleep(wait).await;
        }
    }

    async fn ask_once(
        &self,
        lane: Lane,
        partition: Partition,
        commands: &[Command],
        whole: bool,
    ) -> Result<Vec<Value>, Cut> {
        match self.find_node(partition).await {
            Some(node) => self.link(lane, &node).ask(commands, whole).await,
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
        link.or_insert_with(|| Link::to(node.to_string(), self.account(), self.waits)).clone()
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
            Some(port) => format!("{}:{port}", host().unwrap_or_default()),
            None => address.to_owned(),
        };
        *node = Some(address.into());
    }

    /// Asks where the nodes are, unless that was just done.
    pub(crate) async fn look(&self) {
        let mut looked = self.looked.lock().await;
        if looked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return;
        }
        match &self.url.mode {
            Mode::Single(_) => {}
            Mode::Sentinel { sentinels, name } => self.look_by_sentinels(sentinels, name).await,
            Mode::Cluster(seeds) => self.look_in_cluster(seeds).await,
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
                    tracing::info!(%primary, before = before.as_deref(), "the primary by the Sentinels");
                    lock(&self.nodes).fill(Some(Arc::clone(&primary)));
                    self.keep_links(&[primary]);
                }
                return;
            }
        }
        tracing::warn!(name, "no Sentinel names a primary");
    }

    async fn look_in_cluster(&self, seeds: &[String]) {
        let known: Vec<_> = lock(&self.nodes).iter().flatten().map(ToString::to_string).collect();
        let mut asked = Vec::new();
        for node in known.iter().chain(seeds) {
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
        tracing::warn!(nodes = ?seeds, "no node of the cluster says where its slots are");
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
