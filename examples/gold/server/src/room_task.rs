//! One task for each open room: takes inputs one at a time, saves each, then publishes what it did.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::value::to_raw_value;
use tautline_gateway::{CallError, ChannelName, ErrorBody, ErrorCode, Gateway, MemberState, PublishOptions};
use tautline_gold_rules::{Entry, Event, Input, Phase, Room, View, What};
use tokio::{
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval, sleep},
};
use tracing::{error, warn};

use crate::{
    journal::{Journal, NotSaved},
    presence::{Attendance, Seen},
    room_clock::RoomClock,
    seats::Seats,
    store::{Store, StoreError},
};

/// How often a room looks who is there.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a room waits before it tries again to publish, or to save; twice as long each time,
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// but no longer than this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);
/// The idempotency key of the end that is published where the channel has other events than the room. No number of an event.
const KEY_OF_BROKEN_END: &str = "end";

/// An input, and where its answer goes.
pub(crate) struct Command {
    pub(crate) input: Input,
    pub(crate) answer: oneshot::Sender<Result<u64, CallError>>,
}

/// What a room's task has to do first.
pub(crate) struct Start {
    /// Events that may not be published.
    pub(crate) unpublished: Vec<Event>,
    /// Whether the room was open before.
    pub(crate) is_resumed: bool,
}

/// A room that is open.
pub(crate) struct RoomTask {
    pub(crate) room: Room,
    pub(crate) clock: RoomClock,
    pub(crate) name: Arc<str>,
    pub(crate) channel: ChannelName,
    /// Inputs that are saved.
    pub(crate) saved: u32,
    /// Its events cannot be published any more.
    pub(crate) is_broken: bool,
    /// What others may read of it.
    pub(crate) view: Arc<Mutex<View>>,
    pub(crate) gateway: Gateway,
    pub(crate) journal: Journal,
    pub(crate) store: Store,
    pub(crate) seats: Arc<Seats>,
}

impl RoomTask {
    /// Runs until the game is over and its results are saved.
    pub(crate) async fn run(mut self, start: Start, mut commands: mpsc::Receiver<Command>) {
        self.publish(&start.unpublished).await;
        if start.is_resumed {
            self.insist(Input::Restart).await;
        }
        let mut attendance = Attendance::default();
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.is_broken
            && let Some(deadline) = self.room.deadline()
        {
            let until_due = Duration::from_millis(deadline.saturating_sub(self.clock.now()));
            tokio::select! {
                command = commands.recv() => {
                    let Some(Command { input, answer }) = command else { return };
                    // A caller that no longer waits calls again.
                    let _ = answer.send(self.take(input).await);
                }
                () = sleep(until_due) => self.insist(Input::Tick).await,
                _ = looks.tick() => self.look(&mut attendance).await,
            }
        }
        if self.is_broken {
            self.insist(Input::BreakOff).await;
            self.publish_broken_end().await;
        }
        self.end().await;
    }

    /// An input of a player, for whom a seat is kept from before the room knows.
    async fn take(&mut self, input: Input) -> Result<u64, CallError> {
        let Input::Join { player, .. } = &input else { return self.apply(input).await };
        let player = player.clone();
        self.seats.take(&player, &self.name).map_err(|error| CallError::new("limit", error.to_string()))?;
        let outcome = self.apply(input).await;
        if !self.room.has_seat(&player) {
            self.seats.give_up(&player, &self.name);
        }
        outcome
    }

    /// An input that nobody calls again. An input that is refused is done.
    async fn insist(&mut self, input: Input) {
        let mut wait = Wait::default();
        while self.apply(input.clone()).await.is_err_and(|error| error.code == ErrorCode::Unavailable) {
            wait.a_while().await;
        }
    }

    /// Nothing has happened before it is saved, and nobody hears of it before.
    async fn apply(&mut self, input: Input) -> Result<u64, CallError> {
        let unavailable = |error: &dyn std::error::Error| CallError::new("unavailable", error.to_string());
        let at = self.clock.now();
        let mut next = self.room.clone();
        let mut outcome = next.apply(at, &input);
        if !outcome.events.is_empty() {
            let entry = Entry { at, input };
            match self.journal.append(&self.name, self.saved, &entry).await {
                Ok(()) => {}
                Err(NotSaved::Taken) => {
                    self.read_again().await.map_err(|error| unavailable(&error))?;
                    next = self.room.clone();
                    outcome = next.apply(at, &entry.input);
                    if !outcome.events.is_empty() {
                        let saved = self.journal.append(&self.name, self.saved, &entry).await;
                        saved.map_err(|error| unavailable(&error))?;
                    }
                }
                Err(error) => return Err(unavailable(&error)),
            }
        }
        if !outcome.events.is_empty() {
            self.saved += 1;
            self.show(next);
            self.publish(&outcome.events).await;
        }
        let refused =
            |refusal: tautline_gold_rules::Refusal| CallError::new(refusal.code(), refusal.to_string());
        outcome.verdict.map(|()| self.room.view().n).map_err(refused)
    }

