//! Waits for the answers of many operations together.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The slot of one answer. Dropped without an answer, it leaves `None`.
pub(crate) struct Slot<T> {
    shared: Arc<Shared<T>>,
    index: usize,
}

struct Shared<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    answers: Vec<Option<T>>,
    open: usize,
    done: Option<oneshot::Sender<Vec<Option<T>>>>,
}

/// So many slots, and a future that is ready when all are filled or dropped.
pub(crate) fn gather<T>(count: usize) -> (Vec<Slot<T>>, impl Future<Output = Vec<Option<T>>>) {
    let (sender, receiver) = oneshot::channel();
    let answers = std::iter::repeat_with(|| None).take(count).collect();
    let state = State { answers, open: count, done: Some(sender) };
    let shared = Arc::new(Shared { state: Mutex::new(state) });
    let slots = (0..count).map(|index| Slot { shared: Arc::clone(&shared), index }).collect();
    // Without slots nobody sends.
    (slots, async move { receiver.await.unwrap_or_default() })
}

impl<T> Slot<T> {
    /// Puts the answer into the slot.
    pub(crate) fn fill(self, answer: T) {
        self.state().answers[self.index] = Some(answer);
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        let mut state = self.state();
        state.open -= 1;
        if state.open == 0 {
            let answers = std::mem::take(&mut state.answers);
            if let Some(done) = state.done.take() {
                // The request may be gone.
                drop(done.send(answers));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_keep_their_places_and_dropped_slots_are_none() {
        let (mut slots, all) = gather(3);
        slots.pop().expect("three").fill("last");
        drop(slots.pop());
        slots.pop().expect("one is left").fill("first");
        assert_eq!(all.await, [Some("first"), None, Some("last")]);
        assert_eq!(gather::<u8>(0).1.await, []);
    }
}
