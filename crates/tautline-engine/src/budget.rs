//! Shared budgets: a total, the share of each holder, and a reserve for entitled claimants.
//!
//! Start at [`Budget::take`]. A holder may take more while it holds no more than what is left for all others (the *dynamic
//! threshold* of switches that share one buffer): a single greedy holder gets half, two get a third each, and whoever holds
//! little always finds room. No share has to be configured, and none is wasted while nobody else wants it. The last eighth
//! of a budget is for the back end, and for claims that are preferred, which keep to their holder's share of all of it.
//!
//! Holders cost no memory: their amounts are kept in two rows of shared counters (a count-min sketch). Two
//! holders with the same counters in both rows, one pair in a million, count as one. The rows are addressed
//! by a keyed hash, so a holder cannot aim at the counters of another.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize as Counter},
};

use crate::sync::{AtomicUsize, Ordering};

/// The reserve is this part of a budget.
pub const RESERVED_PART: usize = 8;
/// Counters in a row.
const WIDTH: usize = 1024;
const BITS: u32 = WIDTH.ilog2();

/// The owner of a share: a user, an address or a connection, as a keyed hash (`Hub::holder`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Holder(pub(crate) u32);

impl Holder {
    /// The back end, or the node itself: entitled to the reserve.
    pub const BACK_END: Self = Self(0);

    /// A holder by its keyed hash.
    #[must_use]
    pub const fn of_hash(hash: u32) -> Self {
        Self(if hash == 0 { 1 } else { hash })
    }

    /// Whether its claims may use the reserve.
    #[must_use]
    pub fn claimant(self) -> Claimant {
        if self == Self::BACK_END { Claimant::Entitled } else { Claimant::Ordinary }
    }
}

/// Whether a claim may use the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimant {
    /// Limited to its holder's share.
    Ordinary,
    /// Limited to its holder's share, the reserve included: for claims that other holders must not keep out,
    /// but that any client can make in large numbers.
    Preferred,
    /// May take whatever is left.
    Entitled,
}

/// A limit shared by many holders.
pub struct Budget {
    total: usize,
    reserved: usize,
    used: AtomicUsize,
    /// Claims that were refused, for operators.
    refused: AtomicU64,
    /// Atomics of the standard library even under a model checker: there are thousands, and none decides
    /// about the total.
    rows: [Box<[Counter]>; 2],
}

impl Budget {
    /// A budget of `total`, whose last part is reserved.
    #[must_use]
    pub fn new(total: usize) -> Arc<Self> {
        Self::with_reserve(total, total / RESERVED_PART)
    }

    /// A budget of `total` without a reserve.
    #[must_use]
    pub fn without_reserve(total: usize) -> Arc<Self> {
        Self::with_reserve(total, 0)
    }

    fn with_reserve(total: usize, reserved: usize) -> Arc<Self> {
        let row = || (0..WIDTH).map(|_| Counter::new(0)).collect();
        Arc::new(Self {
            total,
            reserved,
            used: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            rows: [row(), row()],
        })
    }

    /// The amount taken by all holders.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The amount that all holders together may take.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.total
    }

    /// How often a holder was refused an amount.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// The amount taken by a holder; never an underestimate.
    #[must_use]
    pub fn held(&self, holder: Holder) -> usize {
        let [first, second] = self.counters(holder).map(|counter| counter.load(Ordering::Relaxed));
        first.min(second)
    }

    /// True if more than half of the unreserved amount is taken: shares begin to limit holders.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.used() > (self.total - self.reserved) / 2
    }

    /// Takes an amount for a holder, to be returned with [`Budget::give`]. False: refused.
    #[must_use]
    pub fn take(&self, holder: Holder, amount: usize, claimant: Claimant) -> bool {
        let before = self.used.fetch_add(amount, Ordering::Relaxed);
        if !admits(self.total, self.reserved, before, self.held(holder), amount, claimant) {
            self.used.fetch_sub(amount, Ordering::Relaxed);
            self.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.note(holder, amount);
        true
    }

    /// Whether a holder could take the amount now.
    #[must_use]
    pub fn has_room(&self, holder: Holder, amount: usize, claimant: Claimant) -> bool {
        let has_room = admits(self.total, self.reserved, self.used(), self.held(holder), amount, claimant);
        if !has_room {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    /// Whether a refused holder has used up its share, rather than the budget being full.
    #[must_use]
    pub fn is_greedy(&self, holder: Holder) -> bool {
        holder.claimant() == Claimant::Ordinary
            && self.held(holder) > (self.total - self.reserved).saturating_sub(self.used())
    }

    /// The same state in another budget.
    #[must_use]
    pub fn copy(&self) -> Arc<Self> {
        let copy = |counter: &Counter| Counter::new(counter.load(Ordering::Relaxed));
        let rows = self.rows.each_ref().map(|row| row.iter().map(copy).collect());
        let (used, refused) = (AtomicUsize::new(self.used()), AtomicU64::new(self.refused()));
        Arc::new(Self { total: self.total, reserved: self.reserved, used, refused, rows })
    }

    /// Takes the amount regardless of room: it is already in use.
    pub fn add(&self, holder: Holder, amount: usize) {
        self.used.fetch_add(amount, Ordering::Relaxed);
        self.note(holder, amount);
    }

    /// Returns an amount that a holder has taken.
    pub fn give(&self, holder: Holder, amount: usize) {
        for counter in self.counters(holder) {
            counter.fetch_sub(amount, Ordering::Relaxed);
        }
        self.used.fetch_sub(amount, Ordering::Relaxed);
    }

    /// Takes an amount until the claim is dropped. `None`: refused.
    #[must_use]
    pub fn claim(self: &Arc<Self>, holder: Holder, amount: usize, claimant: Claimant) -> Option<Claim> {
        self.take(holder, amount, claimant).then(|| Claim { budget: Arc::clone(self), holder, amount })
    }

    fn note(&self, holder: Holder, amount: usize) {
        for counter in self.counters(holder) {
            counter.fetch_add(amount, Ordering::Relaxed);
        }
    }

    fn counters(&self, Holder(hash): Holder) -> [&Counter; 2] {
        let [first, second] = &self.rows;
        let at = |bits: u32| bits as usize % WIDTH;
        [&first[at(hash)], &second[at(hash >> BITS)]]
    }
}

/// Whether a holder of `held` may take `amount` when `used` is taken by all, and `reserved` of `total` is kept
/// for claims that are not [`Claimant::Ordinary`].
#[must_use]
pub const fn admits(
    total: usize,
    reserved: usize,
    used: usize,
    held: usize,
    amount: usize,
    claimant: Claimant,
) -> bool {
    let total = if matches!(claimant, Claimant::Ordinary) { total - reserved } else { total };
    let free = total.saturating_sub(used);
    amount <= free && (matches!(claimant, Claimant::Entitled) || held <= free)
}

/// An amount taken by a holder, returned on drop.
#[must_use]
pub struct Claim {
    budget: Arc<Budget>,
    holder: Holder,
    amount: usize,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.budget.give(self.holder, self.amount);
    }
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Budget({} of {})", self.used(), self.total)
    }
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Claim({} for {:?})", self.amount, self.holder)
    }
}

