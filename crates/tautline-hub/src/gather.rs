//! Collects the outcomes of several jobs, and passes them on together.
//!
//! Start at [`gather`].

use std::sync::Arc;

use crate::sync::{Mutex, lock};

/// Takes one outcome, from any thread.
type Slot<T> = Box<dyn FnOnce(T) + Send>;

struct State<T> {
    outcomes: Vec<Option<T>>,
    left: usize,
    done: Option<Box<dyn FnOnce(Vec<T>) + Send>>,
}

/// Slots for so many outcomes. Once each was given its own, `done` is called with all of them, in the order of
/// the slots; without slots at once.
pub(crate) fn gather<T: Send + 'static>(
    count: usize,
    done: impl FnOnce(Vec<T>) + Send + 'static,
) -> Vec<Slot<T>> {
    if count == 0 {
        done(Vec::new());
        return Vec::new();
    }
    let outcomes = (0..count).map(|_| None).collect();
    let state = Arc::new(Mutex::new(State { outcomes, left: count, done: Some(Box::new(done)) }));
    let slot = |number: usize| -> Slot<T> {
        let state = Arc::clone(&state);
        Box::new(move |outcome| fill(&state, number, outcome))
    };
    (0..count).map(slot).collect()
}

fn fill<T>(state: &Mutex<State<T>>, number: usize, outcome: T) {
    let mut state = lock(state);
    state.outcomes[number] = Some(outcome);
    state.left -= 1;
    if state.left > 0 {
        return;
    }
    let outcomes = std::mem::take(&mut state.outcomes).into_iter().flatten().collect();
    let done = state.done.take();
    // Outside of the lock: it may ask for more.
    drop(state);
    if let Some(done) = done {
        done(outcomes);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn outcomes_come_together_in_the_order_of_slots() {
        let (tell, told) = mpsc::channel();
        let mut slots = gather(3, move |all: Vec<u32>| drop(tell.send(all)));
        slots.pop().expect("three")(3);
        slots.remove(0)(1);
        assert!(told.try_recv().is_err(), "one is missing");
        slots.remove(0)(2);
        assert_eq!(told.try_recv(), Ok(vec![1, 2, 3]));
    }

    #[test]
    fn nothing_to_wait_for_is_done_at_once() {
        let (tell, told) = mpsc::channel();
        assert!(gather(0, move |all: Vec<u32>| drop(tell.send(all))).is_empty());
        assert_eq!(told.try_recv(), Ok(Vec::new()));
    }
}
