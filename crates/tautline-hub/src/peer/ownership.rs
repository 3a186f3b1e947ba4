//! Which node has the session of a hello, where nodes share an engine.
//!
//! Start at [`Peer::claim`]. The claim is made beside the lookups, so that it costs no round trip of its own.

use tautline_engine::{Answer, ClaimSession, EngineError, NodeId, SessionClaim};
use tautline_protocol::{Now, packet::Hello, server::Ledger};

use super::{
    Peer,
    stage::{Authenticated, LoadingChannels, Ownership, Stage},
};
use crate::{
    Hub,
    session::{handed::HandedSession, id::SessionId, taken_over},
    ticket::Claims,
};

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