#[cfg(test)]
mod tests {
    use super::{Claimant::*, *};

    /// A holder, by a hash.
    fn holder(n: u32) -> Holder {
        Holder(n.wrapping_mul(0x9E37_79B1).rotate_left(13) ^ 0x5bd1_e995)
    }

    /// The number of units that a holder can take.
    fn fill(budget: &Budget, holder: Holder, claimant: Claimant) -> usize {
        (0..).take_while(|_| budget.take(holder, 1, claimant)).count()
    }

    #[test]
    fn greedy_holder_leaves_half_to_thousand_others() {
        let budget = Budget::new(8_000);
        let greedy = fill(&budget, holder(0), Ordinary);
        assert!((3_500..=3_502).contains(&greedy), "half of what is not reserved: {greedy}");
        for n in 1..=1_000 {
            assert!(budget.take(holder(n), 3, Ordinary), "holder {n}");
        }
        assert!(!budget.take(holder(0), 1, Ordinary));
    }

    #[test]
    fn ten_greedy_holders_leave_room_for_newcomer() {
        let budget = Budget::without_reserve(8_000);
        for _ in 0..8_000 {
            (0..10).for_each(|n| _ = budget.take(holder(n), 1, Ordinary));
        }
        for n in 0..10 {
            assert!((700..=750).contains(&budget.held(holder(n))), "an eleventh each");
        }
        assert!(budget.take(holder(11), 500, Ordinary));
    }

    #[test]
    fn reserve_is_for_entitled_and_total_is_hard() {
        let budget = Budget::new(80);
        (0..70).for_each(|n| assert!(budget.take(holder(n), 1, Ordinary)));
        assert!(!budget.take(holder(99), 1, Ordinary));
        assert_eq!(fill(&budget, holder(99), Entitled), 10);
        assert_eq!(budget.used(), 80);
    }

    #[test]
    fn preferred_claims_reach_into_the_reserve_and_keep_to_half() {
        let budget = Budget::new(8_000);
        let ordinary = fill(&budget, holder(0), Ordinary);
        let preferred = fill(&budget, holder(0), Preferred);
        assert!((4_000..=4_001).contains(&(ordinary + preferred)), "{ordinary} and {preferred}");
        assert!(preferred >= 499 && fill(&budget, holder(1), Ordinary) > 1_000);
    }

    #[test]
    fn budget_of_one_admits_one() {
        let budget = Budget::new(1);
        let claim = budget.claim(holder(1), 1, Ordinary).expect("there is room");
        assert!(budget.claim(holder(2), 1, Ordinary).is_none());
        drop(claim);
        assert!(budget.claim(holder(2), 1, Ordinary).is_some());
    }

    #[test]
    fn returned_amount_leaves_no_trace() {
        let budget = Budget::new(1_000);
        let claims: Vec<_> = (0..100).map(|n| budget.claim(holder(n), 5, Ordinary)).collect();
        assert!(budget.take(holder(7), 3, Ordinary));
        budget.give(holder(7), 3);
        assert_eq!(budget.used(), 500);
        drop(claims);
        assert_eq!(budget.used(), 0);
        assert!((0..100).all(|n| budget.held(holder(n)) == 0));
    }

    #[test]
    fn refused_claim_takes_nothing() {
        let budget = Budget::new(10);
        assert!(!budget.take(holder(1), 11, Ordinary) && !budget.take(holder(1), 11, Entitled));
        assert_eq!((budget.used(), budget.held(holder(1))), (0, 0));
    }
}
