//! Channels that are about to be joined, once the engine has said where their logs stand.

use std::sync::Arc;

use tautline_engine::{Answer, EngineError, Job, StatRequest, StatResult, budget::Holder};
use tautline_protocol::{ChannelName, ErrorCode, Now, ReadFrom, UserId, packet::ErrorBody};

use super::Peer;
use crate::{
    Hub,
    channel::{CachedPosition, Channel, ResumeEvidence, TailPosition},
    mailbox::PeerMailbox,
};

/// What a connection waits for before it goes on.
pub(super) struct PendingLookups {
    requests: Vec<ChannelRequest>,
    /// Answers to come.
    outstanding: usize,
    failed: Option<EngineError>,
}

/// A channel to be read from a place on.
pub(super) struct ChannelRequest {
    pub(super) name: ChannelName,
    pub(super) from: ReadFrom,
    /// `None`: there is no room for another channel.
    pub(super) channel: Option<Arc<Channel>>,
    /// Where memory stood when the engine was asked.
    position_then: Option<TailPosition>,
    /// What memory knew then, where that is enough.
    cached: Option<CachedPosition>,
    /// What the engine said; nothing where memory knows enough.
    stat: Option<StatResult>,
}

impl PendingLookups {
    /// Asks the engine about every channel of which memory does not know enough.
    pub(super) fn begin(
        hub: &Hub,
        now: Now,
        mailbox: &Arc<PeerMailbox>,
        (holder, user): (Holder, Option<&UserId>),
        requested: impl Iterator<Item = (ChannelName, ReadFrom)>,
    ) -> Self {
        let mut lookups = Self { requests: Vec::new(), outstanding: 0, failed: None };
        for (number, (name, from)) in requested.enumerate() {
            let channel = hub.open_channel(&name, holder);
            let then = channel.as_ref().and_then(|channel| channel.tail_position());
            let known = channel.as_ref().and_then(|channel| channel.cached_position(&from));
            if channel.is_some() && known.is_none() {
                lookups.outstanding += 1;
                let mailbox = Arc::clone(mailbox);
                let request = StatRequest {
                    channel: name.clone(),
                    offset: match &from {
                        ReadFrom::Cursor(cursor) => Some(cursor.offset),
                        _ => None,
                    },
                    user: user.filter(|_| from == ReadFrom::Acked).cloned(),
                    retention: hub.retention_of(now, &name),
                    wall_ms: now.wall_ms,
                    answer: Answer::new(move |stat| mailbox.deliver_lookup(number, stat)),
                };
                hub.engine().submit(Job::Stat(request));
            }
            lookups.requests.push(ChannelRequest {
                name,
                from,
                channel,
                position_then: then,
                cached: known,
                stat: None,
            });
        }
        lookups
    }

    pub(super) const fn is_over(&self) -> bool {
        self.outstanding == 0
    }

    /// Takes an answer.
    pub(super) fn take(&mut self, number: usize, stat: Result<StatResult, EngineError>) {
        self.outstanding = self.outstanding.saturating_sub(1);
        match (stat, self.requests.get_mut(number)) {
            (Ok(stat), Some(requests)) => requests.stat = Some(stat),
            (Err(error), _) => self.failed = Some(error),
            (Ok(_), None) => {}
        }
    }

    /// What was wanted, or why the engine could not tell.
    pub(super) fn end(self) -> Result<Vec<ChannelRequest>, EngineError> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok(self.requests),
        }
    }
}

impl ChannelRequest {
    /// What is known of the place, now that the channel was told of it.
    pub(super) fn evidence<'a>(&self, stat: Option<&'a StatResult>) -> ResumeEvidence<'a> {
        ResumeEvidence { stat: stat, cached: self.cached, had_tail: self.position_then.is_some() }
    }

    /// Tells the channel what the engine said, and returns it with what is on its way to the engine.
    pub(super) fn apply_stat(
        &self,
        hub: &Hub,
        user: Option<&UserId>,
    ) -> Result<(&Arc<Channel>, Option<StatResult>), ErrorBody> {
        let Some(channel) = &self.channel else {
            return Err(ErrorBody::new(
                ErrorCode::Limit,
                "there is no room for another channel of yours on this node",
            ));
        };
        let Some(stat) = &self.stat else { return Ok((channel, None)) };
        let generation_then = self.position_then.map_or(0, |then| then.generation);
        if channel.tail_position().is_some_and(|now| now.generation != generation_then) {
            // The log turned out to be another one meanwhile: what the engine saw may be the one before.
            return Ok((channel, None));
        }
        hub.apply_state(channel, &stat.log, self.position_then);
        if self.position_then.is_none() && channel.tail_position().is_some_and(|now| now.generation > 0) {
            // So did what was appended meanwhile.
            return Ok((channel, None));
        }
        let mut stat = stat.clone();
        if let Some(user) = user {
            stat.acknowledged = hub.acks().newest(&self.name, Some(user), stat.acknowledged);
        }
        Ok((channel, Some(stat)))
    }
}

impl Peer {
    /// Takes what the engine saw for this connection so far.
    pub(super) fn take_lookups(&mut self, lookups: &mut PendingLookups) {
        for (number, stat) in self.mailbox.take_lookups() {
            lookups.take(number, stat);
        }
    }
}
