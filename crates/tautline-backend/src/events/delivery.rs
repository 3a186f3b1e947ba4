//! What a webhook does next: read its log, send a batch, wait, save its position.
//!
//! Start at [`Delivery::poll`]. Pure: each call is told the time. The cursor moves only when the receiver has taken
//! a batch, so each event arrives at least once, and none before the ones in front of it.

use std::{collections::VecDeque, sync::Arc};

use serde::Serialize;
use tautline_hub::{EventLogStanding, EventPage, Position, StoredEvent};
use tautline_protocol::Now;

/// The wait before each attempt, in milliseconds: the schedule of Standard Webhooks. After the last one the webhook
/// is off until an operator acts.
pub(super) const SCHEDULE_MS: [u64; 10] = [
    0,
    5_000,
    5 * MINUTE_MS,
    30 * MINUTE_MS,
    2 * HOUR_MS,
    5 * HOUR_MS,
    10 * HOUR_MS,
    14 * HOUR_MS,
    20 * HOUR_MS,
    24 * HOUR_MS,
];
const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
/// The longest `Retry-After` that is obeyed.
const RETRY_AFTER_MS_MAX: u64 = HOUR_MS;
/// The first and the longest pause between requests to a receiver that asks for fewer of them.
const PACE_MS_MIN: u64 = 1_000;
const PACE_MS_MAX: u64 = 5 * MINUTE_MS;
/// How often the position is saved while events flow.
const SAVE_EVERY_MS: u64 = 1_000;
/// The wait after the engine could not answer.
const ENGINE_RETRY_MS: u64 = 1_000;

/// What the receiver, or the network, made of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A status of the receiver, with its `Retry-After`.
    Answered { status: u16, retry_after_ms: Option<u64> },
    /// There was no answer.
    Failed(String),
}

/// Whether a webhook delivers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookState {
    /// It delivers, or waits for events.
    Active,
    /// The receiver does not take an event: it is tried again.
    Retrying,
    /// The receiver has answered 410, or failed through the whole schedule. Its events stay in the log until an
    /// operator resumes it.
    Off,
}

/// How a webhook stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WebhookFigures {
    /// The name of the webhook.
    pub name: String,
    /// Whether it delivers.
    pub state: WebhookState,
    /// The last event that the receiver has taken.
    pub offset: u64,
    /// Events in the log that it has not.
    pub lag: u64,
    /// How old the first of them is, in milliseconds.
    pub lag_ms: u64,
    /// Attempts in a row that failed.
    pub failures: usize,
    /// Milliseconds until the next attempt.
    pub retry_in_ms: Option<u64>,
    /// What became of the last attempt that failed since the last success.
    pub last_error: Option<String>,
    /// Events that expired before the receiver took them.
    pub expired: u64,
    /// Events dropped before they were stored, for lack of room.
    pub lost: u64,
    /// Events that the engine has not stored.
    pub waiting: usize,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask the log how it stands: [`Delivery::on_standing`].
    Ask,
    /// Read the log behind an offset: [`Delivery::on_page`].
    Read { after: u64 },
    /// Send these: [`Delivery::on_outcome`].
    Send(Batch),
    /// Have the engine keep the position: [`Delivery::on_saved`].
    Save { epoch: Arc<str>, offset: u64 },
    /// Wait until this moment, in monotonic milliseconds, or for an event or a command.
    Wait { until_ms: Option<u64> },
}

/// Events of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) epoch: Arc<str>,
    /// Events that expired just before the first one.
    pub(super) expired: u64,
    pub(super) events: Vec<StoredEvent>,
}

/// The state of one webhook.
#[derive(Debug)]
pub(super) struct Delivery {
    batch_max: usize,
    epoch: Option<Arc<str>>,
    /// The last event that the receiver has taken.
    cursor: u64,
    head: u64,
    /// Events behind the cursor.
    pending: VecDeque<StoredEvent>,
    /// Events that expired behind the cursor, and of which the receiver is to be told.
    gap: u64,
    expired: u64,
    /// The log may have events behind those that were read.
    may_have_more: bool,
    /// The last offset of the request that is on its way.
    in_flight: Option<u64>,
    failures: usize,
    last_error: Option<String>,
    is_off: bool,
    /// No request before this moment.
    due_ms: u64,
    pace_ms: u64,
    /// The last position that the engine keeps.
    saved: u64,
    save_due_ms: u64,
    /// Deliver from this event on, once the log has told where it ends.
    replay_from: Option<u64>,
}

