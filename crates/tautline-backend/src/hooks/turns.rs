//! Turns of the questions of a hook: so many run at once, others wait, and users take turns.
//!
//! Start at [`Turns::take`]. A user, or an address of guests, runs at most as many questions as places are left to
//! others, so that slow ones of one user do not hold up all.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tautline_hub::budget::Holder;
use tokio::{sync::oneshot, time::Instant};

/// The places of a hook.
pub(super) struct Turns(Arc<Inner>);

struct Inner {
    running_max: usize,
    waiting_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: usize,
    /// Has no holder that runs nothing.
    running_of: HashMap<Holder, usize>,
    waiting: usize,
    /// Has no empty list.
    waiting_of: HashMap<Holder, VecDeque<Waiter>>,
    /// Each holder that waits, once.
    order: VecDeque<Holder>,
    next_number: u64,
}

struct Waiter {
    number: u64,
    give: oneshot::Sender<Turn>,
}

/// A place of a question that runs.
pub(super) struct Turn {
    turns: Arc<Inner>,
    holder: Holder,
}

/// A place in the queue.
struct Place<'a> {
    turns: &'a Inner,
    holder: Holder,
    number: u64,
}

impl Turns {
    pub(super) fn new(running_max: usize, waiting_max: usize) -> Self {
        Self(Arc::new(Inner { running_max, waiting_max, state: Mutex::default() }))
    }

    /// Questions that run, and that wait.
    pub(super) fn in_use(&self) -> (usize, usize) {
        let state = self.0.lock();
        (state.running, state.waiting)
    }

