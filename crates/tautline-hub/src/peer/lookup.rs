//! Looks up channel logs in the engine before a connection subscribes to them.
//!
//! Start at [`PendingLookups::begin`].

use std::sync::Arc;

use tautline_engine::{Answer, EngineError, Job, StatRequest, StatResult, budget::Holder};
use tautline_protocol::{ChannelName, ErrorCode, Now, ReadFrom, UserId, packet::ErrorBody};

use crate::{
    Hub,
    channel::{CachedPosition, Channel, ResumeEvidence, TailPosition},
    mailbox::PeerMailbox,
};

/// The engine lookups of one `hello` or `subscribe`.
pub(super) struct PendingLookups {
    requests: Vec<ChannelRequest>,
    /// Lookups not yet answered.
    outstanding: usize,
    failed: Option<EngineError>,
}

/// A channel to subscribe to, and the position to read from.
pub(super) struct ChannelRequest {
    pub(super) name: ChannelName,
    pub(super) from: ReadFrom,
    /// `None`: the channel limit leaves no room for this channel.
    pub(super) channel: Option<Arc<Channel>>,
    /// The cached tail position when the engine was asked.
    position_then: Option<TailPosition>,
    /// The cached position, where it was sufficient without the engine.
    cached: Option<CachedPosition>,
    /// The engine's result; `None` where the cached position is sufficient.
    stat: Option<StatResult>,
}

impl PendingLookups {
    /// Asks the engine about every channel whose cached position is insufficient.
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
                    holder,
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

    /// True if the channel was requested.
    pub(super) fn includes(&self, channel: &ChannelName) -> bool {
        self.requests.iter().any(|request| request.name == *channel)
    }

    pub(super) const fn is_over(&self) -> bool {
        self.outstanding == 0
    }

    /// Applies one lookup result.
    pub(super) fn take(&mut self, number: usize, stat: Result<StatResult, EngineError>) {
        self.outstanding = self.outstanding.saturating_sub(1);
        match (stat, self.requests.get_mut(number)) {
            (Ok(stat), Some(requests)) => requests.stat = Some(stat),
            (Err(error), _) => self.failed = Some(error),
            (Ok(_), None) => {}
        }
    }

    /// Returns the requested channels, or the error of a failed lookup.
    pub(super) fn end(self) -> Result<Vec<ChannelRequest>, EngineError> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok(self.requests),
        }
    }
}

impl ChannelRequest {
    /// The evidence for the resume position, after [`Self::apply_stat`].
    pub(super) fn evidence<'a>(&self, stat: Option<&'a StatResult>) -> ResumeEvidence<'a> {
        ResumeEvidence { stat, cached: self.cached, had_tail: self.position_then.is_some() }
    }

    /// Applies the engine's result to the channel. Returns the channel and the result, with acknowledgements
    /// not yet saved.
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
            // The log's generation changed meanwhile: the engine may have looked at the previous generation.
            return Ok((channel, None));
        }
        hub.apply_state(channel, &stat.log, self.position_then);
        if self.position_then.is_none() && channel.tail_position().is_some_and(|now| now.generation > 0) {
            // An append changed the generation meanwhile.
            return Ok((channel, None));
        }
        let mut stat = stat.clone();
        if let Some(user) = user {
            stat.acknowledged = hub.acks().newest(&self.name, Some(user), stat.acknowledged);
        }
        Ok((channel, Some(stat)))
    }
}
