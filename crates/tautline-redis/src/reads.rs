//! Stats and pages.
//!
//! Start at [`spawn`].

use std::sync::{Arc, atomic::Ordering};

use tautline_engine::{EngineError, LogState, Page, Read, Span, StatRequest, StatResult};
use tautline_protocol::{ChannelName, UserId};
use tokio::time::Instant;

use crate::{
    answers::give,
    content,
    fault::Refusal,
    heal::heal,
    keys::ChannelKeys,
    lua,
    options::{PAGE_FIRST, PAGE_STEP_MAX},
    page::{About, Taking, Wanted},
    partition::Partition,
    read_queue::ReadJob,
    resp::{Command, Value},
    router::Lane,
    served::{Seen, Verdict},
    shared::Shared,
    state::{self, State},
};

/// Begins to serve the queue beside other tasks.
pub(crate) fn spawn(shared: &Arc<Shared>) {
    let open = shared.open();
    shared.runtime.spawn(async move { serve(&open.0).await });
}

async fn serve(shared: &Arc<Shared>) {
    while let Some((job, submitted)) = shared.reads.take() {
        let until = (submitted + shared.options.job_wait).max(Instant::now() + shared.options.reply_wait / 4);
        let reader = Reader { shared, until };
        // A read has no effect, so it is never in doubt.
        let failed = |error| match error {
            EngineError::InDoubt(words) => EngineError::Unavailable(words),
            error => error,
        };
        match job {
            ReadJob::Stat(StatRequest { channel, offset, user, retention, wall_ms, answer, .. }) => {
                let about = About { channel, retention, wall_ms };
                give(answer, reader.stat(&about, offset, user.as_ref()).await.map_err(failed));
            }
            ReadJob::Read(Read {
                channel, span, count_max, bytes_max, retention, wall_ms, answer, ..
            }) => {
                let about = About { channel, retention, wall_ms };
                let wanted = Wanted { about, span, count_max, bytes_max };
                give(answer, reader.page(&wanted).await.map_err(failed));
            }
        }
    }
}

/// Reads for one job.
pub(crate) struct Reader<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) until: Instant,
}

/// How often a log is read again because another node has changed it meanwhile.
const READS_AGAIN_MAX: usize = 3;