impl Delivery {
    pub(super) fn new(batch_max: usize) -> Self {
        Self {
            batch_max: batch_max.max(1),
            epoch: None,
            cursor: 0,
            head: 0,
            pending: VecDeque::new(),
            gap: 0,
            expired: 0,
            may_have_more: true,
            in_flight: None,
            failures: 0,
            last_error: None,
            is_off: false,
            due_ms: 0,
            pace_ms: 0,
            saved: 0,
            save_due_ms: 0,
            replay_from: None,
        }
    }

    /// What to do now. All but `Wait` are answered before the next call.
    pub(super) fn poll(&mut self, now: Now) -> Step {
        let Some(epoch) = self.epoch.clone().filter(|_| self.replay_from.is_none()) else {
            return self.when_due(now, Step::Ask);
        };
        if self.saved < self.cursor && now.mono_ms >= self.save_due_ms {
            return Step::Save { epoch, offset: self.cursor };
        }
        if self.is_off {
            return self.wait(None);
        }
        if self.pending.is_empty() {
            let step = Step::Read { after: self.cursor };
            return if self.may_have_more { self.when_due(now, step) } else { self.wait(None) };
        }
        if now.mono_ms < self.due_ms {
            return self.wait(Some(self.due_ms));
        }
        let events: Vec<_> = self.pending.iter().take(self.batch_max).cloned().collect();
        self.in_flight = events.last().map(|last| last.offset);
        Step::Send(Batch { epoch, expired: self.gap, events })
    }

    fn when_due(&self, now: Now, step: Step) -> Step {
        if now.mono_ms < self.due_ms { self.wait(Some(self.due_ms)) } else { step }
    }

    fn wait(&self, until_ms: Option<u64>) -> Step {
        let save_ms = (self.saved < self.cursor).then_some(self.save_due_ms);
        Step::Wait { until_ms: [until_ms, save_ms].into_iter().flatten().min() }
    }

    /// How the log stands, and where the webhook was when its last process saved its position.
    pub(super) fn on_standing(&mut self, standing: &EventLogStanding) {
        let log = &standing.log;
        self.head = log.head;
        if self.epoch.as_ref() != Some(&log.epoch) {
            let saved = standing.position.as_ref().filter(|position| position.epoch == log.epoch);
            self.epoch = Some(Arc::clone(&log.epoch));
            self.move_to(saved.map_or(0, |position| position.offset));
            self.saved = self.cursor;
        }
        if let Some(from) = self.replay_from.take() {
            self.move_to(from.saturating_sub(1));
        }
    }

    fn move_to(&mut self, cursor: u64) {
        self.cursor = cursor.min(self.head);
        self.pending.clear();
        (self.gap, self.may_have_more) = (0, true);
    }

    /// Whether the engine keeps the position. Where it does not, some events are sent again after a restart, or it
    /// takes the next one.
    pub(super) fn on_saved(&mut self, now: Now, offset: u64, is_kept: bool) {
        if is_kept {
            self.saved = self.saved.max(offset);
        }
        self.save_due_ms = now.mono_ms + SAVE_EVERY_MS;
    }

    /// A part of the log behind the cursor.
    pub(super) fn on_page(&mut self, after: u64, page: EventPage) {
        if after != self.cursor {
            // A command has moved the cursor meanwhile: it is read again.
            return;
        }
        if self.epoch.as_ref() != Some(&page.log.epoch) {
            // The log has begun anew.
            self.epoch = None;
            return;
        }
        self.head = page.log.head;
        self.pending = page.events.into();
        self.may_have_more = !self.pending.is_empty();
        let first = self.pending.front().map_or(page.log.base + 1, |first| first.offset);
        self.gap = first.saturating_sub(self.cursor + 1);
        if self.pending.is_empty() {
            // The receiver is told with the next event: the cursor stays.
            self.gap = 0;
        }
    }

    /// The engine could not answer.
    pub(super) fn on_engine_error(&mut self, now: Now) {
        self.due_ms = self.due_ms.max(now.mono_ms + ENGINE_RETRY_MS);
    }

    /// Events were stored.
    pub(super) fn on_stored(&mut self) {
        self.may_have_more = true;
    }

