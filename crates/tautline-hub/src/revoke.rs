//! Revoking logins: they end at once, and no ticket or token brings them back.
//!
//! Start at [`Hub::revoke`]. A revocation is remembered before sessions are searched, and a connection looks
//! for one after it has taken its session: either of the two finds the other.

use std::sync::Arc;

use tautline_engine::{Answer, EngineError, Job, Revocation, Revoke, RevokedLogins};
use tautline_protocol::{
    ByeCode, ErrorCode, Now, UserId,
    packet::{ErrorBody, server::Bye},
};

use crate::{
    Hub, Identity,
    events::EndCause,
    revocations::{RevocationsFull, digest},
    session::{Session, id::SessionId},
};

/// The logins that the back end revokes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevokeLogins {
    /// Those of one session, by the id that rosters show.
    Session(String),
    /// Those of a user that were issued before a moment in wall milliseconds; `None`: up to now.
    User {
        /// The user.
        user: UserId,
        /// The moment.
        issued_before_ms: Option<u64>,
    },
    /// Those by the token with this id (`jti`).
    Token(String),
}

/// The effect of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Revoked {
    /// Sessions that ended on this node.
    pub sessions: usize,
}

impl Hub {
    /// Revokes logins, and ends their sessions on this node at once. `until` is when the last of them would
    /// expire, in wall milliseconds; `None` remembers the revocation for good. `done` is called once, from any
    /// thread, when the engine has saved it: with `unavailable` where it cannot. Then the logins are void
    /// until a restart, and repeating the request helps.
    pub fn revoke(
        &self,
        now: Now,
        logins: &RevokeLogins,
        until: Option<u64>,
        done: impl FnOnce(Result<Revoked, ErrorBody>) + Send + 'static,
    ) {
        self.observe_time(now);
        let (subject, until) = match self.subject_of(now, logins, until) {
            Ok(known) => known,
            Err(error) => return done(Err(error)),
        };
        let revocation = Revocation { subject, until };
        let Ok(sessions) = self.void(revocation) else {
            let words = "this node remembers as many revocations as it may (`revocations_max`)";
            return done(Err(ErrorBody::new(ErrorCode::Limit, words)));
        };
        let saved = move |result: Result<(), EngineError>| {
            done(result.map(|()| Revoked { sessions }).map_err(|error| error.to_body()));
        };
        self.engine().submit(Job::Revoke(Revoke { revocation, answer: Answer::new(saved) }));
    }

    /// Remembers a revocation, and ends the sessions that it is about. Returns how many.
    pub(crate) fn void(&self, revocation: Revocation) -> Result<usize, RevocationsFull> {
        self.sessions().revocations().add(revocation)?;
        Ok(match revocation.subject {
            RevokedLogins::Session(id) => {
                let session = self.sessions().get(SessionId(id));
                session.map_or(0, |session| usize::from(self.end_if(&session, |_| true)))
            }
            RevokedLogins::User { .. } | RevokedLogins::Token(_) => self.end_all_revoked(),
        })
    }

    fn subject_of(
        &self,
        now: Now,
        logins: &RevokeLogins,
        until: Option<u64>,
    ) -> Result<(RevokedLogins, u64), ErrorBody> {
        let for_good = until.unwrap_or(Revocation::FOREVER);
        match logins {
            RevokeLogins::Session(id) => {
                let id = SessionId::parse(id)
                    .ok_or_else(|| ErrorBody::new(ErrorCode::BadRequest, "this is no id of a session"))?;
                // Tickets that were given out live no longer than one that would be given out now.
                Ok((RevokedLogins::Session(id.0), now.wall_ms + self.limits().ticket_ms))
            }
            RevokeLogins::User { user, issued_before_ms } => {
                // A login of this very millisecond was issued before the request, as far as anybody can tell.
                let before = issued_before_ms.unwrap_or(now.wall_ms + 1);
                Ok((RevokedLogins::User { user: digest(user.as_str()), before }, for_good))
            }
            RevokeLogins::Token(id) => Ok((RevokedLogins::Token(digest(id)), for_good)),
        }
    }

    /// True for a login that was revoked.
    #[must_use]
    pub fn is_revoked(&self, identity: &Identity) -> bool {
        let user = identity.user.as_ref().map(UserId::as_str);
        let token_id = identity.details.as_ref().and_then(|details| details.token_id.as_deref());
        self.sessions().revocations().revokes(user, identity.issued_at_ms.unwrap_or(0), token_id)
    }

    fn end_all_revoked(&self) -> usize {
        let ends = |session: &&Arc<Session>| self.end_if(session, |identity| self.is_revoked(identity));
        self.sessions().all().iter().filter(ends).count()
    }

    pub(crate) fn end_if(&self, session: &Session, is_revoked: impl FnOnce(&Identity) -> bool) -> bool {
        let Some(living) = session.live() else { return false };
        if !is_revoked(&living.login().identity) {
            return false;
        }
        living.close_with(bye_revoked);
        living.end_session(self, EndCause::Revoked);
        true
    }
}

/// Ends a connection whose login was revoked; a client may log in anew.
pub(crate) fn bye_revoked() -> Bye {
    Bye::new(ByeCode::TokenExpired, "the login was revoked: log in again")
}
