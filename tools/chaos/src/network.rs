//! All that can be done to a running proxy, one method each. Start at [`Network`].
//! The state is behind one lock, which nobody holds while waiting.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde::Serialize;
use tautline_netem::{Admission, ConnectGate, Fault, Link, Now, Rng, Rules, RulesPatch, Unplugged};
use tokio::sync::watch;
use tokio::time::Instant;

use super::connection_handle::{ConnectionHandle, ConnectionInfo};
use super::error::ChaosError;
use super::group::GroupName;
use super::state::{Group, ProxyState, Selector};

/// The bad network behind a proxy. Cheap to clone; every clone controls the same one.
#[derive(Clone)]
pub struct Network(Arc<Inner>);

struct Inner {
    started: Instant,
    seed: u64,
    state: Mutex<ProxyState>,
    /// Told whenever a gate may have opened, for the connections that hang before it.
    gates: watch::Sender<()>,
}

/// The rules in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RulesInForce {
    /// For every group that has none of its own.
    pub rules: Rules,
    /// The groups that differ.
    pub groups: BTreeMap<GroupName, GroupInForce>,
}

/// How a group differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GroupInForce {
    /// Its rules, all of them.
    pub rules: Rules,
    /// What it does to new connections while its cable is out; `None` while it is in.
    pub unplugged: Option<Unplugged>,
    /// Whether it refuses new connections.
    pub refusing: bool,
}

impl Network {
    pub(super) fn new(rules: Rules, seed: u64) -> Self {
        let state = ProxyState {
            rules,
            gate: ConnectGate::default(),
            groups: BTreeMap::new(),
            handles: BTreeMap::new(),
            connections_ever: 0,
        };
        let gates = watch::Sender::new(());
        Self(Arc::new(Inner { started: Instant::now(), seed, state: Mutex::new(state), gates }))
    }

