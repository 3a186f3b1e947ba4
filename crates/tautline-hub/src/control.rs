//! Control: what an operator, the app's back end or another node does to sessions and channels from outside.
//!
//! Start at [`Control`] and [`Hub::on_control`]. Both are inputs like any other: they take effect at once, in the
//! order in which they come, and never wait for a connection.

mod bans;
mod channels;
mod forget;
mod sessions;
mod users;

use serde::{Deserialize, Serialize};
use tautline_engine::{Answer, Job, Revocation, Revoke};
use tautline_protocol::{
    ByeCode, ChannelName, ErrorCode, Now, UserId,
    packet::{ErrorBody, server::Bye},
};

pub use self::{
    bans::{BanInfo, BanPage},
    channels::{ChannelStanding, HistoryPage, HistorySpan},
    sessions::{SessionFilter, SessionInfo, SessionPage},
    users::{UserState, UserStatus},
};
use crate::{Hub, LoginDetails, session::LiveSession, session::id::SessionId};

/// The largest page of sessions, and the most channels that are asked about at once.
pub const CONTROL_PAGE_MAX: usize = 1_000;

/// The sessions that a control message is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// All sessions of a user.
    User(UserId),
    /// One session.
    Session(String),
    /// All sessions whose login has this label.
    Label {
        /// The label's name.
        name: String,
        /// The label's value.
        value: String,
    },
    /// All sessions that a filter finds.
    Matching(SessionFilter),
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlMessage {
    /// Ends the sessions: `bye{kicked}`. Their tickets are void.
    Kick {
        /// Which sessions.
        target: Target,
        /// For people, in the `bye`.
        message: String,
    },
    /// Closes the connections. The clients come back and lose nothing.
    Disconnect {
        /// Which sessions.
        target: Target,
    },
    /// Has the server subscribe sessions to a channel, as if their logins said so (`subs`). Those that are connected
    /// come back at once, and their welcome names the channel.
    Subscribe {
        /// Which sessions.
        target: Target,
        /// The channel; no inbox.
        channel: ChannelName,
    },
    /// Ends the subscriptions to a channel with `unsubscribed`. Acknowledged positions are kept, and the client may
    /// subscribe again as far as it is permitted to.
    Unsubscribe {
        /// Which sessions.
        target: Target,
        /// The channel; no inbox.
        channel: ChannelName,
        /// For people.
        message: String,
    },
}

/// What an operator or a back end may do. Cheap to clone.
///
/// Where several nodes share an engine, all of them do it. What is returned counts this node alone; the others follow
/// at once, or as soon as they reach the engine.
#[derive(Clone, Debug)]
pub struct Control(Hub);

impl Control {
    /// Ends sessions with `bye{kicked}`. Returns how many.
    pub fn kick(&self, now: Now, target: Target, message: impl Into<String>) -> usize {
        self.act(now, &ControlMessage::Kick { target, message: message.into() })
    }

    /// Closes the connections of sessions, which may come back at once. Returns how many sessions there are.
    pub fn disconnect(&self, now: Now, target: Target) -> usize {
        self.act(now, &ControlMessage::Disconnect { target })
    }

    /// Has the server subscribe sessions to a channel, as if their logins said so: the rules apply, and where they
    /// say `backend`, this is the answer. It holds until the session ends or logs in with another token. Returns how
    /// many sessions were subscribed that were not before.
    ///
    /// # Errors
    /// `bad_request` for an inbox. `limit` where one of the sessions has as many such channels as it may
    /// ([`LoginDetails::SUBS_MAX`](crate::LoginDetails::SUBS_MAX)): nothing is done then.
    pub fn subscribe(&self, now: Now, target: Target, channel: ChannelName) -> Result<usize, ErrorBody> {
        if channel.is_user() {
            let words = "an inbox is subscribed by its user alone";
            return Err(ErrorBody::new(ErrorCode::BadRequest, words));
        }
        let mut has_room = true;
        self.0.for_each_meant(&target, |live| has_room &= live.has_room_for_sub(&channel));
        if !has_room {
            let words = format!("the server subscribes a session to {} channels", LoginDetails::SUBS_MAX);
            return Err(ErrorBody::new(ErrorCode::Limit, words));
        }
        Ok(self.act(now, &ControlMessage::Subscribe { target, channel }))
    }

    /// Ends subscriptions to a channel. Returns how many sessions were told.
    pub fn unsubscribe(
        &self,
        now: Now,
        target: Target,
        channel: ChannelName,
        message: impl Into<String>,
    ) -> usize {
        let message = message.into();
        self.act(now, &ControlMessage::Unsubscribe { target, channel, message })
    }

    /// Does it on this node, and has other nodes on the same engine do it.
    fn act(&self, now: Now, message: &ControlMessage) -> usize {
        self.0.tell_nodes(message);
        self.0.on_control(now, message)
    }
}

impl Hub {
    /// What an operator or a back end may do.
    #[must_use]
    pub fn control(&self) -> Control {
        Control(self.clone())
    }

    /// Does on this node what a message says. Returns how many sessions it was about.
    pub fn on_control(&self, now: Now, message: &ControlMessage) -> usize {
        self.observe_time(now);
        match message {
            ControlMessage::Kick { target, message } => {
                let bye = || Bye::new(ByeCode::Kicked, message.clone());
                self.for_each_meant(target, |live| self.keep_kicked(live.kick(self, now, bye())))
            }
            ControlMessage::Disconnect { target } => {
                self.for_each_meant(target, |live| live.close_with(bye_come_back))
            }
            ControlMessage::Subscribe { channel, .. } if channel.is_user() => 0,
            ControlMessage::Subscribe { target, channel } => self.subscribe_meant(now, target, channel),
            ControlMessage::Unsubscribe { channel, .. } if channel.is_user() => 0,
            ControlMessage::Unsubscribe { target, channel, message } => {
                let channels_max = self.limits().channels_max;
                self.for_each_meant(target, |live| live.unsubscribe(channel, message, channels_max))
            }
        }
    }

    /// Does something to each session of a target. Returns how many there are.
    pub(crate) fn for_each_meant(&self, target: &Target, mut act: impl FnMut(LiveSession<'_>)) -> usize {
        let sessions = match target {
            Target::Session(id) => {
                SessionId::parse(id).and_then(|id| self.sessions().get(id)).into_iter().collect()
            }
            Target::User(_) | Target::Label { .. } | Target::Matching(_) => self.sessions().all(),
        };
        let mut count = 0;
        for live in sessions.iter().filter_map(|session| session.live()) {
            if live.is_meant(self, target) {
                act(live);
                count += 1;
            }
        }
        count
    }

    fn subscribe_meant(&self, now: Now, target: &Target, channel: &ChannelName) -> usize {
        let (mut added, grants_max) = (0, self.limits().grants_session_max);
        self.for_each_meant(target, |mut live| {
            if live.add_sub(now, channel, grants_max) {
                added += 1;
                // A session reads what its welcome names, and its ticket has to name the channel, too.
                live.close_with(bye_come_back);
            }
        });
        added
    }

    fn keep_kicked(&self, revocation: Revocation) {
        // Nobody waits: the session has ended on this node in any case.
        self.0.engine.submit(Job::Revoke(Revoke { revocation, answer: Answer::new(drop) }));
    }
}

pub(crate) fn bye_come_back() -> Bye {
    let bye = Bye::new(ByeCode::ServerRestart, "an operator closed the connection");
    Bye { retry_after_ms: Some(0), ..bye }
}
