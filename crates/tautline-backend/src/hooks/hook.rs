//! One hook: asks the app's back end, in turn, within a time, and again where that is harmless.
//!
//! Start at [`Hook::ask`].

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, Uri};
use tautline_hub::budget::Holder;
use tautline_protocol::Now;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{
    answer::{Failure, Outcome, read},
    breakers::{Breakers, Running},
    options::{Checked, HookOptions, HookOptionsError},
    request::{Attempt, HookRequest},
    selector::Selector,
    timings::Timings,
    turns::Turns,
};
use crate::{
    breaker::BreakerChange,
    http_client::{HttpAnswer, HttpClient, HttpError},
    network::Networks,
    standard_webhooks::Signer,
};

/// The pause before the second retry; before the first there is none where there is another URL. It doubles.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Failures of a hook that are logged in a second; the others are counted.
const LOGGED_MAX: u64 = 5;

/// One hook.
pub(super) struct Hook {
    pub(super) name: String,
    pub(super) selector: Selector,
    /// Methods may run again under the same key.
    pub(super) is_idempotent: bool,
    places: Vec<Place>,
    signer: Signer,
    headers: HeaderMap,
    timeout: Duration,
    retries_max: u32,
    answer_bytes_max: usize,
    turns: Turns,
    client: HttpClient,
    /// Numbers attempts in traces: a random start, so that two nodes have no numbers in common.
    next_span: AtomicU64,
    log: Mutex<LogBudget>,
    pub(super) timings: Timings,
}

/// One URL.
struct Place {
    url: Uri,
    /// For logs: without the query, which may have a secret.
    shown: String,
    breakers: Breakers,
}

/// The time as it goes on since the question.
#[derive(Clone, Copy)]
struct Time {
    asked: Now,
    asked_at: Instant,
    deadline: Instant,
    /// The client waits for less than the hook would.
    is_cut_short: bool,
}

