//! Channels that are about to be joined, once the engine has said where their logs stand.

use std::sync::Arc;

use tautline_protocol::{ChannelName, ErrorCode, Now, ReadFrom, UserId, packet::ErrorBody};

use super::Peer;
use crate::{
    Hub,
    bell::Bell,
    budget::Holder,
    channel::{Channel, Known, Seen, Stand},
    engine::{Answer, EngineError, Job, Look, Looked},
};

/// What a connection waits for before it goes on.
pub(super) struct Looking {
    wanted: Vec<Wanted>,
    /// Answers to come.
    open: usize,
    failed: Option<EngineError>,
}

/// A channel to be read from a place on.
pub(super) struct Wanted {
    pub(super) name: ChannelName,
    pub(super) from: ReadFrom,
    /// `None`: there is no room for another channel.
    pub(super) channel: Option<Arc<Channel>>,
    /// Where memory stood when the engine was asked.
    then: Option<Stand>,
    /// What memory knew then, where that is enough.
    known: Option<Known>,
    /// What the engine said; nothing where memory knows enough.
    looked: Option<Looked>,
}

impl Looking {
    /// Asks the engine about every channel of which memory does not know enough.
    pub(super) fn begin(
        hub: &Hub,
        now: Now,
        bell: &Arc<Bell>,
        (holder, user): (Holder, Option<&UserId>),
        wishes: impl Iterator<Item = (ChannelName, ReadFrom)>,
    ) -> Self {
        let mut looking = Self { wanted: Vec::new(), open: 0, failed: None };
        for (number, (name, from)) in wishes.enumerate() {
            let channel = hub.open_channel(&name, holder);
            let then = channel.as_ref().and_then(|channel| channel.stand());
            let known = channel.as_ref().and_then(|channel| channel.known(&from));
            if channel.is_some() && known.is_none() {
                looking.open += 1;
                let bell = Arc::clone(bell);
                let look = Look {
                    channel: name.clone(),
                    offset: match &from {
                        ReadFrom::Cursor(cursor) => Some(cursor.offset),
                        _ => None,
                    },
                    user: user.filter(|_| from == ReadFrom::Acked).cloned(),
                    retention: hub.kept(now, &name),
                    wall_ms: now.wall_ms,
                    answer: Answer::new(move |looked| bell.report(number, looked)),
                };
                hub.engine().submit(Job::Look(look));
            }
            looking.wanted.push(Wanted { name, from, channel, then, known, looked: None });
        }
        looking
    }

    pub(super) const fn is_over(&self) -> bool {
        self.open == 0
    }

    /// Takes an answer.
    pub(super) fn take(&mut self, number: usize, looked: Result<Looked, EngineError>) {
        self.open = self.open.saturating_sub(1);
        match (looked, self.wanted.get_mut(number)) {
            (Ok(looked), Some(wanted)) => wanted.looked = Some(looked),
            (Err(error), _) => self.failed = Some(error),
            (Ok(_), None) => {}
        }
    }

    /// What was wanted, or why the engine could not tell.
    pub(super) fn end(self) -> Result<Vec<Wanted>, EngineError> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok(self.wanted),
        }
    }
}

impl Wanted {
    /// What is known of the place, now that the channel was told of it.
    pub(super) fn seen<'a>(&self, looked: Option<&'a Looked>) -> Seen<'a> {
        Seen { looked, known: self.known, live: self.then.is_some() }
    }

    /// Tells the channel what the engine said, and returns it with what is on its way to the engine.
    pub(super) fn learn(
        &self,
        hub: &Hub,
        user: Option<&UserId>,
    ) -> Result<(&Arc<Channel>, Option<Looked>), ErrorBody> {
        let Some(channel) = &self.channel else {
            return Err(ErrorBody::new(
                ErrorCode::Limit,
                "there is no room for another channel of yours on this node",
            ));
        };
        let Some(looked) = &self.looked else { return Ok((channel, None)) };
        let turn_then = self.then.map_or(0, |then| then.turn);
        if channel.stand().is_some_and(|now| now.turn != turn_then) {
            // The log turned out to be another one meanwhile: what the engine saw may be the one before.
            return Ok((channel, None));
        }
        hub.learn(channel, &looked.standing, self.then);
        if self.then.is_none() && channel.stand().is_some_and(|now| now.turn > 0) {
            // So did what was appended meanwhile.
            return Ok((channel, None));
        }
        let mut looked = looked.clone();
        if let Some(user) = user {
            looked.acknowledged = hub.acks().newest(&self.name, Some(user), looked.acknowledged);
        }
        Ok((channel, Some(looked)))
    }
}

impl Peer {
    /// Takes what the engine saw for this connection so far.
    pub(super) fn take_looks(&mut self, looking: &mut Looking) {
        for (number, looked) in self.bell.take_looks() {
            looking.take(number, looked);
        }
    }
}
