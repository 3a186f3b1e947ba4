//! Sessions that ended for good, until the last of their tickets has expired; and logins that the back end
//! revoked, by user or by token.
//!
//! Start at [`Revocations::insert`]. A client must not push out the revocations of others: a holder has a share,
//! and its revocations beyond that share are not remembered. Those of the back end have a place of their own,
//! where none is pushed out.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use sha2::{Digest as _, Sha256};
use tautline_engine::{
    Revocation, RevokedLogins,
    budget::{Budget, Holder},
};

use crate::{
    session::id::SessionId,
    sync::{Mutex, lock},
};

/// A holder with less than one part in so many is small: when there is no room, it takes the place of the
/// oldest. The bound is far above the error of the two rows of counters.
const SMALL_PART: usize = 64;

/// The ended sessions of a node.
pub(crate) struct Revocations {
    state: Mutex<State>,
    /// By the holder that ended them.
    budget: Arc<Budget>,
    small_max: usize,
    logins: Mutex<LoginRevocations>,
    /// How many of these are remembered.
    logins_max: usize,
}

/// Which logins the back end revoked, by digests of ids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum RevokedId {
    User(u128),
    Token(u128),
}

#[derive(Default)]
struct LoginRevocations {
    by_id: HashMap<RevokedId, LoginRevocation>,
    /// In order of expiry.
    expiries: BTreeSet<(u64, RevokedId)>,
}

#[derive(Clone, Copy)]
struct LoginRevocation {
    /// Logins that were issued before this wall time are void.
    before_ms: u64,
    until_wall_ms: u64,
}

/// There is no room to remember another revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RevocationsFull;

#[derive(Default)]
struct State {
    ids: HashSet<SessionId>,
    /// In the order in which they ended.
    queue: VecDeque<Ended>,
}

struct Ended {
    id: SessionId,
    /// When its last ticket expires, in wall milliseconds.
    until_wall_ms: u64,
    holder: Holder,
}

impl Revocations {
    /// Remembers at most `count_max`.
    pub(crate) fn new(count_max: usize) -> Self {
        Self {
            state: Mutex::default(),
            budget: Budget::without_reserve(count_max),
            small_max: count_max / SMALL_PART,
            logins: Mutex::default(),
            logins_max: count_max,
        }
    }

    /// Remembers what an engine kept or the back end said.
    pub(crate) fn add(&self, revocation: Revocation) -> Result<(), RevocationsFull> {
        let (id, before_ms) = match revocation.subject {
            RevokedLogins::Session(session) => {
                // Nobody knows any more who had ended it.
                self.insert(SessionId(session), revocation.until, Holder::BACK_END);
                return Ok(());
            }
            RevokedLogins::User { user, before } => (RevokedId::User(user), before),
            RevokedLogins::Token(token) => (RevokedId::Token(token), u64::MAX),
        };
        lock(&self.logins).add(
            id,
            LoginRevocation { before_ms, until_wall_ms: revocation.until },
            self.logins_max,
        )
    }

    /// True for a login that the back end revoked. A token is revoked whenever it was issued.
    pub(crate) fn revokes(&self, user: Option<&str>, issued_at_ms: u64, token_id: Option<&str>) -> bool {
        let logins = lock(&self.logins);
        if logins.by_id.is_empty() {
            return false;
        }
        let user = user.map(|id| (RevokedId::User(digest(id)), issued_at_ms));
        let token = token_id.map(|id| (RevokedId::Token(digest(id)), 0));
        let mut named = user.into_iter().chain(token);
        named.any(|(id, issued_at_ms)| {
            logins.by_id.get(&id).is_some_and(|found| issued_at_ms < found.before_ms)
        })
    }

    /// Remembers that a session has ended. False: the holder has used up its share, and the tickets of the
    /// session stay valid.
    pub(crate) fn insert(&self, id: SessionId, until_wall_ms: u64, holder: Holder) -> bool {
        let mut state = lock(&self.state);
        if state.ids.contains(&id) {
            return true;
        }
        if !self.budget.take(holder, 1, holder.claimant()) {
            if holder != Holder::BACK_END && self.budget.held(holder) > self.small_max {
                return false;
            }
            self.forget_oldest(&mut state);
            self.budget.add(holder, 1);
        }
        state.ids.insert(id);
        state.queue.push_back(Ended { id, until_wall_ms, holder });
        true
    }

    pub(crate) fn contains(&self, id: SessionId) -> bool {
        lock(&self.state).ids.contains(&id)
    }

    /// Forgets sessions whose tickets have expired.
    pub(crate) fn forget_expired(&self, wall_ms: u64) {
        let mut state = lock(&self.state);
        while state.queue.front().is_some_and(|oldest| oldest.until_wall_ms < wall_ms) {
            self.forget_oldest(&mut state);
        }
        lock(&self.logins).forget_expired(wall_ms);
    }

    fn forget_oldest(&self, state: &mut State) {
        if let Some(oldest) = state.queue.pop_front() {
            state.ids.remove(&oldest.id);
            self.budget.give(oldest.holder, 1);
        }
    }
}