    /// What became of the request.
    pub(super) fn on_outcome(&mut self, now: Now, outcome: Outcome) {
        // A command has moved the cursor meanwhile: what was sent is sent again in its turn.
        let Some(last) = self.in_flight.take() else { return };
        match outcome {
            Outcome::Answered { status: 200..=299, .. } => self.on_taken(now, last),
            Outcome::Answered { status: 410, .. } => {
                self.last_error = Some("the receiver answered 410: it is gone".to_owned());
                self.is_off = true;
            }
            Outcome::Answered { status, retry_after_ms } => {
                self.last_error = Some(format!("the receiver answered {status}"));
                if matches!(status, 429 | 502 | 504) {
                    self.pace_ms = (self.pace_ms * 2).clamp(PACE_MS_MIN, PACE_MS_MAX);
                }
                let retry_after_ms = retry_after_ms.map(|ms| ms.min(RETRY_AFTER_MS_MAX));
                if status == 429 {
                    // It is there, and asks for fewer requests: no step of the schedule.
                    self.due_ms = now.mono_ms + self.pace_ms.max(retry_after_ms.unwrap_or(0));
                } else {
                    self.on_failed(now, retry_after_ms.unwrap_or(0));
                }
            }
            Outcome::Failed(why) => {
                self.last_error = Some(why);
                self.on_failed(now, 0);
            }
        }
    }

    fn on_taken(&mut self, now: Now, last: u64) {
        while self.pending.pop_front_if(|event| event.offset <= last).is_some() {}
        self.expired += std::mem::take(&mut self.gap);
        self.cursor = self.cursor.max(last);
        (self.failures, self.last_error) = (0, None);
        self.due_ms = now.mono_ms + self.pace_ms;
        self.pace_ms = if self.pace_ms <= PACE_MS_MIN { 0 } else { self.pace_ms / 2 };
    }

    fn on_failed(&mut self, now: Now, wait_ms_min: u64) {
        self.failures += 1;
        match SCHEDULE_MS.get(self.failures) {
            Some(wait_ms) => self.due_ms = now.mono_ms + (*wait_ms).max(wait_ms_min).max(self.pace_ms),
            None => self.is_off = true,
        }
    }

    /// Delivers from this event on, whether or not it was delivered before; also after the webhook was off. Behind the
    /// last one it skips all: the log is asked where it ends.
    pub(super) fn replay(&mut self, from: u64) {
        self.replay_from = Some(from);
        self.resume();
    }

    /// Tries again at once, also after the webhook was off.
    pub(super) fn resume(&mut self) {
        self.in_flight = None;
        (self.is_off, self.failures, self.due_ms, self.pace_ms) = (false, 0, 0, 0);
    }

    /// Delivers no more until it is resumed.
    pub(super) fn switch_off(&mut self) {
        self.is_off = true;
    }

    /// The position to save before the task ends.
    pub(super) fn unsaved(&self) -> Option<(Arc<str>, u64)> {
        let epoch = self.epoch.clone().filter(|_| self.saved < self.cursor)?;
        Some((epoch, self.cursor))
    }

    pub(super) fn is_off(&self) -> bool {
        self.is_off
    }

    /// Current figures, without those of the queue. `stored` is the last event that this process has stored, which may be
    /// newer than what was read.
    pub(super) fn figures(&self, now: Now, name: &str, stored: Option<&Position>) -> WebhookFigures {
        let stored = stored.filter(|stored| self.epoch.as_ref() == Some(&stored.epoch));
        let head = self.head.max(stored.map_or(0, |stored| stored.offset));
        let offset = self.replay_from.map_or(self.cursor, |from| from.saturating_sub(1).min(head));
        let state = match (self.is_off, self.failures > 0) {
            (true, _) => WebhookState::Off,
            (false, true) => WebhookState::Retrying,
            (false, false) => WebhookState::Active,
        };
        let oldest = self.pending.front().map(|event| event.at);
        let retries = state == WebhookState::Retrying;
        WebhookFigures {
            name: name.to_owned(),
            state,
            offset,
            lag: head.saturating_sub(offset),
            lag_ms: oldest.map_or(0, |at| now.wall_ms.saturating_sub(at)),
            failures: self.failures,
            retry_in_ms: retries.then(|| self.due_ms.saturating_sub(now.mono_ms)),
            last_error: self.last_error.clone(),
            expired: self.expired,
            lost: 0,
            waiting: 0,
        }
    }
}

#[cfg(test)]
mod tests;