    /// Waits for a turn; `None` where there is none until then, or no place to wait.
    pub(super) async fn take(&self, holder: Holder, deadline: Instant) -> Option<Turn> {
        let (given, number) = {
            let Inner { running_max, waiting_max, .. } = *self.0;
            let mut state = self.0.lock();
            if state.may_run(holder, running_max) && !state.waiting_of.contains_key(&holder) {
                state.start(holder);
                return Some(Turn { turns: Arc::clone(&self.0), holder });
            }
            state.wait(holder, waiting_max)?
        };
        let _place = Place { turns: &self.0, holder, number };
        tokio::time::timeout_at(deadline, given).await.ok()?.ok()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn may_run(&self, holder: Holder, running_max: usize) -> bool {
        let free = running_max.saturating_sub(self.running);
        free > 0 && self.running_of.get(&holder).is_none_or(|running| *running < free)
    }

    fn start(&mut self, holder: Holder) {
        self.running += 1;
        *self.running_of.entry(holder).or_default() += 1;
    }

    fn end(&mut self, holder: Holder) {
        self.running -= 1;
        if let Some(running) = self.running_of.get_mut(&holder) {
            *running -= 1;
            if *running == 0 {
                self.running_of.remove(&holder);
            }
        }
    }

    /// A place behind the others of its holder, who may have as many as are left to others.
    fn wait(&mut self, holder: Holder, waiting_max: usize) -> Option<(oneshot::Receiver<Turn>, u64)> {
        let left = waiting_max.saturating_sub(self.waiting);
        if left == 0 || self.waiting_of.get(&holder).is_some_and(|list| list.len() >= left) {
            return None;
        }
        let ((give, given), number) = (oneshot::channel(), self.next_number);
        let list = self.waiting_of.entry(holder).or_default();
        if list.is_empty() {
            self.order.push_back(holder);
        }
        list.push_back(Waiter { number, give });
        (self.next_number, self.waiting) = (number + 1, self.waiting + 1);
        Some((given, number))
    }

    /// The next one that may run; it has begun to.
    fn next(&mut self, running_max: usize) -> Option<(Holder, oneshot::Sender<Turn>)> {
        for _ in 0..self.order.len() {
            if self.running >= running_max {
                break;
            }
            let holder = self.order.pop_front()?;
            self.order.push_back(holder);
            if self.may_run(holder, running_max) {
                let number = self.waiting_of.get(&holder)?.front()?.number;
                let waiter = self.remove(holder, number)?;
                self.start(holder);
                return Some((holder, waiter.give));
            }
        }
        None
    }

    fn remove(&mut self, holder: Holder, number: u64) -> Option<Waiter> {
        let list = self.waiting_of.get_mut(&holder)?;
        let index = list.iter().position(|waiter| waiter.number == number)?;
        let waiter = list.remove(index);
        if list.is_empty() {
            self.waiting_of.remove(&holder);
            self.order.retain(|other| *other != holder);
        }
        self.waiting -= 1;
        waiter
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut next = {
            let mut state = self.turns.lock();
            state.end(self.holder);
            // Under the same lock: nobody who has just come passes those who wait.
            state.next(self.turns.running_max)
        };
        while let Some((holder, give)) = next {
            // One that waits no longer drops its turn at once, outside of the lock.
            drop(give.send(Self { turns: Arc::clone(&self.turns), holder }));
            next = self.turns.lock().next(self.turns.running_max);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.turns.lock().remove(self.holder, self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::{Pin, pin},
        task::Poll,
        time::Duration,
    };

    use super::*;

    const ANN: Holder = Holder::of_hash(1);
    const BOB: Holder = Holder::of_hash(2);

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn counts(turns: &Turns) -> (usize, usize, usize, usize) {
        let state = turns.0.lock();
        (state.running, state.running_of.len(), state.waiting, state.order.len() + state.waiting_of.len())
    }

    #[tokio::test(start_paused = true)]
    async fn greedy_user_leaves_half_of_the_turns() {
        let turns = Turns::new(8, 100);
        let mut running = Vec::new();
        for _ in 0..4 {
            running.push(turns.take(ANN, later()).await.unwrap());
        }
        let soon = Instant::now() + Duration::from_secs(1);
        assert!(turns.take(ANN, soon).await.is_none(), "it waits, although places are free");
        for _ in 0..2 {
            running.push(turns.take(BOB, soon).await.unwrap());
        }
        assert_eq!(counts(&turns), (6, 2, 0, 0));
        drop(running);
        assert_eq!(counts(&turns), (0, 0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn users_who_wait_take_turns() {
        let turns = Turns::new(1, 100);
        let first = turns.take(ANN, later()).await.unwrap();
        let mut order = Vec::new();
        let mut waiting: Vec<_> = [("ann 1", ANN), ("ann 2", ANN), ("bob", BOB)]
            .map(|(name, holder)| (name, Box::pin(turns.take(holder, later()))))
            .into();
        for (_, take) in &mut waiting {
            assert!(poll_once(take.as_mut()).await.is_none());
        }
        drop(first);
        while !waiting.is_empty() {
            for index in (0..waiting.len()).rev() {
                if poll_once(waiting[index].1.as_mut()).await.is_some() {
                    order.push(waiting.remove(index).0);
                }
            }
        }
        assert_eq!(order, ["ann 1", "bob", "ann 2"]);
        assert_eq!(counts(&turns), (0, 0, 0, 0));
    }

    /// One poll. The turn that it gives ends at once.
    async fn poll_once(mut take: Pin<&mut impl Future<Output = Option<Turn>>>) -> Option<()> {
        let polled = std::future::poll_fn(|cx| Poll::Ready(take.as_mut().poll(cx))).await;
        match polled {
            Poll::Ready(turn) => {
                drop(turn.expect("a turn"));
                Some(())
            }
            Poll::Pending => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn full_queue_keeps_places_for_others() {
        let turns = Turns::new(1, 4);
        let _running = turns.take(ANN, later()).await.unwrap();
        let soon = Instant::now() + Duration::from_secs(1);
        let ends = tokio::join!(
            async { (turns.take(ANN, soon).await.is_some(), Instant::now() >= soon) },
            async { (turns.take(ANN, soon).await.is_some(), Instant::now() >= soon) },
            async { (turns.take(ANN, soon).await.is_some(), Instant::now() >= soon) },
            async { (turns.take(BOB, soon).await.is_some(), Instant::now() >= soon) },
        );
        assert_eq!(
            ends,
            ((false, true), (false, true), (false, false), (false, true)),
            "the third is refused"
        );
        assert_eq!(counts(&turns), (1, 1, 0, 0), "those that waited in vain are gone");
    }

    #[tokio::test(start_paused = true)]
    async fn dropped_wait_gives_its_turn_on() {
        let turns = Turns::new(1, 4);
        let running = turns.take(ANN, later()).await.unwrap();
        {
            let mut given_up = pin!(turns.take(BOB, later()));
            assert!(poll_once(given_up.as_mut()).await.is_none());
            drop(running);
            assert_eq!(counts(&turns).0, 1, "it is its turn now");
        }
        assert_eq!(counts(&turns), (0, 0, 0, 0));
    }
}
