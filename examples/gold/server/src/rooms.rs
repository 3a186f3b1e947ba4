//! All rooms: those that are open have a task, the others are in the store.

use std::{
    collections::{HashMap, hash_map},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tautline_gateway::{CallError, Gateway};
use tautline_gold_rules::{Input, Phase, Room, Settings, View};
use tokio::{
    sync::{mpsc, oneshot},
    time::interval,
};
use tracing::{error, info};

use crate::{
    Limits, channel_of,
    journal::Journal,
    room_clock::RoomClock,
    room_task::{Command, RoomTask, Start},
    seats::Seats,
    store::{Store, StoreError, StoredRoom},
    wall_ms,
};

/// Inputs that may wait for a room; beyond it callers are told `overloaded`.
const COMMANDS_MAX: usize = 32;
/// Rooms that a list shows.
const LISTED_MAX: usize = 50;
/// How often rooms that were kept long enough are deleted.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// An open room in a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoomSummary {
    /// The room.
    pub room: String,
    /// Its field and seats.
    pub settings: Settings,
    /// Whether players can still join.
    pub is_waiting: bool,
    /// The names of those who have a seat.
    pub players: Vec<String>,
    /// Gold that nobody has found.
    pub gold_left: u32,
}

struct Open {
    commands: mpsc::Sender<Command>,
    view: Arc<Mutex<View>>,
}

/// The rooms. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Rooms(Arc<Inner>);

struct Inner {
    open: Mutex<HashMap<String, Open>>,
    gateway: Gateway,
    journal: Journal,
    store: Store,
    seats: Arc<Seats>,
    limits: Limits,
}

impl Rooms {
    /// Opens the rooms of before: replayed, told of the restart, and published from their beginning.
    pub(crate) async fn start(gateway: Gateway, store: Store, limits: Limits) -> Result<Self, StoreError> {
        let journal = Journal::start(store.clone());
        let seats = Arc::new(Seats::new(limits.rooms_per_player_max));
        let rooms = Self(Arc::new(Inner { open: Mutex::default(), gateway, journal, store, seats, limits }));
        for room in rooms.0.store.open_rooms().await? {
            match rooms.resume(&room).await {
                // One room that cannot be read is no reason to have none.
                Err(error @ (StoreError::Row(_) | StoreError::Room(_))) => {
                    error!(%room, error = &error as &dyn std::error::Error, "a room cannot be read and is given up");
                    rooms.0.store.end_room(&room, &[], wall_ms()).await?;
                }
                resumed => resumed?,
            }
        }
        tokio::spawn(rooms.clone().sweep());
        Ok(rooms)
    }

    async fn sweep(self) {
        let mut times = interval(SWEEP_EVERY);
        loop {
            times.tick().await;
            match self.0.store.sweep(&self.0.limits, wall_ms()).await {
                Ok(0) => {}
                Ok(rooms) => info!(rooms, "deleted rooms that were kept long enough"),
                Err(error) => error!(
                    error = &error as &dyn std::error::Error,
                    "rooms could not be deleted; the next time they may be"
                ),
            }
        }
    }

    /// Gives a room that is not over a task, where it has none.
    async fn resume(&self, name: &str) -> Result<(), StoreError> {
        let Some(stored) = self.0.store.room(name).await? else { return Ok(()) };
        let (room, unpublished) = stored.replay()?;
        for seat in room.view().seats.iter().filter(|seat| !seat.has_left) {
            self.0.seats.keep(&seat.player, name);
        }
        let saved = u32::try_from(stored.log.len()).unwrap_or(u32::MAX);
        self.spawn(name, room, saved, Start { unpublished, is_resumed: true });
        Ok(())
    }

    fn spawn(&self, name: &str, room: Room, saved: u32, start: Start) {
        let channel = channel_of(name).expect("names of rooms are letters and digits");
        let view = Arc::new(Mutex::new(room.view().clone()));
        let (sender, receiver) = mpsc::channel(COMMANDS_MAX);
        match self.open().entry(name.to_owned()) {
            // Opened twice at the same moment: one task is enough.
            hash_map::Entry::Occupied(_) => return,
            hash_map::Entry::Vacant(place) => {
                place.insert(Open { commands: sender, view: Arc::clone(&view) })
            }
        };
        let task = RoomTask {
            clock: RoomClock::start(room.last_at()),
            room,
            name: Arc::from(name),
            channel,
            saved,
            is_broken: false,
            view,
            gateway: self.0.gateway.clone(),
            journal: self.0.journal.clone(),
            store: self.0.store.clone(),
            seats: Arc::clone(&self.0.seats),
        };
        let place = Place { rooms: self.clone(), name: name.to_owned() };
        tokio::spawn(async move {
            // Also where the task panics: the next input resumes the room.
            let _place = place;
            task.run(start, receiver).await;
        });
    }