impl LoginRevocations {
    fn add(
        &mut self,
        id: RevokedId,
        added: LoginRevocation,
        count_max: usize,
    ) -> Result<(), RevocationsFull> {
        let known = self.by_id.get(&id).copied();
        if known.is_none() && self.by_id.len() >= count_max {
            return Err(RevocationsFull);
        }
        let kept = known.unwrap_or(added);
        let before_ms = kept.before_ms.max(added.before_ms);
        let until_wall_ms = kept.until_wall_ms.max(added.until_wall_ms);
        self.expiries.remove(&(kept.until_wall_ms, id));
        self.expiries.insert((until_wall_ms, id));
        self.by_id.insert(id, LoginRevocation { before_ms, until_wall_ms });
        Ok(())
    }

    fn forget_expired(&mut self, wall_ms: u64) {
        while self.expiries.first().is_some_and(|(until_wall_ms, _)| *until_wall_ms < wall_ms) {
            if let Some((_, id)) = self.expiries.pop_first() {
                self.by_id.remove(&id);
            }
        }
    }
}

/// The digest by which revocations know an id: the same in each process, for engines keep it.
pub(crate) fn digest(id: &str) -> u128 {
    let digest = Sha256::new_with_prefix("tautline revocation 1").chain_update(id).finalize();
    u128::from_be_bytes(digest[..16].try_into().expect("16 of 32 bytes"))
}

// There may be a million.
const _: () = assert!(size_of::<Ended>() <= 32);

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Holder = Holder::of_hash(0x5bd1_e995);

    #[test]
    fn revoked_session_is_remembered_until_its_tickets_expire() {
        let revocations = Revocations::new(9);
        assert!(revocations.insert(SessionId(1), 100, ANN));
        revocations.forget_expired(100);
        assert!(revocations.contains(SessionId(1)));
        revocations.forget_expired(101);
        assert!(!revocations.contains(SessionId(1)));
        assert_eq!(revocations.budget.used(), 0);
    }

    #[test]
    fn revocation_beyond_the_limit_forgets_the_oldest() {
        let revocations = Revocations::new(2);
        let holders = [3, 5, 7].map(|hash| Holder::of_hash(hash << 10 | hash));
        for (id, holder) in (1..).zip(holders) {
            assert!(revocations.insert(SessionId(id), 100, holder));
        }
        assert_eq!([1, 2, 3].map(|id| revocations.contains(SessionId(id))), [false, true, true]);
        assert_eq!(revocations.budget.used(), 2);
    }

    #[test]
    fn revocations_of_an_earlier_process_are_nobodys() {
        let revocations = Revocations::new(4);
        assert!((1..=9).all(|id| revocations.insert(SessionId(id), 100, Holder::BACK_END)));
        assert_eq!((1..=9).filter(|id| revocations.contains(SessionId(*id))).count(), 4);
    }

    fn revoked(subject: RevokedLogins, until: u64) -> Revocation {
        Revocation { subject, until }
    }

    #[test]
    fn user_revocation_voids_logins_issued_before_it() {
        let revocations = Revocations::new(9);
        let of_ann = |before| RevokedLogins::User { user: digest("ann"), before };
        assert!(!revocations.revokes(Some("ann"), 0, None));
        revocations.add(revoked(of_ann(50), 1_000)).expect("room");
        revocations.add(revoked(of_ann(40), 900)).expect("an earlier one changes nothing");
        let is_void = |user, issued_at_ms| revocations.revokes(Some(user), issued_at_ms, Some("t1"));
        assert_eq!([is_void("ann", 49), is_void("ann", 50), is_void("bob", 49)], [true, false, false]);
        assert!(!revocations.revokes(None, 0, None), "a guest is no user");
        revocations.forget_expired(1_000);
        assert!(is_void("ann", 0));
        revocations.forget_expired(1_001);
        assert!(!is_void("ann", 0));
    }

    #[test]
    fn token_revocation_voids_one_token() {
        let revocations = Revocations::new(9);
        revocations.add(revoked(RevokedLogins::Token(digest("t1")), Revocation::FOREVER)).expect("room");
        assert!(revocations.revokes(Some("ann"), u64::MAX - 1, Some("t1")), "whenever it was issued");
        assert!(!revocations.revokes(Some("t1"), 0, Some("t2")), "a user of that name is another thing");
    }

    #[test]
    fn full_login_revocations_refuse_and_forget_none() {
        let revocations = Revocations::new(2);
        let token = |id: &str| revoked(RevokedLogins::Token(digest(id)), 100);
        assert_eq!(["a", "b", "a"].map(|id| revocations.add(token(id))), [Ok(()); 3]);
        assert_eq!(revocations.add(token("c")), Err(RevocationsFull));
        assert!((1..=2).all(|id| revocations.insert(SessionId(id), 100, ANN)));
        assert_eq!(["a", "b", "c"].map(|id| revocations.revokes(None, 0, Some(id))), [true, true, false]);
    }
}