impl Time {
    fn passed_ms(&self) -> u64 {
        u64::try_from(self.asked_at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn now_ms(&self) -> u64 {
        self.asked.mono_ms.saturating_add(self.passed_ms())
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

impl Hook {
    pub(super) fn new(options: &HookOptions, random: u64) -> Result<Self, HookOptionsError> {
        let Checked { name, selector, urls, signer, headers, timeout } = options.checked()?;
        let place = |url: Uri| {
            let shown = url.to_string().split('?').next().unwrap_or_default().to_owned();
            Place { url, shown, breakers: Breakers::new(timeout) }
        };
        Ok(Self {
            name,
            selector,
            is_idempotent: options.idempotent,
            places: urls.into_iter().map(place).collect(),
            signer,
            headers,
            timeout,
            retries_max: options.retries_max,
            answer_bytes_max: options.answer_bytes_max,
            turns: Turns::new(options.calls_running_max, options.queue_max),
            client: HttpClient::guarded(Networks::new(options.allow_networks.clone()), timeout),
            next_span: AtomicU64::new(random),
            log: Mutex::default(),
            timings: Timings::default(),
        })
    }

    /// Questions that run, and that wait.
    pub(super) fn in_use(&self) -> (usize, usize) {
        self.turns.in_use()
    }

    /// Its URLs, and how many of their breakers are open.
    pub(super) fn open_breakers(&self, now: Now) -> Vec<(String, usize)> {
        let open = |place: &Place| (place.shown.clone(), place.breakers.open(now.mono_ms));
        self.places.iter().map(open).collect()
    }

    /// Asks, for at most so many milliseconds.
    pub(super) async fn ask(
        &self,
        now: Now,
        request: &HookRequest,
        holder: Holder,
        wait_ms_max: u64,
    ) -> Outcome {
        // A question that is refused for lack of a place is polled once: it has sent nothing.
        tokio::task::yield_now().await;
        let asked_at = Instant::now();
        let wait_max = Duration::from_millis(wait_ms_max);
        let (timeout, is_cut_short) = (self.timeout.min(wait_max), wait_max < self.timeout);
        let time = Time { asked: now, asked_at, deadline: asked_at + timeout, is_cut_short };
        let outcome = match self.turns.take(holder, time.deadline).await {
            Some(_turn) => self.ask_in_turn(time, request).await,
            None => Outcome::Failed(Failure::Busy),
        };
        let us = u64::try_from(asked_at.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.timings.record(request.kind, us, &outcome);
        self.log(time, request, &outcome);
        outcome
    }

    async fn ask_in_turn(&self, time: Time, request: &HookRequest) -> Outcome {
        let mut next = 0;
        // The back end may have done in an earlier attempt what a later one could not ask for.
        let mut is_lost = false;
        for attempt in 0.. {
            let outcome = self.attempt(time, request, &mut next).await;
            let Outcome::Failed(failure) = outcome else { return outcome };
            is_lost |= failure == Failure::Lost;
            let is_harmless = request.is_idempotent || failure.is_unsent();
            let is_last = attempt >= self.retries_max || !failure.is_transient() || !is_harmless;
            if is_last || !self.pause(time, request, attempt).await {
                let says_nothing = failure.is_unsent() || matches!(failure, Failure::Unavailable { .. });
                let is_unknown = is_lost && says_nothing;
                return Outcome::Failed(if is_unknown { Failure::Lost } else { failure });
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Waits before a retry. False: there is no time for another one.
    async fn pause(&self, time: Time, request: &HookRequest, attempt: u32) -> bool {
        let is_elsewhere = (attempt as usize) + 1 < self.places.len();
        if !is_elsewhere {
            let pause = RETRY_PAUSE.saturating_mul(1 << attempt.min(10));
            // Spread, so that what failed at the same moment does not come back at the same moment.
            let share = u32::try_from(request.trace_id.get() % 64).expect("less than 64");
            let pause = pause + pause.saturating_mul(share) / 64;
            if pause >= time.left() {
                return false;
            }
            tokio::time::sleep(pause).await;
        }
        !time.left().is_zero()
    }

    async fn attempt(&self, time: Time, request: &HookRequest, next: &mut usize) -> Outcome {
        let (place, running) = match self.choose(time.now_ms(), request, next) {
            Ok(chosen) => chosen,
            Err(retry_after_ms) => return Outcome::Failed(Failure::Resting { retry_after_ms }),
        };
        let left = time.left();
        let is_rushed = time.is_cut_short || left < self.timeout / 2;
        let http = request.to_http(&Attempt {
            url: &place.url,
            signer: &self.signer,
            headers: &self.headers,
            hook: &self.name,
            span_id: self.next_span.fetch_add(1, Ordering::Relaxed),
            wall_ms: time.asked.wall_ms.saturating_add(time.passed_ms()),
            left_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
        });
        let answer = self.client.send(http, self.answer_bytes_max, left).await;
        let outcome = self.read(place, answer);
        if is_rushed && matches!(outcome, Outcome::Failed(Failure::Timeout)) {
            // It never had the time that the hook gives: that says nothing of the back end.
            return outcome;
        }
        let is_good = !matches!(outcome, Outcome::Failed(_));
        match running.end(time.now_ms(), is_good) {
            Some(BreakerChange::Opened) => {
                let (kind, about) = (request.kind.as_str(), &request.about);
                warn!(
                    event = "hook_left_alone",
                    hook = self.name,
                    url = place.shown,
                    kind,
                    about,
                    "back end fails: such questions are not asked for some seconds"
                );
            }
            Some(BreakerChange::Closed) => {
                let (kind, about) = (request.kind.as_str(), &request.about);
                warn!(
                    event = "hook_well",
                    hook = self.name,
                    url = place.shown,
                    kind,
                    about,
                    "back end is well again"
                );
            }
            None => {}
        }
        outcome
    }

    /// The next place that may be asked; else the wait in milliseconds until one may.
    fn choose(
        &self,
        now_ms: u64,
        request: &HookRequest,
        next: &mut usize,
    ) -> Result<(&Place, Running<'_>), u64> {
        let mut wait_ms = u64::MAX;
        for _ in 0..self.places.len() {
            let place = &self.places[*next % self.places.len()];
            *next += 1;
            match place.breakers.begin(now_ms, request) {
                Ok(running) => return Ok((place, running)),
                Err(ms) => wait_ms = wait_ms.min(ms),
            }
        }
        Err(wait_ms)
    }

    fn read(&self, place: &Place, answer: Result<HttpAnswer, HttpError>) -> Outcome {
        let failure = match answer {
            Ok(HttpAnswer { status, headers, body }) => return read(status, &headers, &body),
            Err(HttpError::Refused(refused)) => {
                if self.may_log() {
                    warn!(event = "hook_address_refused", hook = self.name, url = place.shown, "{refused}");
                }
                Failure::Unreachable
            }
            Err(HttpError::NoConnection) => Failure::Unreachable,
            Err(HttpError::Connection) => Failure::Lost,
            Err(HttpError::Timeout) => Failure::Timeout,
            Err(HttpError::TooLarge) => Failure::Unusable("larger than `answer_bytes_max`"),
        };
        Outcome::Failed(failure)
    }

    fn log(&self, time: Time, request: &HookRequest, outcome: &Outcome) {
        let HookRequest { kind, key, trace_id, about, .. } = request;
        let (kind, ms) = (kind.as_str(), time.passed_ms());
        let hook = &self.name;
        match outcome {
            Outcome::Failed(failure) => {
                if self.may_log() {
                    let why = format_args!("{failure:?}");
                    info!(event = "hook_unanswered", hook, kind, about, key, %trace_id, ms, %why, "hook has no answer");
                }
            }
            Outcome::Error(error) => {
                debug!(hook, kind, about, key, %trace_id, ms, code = %error.code, "hook refused");
            }
            Outcome::Disconnect(_) => debug!(hook, kind, about, key, %trace_id, ms, "hook disconnected"),
            Outcome::Result(_) | Outcome::Empty => {
                debug!(hook, kind, about, key, %trace_id, ms, "hook answered")
            }
        }
    }

    /// Few lines a second, and then how many were left out.
    fn may_log(&self) -> bool {
        let mut log = lock(&self.log);
        let now = Instant::now();
        if log.since.is_none_or(|since| now.duration_since(since) >= Duration::from_secs(1)) {
            let left_out = log.count.saturating_sub(LOGGED_MAX);
            *log = LogBudget { since: Some(now), count: 0 };
            if left_out > 0 {
                info!(
                    event = "hook_failures_unlogged",
                    hook = self.name,
                    left_out,
                    "hook had more failures than are logged"
                );
            }
        }
        log.count += 1;
        log.count <= LOGGED_MAX
    }
}

#[derive(Debug, Default)]
struct LogBudget {
    since: Option<Instant>,
    count: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