    /// A new room, in which a seat is kept for `player`; the one of before, where it is opened again under the same name.
    pub(crate) async fn open_room(
        &self,
        name: &str,
        player: &str,
        settings: Settings,
    ) -> Result<(), CallError> {
        if self.open().len() >= self.0.limits.open_rooms_max {
            return Err(CallError::new("overloaded", "too many rooms are open: join one of them"));
        }
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|error| CallError::new("internal", error.to_string()))?;
        let (seed, opened_at) = (u64::from_ne_bytes(seed), wall_ms());
        let bad = |error: tautline_gold_rules::BadSettings| CallError::new("bad_request", error.to_string());
        let (room, opened) = Room::open(settings, seed, opened_at).map_err(bad)?;
        if self.open().contains_key(name) {
            return Ok(());
        }
        self.0.seats.take(player, name).map_err(|error| CallError::new("limit", error.to_string()))?;
        let stored = StoredRoom { room: name.to_owned(), settings, seed, opened_at, log: Vec::new() };
        let start = Start { unpublished: vec![opened], is_resumed: false };
        // Goes on where the caller is cut off: a room in the store has a task.
        let adding = tokio::spawn(self.clone().add(stored, room, start, player.to_owned()));
        adding.await.map_err(|error| CallError::new("internal", error.to_string()))?
    }

    async fn add(
        self,
        stored: StoredRoom,
        room: Room,
        start: Start,
        player: String,
    ) -> Result<(), CallError> {
        let name = &stored.room;
        let added = self.0.store.add_room(&stored).await;
        if added.as_ref().is_ok_and(|is_new| *is_new) {
            self.spawn(name, room, 0, start);
            return Ok(());
        }
        // A room of an earlier call has seats of its own.
        if !self.open().contains_key(name) {
            self.0.seats.give_up(&player, name);
        }
        added.map(drop).map_err(|error| unavailable(&error))
    }

    /// Puts an input to a room. Gives the number of the room's last event.
    pub(crate) async fn apply(&self, name: &str, input: Input) -> Result<u64, CallError> {
        for _ in 0..2 {
            if let Some(result) = self.apply_to_open(name, &input).await {
                return result;
            }
            // It is over, or about to be: the same dig again is still no mistake.
            let mut room = self.stored(name).await?;
            if room.deadline().is_none() {
                let verdict = room.apply(0, &input).verdict;
                let refused = |refusal: tautline_gold_rules::Refusal| {
                    CallError::new(refusal.code(), refusal.to_string())
                };
                return verdict.map(|()| room.view().n).map_err(refused);
            }
            // Its task has failed, or the call that opened it was cut off.
            self.resume(name).await.map_err(|error| unavailable(&error))?;
        }
        Err(CallError::new("unavailable", "this room is not open at the moment: try again"))
    }

    async fn apply_to_open(&self, name: &str, input: &Input) -> Option<Result<u64, CallError>> {
        let sender = self.open().get(name).map(|open| open.commands.clone())?;
        let (answer, answered) = oneshot::channel();
        match sender.try_send(Command { input: input.clone(), answer }) {
            Ok(()) => answered.await.ok(),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Some(Err(CallError::new("overloaded", "too many moves wait in this room")))
            }
            Err(mpsc::error::TrySendError::Closed(_)) => None,
        }
    }

    /// What players and spectators see of a room, open or not.
    pub(crate) async fn view(&self, name: &str) -> Result<View, CallError> {
        let open = self.open().get(name).map(|open| Arc::clone(&open.view));
        match open {
            Some(view) => Ok(view.lock().unwrap_or_else(PoisonError::into_inner).clone()),
            None => Ok(self.stored(name).await?.view().clone()),
        }
    }

    /// Open rooms: those that wait for players first.
    pub(crate) fn list(&self) -> Vec<RoomSummary> {
        let mut rooms: Vec<_> = self
            .open()
            .iter()
            .map(|(name, open)| summary(name, &open.view.lock().unwrap_or_else(PoisonError::into_inner)))
            .collect();
        rooms.sort_by(|one, other| (!one.is_waiting, &one.room).cmp(&(!other.is_waiting, &other.room)));
        rooms.truncate(LISTED_MAX);
        rooms
    }

    async fn stored(&self, name: &str) -> Result<Room, CallError> {
        let stored = self.0.store.room(name).await.map_err(|error| unavailable(&error))?;
        let stored = stored.ok_or_else(|| CallError::new("not_found", "there is no such room"))?;
        let replayed = stored.replay();
        replayed.map(|(room, _)| room).map_err(|error| CallError::new("internal", error.to_string()))
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, Open>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a room among those that are open.
struct Place {
    rooms: Rooms,
    name: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.rooms.open().remove(&self.name);
        self.rooms.0.seats.give_up_all(&self.name);
    }
}

fn summary(name: &str, view: &View) -> RoomSummary {
    let here = view.seats.iter().filter(|seat| !seat.has_left);
    RoomSummary {
        room: name.to_owned(),
        settings: view.settings,
        is_waiting: view.phase == Phase::Waiting,
        players: here.map(|seat| seat.name.clone()).collect(),
        gold_left: view.gold_left(),
    }
}

fn unavailable(error: &StoreError) -> CallError {
    tracing::error!(error = error as &dyn std::error::Error, "a call of the game failed");
    CallError::new("unavailable", "the game cannot read or write its rooms now")
}

#[cfg(test)]
mod tests;
