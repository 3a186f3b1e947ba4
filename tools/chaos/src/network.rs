//! All that can be done to a running proxy, one method each. Start at [`Network`].
//! The books are behind one lock, which nobody holds while waiting.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde::Serialize;
use tautline_netem::{Admission, Door, Fault, Link, Now, Rng, Rules, RulesPatch, Unplugged};
use tokio::sync::watch;
use tokio::time::Instant;

use super::books::{Books, Group, Selector};
use super::error::ChaosError;
use super::group::GroupName;
use super::line::{ConnectionInfo, Line};

/// The bad network behind a proxy. Cheap to clone; every clone controls the same one.
#[derive(Clone)]
pub struct Network(Arc<Inner>);

struct Inner {
    started: Instant,
    seed: u64,
    books: Mutex<Books>,
    /// Told whenever a door may have opened, for the connections that hang before it.
    doors: watch::Sender<()>,
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
        let books = Books {
            rules,
            door: Door::default(),
            groups: BTreeMap::new(),
            lines: BTreeMap::new(),
            lines_ever: 0,
        };
        let doors = watch::Sender::new(());
        Self(Arc::new(Inner { started: Instant::now(), seed, books: Mutex::new(books), doors }))
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
        let books = self.books();
        let in_force = |(name, group): (&GroupName, &Group)| {
            let refusing = group.door.refuses(now);
            let rules = books.rules_of(name);
            (name.clone(), GroupInForce { rules, unplugged: group.door.unplugged(), refusing })
        };
        RulesInForce { rules: books.rules.clone(), groups: books.groups.iter().map(in_force).collect() }
    }

    /// Replaces the rules of everybody, for live connections too. What a group has of its own stays.
    ///
    /// # Errors
    /// [`ChaosError::Rules`] when a rule is out of bounds; then nothing has changed.
    pub fn set_rules(&self, rules: Rules) -> Result<(), ChaosError> {
        rules.validate()?;
        let mut books = self.books();
        books.rules = rules;
        books.spread_rules(self.now());
        Ok(())
    }

    /// Changes some of the rules of everybody, for live connections too. What a group has of its own stays.
    ///
    /// # Errors
    /// [`ChaosError::Rules`] when a rule is out of bounds; then nothing has changed.
    pub fn patch_rules(&self, patch: &RulesPatch) -> Result<(), ChaosError> {
        let mut books = self.books();
        books.rules = patch.over(&books.rules)?;
        books.spread_rules(self.now());
        Ok(())
    }

    /// Changes some of the rules of one group, for its live connections too. The others stay everybody's.
    ///
    /// # Errors
    /// [`ChaosError::Rules`] when a rule is out of bounds, [`ChaosError::TooManyGroups`]; then nothing has changed.
    pub fn patch_group_rules(&self, name: &GroupName, patch: &RulesPatch) -> Result<(), ChaosError> {
        let mut books = self.books();
        patch.over(&books.rules)?;
        let group = books.group(name)?;
        group.patch = group.patch.then(patch);
        books.tidy();
        books.spread_rules(self.now());
        Ok(())
    }

    /// Gives a group everybody's rules again. Its door stays as it is.
    pub fn clear_group_rules(&self, name: &GroupName) {
        let mut books = self.books();
        if let Some(group) = books.groups.get_mut(name) {
            group.patch = RulesPatch::default();
        }
        books.tidy();
        books.spread_rules(self.now());
    }

    /// Makes something happen now, and says to how many connections. A [`Fault::Refuse`] closes the door to new ones
    /// instead, of one group or of everybody, and touches none.
    ///
    /// # Errors
    /// [`ChaosError::Fault`] when it names a time out of bounds, [`ChaosError::UnknownConnection`],
    /// [`ChaosError::TooManyGroups`].
    pub fn fault(&self, fault: Fault, selector: &Selector) -> Result<usize, ChaosError> {
        fault.validate()?;
        let now = self.now();
        let mut books = self.books();
        let lines = books.select(selector)?;
        if let Fault::Refuse { for_ms } = fault {
            match selector {
                Selector::All => books.door.refuse(now, for_ms),
                Selector::Group(name) => books.group(name)?.door.refuse(now, for_ms),
                Selector::Connection(_) => {}
            }
            return Ok(0);
        }
        lines.iter().for_each(|line| line.change(|link| link.apply(now, fault)));
        Ok(lines.len())
    }

    /// Ends every fault, and opens the doors: of everybody, of a group (its cable is put back too), or just of one
    /// connection. Says how many connections it reached. One that lost bytes is reset, the others go on.
    ///
    /// # Errors
    /// [`ChaosError::UnknownConnection`].
    pub fn heal(&self, selector: &Selector) -> Result<usize, ChaosError> {
        let mut books = self.books();
        let lines = books.select(selector)?;
        match selector {
            Selector::All => {
                books.door.heal();
                books.groups.values_mut().for_each(|group| group.door.heal());
            }
            Selector::Group(name) => books.groups.entry(name.clone()).or_default().door.heal(),
            Selector::Connection(_) => {}
        }
        books.tidy();
        self.mend(&lines);
        Ok(lines.len())
    }

    /// Pulls the cable of a group, until [`plug`](Self::plug) or [`heal`](Self::heal): its connections go dead (half-open
    /// both ways, nobody is told) and new ones are refused or hang. Says how many went dead.
    ///
    /// # Errors
    /// [`ChaosError::TooManyGroups`].
    pub fn unplug(&self, name: &GroupName, unplugged: Unplugged) -> Result<usize, ChaosError> {
        let now = self.now();
        let mut books = self.books();
        books.group(name)?.door.unplug(unplugged);
        let lines = books.select(&Selector::Group(name.clone()))?;
        lines.iter().for_each(|line| line.change(|link| link.apply(now, Fault::half_open())));
        // From hanging to refusing is a change too for those who hang.
        self.0.doors.send_replace(());
        Ok(lines.len())
    }

    /// Puts the cable of a group back. Dead connections that lost bytes are reset, the others go on, those that hang come
    /// in. Says how many connections it reached.
    pub fn plug(&self, name: &GroupName) -> usize {
        let mut books = self.books();
        if let Some(group) = books.groups.get_mut(name) {
            group.door.plug();
        }
        books.tidy();
        let lines = books.lines_of(name);
        self.mend(&lines);
        lines.len()
    }

    /// The live connections, oldest first.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        let now = self.now();
        self.books().lines.values().map(|line| line.info(now)).collect()
    }

    /// The connections that are meant, oldest first.
    pub(super) fn ids(&self, selector: &Selector) -> Vec<u64> {
        let lines = self.books().select(selector).unwrap_or_default();
        lines.iter().map(|line| line.id).collect()
    }

    /// Lets a new connection into the books, before anybody asks whether it may come in.
    pub(super) fn open(&self, group: GroupName) -> Arc<Line> {
        let now = self.now();
        let mut books = self.books();
        books.lines_ever += 1;
        let id = books.lines_ever;
        let link = Link::new(books.rules_of(&group), Rng::stream(self.0.seed, id).next_u64());
        let line = Arc::new(Line::new(id, group, now, link));
        books.lines.insert(id, Arc::clone(&line));
        line
    }

    /// Takes a connection that is over out of the books.
    pub(super) fn close(&self, line: &Line) {
        self.books().lines.remove(&line.id);
    }

    /// Whether a connection of this group may come in at present.
    pub(super) fn admission(&self, name: &GroupName) -> Admission {
        let now = self.now();
        let books = self.books();
        match (books.door.admit(now), books.groups.get(name)) {
            (Admission::Admit, Some(group)) => group.door.admit(now),
            (admission, _) => admission,
        }
    }

    /// Wakes up whenever a door may have opened.
    pub(super) fn doors(&self) -> watch::Receiver<()> {
        self.0.doors.subscribe()
    }

    /// The time on this network's clock.
    pub(super) fn now(&self) -> Now {
        self.0.started.elapsed()
    }

    /// When this network's clock says `at`.
    pub(super) fn instant(&self, at: Now) -> Instant {
        self.0.started + at
    }

    fn mend(&self, lines: &[Arc<Line>]) {
        let now = self.now();
        lines.iter().for_each(|line| line.change(|link| link.heal(now)));
        self.0.doors.send_replace(());
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.books.lock().expect("nothing panics while it holds the books")
    }
}