    /// What is saved is what happened: an input whose answer was lost, too.
    async fn read_again(&mut self) -> Result<(), StoreError> {
        let Some(stored) = self.store.room(&self.name).await? else { return Ok(()) };
        warn!(room = %self.name, "the room is further than its task knows; it is read again");
        let saved = u32::try_from(stored.log.len()).unwrap_or(u32::MAX);
        let Ok((room, events)) = stored.replay() else { return Ok(()) };
        let known = self.room.view().n;
        self.saved = saved;
        self.show(room);
        let new: Vec<_> = events.into_iter().filter(|event| event.n > known).collect();
        self.publish(&new).await;
        Ok(())
    }

    fn show(&mut self, room: Room) {
        self.room = room;
        for seat in self.room.view().seats.iter().filter(|seat| seat.has_left) {
            self.seats.give_up(&seat.player, &self.name);
        }
        *self.view.lock().unwrap_or_else(PoisonError::into_inner) = self.room.view().clone();
    }

    /// In order, each once: the key makes a repetition harmless, also after a restart. Where the channel refuses an event for
    /// good, the room is broken.
    async fn publish(&mut self, events: &[Event]) {
        for event in events {
            if self.is_broken {
                return;
            }
            if let Err(error) = self.publish_one(event, &event.n.to_string()).await {
                error!(room = %self.name, n = event.n, code = %error.code, "an event is refused for good; the game ends");
                self.is_broken = true;
            }
        }
    }

    /// Tells those who have heard something else that it is over, and that the truth is in `gold.view`.
    async fn publish_broken_end(&self) {
        let view = self.room.view();
        let Phase::Over { why } = view.phase else { return };
        let end = Event { n: view.n, at: self.room.last_at(), what: What::Ended { why } };
        if let Err(error) = self.publish_one(&end, KEY_OF_BROKEN_END).await {
            error!(room = %self.name, code = %error.code, "the end of a broken game could not be published");
        }
    }

    /// Goes on until it is published, or refused for good.
    async fn publish_one(&self, event: &Event, key: &str) -> Result<(), ErrorBody> {
        let data = to_raw_value(event).expect("events are written as JSON");
        let options = || PublishOptions { idempotency_key: Some(key), ..PublishOptions::default() };
        let mut wait = Wait::default();
        while let Err(error) = self.gateway.publish(&self.channel, &data, options()).await {
            if !may_help_to_try_again(&error.code) {
                return Err(error);
            }
            warn!(room = %self.name, n = event.n, code = %error.code, "an event could not be published; trying again");
            wait.a_while().await;
        }
        Ok(())
    }

    async fn end(&self) {
        let mut wait = Wait::default();
        let results = self.room.results();
        while let Err(error) = self.store.end_room(&self.name, &results, self.room.last_at()).await {
            warn!(
                error = &error as &dyn std::error::Error,
                "the results of a room could not be saved; trying again"
            );
            wait.a_while().await;
        }
    }

    async fn look(&mut self, attendance: &mut Attendance) {
        let channel = std::slice::from_ref(&self.channel);
        let roster = self.gateway.control(|control, _| control.rosters(channel)).pop().flatten();
        let (members, count) = roster.map(|roster| (roster.members, roster.count)).unwrap_or_default();
        let is_whole = members.len() == count;
        let seen = |player: &str| {
            let own = || members.iter().filter(|member| member.user.as_deref() == Some(player));
            if own().any(|member| member.state == MemberState::Online) {
                Seen::Online
            } else if own().next().is_some() {
                Seen::Parked
            } else if is_whole {
                Seen::Missing
            } else {
                // In a room with so many spectators nobody can be missed.
                Seen::Online
            }
        };
        for input in attendance.look(&self.room.view().seats, seen) {
            // A seat that was given up meanwhile; or not saved, and seen again at the next look.
            drop(self.apply(input).await);
        }
    }
}

/// Of a publication under an idempotency key.
fn may_help_to_try_again(code: &ErrorCode) -> bool {
    use ErrorCode::{InDoubt, Limit, Overloaded, RateLimited, Timeout, Unavailable};
    matches!(code, InDoubt | Limit | Overloaded | RateLimited | Timeout | Unavailable)
}

/// Waits, twice as long each time.
struct Wait(Duration);

impl Default for Wait {
    fn default() -> Self {
        Self(RETRY_AFTER)
    }
}

impl Wait {
    async fn a_while(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(RETRY_AFTER_MAX);
    }
}
