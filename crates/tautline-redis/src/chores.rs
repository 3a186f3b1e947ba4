//! Jobs that nobody is in a hurry for, one after the other.
//!
//! Start at [`run`].

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use tautline_engine::{EngineError, ForgetUser, InUse, PositionUpdate, RetentionOf, SavePositions};
use tautline_protocol::{ChannelName, UserId};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    answers::give,
    fault::Refusal,
    lua,
    options::{LOOK_WAIT, POSITIONS_MS, TIDY_CHANNELS, TIDY_PARTITIONS},
    partition::{PARTITIONS, Partition},
    random::random_incarnation,
    reads::Reader,
    resp::{Command, Value},
    router::{Lane, SENTINEL_EVERY},
    saved,
    shared::{Open, Shared},
    state::{self, State},
};

/// A job.
pub(crate) enum Chore {
    Positions(SavePositions),
    ForgetUser(ForgetUser),
    Tidy { wall_ms: u64, retention: RetentionOf, in_use: InUse },
}

impl Chore {
    pub(crate) fn refuse(self, error: &EngineError) {
        match self {
            Self::Positions(job) => give(job.answer, Err(error.clone())),
            Self::ForgetUser(job) => give(job.answer, Err(error.clone())),
            Self::Tidy { .. } => {}
        }
    }
}

/// Does what is submitted, in order.
pub(crate) async fn run(shared: Arc<Shared>, mut queue: mpsc::Receiver<(Chore, Instant, Open)>) {
    let mut tidying = Tidying::default();
    let mut sentinels = tokio::time::interval(SENTINEL_EVERY);
    loop {
        let (chore, submitted, open) = tokio::select! {
            next = queue.recv() => match next {
                Some(next) => next,
                None => return,
            },
            _ = sentinels.tick(), if shared.router.has_sentinels() => {
                shared.router.look().await;
                continue;
            }
        };
        // What has waited for long has still a moment, as an append.
        let soonest = Instant::now() + shared.options.reply_wait / 4;
        let chores = Chores { shared: &shared, until: (submitted + shared.options.job_wait).max(soonest) };
        match chore {
            Chore::Positions(SavePositions { updates, answer }) => {
                give(answer, chores.save_positions(&updates).await);
            }
            Chore::ForgetUser(job) => {
                let ForgetUser { user, answer } = job;
                give(answer, chores.forget_user(&user).await);
            }
            Chore::Tidy { wall_ms, retention, in_use } => {
                shared.tidy_waits.store(false, Ordering::Release);
                let tidied = tidy(&shared, &mut tidying, wall_ms, &retention, &in_use).await;
                if let Err(error) = tidied {
                    tracing::debug!(%error, "expired publications stay for now");
                }
            }
        }
        drop(open);
    }
}

/// Where the next [`Chore::Tidy`] goes on.
#[derive(Default)]
struct Tidying {
    partition: usize,
    /// Of the scan of that partition's channels.
    cursor: u64,
}

/// Looks after what Redis keeps, some partitions each time. One that cannot be asked is left for the next round,
/// and the others have their turn. The first error, if there are any.
async fn tidy(
    shared: &Arc<Shared>,
    tidying: &mut Tidying,
    wall_ms: u64,
    retention: &RetentionOf,
    in_use: &InUse,
) -> Result<(), EngineError> {
    // Each step has a moment of its own.
    let chores = || Chores { shared, until: Instant::now() + LOOK_WAIT };
    if tidying.partition == 0 {
        shared.served().keep(|channel| in_use.contains(channel));
    }
    let mut outcome = chores().watch_incarnation().await;
    outcome = outcome.and(chores().try_to_write().await);
    outcome = outcome.and(chores().tidy_saved(wall_ms).await);
    for _ in 0..TIDY_PARTITIONS {
        let partition = Partition::all().nth(tidying.partition).expect("below PARTITIONS");
        let scanned = chores().tidy_some(partition, tidying.cursor, wall_ms, retention, in_use).await;
        tidying.cursor = *scanned.as_ref().unwrap_or(&0);
        if tidying.cursor == 0 {
            tidying.partition = (tidying.partition + 1) % PARTITIONS;
        }
        outcome = outcome.and(scanned.map(drop));
    }
    outcome
}

struct Chores<'a> {
    shared: &'a Arc<Shared>,
    until: Instant,
}

