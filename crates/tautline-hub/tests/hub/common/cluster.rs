//! Nodes on one engine, whose messages and hand-overs come when the test says so.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tautline_engine::{
    Answer, BanChange, ClaimSession, Engine, EngineError, Job, MemoryEngine, NodeEvent, NodeId, Nodes,
    Retention, SessionClaim,
};
use tautline_hub::NodeLimits;

use super::Node;

/// What the nodes share.
pub struct Cluster {
    logs: MemoryEngine,
    limits: NodeLimits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    nodes: u64,
    /// The attempt and the node of each session that was claimed.
    owners: HashMap<u128, (u64, u64)>,
    /// Events on their way, each with the node that is to have it.
    events: Vec<(u64, NodeEvent)>,
    /// Claims without an answer.
    claims: Vec<Pending>,
    holds_claims: bool,
}

struct Pending {
    session: u128,
    attempt: u64,
    before: Option<u64>,
    answer: Answer<SessionClaim>,
}

/// The engine as one node sees it.
struct Member {
    cluster: Arc<Cluster>,
    id: u64,
}

impl Cluster {
    pub fn new() -> Arc<Self> {
        let limits = NodeLimits::default();
        let logs = MemoryEngine::new(3, &limits.engine, limits.protocol.ticket_ms);
        Arc::new(Self { logs, limits, state: Mutex::default() })
    }

    pub fn node(self: &Arc<Self>) -> Node {
        let id = {
            let mut state = self.state();
            state.nodes += 1;
            state.nodes
        };
        let member = Member { cluster: Arc::clone(self), id };
        Node::on(Arc::new(member), self.limits.clone(), Retention::default(), u8::try_from(id).expect("few"))
    }

    /// Claims are answered by [`Cluster::answer`] alone from now on.
    pub fn hold_claims(&self) {
        self.state().holds_claims = true;
    }

    /// Answers the oldest claim: the node that had the session hands over, if it is given.
    pub fn answer(&self, from: Option<&Node>) {
        let Pending { session, attempt, before, answer } = self.state().claims.remove(0);
        let claimed = NodeEvent::SessionClaimed { session, attempt };
        match (before, from) {
            (None, _) => answer.give(Ok(SessionClaim::Own { attempt })),
            (Some(_), Some(node)) => {
                let handed = node.hub.on_node_event(node.now, claimed);
                answer.give(Ok(SessionClaim::Moved { attempt, handed }));
            }
            (Some(before), None) => {
                // That node is told later.
                self.state().events.push((before, claimed));
                answer.give(Ok(SessionClaim::Moved { attempt, handed: None }));
            }
        }
    }

    /// The newest claim is answered before the others.
    pub fn swap_claims(&self) {
        self.state().claims.rotate_right(1);
    }

    /// Loses the oldest claim.
    pub fn lose(&self) {
        let claim = self.state().claims.remove(0);
        claim.answer.give(Err(EngineError::Unavailable("Redis is away".to_owned())));
    }

    /// Passes on what waits for a node, the first one being 1.
    pub fn deliver(&self, id: u64, node: &Node) {
        let events = std::mem::take(&mut self.state().events);
        let (now, later): (Vec<_>, Vec<_>) = events.into_iter().partition(|(to, _)| *to == id);
        self.state().events.extend(later);
        for (_, event) in now {
            node.hub.on_node_event(node.now, event);
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no test panics over it")
    }

    fn send(&self, from: u64, event: &NodeEvent) {
        let mut state = self.state();
        let is_for_all = matches!(event, NodeEvent::BanChanged(_));
        let others = (1..=state.nodes).filter(|id| is_for_all || *id != from);
        let events: Vec<_> = others.map(|id| (id, event.clone())).collect();
        state.events.extend(events);
    }
}

impl Engine for Member {
    fn submit(&self, job: Job) {
        match &job {
            Job::Revoke(job) => self.cluster.send(self.id, &NodeEvent::Revoked(job.revocation)),
            Job::SaveBan(job) => {
                let change: BanChange = job.change.clone();
                self.cluster.send(self.id, &NodeEvent::BanChanged(change));
            }
            _ => {}
        }
        self.cluster.logs.submit(job);
    }

    fn incarnation(&self) -> u32 {
        self.cluster.logs.incarnation()
    }

    fn nodes(&self) -> Option<&dyn Nodes> {
        Some(self)
    }
}

impl Nodes for Member {
    fn id(&self) -> NodeId {
        NodeId(self.id)
    }

    fn tell(&self, text: Box<str>) {
        self.cluster.send(self.id, &NodeEvent::Told(text));
    }

    fn claim(&self, claim: ClaimSession) {
        let ClaimSession { session, attempt, sealed_by, answer, .. } = claim;
        let mut state = self.cluster.state();
        let owner = state.owners.get(&session).copied();
        if let Some((newest, _)) = owner.filter(|(newest, _)| attempt <= *newest) {
            drop(state);
            return answer.give(Ok(SessionClaim::Superseded { attempt: newest }));
        }
        state.owners.insert(session, (attempt, self.id));
        let before = owner.map(|(_, node)| node).or(sealed_by.map(|node| node.0));
        let before = before.filter(|node| *node != self.id);
        if before.is_none() && !state.holds_claims {
            drop(state);
            return answer.give(Ok(SessionClaim::Own { attempt }));
        }
        state.claims.push(Pending { session, attempt, before, answer });
    }
}
