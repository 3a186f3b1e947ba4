//! The facts of stories, told where they happen.
//!
//! Start at [`Hub::tell`]. Without stories each costs one look.

use std::net::IpAddr;

use serde_json::{Map, Value, json};
use tautline_protocol::{
    ChannelName, Now,
    packet::{
        ErrorBody, Hello, Welcome,
        client::LastDrop,
        server::{Bye, ChannelWelcome, Gap},
    },
};

use super::{StoryConfig, StoryKind, StoryLog, Who};
use crate::{Hub, Identity, events::EndCause, session::Session, session::id::SessionId};

/// The most characters of a client's words.
const CHARS_MAX: usize = 128;

impl Hub {
    /// Keeps stories from now on. The first call counts.
    pub fn keep_stories(&self, now: Now, config: StoryConfig) {
        self.observe_time(now);
        self.0.stories.get_or_init(|| StoryLog::new(config, now.wall_ms));
    }

    /// True while stories are kept.
    pub(crate) fn keeps_stories(&self) -> bool {
        self.0.stories.get().is_some()
    }

    /// Adds to the story of a login, or of a guest's session; of a guest without one there is none.
    pub(crate) fn tell(
        &self,
        now: Now,
        session: Option<SessionId>,
        identity: &Identity,
        kind: StoryKind,
        detail: impl FnOnce() -> Value,
    ) {
        let Some(stories) = self.0.stories.get() else { return };
        let user = identity.user.clone().map(Who::User);
        let Some(who) = user.or_else(|| session.map(Who::Guest)) else { return };
        // A dropped connection does not know the time.
        let now = if now.wall_ms == 0 { self.last_now() } else { now };
        self.observe_time(now);
        stories.add(now, who, session, kind, detail().to_string().into());
    }

    /// Adds to the story of a session that has not ended. Not under its lock.
    pub(crate) fn tell_of(
        &self,
        now: Now,
        session: &Session,
        kind: StoryKind,
        detail: impl FnOnce() -> Value,
    ) {
        if self.keeps_stories()
            && let Some(live) = session.live()
        {
            self.tell(now, Some(live.id()), &live.login().identity, kind, detail);
        }
    }

    /// A hello was welcomed.
    pub(crate) fn tell_welcome(
        &self,
        now: Now,
        (session, address): (SessionId, Option<IpAddr>),
        identity: &Identity,
        hello: &Hello,
        (welcome, gaps): (&Welcome, &[Gap]),
    ) {
        if !self.keeps_stories() {
            return;
        }
        let tell = |kind, detail| self.tell(now, Some(session), identity, kind, || detail);
        if let Some(drop) = &hello.last_drop {
            tell(StoryKind::Drop, of_drop(drop));
        }
        let kind = if welcome.resumed { StoryKind::Resumed } else { StoryKind::Opened };
        tell(kind, of_welcome(address, hello, welcome));
        gaps.iter().for_each(|gap| tell(StoryKind::Gap, of_gap(gap)));
    }

    /// A session ended.
    pub(crate) fn tell_end(&self, session: SessionId, identity: &Identity, cause: EndCause) {
        let kind = match cause {
            EndCause::Kicked => StoryKind::Kicked,
            EndCause::Banned => StoryKind::Banned,
            _ => StoryKind::Closed,
        };
        self.tell(self.last_now(), Some(session), identity, kind, || json!({"cause": cause.as_str()}));
    }
}

fn of_drop(drop: &LastDrop) -> Value {
    let mut detail = Map::new();
    detail.insert("cause".to_owned(), cut(&drop.cause).into());
    detail.insert("offline_ms".to_owned(), drop.offline_ms.into());
    detail.insert("attempts".to_owned(), drop.attempts.into());
    detail.extend(drop.code.map(|code| ("code".to_owned(), code.into())));
    detail.extend(drop.reason.as_ref().map(|reason| ("reason".to_owned(), cut(reason).into())));
    detail.into()
}

fn of_welcome(address: Option<IpAddr>, hello: &Hello, welcome: &Welcome) -> Value {
    let mut detail = Map::new();
    let subscribed = |entry: &&ChannelWelcome| matches!(entry, ChannelWelcome::Subscribed(_));
    let channels = welcome.channels.values().filter(subscribed).count();
    detail.insert("channels".to_owned(), channels.into());
    let refused: Vec<Value> = welcome.channels.iter().filter_map(of_refused).take(8).collect();
    if !refused.is_empty() {
        detail.insert("refused".to_owned(), refused.into());
    }
    detail.extend(address.map(|address| ("ip".to_owned(), address.to_string().into())));
    if let Some(client) = &hello.client {
        let parts = [("platform", &client.platform), ("sdk", &client.sdk)];
        let parts = parts.into_iter().filter(|(_, text)| !text.is_empty());
        detail.extend(parts.map(|(name, text)| (name.to_owned(), cut(text).into())));
    }
    detail.into()
}

fn of_refused((name, entry): (&String, &ChannelWelcome)) -> Option<Value> {
    match entry {
        ChannelWelcome::Refused { error } => {
            Some(json!({"channel": cut(name), "error": cut(error.code.as_str())}))
        }
        ChannelWelcome::Subscribed(_) => None,
    }
}

/// Publications are missing.
pub(crate) fn of_gap(gap: &Gap) -> Value {
    json!({"channel": cut(&gap.channel), "reason": gap.reason})
}

/// The server ends a connection, or refuses a hello.
pub(crate) fn of_bye(bye: &Bye) -> Value {
    json!({"code": bye.code.as_str(), "message": cut(&bye.message)})
}

/// Something in a channel, and the error where it was refused.
pub(crate) fn of_channel(channel: &ChannelName, error: Option<&ErrorBody>) -> Value {
    match error {
        Some(error) => {
            json!({"channel": channel.as_str(), "error": cut(error.code.as_str()), "message": cut(&error.message)})
        }
        None => json!({"channel": channel.as_str()}),
    }
}

/// The first characters of what a peer wrote.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(CHARS_MAX).collect()
}
