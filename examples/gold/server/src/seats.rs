//! In how many open rooms a player has a seat.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The seats of all open rooms, by player. A seat is taken before the room hears of it, so that calls at the same moment
/// do not get past the limit together.
pub(crate) struct Seats {
    rooms_max: usize,
    taken: Mutex<HashMap<String, Vec<Arc<str>>>>,
}

/// The player has a seat in as many rooms as may be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("you have a seat in {0} rooms: leave one of them first")]
pub(crate) struct TooManyRooms(usize);

impl Seats {
    pub(crate) fn new(rooms_max: usize) -> Self {
        Self { rooms_max, taken: Mutex::default() }
    }

    /// Taking it again changes nothing.
    pub(crate) fn take(&self, player: &str, room: &str) -> Result<(), TooManyRooms> {
        let mut taken = self.taken();
        let rooms = taken.get(player).map_or(&[][..], Vec::as_slice);
        if rooms.iter().any(|known| &**known == room) {
            return Ok(());
        }
        if rooms.len() >= self.rooms_max {
            return Err(TooManyRooms(self.rooms_max));
        }
        taken.entry(player.to_owned()).or_default().push(Arc::from(room));
        Ok(())
    }

    /// A seat that a player has already, whatever the limit is now.
    pub(crate) fn keep(&self, player: &str, room: &str) {
        let mut taken = self.taken();
        let rooms = taken.entry(player.to_owned()).or_default();
        if rooms.iter().all(|known| &**known != room) {
            rooms.push(Arc::from(room));
        }
    }

    pub(crate) fn give_up(&self, player: &str, room: &str) {
        let mut taken = self.taken();
        let Some(rooms) = taken.get_mut(player) else { return };
        rooms.retain(|known| &**known != room);
        if rooms.is_empty() {
            taken.remove(player);
        }
    }

    /// All seats of a room that is over.
    pub(crate) fn give_up_all(&self, room: &str) {
        self.taken().retain(|_, rooms| {
            rooms.retain(|known| &**known != room);
            !rooms.is_empty()
        });
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<String, Vec<Arc<str>>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn player_has_as_many_seats_as_may_be() {
        let seats = Seats::new(2);
        for room in ["a", "b", "a"] {
            assert_eq!(seats.take("ann", room), Ok(()));
        }
        assert_eq!(seats.take("ann", "c"), Err(TooManyRooms(2)));
        assert_eq!(seats.take("bo", "c"), Ok(()));
        seats.give_up("ann", "a");
        assert_eq!(seats.take("ann", "c"), Ok(()));
    }

    #[test]
    fn room_that_is_over_holds_no_seats() {
        let seats = Seats::new(1);
        for player in ["ann", "bo"] {
            assert_eq!(seats.take(player, "a"), Ok(()));
        }
        seats.keep("ann", "b");
        seats.give_up_all("a");
        assert_eq!(seats.take("bo", "c"), Ok(()));
        assert_eq!(seats.take("ann", "c"), Err(TooManyRooms(1)));
        seats.give_up_all("b");
        seats.give_up_all("c");
        assert!(seats.taken().is_empty());
    }
}