impl Reader<'_> {
    async fn ask(&self, partition: Partition, commands: &[Command]) -> Result<Vec<Value>, EngineError> {
        let replies = self.shared.router.ask(Lane::Others, partition, commands, self.until).await?;
        match replies.iter().find_map(Value::error) {
            Some(words) => Err(Refusal::of(words).to_error()),
            None => Ok(replies),
        }
    }

    async fn stat(
        &self,
        job: &About,
        offset: Option<u64>,
        user: Option<&UserId>,
    ) -> Result<StatResult, EngineError> {
        let (name, keys) = (job.channel.as_str(), self.shared.keys.channel(&job.channel));
        let of_user = async {
            let Some(user) = user else { return Ok(None) };
            let question = Command::new("HGET").arg(self.shared.keys.positions(user)).arg(name);
            let replies = self.ask(Partition::of(user.as_str()), &[question]).await?;
            Ok(state::position(&replies[0]))
        };
        let of_log = async {
            for _ in 0..READS_AGAIN_MAX {
                let mut commands = vec![state::question(&keys)];
                if let Some(offset) = offset {
                    commands.push(range(&keys.log, offset, 1));
                }
                let replies = self.ask(Partition::of(name), &commands).await?;
                let state = State::of(&replies[0]);
                if let Some(state) = &state
                    && state.exceeds(job.wall_ms, &job.retention)
                    && self.retain(job, &keys).await?
                {
                    continue;
                }
                if self.heals(&job.channel, state.as_ref()).await? {
                    continue;
                }
                return Ok((state, replies));
            }
            Err(busy())
        };
        let (acknowledged, of_log) = tokio::join!(of_user, of_log);
        let (state, replies) = of_log?;
        let log = self.log_state(&job.channel, state.as_ref()).await?;
        let at = offset.and_then(|offset| {
            let first = replies.get(1).and_then(|page| page.array()?.first());
            let read = first.and_then(|entry| content::place(entry.array()?.first()?));
            let read = read.filter(|(found, _)| *found == offset && offset > log.base).map(|(_, at)| at);
            state.and_then(|state| state.at(offset)).or(read)
        });
        Ok(StatResult { log, at, acknowledged: acknowledged?, delivered: state::delivered(&replies[0]) })
    }

    /// Drops what exceeds a log's retention. False: a Redis without memory cannot, and it is shown for longer.
    async fn retain(&self, job: &About, keys: &ChannelKeys) -> Result<bool, EngineError> {
        let retain = state::retain(keys, job.wall_ms, &job.retention, false);
        match self.ask(Partition::of(job.channel.as_str()), &[retain]).await {
            Err(EngineError::Full(_)) => Ok(false),
            outcome => outcome.map(|_| true),
        }
    }

    /// True if a log has lost publications that were seen, and so has another epoch now.
    async fn heals(&self, channel: &ChannelName, state: Option<&State>) -> Result<bool, EngineError> {
        let seen = match state {
            Some(State { log, .. }) => {
                Seen { epoch: Arc::clone(&log.epoch), head: log.head, head_at: log.head_at }
            }
            None => Seen { epoch: "".into(), head: 0, head_at: 0 },
        };
        let verdict = self.shared.served().saw(channel, seen, Instant::now());
        match verdict {
            Verdict::Suspect(seen) => {
                let healed = heal(self.shared, channel, &seen).await?.is_some();
                if healed {
                    self.shared.wake(channel, u64::MAX);
                }
                return Ok(healed);
            }
            // This job may be of somebody who does not tell subscribers: the next look would find nothing new.
            Verdict::Grown(head) => self.shared.wake(channel, head),
            Verdict::Another => self.shared.wake(channel, u64::MAX),
            Verdict::Same(_) => {}
        }
        Ok(false)
    }

    /// The state of a log; one that has not begun has the epoch of new ones.
    async fn log_state(&self, channel: &ChannelName, state: Option<&State>) -> Result<LogState, EngineError> {
        match state {
            Some(state) => Ok(state.log.clone()),
            None => {
                let epoch = self.beginning(Partition::of(channel.as_str())).await?;
                Ok(LogState { epoch: epoch.into(), head: 0, head_at: 0, base: 0, base_at: None })
            }
        }
    }

    /// The epoch of new logs.
    async fn beginning(&self, partition: Partition) -> Result<String, EngineError> {
        let key = self.shared.keys.beginning(partition);
        let replies = self.ask(partition, &[Command::new("HGET").arg(&key).arg("e")]).await?;
        match replies[0].text() {
            Some(epoch) => Ok(epoch.to_owned()),
            None => self.begin(partition).await.map(|(epoch, _)| epoch),
        }
    }

    /// Gives a partition its first epoch and its incarnation, and says which it has.
    pub(crate) async fn begin(&self, partition: Partition) -> Result<(String, u32), EngineError> {
        let key = self.shared.keys.beginning(partition);
        let next = self.shared.next_incarnation.load(Ordering::Acquire);
        let epoch = self.shared.epoch(partition, self.shared.appends.next_number(partition));
        let begin = Command::script(&lua::BEGIN, &[&key]).arg(epoch).number(u64::from(next));
        let replies = self.ask(partition, &[begin]).await?;
        let (epoch, incarnation) = match replies[0].array() {
            Some([epoch, incarnation]) => (epoch.text(), incarnation.number()),
            _ => (None, None),
        };
        let incarnation = incarnation.and_then(|number| u32::try_from(number).ok());
        epoch.map(str::to_owned).zip(incarnation).ok_or_else(foreign)
    }

    async fn page(&self, job: &Wanted) -> Result<Page, EngineError> {
        for _ in 0..READS_AGAIN_MAX {
            if let Some(page) = self.page_once(job).await? {
                return Ok(page);
            }
        }
        Err(busy())
    }

    /// `None`: the log was changed, read again.
    async fn page_once(&self, job: &Wanted) -> Result<Option<Page>, EngineError> {
        let keys = self.shared.keys.channel(&job.about.channel);
        let partition = Partition::of(job.about.channel.as_str());
        let mut taking = Taking::new(job);
        let (mut step, mut known) = (PAGE_FIRST, None::<State>);
        loop {
            let entries = match job.span {
                Span::After(_) => range(&keys.log, taking.from, step),
                Span::Before(_) => back(&keys.log, taking.from, step),
            };
            let again = Command::new("HGET").arg(&keys.state).arg("e");
            let replies = self.ask(partition, &[state::question(&keys), entries, again]).await?;
            let Some(state) = State::of(&replies[0]) else {
                self.heals(&job.about.channel, None).await?;
                let log = self.log_state(&job.about.channel, None).await?;
                self.shared.served().was_read(&job.about.channel, "");
                return Ok(Some(Page { log, at: None, entries: Vec::new() }));
            };
            let is_same = |known: &State| known.log.epoch == state.log.epoch;
            if replies[2].text() != Some(&state.log.epoch) || !known.as_ref().is_none_or(is_same) {
                return Ok(None);
            }
            if state.exceeds(job.about.wall_ms, &job.about.retention)
                && self.retain(&job.about, &keys).await?
            {
                return Ok(None);
            }
            if self.heals(&job.about.channel, Some(&state)).await? {
                return Ok(None);
            }
            let found = replies[1].array().ok_or_else(foreign)?;
            let done = taking.take(&state, found, step).ok_or_else(foreign)?;
            step = (taking.bytes_left() / state.mean().max(1)).saturating_add(1).clamp(1, PAGE_STEP_MAX);
            if done {
                self.shared.served().was_read(&job.about.channel, &state.log.epoch);
                return Ok(Some(taking.page(state)));
            }
            known = Some(state);
        }
    }
}

fn range(log: &str, from: u64, count: u64) -> Command {
    Command::new("XRANGE").arg(log).number(from).arg("+").arg("COUNT").number(count)
}

fn back(log: &str, from: u64, count: u64) -> Command {
    Command::new("XREVRANGE").arg(log).number(from).arg("-").arg("COUNT").number(count)
}

fn busy() -> EngineError {
    EngineError::Unavailable("the log changes faster than it is read".to_owned())
}

fn foreign() -> EngineError {
    EngineError::Unavailable("Redis holds something that is not ours in a key of ours".to_owned())
}