impl Chores<'_> {
    async fn ask(&self, partition: Partition, commands: &[Command]) -> Result<Vec<Value>, EngineError> {
        let replies = self.shared.router.ask(Lane::Others, partition, commands, self.until).await?;
        match replies.iter().find_map(Value::error) {
            Some(words) => Err(Refusal::of(words).to_error()),
            None => Ok(replies),
        }
    }

    async fn save_positions(&self, updates: &[PositionUpdate]) -> Result<(), EngineError> {
        let mut by_key: HashMap<(Partition, String, u64), Vec<&PositionUpdate>> = HashMap::new();
        for update in updates {
            let keys = &self.shared.keys;
            let key = match &update.user {
                Some(user) => (Partition::of(user.as_str()), keys.positions(user), POSITIONS_MS),
                None => (Partition::of(update.channel.as_str()), keys.channel(&update.channel).state, 0),
            };
            by_key.entry(key).or_default().push(update);
        }
        let mut by_partition: HashMap<Partition, Vec<Command>> = HashMap::new();
        for ((partition, key, kept_ms), updates) in by_key {
            let command = Command::script(&lua::POSITIONS, &[&key]).number(kept_ms);
            let command = updates.iter().fold(command, |command, update| {
                let field = if update.user.is_some() { update.channel.as_str() } else { "d" };
                command.arg(field).arg(&*update.position.epoch).number(update.position.offset)
            });
            by_partition.entry(partition).or_default().push(command);
        }
        let mut outcome = Ok(());
        for (partition, commands) in by_partition {
            // After one that cannot be asked, too: each is asked once at least.
            outcome = outcome.and(self.ask(partition, &commands).await.map(drop));
        }
        outcome
    }

    async fn forget_user(&self, user: &UserId) -> Result<(), EngineError> {
        if let Ok(inbox) = ChannelName::of_user(user) {
            let keys = self.shared.keys.channel(&inbox);
            let empty = Command::script(&lua::EMPTY, &[&keys.log, &keys.state, &keys.origins]);
            self.ask(Partition::of(inbox.as_str()), &[empty]).await?;
        }
        let positions = Command::new("DEL").arg(self.shared.keys.positions(user));
        self.ask(Partition::of(user.as_str()), &[positions]).await.map(drop)
    }

    /// Forgets revocations and bans that are over.
    async fn tidy_saved(&self, wall_ms: u64) -> Result<(), EngineError> {
        let (revocations, over) = saved::expired(&self.shared.keys, wall_ms);
        let replies = self.ask(Partition::FIRST, &[revocations, over]).await?;
        let over: Vec<_> = replies[1].array().unwrap_or_default().iter().filter_map(Value::text).collect();
        match over.is_empty() {
            true => Ok(()),
            false => self.ask(Partition::FIRST, &saved::lift(&self.shared.keys, &over)).await.map(drop),
        }
    }

    /// Looks into some channels of a partition, and returns the cursor for the next ones: 0 after the last.
    async fn tidy_some(
        &self,
        partition: Partition,
        cursor: u64,
        wall_ms: u64,
        retention: &RetentionOf,
        in_use: &InUse,
    ) -> Result<u64, EngineError> {
        let names = self.shared.keys.channels(partition);
        let scan = Command::new("SSCAN").arg(names).number(cursor);
        let replies = self.ask(partition, &[scan.arg("COUNT").number(TIDY_CHANNELS as u64)]).await?;
        let Some([next, names]) = replies[0].array() else { return Ok(0) };
        let names = names.array().unwrap_or_default().iter().filter_map(Value::text);
        let channels: Vec<_> = names.filter_map(|name| ChannelName::from_store(name).ok()).collect();
        if !channels.is_empty() {
            self.tidy_channels(partition, &channels, wall_ms, retention, in_use).await?;
        }
        Ok(next.number().unwrap_or_default())
    }

    async fn tidy_channels(
        &self,
        partition: Partition,
        channels: &[ChannelName],
        wall_ms: u64,
        retention: &RetentionOf,
        in_use: &InUse,
    ) -> Result<(), EngineError> {
        let keys = &self.shared.keys;
        let questions: Vec<_> =
            channels.iter().map(|channel| state::question(&keys.channel(channel))).collect();
        let states = self.ask(partition, &questions).await?;
        let mut work = Vec::new();
        for (channel, state) in channels.iter().zip(&states) {
            let (state, keys, kept) = (State::of(state), keys.channel(channel), retention.get(channel));
            let exceeds = state.as_ref().is_some_and(|state| state.exceeds(wall_ms, &kept));
            if exceeds {
                work.push(state::retain(&keys, wall_ms, &kept, true));
            }
            if exceeds || state.is_none_or(|state| state.is_empty()) {
                work.push(self.forget(partition, channel, wall_ms, in_use));
            }
        }
        match work.is_empty() {
            true => Ok(()),
            false => self.ask(partition, &work).await.map(drop),
        }
    }

    fn forget(&self, partition: Partition, channel: &ChannelName, wall_ms: u64, in_use: &InUse) -> Command {
        let (all, keys) = (&self.shared.keys, self.shared.keys.channel(channel));
        let names =
            [&all.beginning(partition), &all.channels(partition), &keys.log, &keys.state, &keys.origins];
        let number = self.shared.appends.next_number(partition);
        Command::script(&lua::FORGET, &names.map(String::as_str))
            .arg(channel.as_str())
            .number(wall_ms)
            .number(self.shared.options.remember_ms)
            .arg(self.shared.epoch(partition, number))
            .number(u64::from(in_use.contains(channel)))
    }

    /// After a refused append: a sign that Redis takes them again.
    async fn try_to_write(&self) -> Result<(), EngineError> {
        if self.shared.takes_appends.load(Ordering::Acquire) {
            return Ok(());
        }
        let trial = Command::new("SET").arg(self.shared.keys.trial()).arg("1").arg("PX").arg("60000");
        self.ask(Partition::FIRST, &[trial]).await?;
        self.shared.takes_appends.store(true, Ordering::Release);
        Ok(())
    }

    /// A Redis that has lost everything has another incarnation.
    async fn watch_incarnation(&self) -> Result<(), EngineError> {
        let shared = self.shared;
        let reader = Reader { shared, until: self.until };
        let (_, incarnation) = reader.begin(Partition::FIRST).await?;
        let before = shared.incarnation.swap(incarnation, Ordering::AcqRel);
        if before != incarnation {
            tracing::error!(
                event = "redis_data_lost",
                "Redis has lost its data: every log begins anew, and clients are told of a gap"
            );
            saved::begin_others(shared).await?;
            if let Ok(next) = random_incarnation() {
                shared.next_incarnation.store(next, Ordering::Release);
            }
        }
        Ok(())
    }
}
