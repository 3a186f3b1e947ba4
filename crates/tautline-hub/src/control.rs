//! Control: what an operator, the app's back end or another node does to sessions and channels from outside.
//!
//! Start at [`Control`] and [`Hub::on_control`]. Both are inputs like any other: they take effect at once, in the
//! order in which they come, and never wait for a connection.

use tautline_engine::{Answer, EngineError, Job, Revocation, Revoke, RevokedLogins};
use tautline_protocol::{
    ByeCode, ChannelName, ErrorCode, Now, UserId,
    packet::{
        ErrorBody,
        server::{Bye, Roster},
    },
};

use crate::{
    Hub, Identity,
    revocations::{BANNED, ban_digest},
    session::LiveSession,
    session::id::SessionId,
};

/// The largest page of sessions, and the most channels that are asked about at once.
pub const CONTROL_PAGE_MAX: usize = 1_000;

/// The sessions that a control message is about.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// A session, as control sees it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SessionInfo {
    /// Its id.
    pub session: String,
    /// Its user; `None` for a guest.
    pub user: Option<String>,
    /// Whether it has a connection at present.
    pub is_connected: bool,
}

/// A page of sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<SessionInfo>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<String>,
}

/// The standing of a channel on this node.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ChannelStanding {
    /// The channel.
    pub channel: String,
    /// The last offset that this node knows; `None` where it has not asked the engine.
    pub head: Option<u64>,
    /// Subscribed connections on this node.
    pub subscribers: usize,
}

/// What an operator or a back end may do. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Control(Hub);

impl Control {
    /// Ends sessions with `bye{kicked}`. Returns how many.
    pub fn kick(&self, now: Now, target: Target, message: impl Into<String>) -> usize {
        self.0.on_control(now, &ControlMessage::Kick { target, message: message.into() })
    }

    /// Keeps a user out until a wall time: its sessions end with `bye{banned}`, and its logins are refused with it.
    /// `done` is called once, from any thread, when the engine has saved it: with `unavailable` where it cannot; the
    /// ban then holds until a restart. Gives how many sessions ended.
    pub fn ban(
        &self,
        now: Now,
        user: &UserId,
        until_ms: u64,
        done: impl FnOnce(Result<usize, ErrorBody>) + Send + 'static,
    ) {
        let before = Revocation::FOREVER;
        let subject = RevokedLogins::User { user: ban_digest(user.as_str()), before };
        let revocation = Revocation { subject, until: until_ms };
        if self.0.sessions().revocations().add(revocation).is_err() {
            let words = "this node remembers as many revocations as it may (`revocations_max`)";
            return done(Err(ErrorBody::new(ErrorCode::Limit, words)));
        }
        let target = Target::User(user.clone());
        // The ban covers their tickets, too, so these are not kept one by one.
        let ended = self.0.for_each_meant(&target, |live| {
            live.kick(&self.0, now, bye_banned());
        });
        let saved = move |result: Result<(), EngineError>| {
            done(result.map(|()| ended).map_err(|error| error.to_body()));
        };
        self.0.engine().submit(Job::Revoke(Revoke { revocation, answer: Answer::new(saved) }));
    }

    /// Closes the connections of sessions, which may come back at once. Returns how many sessions there are.
    pub fn disconnect(&self, now: Now, target: Target) -> usize {
        self.0.on_control(now, &ControlMessage::Disconnect { target })
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
        self.0.on_control(now, &ControlMessage::Unsubscribe { target, channel, message })
    }

    /// The sessions of a target, parked ones included: at most `count_max` and [`CONTROL_PAGE_MAX`], from behind
    /// `after`, which is the `next` of the page before.
    #[must_use]
    pub fn find(&self, target: &Target, after: Option<&str>, count_max: usize) -> SessionPage {
        let count_max = count_max.clamp(1, CONTROL_PAGE_MAX);
        let mut page = SessionPage::default();
        for session in self.0.sessions().behind(after.and_then(SessionId::parse)) {
            let Some(live) = session.live().filter(|live| live.is_meant(target)) else { continue };
            if page.sessions.len() == count_max {
                page.next = page.sessions.last().map(|last| last.session.clone());
                break;
            }
            page.sessions.push(live.info());
        }
        page
    }

