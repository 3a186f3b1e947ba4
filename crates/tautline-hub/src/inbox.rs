//! How far a user's inbox has come.
//!
//! Start at [`Hub::inbox`].

use tautline_engine::{Answer, Job, StatRequest, budget::Holder};
use tautline_protocol::{ChannelName, ErrorCode, Now, UserId, packet::server::ErrorBody};

use crate::Hub;

/// Delivery state of a user's inbox: sent does not mean delivered, and delivered does not mean acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Inbox {
    /// The epoch of the log.
    pub epoch: String,
    /// The last offset pushed; 0 before the first.
    pub sent: u64,
    /// When that was pushed, in wall milliseconds.
    pub at: u64,
    /// The number of publications kept, the most recent ones.
    pub kept: u64,
    /// The last offset that was handed to a connection of the user. It may have been lost with that
    /// connection.
    pub delivered: u64,
    /// The last offset that an app of the user has acknowledged.
    pub acknowledged: u64,
    /// Connections of the user on this node.
    pub connections: usize,
}

impl Hub {
    /// Reads the delivery state of a user's inbox: `done` is called once, from any thread.
    pub fn inbox(
        &self,
        now: Now,
        user: &UserId,
        done: impl FnOnce(Result<Inbox, ErrorBody>) + Send + 'static,
    ) {
        self.inbox_at(now, user, None, move |inbox| done(inbox.map(|(inbox, _)| inbox)));
    }

    /// The same, and when the publication at an offset was appended, or the first one behind it that is kept.
    pub(crate) fn inbox_at(
        &self,
        now: Now,
        user: &UserId,
        offset: Option<u64>,
        done: impl FnOnce(Result<(Inbox, Option<u64>), ErrorBody>) + Send + 'static,
    ) {
        let channel = match ChannelName::of_user(user) {
            Ok(channel) => channel,
            Err(invalid) => return done(Err(ErrorBody::new(ErrorCode::BadRequest, invalid.to_string()))),
        };
        let (hub, user) = (self.clone(), user.clone());
        let open = self.find_channel(&channel);
        let request = StatRequest {
            channel: channel.clone(),
            offset,
            user: Some(user.clone()),
            holder: Holder::BACK_END,
            retention: self.retention_of(now, &channel),
            wall_ms: now.wall_ms,
            answer: Answer::new(move |stat: Result<tautline_engine::StatResult, _>| {
                done(stat.map_err(|error| error.to_body()).map(|stat| {
                    let log_state = stat.log;
                    let offset_of = |position: Option<tautline_engine::Position>| {
                        position
                            .filter(|position| position.epoch == log_state.epoch)
                            .map_or(0, |position| position.offset)
                    };
                    let acks = &hub.0.acks;
                    let delivered = open.as_ref().and_then(|open| open.delivered());
                    let inbox = Inbox {
                        sent: log_state.head,
                        at: log_state.head_at,
                        kept: log_state.head - log_state.base,
                        delivered: offset_of(delivered).max(offset_of(acks.newest(
                            &channel,
                            None,
                            stat.delivered,
                        ))),
                        acknowledged: offset_of(acks.newest(&channel, Some(&user), stat.acknowledged)),
                        connections: open.map_or(0, |open| open.subscribers()),
                        epoch: log_state.epoch.to_string(),
                    };
                    (inbox, stat.at)
                }));
            }),
        };
        self.0.engine.submit(Job::Stat(request));
    }
}
