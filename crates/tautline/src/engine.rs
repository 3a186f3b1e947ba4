//! Where the gateway's logs live, and the keys of tickets beside those on disk: opened, kept, closed.

use std::{path::PathBuf, sync::Arc, thread, time::Duration};

use anyhow::{Context as _, bail, ensure};
use tautline_disk::{DiskEngine, DiskOptions, Opened, TicketKeyFile};
use tautline_gateway::{Gateway, GatewayBuilder};
use tautline_redis::RedisEngine;
use tokio::{sync::oneshot, task::AbortHandle, time::MissedTickBehavior};
use tracing::{info, warn};

use crate::config::{Durability, Engine, Settings, TICKET_KEYS};

/// How often it is asked whether the keys of tickets have to change: far shorter than any life of a ticket worth having.
const KEYS_EVERY: Duration = Duration::from_secs(60);

/// How often it is asked whether the store has died.
const DIED_EVERY: Duration = Duration::from_secs(1);

/// What a process has opened for its logs.
pub(crate) struct Logs {
    disk: Option<Arc<DiskEngine>>,
    redis: Option<Arc<RedisEngine>>,
    keys: Option<Keys>,
    ticket_ms: u64,
}

/// Keys of tickets that lie beside the logs.
enum Keys {
    File(TicketKeyFile),
    Redis(Arc<RedisEngine>),
}

impl Keys {
    /// The keys at this moment, the first seals. Blocks.
    fn current(&mut self, ticket_ms: u64) -> anyhow::Result<Vec<[u8; 32]>> {
        match self {
            Self::File(file) => Ok(file.keys(wall_ms(), ticket_ms)?),
            Self::Redis(engine) => engine
                .ticket_keys(wall_ms(), ticket_ms)
                .map_err(|error| anyhow::anyhow!("Redis does not give the keys of tickets: {error}")),
        }
    }
}

impl Logs {
    /// Opens what the settings name.
    pub(crate) fn open(settings: &Settings) -> anyhow::Result<Self> {
        let ticket_ms = settings.limits.protocol.ticket_ms;
        let none = Self { disk: None, redis: None, keys: None, ticket_ms };
        let folder = match &settings.engine {
            Engine::Memory => return Ok(none),
            Engine::Redis(url) => {
                let engine = Arc::new(RedisEngine::open(settings.redis_options(url))?);
                let keys = settings.ticket_keys.is_empty().then(|| Keys::Redis(Arc::clone(&engine)));
                return Ok(Self { redis: Some(engine), keys, ..none });
            }
            Engine::Disk(folder) => folder,
        };
        let mut options = DiskOptions::new(folder).limits(&settings.limits.engine, ticket_ms);
        options.durability = match settings.durability {
            Durability::Strict => tautline_disk::Durability::Strict,
            Durability::Relaxed => tautline_disk::Durability::Relaxed,
        };
        let (engine, opened) =
            DiskEngine::open(options).with_context(|| format!("cannot open {}", folder.display()))?;
        tell(&opened);
        if settings.durability == Durability::Relaxed {
            warn!(
                event = "store_relaxed",
                "durability is relaxed: a crash may take back what was acknowledged last; clients are told by a gap"
            );
        }
        let keys = match settings.ticket_keys.is_empty() {
            true => Some(Keys::File(TicketKeyFile::open(folder).context("cannot open the keys of tickets")?)),
            false => None,
        };
        Ok(Self { disk: Some(Arc::new(engine)), keys, ..none })
    }

    /// Gives a gateway its engine, and the keys that lie beside it.
    pub(crate) fn equip(&mut self, mut builder: GatewayBuilder) -> anyhow::Result<GatewayBuilder> {
        if let Some(disk) = &self.disk {
            builder = builder.engine(Arc::clone(disk) as Arc<dyn tautline_gateway::Engine>);
        }
        if let Some(redis) = &self.redis {
            builder = builder.engine(Arc::clone(redis) as Arc<dyn tautline_gateway::Engine>);
        }
        if let Some(keys) = &mut self.keys {
            builder = builder.ticket_keys(keys.current(self.ticket_ms)?);
        }
        Ok(builder)
    }

    /// Takes what other nodes append and do to this gateway.
    pub(crate) fn listen(&self, gateway: &Gateway) {
        let Some(redis) = &self.redis else { return };
        let (hinted, told) = (gateway.clone(), gateway.clone());
        redis.on_hint(move |channel, head| {
            let now = hinted.control(|_, now| now);
            hinted.hub().on_hint(now, channel, head);
        });
        redis.on_node_event(move |event| {
            let now = told.control(|_, now| now);
            told.hub().on_node_event(now, event)
        });
    }

