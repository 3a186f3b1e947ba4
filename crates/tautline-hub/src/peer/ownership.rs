//! Which node has the session of a hello, where nodes share an engine.
//!
//! Start at [`Peer::claim`]. The claim is made beside the lookups, so that it costs no round trip of its own.

use tautline_engine::{Answer, ClaimSession, EngineError, NodeId, SessionClaim};
use tautline_protocol::{Now, packet::Hello, server::Ledger};

use super::{
    Peer,
    stage::{Authenticated, LoadingChannels, Stage},
};
use crate::{
    Hub,
    nodes::HandedSession,
    session::{id::SessionId, taken_over},
    ticket::Claims,
};

/// Which node has a session.
pub(super) enum Ownership {
    /// This one: no other shares its engine, or the session is new.
    Alone,
    /// The engine was asked.
    Pending,
    /// This one, as before.
    Own { attempt: u64 },
    /// This one, from now on. The ledger is what the other one has handed over, if it has.
    Moved { attempt: u64, ledger: Option<Box<Ledger>> },
}

impl Ownership {
    pub(super) const fn is_known(&self) -> bool {
        !matches!(self, Self::Pending)
    }

    /// The number that counts for the attempt, where a claim has said so.
    pub(super) const fn attempt(&self) -> Option<u64> {
        match self {
            Self::Own { attempt } | Self::Moved { attempt, .. } => Some(*attempt),
            Self::Alone | Self::Pending => None,
        }
    }

    /// The ledger of a session that was another node's.
    pub(super) fn into_ledger(self) -> Option<Ledger> {
        let Self::Moved { ledger, .. } = self else { return None };
        ledger.map(|ledger| *ledger)
    }
}

impl Peer {
    /// Claims the session of a hello that resumes, where other nodes share the engine.
    pub(super) fn claim(&self, now: Now, hello: &Hello, authenticated: &Authenticated) -> Ownership {
        let (Some(nodes), Some(resume)) = (self.hub.engine().nodes(), &hello.resume) else {
            return Ownership::Alone;
        };
        let Authenticated::Resume { claims, .. } = authenticated else { return Ownership::Alone };
        let mailbox = std::sync::Arc::clone(&self.mailbox);
        nodes.claim(ClaimSession {
            session: claims.session,
            attempt: resume.attempt,
            attempt_max: now.wall_ms.saturating_add(self.hub.limits().attempt_ahead_ms),
            sealed_by: claims.node_id.map(NodeId),
            answer: Answer::new(move |claim| mailbox.deliver_claim(claim)),
        });
        Ownership::Pending
    }

    /// Takes the outcome of the claim.
    pub(super) fn handle_claim(&mut self, now: Now, claim: Result<SessionClaim, EngineError>) {
        let Stage::LoadingChannels(waiting) = &mut self.stage else { return };
        match claim {
            Ok(SessionClaim::Own { attempt }) => waiting.ownership = Ownership::Own { attempt },
            Ok(SessionClaim::Moved { attempt, handed }) => {
                if let Authenticated::Resume { claims, .. } = &waiting.authenticated {
                    self.hub.end_earlier(now, SessionId(claims.session), attempt);
                }
                let ledger = handed.and_then(|text| waiting.take_handed(&self.hub, &text));
                waiting.ownership = Ownership::Moved { attempt, ledger };
            }
            Ok(SessionClaim::Superseded { attempt }) => {
                return self.close_with_bye(now, None, taken_over(Some(attempt)));
            }
            Err(error) => return self.close_for_engine(now, &error),
        }
        self.finish_loading(now, true);
    }
}

impl Hub {
    /// Ends what this node had of a session before another node had it.
    fn end_earlier(&self, now: Now, id: SessionId, attempt: u64) {
        let earlier = self.sessions().get(id);
        earlier.as_ref().and_then(|session| session.live()).map(|live| live.hand_over(self, now, attempt));
    }
}

impl LoadingChannels {
    /// Takes the login of a session from the node that had it, and returns its ledger. `None`: it is not legible.
    fn take_handed(&mut self, hub: &Hub, text: &str) -> Option<Box<Ledger>> {
        let handed: HandedSession = serde_json::from_str(text).ok()?;
        let newest: Claims = hub.open_ticket(&handed.ticket)?;
        let Authenticated::Resume { claims, .. } = &mut self.authenticated else { return None };
        if newest.session != claims.session {
            return None;
        }
        **claims = newest;
        Some(Box::new(handed.ledger.into_ledger()))
    }
}
