//! Users and addresses that an operator keeps out.
//!
//! Start at [`Bans::has_user`]. All of them are here; the engine keeps them for the next process.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
};

use tautline_engine::{Ban, BanChange, BanSubject};
use tautline_protocol::{
    ByeCode, ErrorCode, UserId,
    packet::{ErrorBody, server::Bye},
};

use crate::sync::{Mutex, RwLock, lock, read, write};

/// The words for a user that is kept out.
pub(crate) const BANNED: &str = "an operator keeps this user out";

/// Changes of one subject that wait while the engine saves one.
const SAVES_WAITING_MAX: usize = 16;

/// The bans of a node.
pub(crate) struct Bans {
    state: RwLock<State>,
    count_max: usize,
    /// The subjects of which the engine is saving a change, with the changes that wait for it. Locked while a change
    /// begins to hold here, so that the engine saves those of a subject in the same order.
    saving: Mutex<BTreeMap<BanSubject, VecDeque<BanSave>>>,
}

/// A change for the engine to save.
pub(crate) struct BanSave {
    pub(crate) change: BanChange,
    pub(crate) done: Box<dyn FnOnce(Result<(), ErrorBody>) + Send>,
}

impl BanSave {
    pub(crate) const fn subject(&self) -> &BanSubject {
        match &self.change {
            BanChange::Set(ban) => &ban.subject,
            BanChange::Lift(subject) => subject,
        }
    }
}

#[derive(Default)]
struct State {
    by_subject: BTreeMap<BanSubject, Kept>,
    /// None ends before this wall time.
    next_end_ms: u64,
}

struct Kept {
    until: u64,
    reason: Box<str>,
}

/// A change that was not made.
pub(crate) struct RefusedChange {
    pub(crate) save: BanSave,
    pub(crate) error: ErrorBody,
}

/// There is no room for another ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BansFull;

impl Bans {
    pub(crate) fn new(count_max: usize) -> Self {
        Self { state: RwLock::new(State::default()), count_max, saving: Mutex::default() }
    }

    /// Makes a change, and returns what is to be submitted now: this one, unless one before it is being saved. `Err`:
    /// there is no room for the ban or for the change to wait, and nothing has changed.
    #[expect(clippy::result_large_err, reason = "what is refused is given back")]
    pub(crate) fn change(&self, save: BanSave) -> Result<(Option<BanSave>, bool), RefusedChange> {
        let mut saving = lock(&self.saving);
        if saving.get(save.subject()).is_some_and(|waiting| waiting.len() >= SAVES_WAITING_MAX) {
            let words = "more changes of this ban wait than this node can hold";
            let error =
                ErrorBody { retry_after_ms: Some(1000), ..ErrorBody::new(ErrorCode::Overloaded, words) };
            return Err(RefusedChange { save, error });
        }
        let was_banned = match &save.change {
            BanChange::Lift(subject) => self.lift(subject),
            BanChange::Set(ban) => match self.set(ban.clone()) {
                Ok(was_banned) => was_banned,
                Err(BansFull) => {
                    let words = "this node keeps as many bans as it may (`bans_max`)";
                    return Err(RefusedChange { save, error: ErrorBody::new(ErrorCode::Limit, words) });
                }
            },
        };
        if let Some(waiting) = saving.get_mut(save.subject()) {
            waiting.push_back(save);
            return Ok((None, was_banned));
        }
        saving.insert(save.subject().clone(), VecDeque::new());
        Ok((Some(save), was_banned))
    }

    /// The engine has answered for a subject. Returns what is to be submitted next.
    pub(crate) fn next_save(&self, subject: &BanSubject) -> Option<BanSave> {
        let mut saving = lock(&self.saving);
        let next = saving.get_mut(subject)?.pop_front();
        if next.is_none() {
            saving.remove(subject);
        }
        next
    }

    /// Adds a ban, or replaces the one of the same subject. True: there was one.
    pub(crate) fn set(&self, Ban { subject, until, reason }: Ban) -> Result<bool, BansFull> {
        let mut state = write(&self.state);
        if state.by_subject.len() >= self.count_max && !state.by_subject.contains_key(&subject) {
            return Err(BansFull);
        }
        let is_first = state.by_subject.is_empty();
        state.next_end_ms = if is_first { until } else { state.next_end_ms.min(until) };
        Ok(state.by_subject.insert(subject, Kept { until, reason }).is_some())
    }

    /// Ends a ban. False: there was none.
    pub(crate) fn lift(&self, subject: &BanSubject) -> bool {
        write(&self.state).by_subject.remove(subject).is_some()
    }