    /// True where tickets stay good after a restart although no keys were set.
    pub(crate) const fn keeps_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// Changes the keys in their time, until it is aborted.
    pub(crate) fn change_keys(&mut self, gateway: &Gateway) -> Option<AbortHandle> {
        let mut keys = self.keys.take()?;
        let (hub, ticket_ms) = (gateway.hub().clone(), self.ticket_ms);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(KEYS_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                // On a thread that may wait: Redis may take its time.
                let read = tokio::task::spawn_blocking(move || (keys.current(ticket_ms), keys));
                let Ok((ring, kept)) = read.await else { return };
                keys = kept;
                match ring {
                    Ok(ring) => hub.set_ticket_keys(&ring),
                    Err(error) => warn!(
                        event = "ticket_keys_not_changed",
                        "the keys of tickets stay as they are: {error:#}"
                    ),
                }
            }
        });
        Some(task.abort_handle())
    }

    /// Waits until a thread of the store has panicked. Without a store, for ever.
    pub(crate) async fn died(&self) {
        let Some(disk) = &self.disk else { return std::future::pending().await };
        let mut ticks = tokio::time::interval(DIED_EVERY);
        while !disk.has_died() {
            ticks.tick().await;
        }
    }

    /// Closes it: what was handed over before is kept, and the next start is quick.
    pub(crate) async fn close(self) {
        let Self { disk, redis, .. } = self;
        if disk.is_none() && redis.is_none() {
            return;
        }
        let (give, closed) = oneshot::channel();
        // No task: the runtime would wait for it, also where a signal asks for the end at once.
        let closing = thread::Builder::new().name("tautline-stop".to_owned()).spawn(move || {
            disk.inspect(|disk| disk.close());
            redis.inspect(|redis| redis.close());
            // Where a signal came first, nobody waits.
            let _ = give.send(());
        });
        if closing.is_err() || closed.await.is_err() {
            warn!(
                event = "engine_not_closed",
                "the engine could not be closed, or panicked over it; the next start will check its file"
            );
        }
    }
}

/// Voids every ticket of a gateway that is not running. Returns its folder.
///
/// # Errors
/// Where the keys of tickets are not in a folder, or in use.
pub(crate) fn revoke_all(settings: &Settings, data: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    ensure!(
        settings.ticket_keys.is_empty(),
        "the keys of tickets are not in a folder here: put a new one in the place of all of [tickets] keys or \
         {TICKET_KEYS}, and start the gateway again"
    );
    let folder = match (data, &settings.engine) {
        (Some(folder), _) => folder,
        (None, Engine::Disk(folder)) => folder.clone(),
        (None, Engine::Memory) => bail!(
            "with the engine `memory` the key of tickets is made at random at start: start the gateway again"
        ),
        (None, Engine::Redis(_)) => bail!(
            "with the engine Redis and without [tickets] keys, the keys of tickets are in Redis: stop all gateways, \
             delete the key that ends in `:ring`, and start them again"
        ),
    };
    TicketKeyFile::replace_all(&folder, wall_ms())
        .with_context(|| format!("the tickets of {} stay good", folder.display()))?;
    Ok(folder)
}

fn tell(opened: &Opened) {
    match opened {
        Opened::Recovered { new_epochs: 0 } => {
            info!(
                event = "store_recovered",
                "the last process was not closed: all that it acknowledged is here"
            )
        }
        Opened::Recovered { new_epochs } => {
            warn!(
                event = "store_recovered_with_gaps",
                "the last process was not closed: {new_epochs} channels begin a new epoch, and clients are told of a gap"
            );
        }
        Opened::Damaged { moved_to, reason } => warn!(
            event = "store_moved_aside",
            "the file of logs is damaged ({reason}): it is {} now, and every channel begins anew",
            moved_to.display()
        ),
        _ => {}
    }
}

fn wall_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    tautline_process::units::whole_ms(since)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use tautline_engine::{Engine as _, InUse, Job, Retention, RetentionOf};

    use super::*;

    #[tokio::test]
    async fn store_that_panicked_is_noticed() {
        let dir = std::env::temp_dir().join(format!("tautline-died-{}", std::process::id()));
        let options = DiskOptions::new(&dir);
        let panics = Arc::clone(&options.panicking_commits);
        let disk = Arc::new(DiskEngine::open(options).expect("the store opens").0);
        let logs = Logs { disk: Some(Arc::clone(&disk)), redis: None, keys: None, ticket_ms: 1 };
        panics.store(1, Ordering::Relaxed);
        disk.submit(Job::Tidy {
            wall_ms: 1,
            retention: RetentionOf::all(Retention::default()),
            in_use: InUse::nothing(),
        });
        logs.died().await;
        assert!(!disk.takes_appends());
        logs.close().await;
        std::fs::remove_dir_all(dir).expect("it was there");
    }
}
