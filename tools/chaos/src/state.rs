//! The state of a network: rules, groups, gates and live connections.

use std::collections::BTreeMap;
use std::sync::Arc;

use tautline_netem::{ConnectGate, Now, Rules, RulesPatch};

use super::connection_handle::ConnectionHandle;
use super::error::ChaosError;
use super::group::GroupName;

/// How many groups may have rules or a gate of their own.
const GROUPS_MAX: usize = 1024;

/// Which connections are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Selector {
    /// All of them.
    #[default]
    All,
    /// Those of one group.
    Group(GroupName),
    /// One, by its [`ConnectionInfo::id`](super::ConnectionInfo::id).
    Connection(u64),
}

/// Everything that the controls may change.
pub(super) struct ProxyState {
    pub(super) rules: Rules,
    /// The gate of all connections; a group may have one of its own behind it.
    pub(super) gate: ConnectGate,
    pub(super) groups: BTreeMap<GroupName, Group>,
    pub(super) handles: BTreeMap<u64, Arc<ConnectionHandle>>,
    pub(super) connections_ever: u64,
}

/// What a group has of its own.
#[derive(Default, PartialEq)]
pub(super) struct Group {
    /// Laid over everybody's rules.
    pub(super) patch: RulesPatch,
    pub(super) gate: ConnectGate,
}

impl ProxyState {
    pub(super) fn rules_of(&self, name: &GroupName) -> Rules {
        let patched = self.groups.get(name).map(|group| group.patch.over(&self.rules));
        // Each rule has bounds of its own, so a patch that was good over some rules is good over all.
        patched
            .map_or_else(|| self.rules.clone(), |rules| rules.expect("patches were checked when they came"))
    }

    pub(super) fn apply_rules(&self, now: Now) {
        for handle in self.handles.values() {
            let rules = self.rules_of(&handle.group);
            handle.change(|link| link.set_rules(now, rules));
        }
    }

    pub(super) fn group(&mut self, name: &GroupName) -> Result<&mut Group, ChaosError> {
        if !self.groups.contains_key(name) && self.groups.len() >= GROUPS_MAX {
            return Err(ChaosError::TooManyGroups(GROUPS_MAX));
        }
        Ok(self.groups.entry(name.clone()).or_default())
    }

    /// Forgets the groups that no longer differ from everybody.
    pub(super) fn tidy(&mut self) {
        self.groups.retain(|_, group| *group != Group::default());
    }

    pub(super) fn handles_of(&self, name: &GroupName) -> Vec<Arc<ConnectionHandle>> {
        self.handles.values().filter(|handle| handle.group == *name).cloned().collect()
    }

    pub(super) fn select(&self, selector: &Selector) -> Result<Vec<Arc<ConnectionHandle>>, ChaosError> {
        match selector {
            Selector::All => Ok(self.handles.values().cloned().collect()),
            Selector::Group(name) => Ok(self.handles_of(name)),
            Selector::Connection(id) => {
                let handle = self.handles.get(id).ok_or(ChaosError::UnknownConnection(*id))?;
                Ok(vec![Arc::clone(handle)])
            }
        }
    }
}