    /// Ends the bans of subjects that are not among these, but for those that are being saved.
    pub(crate) fn retain(&self, subjects: &BTreeSet<BanSubject>) {
        let saving = lock(&self.saving);
        let is_kept = |subject: &BanSubject| subjects.contains(subject) || saving.contains_key(subject);
        write(&self.state).by_subject.retain(|subject, _| is_kept(subject));
    }

    pub(crate) fn has_user(&self, user: &UserId) -> bool {
        let state = read(&self.state);
        !state.by_subject.is_empty() && state.by_subject.contains_key(&BanSubject::User(user.clone()))
    }

    pub(crate) fn has_address(&self, address: IpAddr) -> bool {
        let state = read(&self.state);
        !state.by_subject.is_empty() && state.by_subject.contains_key(&BanSubject::Address(address))
    }

    /// At most `count_max` bans behind a subject, in order.
    pub(crate) fn behind(&self, after: Option<&BanSubject>, count_max: usize) -> Vec<Ban> {
        use std::ops::Bound::{Excluded, Unbounded};
        let state = read(&self.state);
        let behind = state.by_subject.range((after.map_or(Unbounded, Excluded), Unbounded));
        let ban = |(subject, kept): (&BanSubject, &Kept)| Ban {
            subject: subject.clone(),
            until: kept.until,
            reason: kept.reason.clone(),
        };
        behind.take(count_max).map(ban).collect()
    }

    /// Forgets the bans that are over.
    pub(crate) fn forget_expired(&self, wall_ms: u64) {
        if read(&self.state).next_end_ms >= wall_ms {
            return;
        }
        let mut state = write(&self.state);
        state.by_subject.retain(|_, ban| ban.until >= wall_ms);
        state.next_end_ms = state.by_subject.values().map(|ban| ban.until).min().unwrap_or(u64::MAX);
    }
}

/// Ends a connection of a user that is kept out.
pub(crate) fn bye_banned() -> Bye {
    Bye::new(ByeCode::Banned, BANNED)
}

/// Ends a connection from an address that is kept out.
pub(crate) fn bye_banned_address() -> Bye {
    Bye::new(ByeCode::Banned, "an operator keeps this address out")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ban(subject: &str, until: u64) -> Ban {
        Ban { subject: subject.parse().expect("valid"), until, reason: "".into() }
    }

    fn names(bans: &Bans, after: Option<&str>, count_max: usize) -> Vec<String> {
        let after = after.map(|after| after.parse().expect("valid"));
        bans.behind(after.as_ref(), count_max).iter().map(|ban| ban.subject.to_string()).collect()
    }

    #[test]
    fn full_list_refuses_another_subject_only() {
        let bans = Bans::new(2);
        let set = |subject, until| bans.set(ban(subject, until));
        assert_eq!([set("user:a", 5), set("user:b", 5), set("user:a", 9)], [Ok(false), Ok(false), Ok(true)]);
        assert_eq!(set("user:c", 5), Err(BansFull));
        assert!(
            bans.lift(&"user:b".parse().expect("valid")) && !bans.lift(&"user:x".parse().expect("valid"))
        );
        assert_eq!(set("user:c", 5), Ok(false));
    }

    #[test]
    fn bans_end_at_their_own_times() {
        let bans = Bans::new(9);
        for (subject, until) in [("user:a", 9), ("user:b", 5), ("address:192.0.2.7", 7)] {
            bans.set(ban(subject, until)).expect("room");
        }
        let left = |wall_ms| {
            bans.forget_expired(wall_ms);
            names(&bans, None, 9)
        };
        assert_eq!(left(5).len(), 3);
        assert_eq!(left(6), ["user:a", "address:192.0.2.7"]);
        bans.set(ban("user:c", 6)).expect("room");
        assert_eq!(left(8), ["user:a"]);
        assert_eq!(left(10), [""; 0]);
        bans.set(ban("user:d", 11)).expect("room");
        assert_eq!(left(12), [""; 0], "one that came after the list was empty");
    }

    #[test]
    fn pages_follow_one_another() {
        let bans = Bans::new(9);
        for subject in ["address:192.0.2.7", "user:b", "user:a"] {
            bans.set(ban(subject, 9)).expect("room");
        }
        assert_eq!(names(&bans, None, 2), ["user:a", "user:b"]);
        assert_eq!(names(&bans, Some("user:b"), 2), ["address:192.0.2.7"]);
        assert_eq!(names(&bans, Some("user:aa"), 1), ["user:b"], "behind one that is not there");
    }
}
