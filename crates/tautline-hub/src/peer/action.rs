//! Requests to a channel, as they wait for a permission and run.
//!
//! Start at [`ChannelAction`].

use tautline_engine::{Span, budget::Claim};
use tautline_protocol::{
    ChannelName, Cursor, ReadFrom, RequestId,
    packet::{
        ErrorBody,
        client::{After, History},
    },
};

use super::stage::Requester;
use crate::Permission;

/// A request to a channel.
pub(super) struct ChannelAction {
    pub(super) id: RequestId,
    pub(super) channel: ChannelName,
    pub(super) asked_by: Requester,
    pub(super) kind: ActionKind,
}

/// What a request to a channel does.
pub(super) enum ActionKind {
    Subscribe {
        from: ReadFrom,
        /// The back end has permitted it a moment ago, and nothing has taken that back since.
        is_granted: bool,
    },
    Unsubscribe,
    History(PageRequest),
    Presence,
    Publish {
        /// JSON.
        data: Box<str>,
        /// JSON, of the back end only.
        tags: Option<Box<str>>,
        /// Whether the sender's own clients hand it to their app.
        echo: bool,
        /// An earlier attempt may have been executed.
        in_doubt: bool,
    },
}

/// A request that waits for the back end, or behind one that does.
pub(super) struct HeldAction {
    pub(super) action: ChannelAction,
    pub(super) state: HeldState,
    /// Reserves the bytes of a publication.
    pub(super) claim: Option<Claim>,
}

pub(super) enum HeldState {
    /// The number of the question, and the permission that it is about.
    Asked(u64, Permission),
    Decided(Result<(), ErrorBody>),
    /// The back end has taken the publication, and nothing is appended.
    Skipped,
}

impl ActionKind {
    /// The permission that it needs.
    pub(super) const fn permission(&self) -> Option<Permission> {
        match self {
            Self::Subscribe { .. } => Some(Permission::Subscribe),
            Self::Unsubscribe => None,
            Self::History(_) => Some(Permission::History),
            Self::Presence => Some(Permission::Presence),
            Self::Publish { .. } => Some(Permission::Publish),
        }
    }
}

/// The page that a client asks for.
pub(super) struct PageRequest {
    pub(super) span: Span,
    /// The cursor that the log must prove.
    pub(super) cursor: Option<Cursor>,
    pub(super) limit: usize,
}

impl PageRequest {
    pub(super) fn of(body: &History<'_>) -> Self {
        let (span, cursor) = match (&body.after, &body.before) {
            (Some(After::Word(_)), _) => (Span::After(0), None),
            (Some(After::Cursor(cursor)), _) => (Span::After(cursor.offset), Some(cursor.clone())),
            (None, Some(cursor)) => (Span::Before(cursor.offset), Some(cursor.clone())),
            (None, None) => (Span::Before(u64::MAX), None),
        };
        Self { span, cursor, limit: body.limit }
    }
}
