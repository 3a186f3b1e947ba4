//! All rooms: those that are open have a task, the others are in the store.

use std::{
    collections::{HashMap, hash_map},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tautline_gateway::{CallError, Gateway};
use tautline_gold_rules::{Entry, Event, Input, Phase, Room, Settings, View};
use tokio::sync::{mpsc, oneshot};

use crate::{
    channel_of,
    journal::Journal,
    room_task::{Command, RoomTask},
    store::{Store, StoreError, StoredRoom},
    wall_ms,
};

/// Rooms that may be open; beyond it no new one is.
const OPEN_ROOMS_MAX: usize = 10_000;
/// Inputs that may wait for a room; beyond it callers are told `overloaded`.
const COMMANDS_MAX: usize = 32;
/// Rooms that a list shows.
const LISTED_MAX: usize = 50;

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
}

impl Rooms {
    /// Opens the rooms of before: replayed, told of the restart, and published from their beginning.
    pub(crate) async fn start(gateway: Gateway, store: Store) -> anyhow::Result<Self> {
        let journal = Journal::start(store.clone());
        let rooms = Self(Arc::new(Inner { open: Mutex::default(), gateway, journal, store }));
        for room in rooms.0.store.open_rooms().await? {
            rooms.resume(&room).await?;
        }
        Ok(rooms)
    }

    async fn resume(&self, name: &str) -> anyhow::Result<()> {
        let Some(stored) = self.0.store.room(name).await? else { return Ok(()) };
        let (mut room, mut events) =
            Room::replay(stored.settings, stored.seed, stored.opened_at, &stored.log)?;
        let mut saved = u32::try_from(stored.log.len()).unwrap_or(u32::MAX);
        let entry = Entry { at: wall_ms(), input: Input::Restart };
        let restarted = room.apply(entry.at, &entry.input).events;
        if !restarted.is_empty() {
            self.0.journal.append(&Arc::from(name), saved, &entry).await?;
            saved += 1;
            events.extend(restarted);
        }
        self.spawn(name, room, saved, events).map_err(|error| anyhow::anyhow!("{error}"))
    }

    fn spawn(&self, name: &str, room: Room, saved: u32, events: Vec<Event>) -> Result<(), CallError> {
        let channel = channel_of(name).map_err(|error| CallError::new("bad_request", error))?;
        let view = Arc::new(Mutex::new(room.view().clone()));
        let (sender, receiver) = mpsc::channel(COMMANDS_MAX);
        match self.open().entry(name.to_owned()) {
            // Opened twice at the same moment: one task is enough.
            hash_map::Entry::Occupied(_) => return Ok(()),
            hash_map::Entry::Vacant(place) => {
                place.insert(Open { commands: sender, view: Arc::clone(&view) })
            }
        };
        let task = RoomTask {
            room,
            name: Arc::from(name),
            channel,
            saved,
            view,
            gateway: self.0.gateway.clone(),
            journal: self.0.journal.clone(),
            store: self.0.store.clone(),
        };
        let (rooms, name) = (self.clone(), name.to_owned());
        tokio::spawn(async move {
            task.run(events, receiver).await;
            rooms.open().remove(&name);
        });
        Ok(())
    }

    /// A new room; the one of before, where it is opened again under the same name.
    pub(crate) async fn open_room(&self, name: &str, settings: Settings) -> Result<(), CallError> {
        if self.open().len() >= OPEN_ROOMS_MAX {
            return Err(CallError::new("overloaded", "too many rooms are open: join one of them"));
        }
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|error| CallError::new("internal", error.to_string()))?;
        let (seed, opened_at) = (u64::from_ne_bytes(seed), wall_ms());
        let bad = |error: tautline_gold_rules::BadSettings| CallError::new("bad_request", error.to_string());
        let (room, opened) = Room::open(settings, seed, opened_at).map_err(bad)?;
        let stored = StoredRoom { room: name.to_owned(), settings, seed, opened_at, log: Vec::new() };
        if self.0.store.add_room(&stored).await.map_err(|error| unavailable(&error))? {
            return self.spawn(name, room, 0, vec![opened]);
        }
        self.open_again(name).await
    }

    /// A room that was added by a call which ended before the room had its task.
    async fn open_again(&self, name: &str) -> Result<(), CallError> {
        if self.open().contains_key(name) {
            return Ok(());
        }
        let stored = self.0.store.room(name).await.map_err(|error| unavailable(&error))?;
        let Some(stored) = stored.filter(|stored| stored.log.is_empty()) else { return Ok(()) };
        let replayed = Room::replay(stored.settings, stored.seed, stored.opened_at, &stored.log);
        let (room, events) = replayed.map_err(|error| CallError::new("internal", error.to_string()))?;
        self.spawn(name, room, 0, events)
    }

    /// Puts an input to a room. Gives the number of the room's last event.
    pub(crate) async fn apply(&self, name: &str, input: Input) -> Result<u64, CallError> {
        let sender = self.open().get(name).map(|open| open.commands.clone());
        if let Some(sender) = sender {
            let (answer, answered) = oneshot::channel();
            match sender.try_send(Command { input: input.clone(), answer }) {
                Ok(()) => {
                    if let Ok(result) = answered.await {
                        return result;
                    }
                }
                Err(mpsc::error::TrySendError::Full(_)) => {
                    return Err(CallError::new("overloaded", "too many moves wait in this room"));
                }
                Err(mpsc::error::TrySendError::Closed(_)) => {}
            }
        }
        // It is over, or about to be: the same dig again is still no mistake.
        let mut room = self.stored(name).await?;
        if room.deadline().is_some() {
            return Err(CallError::new("unavailable", "this room is not open at the moment: try again"));
        }
        let verdict = room.apply(0, &input).verdict;
        verdict.map(|()| room.view().n).map_err(|refusal| CallError::new(refusal.code(), refusal.to_string()))
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
        let replayed = Room::replay(stored.settings, stored.seed, stored.opened_at, &stored.log);
        replayed.map(|(room, _)| room).map_err(|error| CallError::new("internal", error.to_string()))
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, Open>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
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
