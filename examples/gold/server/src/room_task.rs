//! One task for each open room: takes inputs one at a time, saves each, then publishes what it did.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::value::to_raw_value;
use tautline_gateway::{CallError, ChannelName, Gateway, MemberState, PublishOptions};
use tautline_gold_rules::{Entry, Event, Input, Room, View};
use tokio::{
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval, sleep},
};
use tracing::warn;

use crate::{
    journal::Journal,
    presence::{Attendance, Seen},
    store::Store,
    wall_ms,
};

/// How often a room looks who is there.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a room waits before it tries again to publish, or to save its end.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// An open room sleeps no longer than this, so that a wall clock that is set does not hold a turn up.
const SLEEP_MS_MAX: u64 = 1_000;

/// An input, and where its answer goes.
pub(crate) struct Command {
    pub(crate) input: Input,
    pub(crate) answer: oneshot::Sender<Result<u64, CallError>>,
}

/// A room that is open.
pub(crate) struct RoomTask {
    pub(crate) room: Room,
    pub(crate) name: Arc<str>,
    pub(crate) channel: ChannelName,
    /// Inputs that are saved.
    pub(crate) saved: u32,
    /// What others may read of it.
    pub(crate) view: Arc<Mutex<View>>,
    pub(crate) gateway: Gateway,
    pub(crate) journal: Journal,
    pub(crate) store: Store,
}

impl RoomTask {
    /// Runs until the game is over and its results are saved. `unpublished` are events of before.
    pub(crate) async fn run(mut self, unpublished: Vec<Event>, mut commands: mpsc::Receiver<Command>) {
        self.publish(&unpublished).await;
        let mut attendance = Attendance::default();
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while let Some(deadline) = self.room.deadline() {
            let until_due = Duration::from_millis(deadline.saturating_sub(wall_ms()).min(SLEEP_MS_MAX));
            tokio::select! {
                command = commands.recv() => {
                    let Some(Command { input, answer }) = command else { return };
                    // A caller that no longer waits calls again.
                    let _ = answer.send(self.apply(input).await);
                }
                () = sleep(until_due) => {
                    if self.apply(Input::Tick).await.is_err() {
                        sleep(RETRY_AFTER).await;
                    }
                }
                _ = looks.tick() => self.look(&mut attendance).await,
            }
        }
        while let Err(error) = self.store.end_room(&self.name, self.room.view(), wall_ms()).await {
            warn!(
                error = &error as &dyn std::error::Error,
                "the results of a room could not be saved; trying again"
            );
            sleep(RETRY_AFTER).await;
        }
    }

    /// Nothing has happened before it is saved, and nobody hears of it before.
    async fn apply(&mut self, input: Input) -> Result<u64, CallError> {
        let at = wall_ms();
        let mut next = self.room.clone();
        let outcome = next.apply(at, &input);
        if !outcome.events.is_empty() {
            let unavailable = |error| CallError::new("unavailable", format!("{error}"));
            let entry = Entry { at, input };
            self.journal.append(&self.name, self.saved, &entry).await.map_err(unavailable)?;
            self.saved += 1;
            self.room = next;
            *self.view.lock().unwrap_or_else(PoisonError::into_inner) = self.room.view().clone();
            self.publish(&outcome.events).await;
        }
        let refused =
            |refusal: tautline_gold_rules::Refusal| CallError::new(refusal.code(), refusal.to_string());
        outcome.verdict.map(|()| self.room.view().n).map_err(refused)
    }

    /// In order, each once: the key makes a repetition harmless, also after a restart.
    async fn publish(&self, events: &[Event]) {
        for event in events {
            let data = to_raw_value(event).expect("events are written as JSON");
            let key = event.n.to_string();
            let options = || PublishOptions { idempotency_key: Some(&key), ..PublishOptions::default() };
            while let Err(error) = self.gateway.publish(&self.channel, &data, options()).await {
                warn!(room = %self.name, n = event.n, code = %error.code, "an event could not be published; trying again");
                sleep(RETRY_AFTER).await;
            }
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