    /// One session; `None` if it is not on this node.
    #[must_use]
    pub fn show(&self, session: &str) -> Option<SessionInfo> {
        let found = self.0.sessions().get(SessionId::parse(session)?)?;
        found.live().map(|live| live.info())
    }

    /// The rosters of many channels, each with at most so many members; `None` where a channel has none.
    #[must_use]
    pub fn rosters(&self, channels: &[ChannelName]) -> Vec<Option<Roster>> {
        let limits = self.0.limits();
        let bounds = (limits.presence_members_max, limits.history_page_bytes_max);
        let roster = |name: &ChannelName| self.0.find_channel(name)?.roster(bounds.0, bounds.1);
        channels.iter().take(CONTROL_PAGE_MAX).map(roster).collect()
    }

    /// The standing of many channels on this node.
    #[must_use]
    pub fn standing(&self, channels: &[ChannelName]) -> Vec<ChannelStanding> {
        let standing = |name: &ChannelName| {
            let open = self.0.find_channel(name);
            ChannelStanding {
                channel: name.to_string(),
                head: open.as_ref().and_then(|open| open.tail_position()).map(|tail| tail.head),
                subscribers: open.map_or(0, |open| open.subscribers()),
            }
        };
        channels.iter().take(CONTROL_PAGE_MAX).map(standing).collect()
    }
}

impl Hub {
    /// What an operator or a back end may do.
    #[must_use]
    pub fn control(&self) -> Control {
        Control(self.clone())
    }

    /// Does what a message says. Returns how many sessions it was about.
    pub fn on_control(&self, now: Now, message: &ControlMessage) -> usize {
        self.observe_time(now);
        match message {
            ControlMessage::Kick { target, message } => {
                let bye = || Bye::new(ByeCode::Kicked, message.clone());
                self.for_each_meant(target, |live| self.keep_kicked(live.kick(self, now, bye())))
            }
            ControlMessage::Disconnect { target } => {
                let bye = || Bye {
                    retry_after_ms: Some(0),
                    ..Bye::new(ByeCode::ServerRestart, "an operator closed the connection")
                };
                self.for_each_meant(target, |live| live.close_with(bye))
            }
            ControlMessage::Unsubscribe { channel, .. } if channel.is_user() => 0,
            ControlMessage::Unsubscribe { target, channel, message } => {
                let channels_max = self.limits().channels_max;
                self.for_each_meant(target, |live| live.unsubscribe(channel, message, channels_max))
            }
        }
    }

    /// True while a user is kept out.
    pub(crate) fn is_banned(&self, identity: &Identity) -> bool {
        identity.user.as_ref().is_some_and(|user| self.sessions().revocations().is_banned(user.as_str()))
    }

    fn for_each_meant(&self, target: &Target, act: impl Fn(LiveSession<'_>)) -> usize {
        let sessions = match target {
            Target::Session(id) => {
                SessionId::parse(id).and_then(|id| self.sessions().get(id)).into_iter().collect()
            }
            Target::User(_) | Target::Label { .. } => self.sessions().all(),
        };
        let mut count = 0;
        for live in sessions.iter().filter_map(|session| session.live()) {
            if live.is_meant(target) {
                act(live);
                count += 1;
            }
        }
        count
    }

    fn keep_kicked(&self, revocation: Revocation) {
        // Nobody waits: the session has ended on this node in any case.
        self.0.engine.submit(Job::Revoke(Revoke { revocation, answer: Answer::new(drop) }));
    }
}

/// Ends a connection of a user that is kept out.
pub(crate) fn bye_banned() -> Bye {
    Bye::new(ByeCode::Banned, BANNED)
}

impl LiveSession<'_> {
    fn is_meant(&self, target: &Target) -> bool {
        let identity = &self.login().identity;
        match target {
            Target::User(user) => identity.user.as_ref() == Some(user),
            Target::Session(id) => SessionId::parse(id) == Some(self.id()),
            Target::Label { name, value } => identity.details.as_ref().is_some_and(|details| {
                details.labels.get(name.as_str()).is_some_and(|label| **label == **value)
            }),
        }
    }

    fn info(&self) -> SessionInfo {
        SessionInfo {
            session: self.id().to_string(),
            user: self.login().identity.user.as_ref().map(ToString::to_string),
            is_connected: self.is_connected(),
        }
    }
}
