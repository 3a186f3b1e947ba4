//! What a peer adds to the story of its user.
//!
//! Start at [`Peer::tell`].

use serde_json::{Value, json};
use tautline_protocol::{
    Now,
    packet::{
        ErrorBody, Hello,
        server::{Bye, Challenge, Gap},
    },
};

use super::{
    Peer,
    action::{ActionKind, ChannelAction},
    opening::identity_of,
    stage::Stage,
};
use crate::{
    Identity,
    session::id::SessionId,
    story::{StoryKind, of_bye, of_channel, of_gap},
};

impl Peer {
    /// Adds to the story of the session's owner, if the peer has a session.
    pub(super) fn tell(&self, now: Now, kind: StoryKind, detail: impl FnOnce() -> Value) {
        if let Stage::Active(open) = &self.stage {
            self.hub.tell_of(now, &open.session, kind, detail);
        }
    }

    /// Closes the connection of a hello whose user is known, and is not let in.
    pub(super) fn refuse_hello(&mut self, now: Now, who: Option<(Option<SessionId>, &Identity)>, bye: Bye) {
        if let Some((session, identity)) = who {
            self.hub.tell(now, session, identity, StoryKind::Refused, || of_bye(&bye));
        }
        self.close_with_bye(now, None, bye);
    }

    /// A ticket of ours is not valid any more.
    pub(super) fn tell_challenge(&self, now: Now, hello: &Hello, challenge: &Challenge) {
        if self.hub.keeps_stories()
            && let Some(resume) = &hello.resume
            && let Some(claims) = self.hub.open_ticket(&resume.ticket)
        {
            let (session, identity) = (SessionId(claims.session), identity_of(&claims));
            let detail = || json!({"code": challenge.code, "message": challenge.message});
            self.hub.tell(now, Some(session), &identity, StoryKind::Refused, detail);
        }
    }

    /// A request to a channel was refused.
    pub(super) fn tell_refusal(&self, now: Now, action: &ChannelAction, error: &ErrorBody) {
        let kind = match action.kind {
            ActionKind::Publish { .. } => StoryKind::PublishRefused,
            ActionKind::Subscribe { .. } => StoryKind::Subscribed,
            _ => return,
        };
        self.tell(now, kind, || of_channel(&action.channel, Some(error)));
    }

    /// Publications of a channel are missing.
    pub(super) fn tell_gap(&self, now: Now, gap: &Gap) {
        self.tell(now, StoryKind::Gap, || of_gap(gap));
    }

    /// The client does something too often.
    pub(super) fn tell_limit(&self, now: Now, what: &str, wait_ms: u64) {
        self.tell(now, StoryKind::Limit, || json!({"limit": what, "retry_after_ms": wait_ms}));
    }
}
