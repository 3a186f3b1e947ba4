//! Nodes on one engine: what they tell each other, and sessions that move from one to another.
//!
//! Start at [`Hub::on_node_event`]. Each node keeps its own sessions; the engine carries what is told, and says
//! which node has a session. On an engine of one process nothing here is used.

use std::collections::BTreeSet;

use tautline_engine::{BanChange, NodeEvent, NodeId, Revocation};
use tautline_protocol::Now;

use crate::{ControlMessage, Hub, control::bye_come_back, session::id::SessionId};

impl Hub {
    /// Takes what other nodes on the same engine did. Returns what is to be handed over, after
    /// [`NodeEvent::SessionClaimed`] alone.
    pub fn on_node_event(&self, now: Now, event: NodeEvent) -> Option<Box<str>> {
        self.observe_time(now);
        match event {
            NodeEvent::Revoked(revocation) => {
                // Where there is no room, the node that revoked it has said so.
                self.void(revocation).ok();
            }
            NodeEvent::BanChanged(change) => self.on_ban_changed(now, change),
            NodeEvent::Told(text) => {
                // A node of a later version may say more than this one knows.
                if let Ok(message) = serde_json::from_str::<ControlMessage>(&text) {
                    self.on_control(now, &message);
                }
            }
            NodeEvent::SessionClaimed { session, attempt } => return self.hand_over(now, session, attempt),
            NodeEvent::Missed { revocations, bans, are_all } => {
                self.void_all(&revocations);
                if are_all {
                    let subjects: BTreeSet<_> = bans.iter().map(|ban| ban.subject.clone()).collect();
                    self.bans().retain(&subjects);
                }
                bans.into_iter().for_each(|ban| self.on_ban_changed(now, BanChange::Set(ban)));
            }
            NodeEvent::ClaimsMissed => {
                // Clients come back at once, and those of which another node has the session are there already.
                for session in self.sessions().all() {
                    session.live().iter().for_each(|live| live.close_with(bye_come_back));
                }
            }
        }
        None
    }

    fn on_ban_changed(&self, now: Now, change: BanChange) {
        match change {
            BanChange::Set(ban) => {
                let subject = ban.subject.clone();
                // Where it was kept out already its sessions have ended; where there is no room they end at least.
                if self.bans().set(ban) != Ok(true) {
                    self.end_banned(now, &subject);
                }
            }
            BanChange::Lift(subject) => {
                self.bans().lift(&subject);
            }
        }
    }

    /// Has the other nodes on the same engine do what a message says, if there are any.
    pub(crate) fn tell_nodes(&self, message: &ControlMessage) {
        if let Some(nodes) = self.engine().nodes()
            && let Ok(text) = serde_json::to_string(message)
        {
            nodes.tell(text.into());
        }
    }

    /// This node among those that share its engine; `None` where there are no others.
    pub(crate) fn node_id(&self) -> Option<NodeId> {
        self.engine().nodes().map(|nodes| nodes.id())
    }

    /// Gives up a session that another node has claimed.
    fn hand_over(&self, now: Now, session: u128, attempt: u64) -> Option<Box<str>> {
        let id = SessionId(session);
        // First: a connection that takes the session here meanwhile looks for it afterwards.
        self.sessions().moved().insert(now, id, attempt);
        let found = self.sessions().get(id)?;
        let handed = found.live()?.hand_over(self, now, attempt)?;
        serde_json::to_string(&handed).ok().map(Into::into)
    }

    fn void_all(&self, revocations: &[Revocation]) {
        for revocation in revocations {
            self.sessions().revocations().add(*revocation).ok();
        }
        let is_ended = |id| self.sessions().revocations().contains(id);
        for session in self.sessions().all() {
            self.end_if(&session, |identity| self.is_revoked(identity) || is_ended(session.id));
        }
    }
}
