//! The books of a network: rules, groups, doors and live connections.

use std::collections::BTreeMap;
use std::sync::Arc;

use tautline_netem::{Door, Now, Rules, RulesPatch};

use super::error::ChaosError;
use super::group::GroupName;
use super::line::Line;

/// How many groups may have rules or a door of their own.
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
pub(super) struct Books {
    pub(super) rules: Rules,
    /// The door before everybody; a group may have another one behind it.
    pub(super) door: Door,
    pub(super) groups: BTreeMap<GroupName, Group>,
    pub(super) lines: BTreeMap<u64, Arc<Line>>,
    pub(super) lines_ever: u64,
}

/// What a group has of its own.
#[derive(Default, PartialEq)]
pub(super) struct Group {
    /// Laid over everybody's rules.
    pub(super) patch: RulesPatch,
    pub(super) door: Door,
}

impl Books {
    pub(super) fn rules_of(&self, name: &GroupName) -> Rules {
        let patched = self.groups.get(name).map(|group| group.patch.over(&self.rules));
        // Each rule has bounds of its own, so a patch that was good over some rules is good over all.
        patched
            .map_or_else(|| self.rules.clone(), |rules| rules.expect("patches were checked when they came"))
    }

    pub(super) fn spread_rules(&self, now: Now) {
        for line in self.lines.values() {
            let rules = self.rules_of(&line.group);
            line.change(|link| link.set_rules(now, rules));
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

    pub(super) fn lines_of(&self, name: &GroupName) -> Vec<Arc<Line>> {
        self.lines.values().filter(|line| line.group == *name).cloned().collect()
    }

    pub(super) fn select(&self, selector: &Selector) -> Result<Vec<Arc<Line>>, ChaosError> {
        match selector {
            Selector::All => Ok(self.lines.values().cloned().collect()),
            Selector::Group(name) => Ok(self.lines_of(name)),
            Selector::Connection(id) => {
                let line = self.lines.get(id).ok_or(ChaosError::UnknownConnection(*id))?;
                Ok(vec![Arc::clone(line)])
            }
        }
    }
}
