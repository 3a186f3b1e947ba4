//! The kinds of entries.

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoryKind {
    /// A client told how its connection before had ended.
    Drop,
    /// A hello opened a session.
    Opened,
    /// A hello went on with the session.
    Resumed,
    /// A hello, or the login in it, was refused.
    Refused,
    /// The connection is gone.
    Away,
    /// The client announced that it goes away.
    Hidden,
    /// It is back.
    Shown,
    /// Publications are missing.
    Gap,
    /// A method was called.
    Call,
    /// A publish was refused.
    PublishRefused,
    /// A rate was exceeded.
    Limit,
    /// A subscription, or why there is none.
    Subscribed,
    /// A subscription ended.
    Unsubscribed,
    /// A new login on an open connection.
    Login,
    /// The server ended the connection.
    Bye,
    /// The session ended.
    Closed,
    /// It was ended from outside.
    Kicked,
    /// Its user was banned.
    Banned,
}

impl StoryKind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Opened => "opened",
            Self::Resumed => "resumed",
            Self::Refused => "refused",
            Self::Away => "away",
            Self::Hidden => "hidden",
            Self::Shown => "shown",
            Self::Gap => "gap",
            Self::Call => "call",
            Self::PublishRefused => "publish_refused",
            Self::Limit => "limit",
            Self::Subscribed => "subscribed",
            Self::Unsubscribed => "unsubscribed",
            Self::Login => "login",
            Self::Bye => "bye",
            Self::Closed => "closed",
            Self::Kicked => "kicked",
            Self::Banned => "banned",
        }
    }

    /// Whether a client can make many of them while it is connected.
    pub(super) const fn is_frequent(self) -> bool {
        use StoryKind::{Call, Gap, Hidden, Limit, Login, PublishRefused, Shown, Subscribed, Unsubscribed};
        matches!(
            self,
            Call | Gap | Hidden | Limit | Login | PublishRefused | Shown | Subscribed | Unsubscribed
        )
    }
}