    /// The seed of everything random here.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> RulesInForce {
        let now = self.now();
        let state = self.state();
        let in_force = |(name, group): (&GroupName, &Group)| {
            let refusing = group.gate.refuses(now);
            let rules = state.rules_of(name);
            (name.clone(), GroupInForce { rules, unplugged: group.gate.unplugged(), refusing })
        };
        RulesInForce { rules: state.rules.clone(), groups: state.groups.iter().map(in_force).collect() }
    }

    /// Replaces the rules of everybody, for live connections too. What a group has of its own stays.
    ///
    /// # Errors
    /// [`ChaosError::Rules`] when a rule is out of bounds; then nothing has changed.
    pub fn set_rules(&self, rules: Rules) -> Result<(), ChaosError> {
        rules.validate()?;
        let mut state = self.state();
        state.rules = rules;
        state.apply_rules(self.now());
        Ok(())
    }

    /// Changes some of the rules of everybody, for live connections too. What a group has of its own stays.
    ///
    /// # Errors
    /// [`ChaosError::Rules`] when a rule is out of bounds; then nothing has changed.
    pub fn patch_rules(&self, patch: &RulesPatch) -> Result<(), ChaosError> {
        let mut state = self.state();
        state.rules = patch.over(&state.rules)?;
        state.apply_rules(self.now());
        Ok(())
    }

    /// Changes some of the rules of one group, for its live connections too. The others stay everybody's.
    ///
    /// # Errors
    /// [`ChaosError::Rules`] when a rule is out of bounds, [`ChaosError::TooManyGroups`]; then nothing has changed.
    pub fn patch_group_rules(&self, name: &GroupName, patch: &RulesPatch) -> Result<(), ChaosError> {
        let mut state = self.state();
        patch.over(&state.rules)?;
        let group = state.group(name)?;
        group.patch = group.patch.then(patch);
        state.tidy();
        state.apply_rules(self.now());
        Ok(())
    }

    /// Gives a group everybody's rules again. Its gate stays as it is.
    pub fn clear_group_rules(&self, name: &GroupName) {
        let mut state = self.state();
        if let Some(group) = state.groups.get_mut(name) {
            group.patch = RulesPatch::default();
        }
        state.tidy();
        state.apply_rules(self.now());
    }

    /// Applies a fault now, and returns how many connections it hit. A [`Fault::Refuse`] closes the gate to new ones
    /// instead, of one group or of everybody, and touches none.
    ///
    /// # Errors
    /// [`ChaosError::Fault`] when it names a time out of bounds, [`ChaosError::UnknownConnection`],
    /// [`ChaosError::TooManyGroups`].
    pub fn fault(&self, fault: Fault, selector: &Selector) -> Result<usize, ChaosError> {
        fault.validate()?;
        let now = self.now();
        let mut state = self.state();
        let handles = state.select(selector)?;
        if let Fault::Refuse { for_ms } = fault {
            match selector {
                Selector::All => state.gate.refuse(now, for_ms),
                Selector::Group(name) => state.group(name)?.gate.refuse(now, for_ms),
                Selector::Connection(_) => {}
            }
            return Ok(0);
        }
        handles.iter().for_each(|handle| handle.change(|link| link.apply(now, fault)));
        Ok(handles.len())
    }

    /// Ends every fault, and opens the gates: of everybody, of a group (its cable is put back too), or just of one
    /// connection. Says how many connections it reached. One that lost bytes is reset, the others go on.
    ///
    /// # Errors
    /// [`ChaosError::UnknownConnection`].
    pub fn heal(&self, selector: &Selector) -> Result<usize, ChaosError> {
        let mut state = self.state();
        let handles = state.select(selector)?;
        match selector {
            Selector::All => {
                state.gate.heal();
                state.groups.values_mut().for_each(|group| group.gate.heal());
            }
            Selector::Group(name) => state.groups.entry(name.clone()).or_default().gate.heal(),
            Selector::Connection(_) => {}
        }
        state.tidy();
        self.mend(&handles);
        Ok(handles.len())
    }

    /// Pulls the cable of a group, until [`plug`](Self::plug) or [`heal`](Self::heal): its connections go dead (half-open
    /// both ways, nobody is told) and new ones are refused or hang. Says how many went dead.
    ///
    /// # Errors
    /// [`ChaosError::TooManyGroups`].
    pub fn unplug(&self, name: &GroupName, unplugged: Unplugged) -> Result<usize, ChaosError> {
        let now = self.now();
        let mut state = self.state();
        state.group(name)?.gate.unplug(unplugged);
        let handles = state.select(&Selector::Group(name.clone()))?;
        handles.iter().for_each(|handle| handle.change(|link| link.apply(now, Fault::half_open())));
        // From hanging to refusing is a change too for those who hang.
        self.0.gates.send_replace(());
        Ok(handles.len())
    }

    /// Puts the cable of a group back. Dead connections that lost bytes are reset, the others go on, those that hang come
    /// in. Says how many connections it reached.
    pub fn plug(&self, name: &GroupName) -> usize {
        let mut state = self.state();
        if let Some(group) = state.groups.get_mut(name) {
            group.gate.plug();
        }
        state.tidy();
        let handles = state.handles_of(name);
        self.mend(&handles);
        handles.len()
    }

    /// The live connections, oldest first.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        let now = self.now();
        self.state().handles.values().map(|handle| handle.info(now)).collect()
    }

    /// The connections that are meant, oldest first.
    pub(super) fn ids(&self, selector: &Selector) -> Vec<u64> {
        let handles = self.state().select(selector).unwrap_or_default();
        handles.iter().map(|handle| handle.id).collect()
    }

    /// Registers a new connection, before its admission is asked for.
    pub(super) fn open(&self, group: GroupName) -> Arc<ConnectionHandle> {
        let now = self.now();
        let mut state = self.state();
        state.connections_ever += 1;
        let id = state.connections_ever;
        let link = Link::new(state.rules_of(&group), Rng::stream(self.0.seed, id).next_u64());
        let handle = Arc::new(ConnectionHandle::new(id, group, now, link));
        state.handles.insert(id, Arc::clone(&handle));
        handle
    }

    /// Forgets a connection that is over.
    pub(super) fn close(&self, handle: &ConnectionHandle) {
        self.state().handles.remove(&handle.id);
    }

    /// Whether a connection of this group may come in at present.
    pub(super) fn admission(&self, name: &GroupName) -> Admission {
        let now = self.now();
        let state = self.state();
        match (state.gate.admit(now), state.groups.get(name)) {
            (Admission::Admit, Some(group)) => group.gate.admit(now),
            (admission, _) => admission,
        }
    }

    /// Wakes up whenever a gate may have opened.
    pub(super) fn gates(&self) -> watch::Receiver<()> {
        self.0.gates.subscribe()
    }

    /// The time on this network's clock.
    pub(super) fn now(&self) -> Now {
        self.0.started.elapsed()
    }

    /// When this network's clock says `at`.
    pub(super) fn instant(&self, at: Now) -> Instant {
        self.0.started + at
    }

    fn mend(&self, handles: &[Arc<ConnectionHandle>]) {
        let now = self.now();
        handles.iter().for_each(|handle| handle.change(|link| link.heal(now)));
        self.0.gates.send_replace(());
    }

    fn state(&self) -> MutexGuard<'_, ProxyState> {
        self.0.state.lock().expect("nothing panics while it holds the state")
    }
}
