//! The task of a webhook: reads its log, sends what [`Delivery`] says, and reports.
//!
//! Start at [`Webhooks::start`].

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Wake, Waker},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{
    HeaderMap, Request,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::Full;
use serde::Deserialize;
use tautline_hub::{EventLog, EventsConfig, Hub, InvalidEvents};
use tautline_protocol::{Now, TraceId};
use tokio::{sync::Notify, task::JoinHandle};
use tracing::{debug, info, warn};

use super::{
    delivery::{Batch, Delivery, Outcome, Step, WebhookFigures},
    message::Message,
    options::{Checked, WebhookOptions, WebhookOptionsError},
};
use crate::{
    http_client::HttpClient,
    standard_webhooks::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER},
};

/// The most bytes that are read of a receiver's answer, so that its connection can be used again.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The most bytes of events that are read at once.
const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// The fewest events that are read at once.
const PAGE_EVENTS_MIN: usize = 100;

/// The webhooks of a gateway.
pub struct Webhooks {
    handle: WebhookHandle,
    tasks: Vec<JoinHandle<()>>,
}

/// Shows webhooks, and does what operators say. Cheap to clone.
#[derive(Clone)]
pub struct WebhookHandle(Arc<[Arc<Webhook>]>);

/// No webhook runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhooksError {
    /// The options of one are not valid.
    #[error(transparent)]
    Options(#[from] WebhookOptionsError),
    /// Their logs cannot be kept.
    #[error("[[webhooks]]: {0}")]
    Events(#[from] InvalidEvents),
}

/// What an operator does to a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookCommand {
    /// Delivers from this event on, whether or not it was delivered before: the same ids and bytes. A restart goes on
    /// where the webhook was before. Beyond the last event it skips all.
    Replay {
        /// The offset of the first event.
        from: u64,
    },
    /// Tries again at once, also after the webhook was off.
    Resume,
    /// Delivers no more; events stay in the log.
    Off,
}

struct Webhook {
    options: WebhookOptions,
    checked: Checked,
    client: HttpClient,
    log: EventLog,
    delivery: Mutex<Delivery>,
    changed: Arc<Changed>,
    clock: Clock,
    /// Numbers attempts in traces: a random start, so that two nodes have no numbers in common.
    next_span: AtomicU64,
}

type Clock = Arc<dyn Fn() -> Now + Send + Sync>;

/// Ends a wait.
struct Changed(Notify);

impl Wake for Changed {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

impl Webhooks {
    /// Has the hub record events from now on, and delivers them in tasks of this runtime. Call once, before there are
    /// connections. `clock` is the clock of the gateway.
    ///
    /// # Errors
    /// [`WebhooksError`] where the options are not valid.
    pub fn start(
        hub: &Hub,
        options: &[WebhookOptions],
        clock: impl Fn() -> Now + Send + Sync + 'static,
    ) -> Result<Self, WebhooksError> {
        let checked = options.iter().map(WebhookOptions::checked).collect::<Result<Vec<_>, _>>()?;
        let clock: Clock = Arc::new(clock);
        let logs = checked.iter().map(|checked| checked.log.clone()).collect();
        hub.record_events(clock(), &EventsConfig { logs })?;
        let run = |(options, checked): (&WebhookOptions, Checked)| {
            let log = hub.event_log(&options.name).expect("it was just recorded");
            let changed = Arc::new(Changed(Notify::new()));
            log.set_waker(&Waker::from(Arc::clone(&changed)));
            Arc::new(Webhook {
                client: HttpClient::guarded(checked.networks.clone(), options.timeout),
                delivery: Mutex::new(Delivery::new(options.batch_max)),
                options: options.clone(),
                checked,
                log,
                changed,
                clock: Arc::clone(&clock),
                next_span: AtomicU64::new(crate::random::random()),
            })
        };
        let all: Arc<[Arc<Webhook>]> = options.iter().zip(checked).map(run).collect();
        let tasks = all.iter().map(|webhook| tokio::spawn(Arc::clone(webhook).run())).collect();
        Ok(Self { handle: WebhookHandle(all), tasks })
    }

    /// For those who look at them and command them while they run.
    #[must_use]
    pub fn handle(&self) -> WebhookHandle {
        self.handle.clone()
    }

    /// Ends the deliveries and has the engine keep their positions. A request that is on its way is sent again by the
    /// next process.
    pub async fn stop(self) {
        for (webhook, task) in self.handle.0.iter().zip(self.tasks) {
            task.abort();
            // Its end is what is waited for; that it was aborted is no news.
            drop(task.await);
            let unsaved = webhook.lock().unsaved();
            if let Some((epoch, offset)) = unsaved {
                let log = webhook.log.clone();
                answer(|done| log.save_position(&epoch, offset, done)).await.ok();
            }
        }
    }
}

impl WebhookHandle {
    /// Does what an operator says, and returns the figures afterwards; `None` where no webhook has this name.
    #[must_use]
    pub fn command(&self, name: &str, command: WebhookCommand) -> Option<WebhookFigures> {
        let webhook = self.0.iter().find(|webhook| webhook.options.name == name)?;
        webhook.command(command);
        Some(webhook.figures())
    }

    /// How all of them stand.
    #[must_use]
    pub fn figures(&self) -> Vec<WebhookFigures> {
        self.0.iter().map(|webhook| webhook.figures()).collect()
    }
}

impl std::fmt::Debug for WebhookHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|webhook| &webhook.options.name)).finish()
    }
}

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.handle.fmt(f)
    }
}

impl Webhook {
    fn lock(&self) -> MutexGuard<'_, Delivery> {
        self.delivery.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Now {
        (self.clock)()
    }

    async fn run(self: Arc<Self>) {
        loop {
            let step = {
                let now = self.now();
                self.lock().poll(now)
            };
            match step {
                Step::Ask => {
                    let now = self.now();
                    match answer(|done| self.log.standing(now, done)).await {
                        Ok(standing) => self.lock().on_standing(&standing),
                        Err(_) => self.lock().on_engine_error(now),
                    }
                }
                Step::Read { after } => {
                    let (now, count) = (self.now(), self.options.batch_max.max(PAGE_EVENTS_MIN));
                    match answer(|done| self.log.read(now, after, (count, PAGE_BYTES_MAX), done)).await {
                        Ok(page) => self.lock().on_page(after, page),
                        Err(_) => self.lock().on_engine_error(now),
                    }
                }
                Step::Send(batch) => self.deliver(batch).await,
                Step::Save { epoch, offset } => {
                    let saved = answer(|done| self.log.save_position(&epoch, offset, done)).await;
                    let now = self.now();
                    self.lock().on_saved(now, offset, saved.is_ok());
                }
                Step::Wait { until_ms } => self.wait(until_ms).await,
            }
        }
    }

    async fn wait(&self, until_ms: Option<u64>) {
        let changed = self.changed.0.notified();
        match until_ms {
            None => changed.await,
            Some(until_ms) => {
                let wait = Duration::from_millis(until_ms.saturating_sub(self.now().mono_ms));
                if tokio::time::timeout(wait, changed).await.is_err() {
                    return;
                }
            }
        }
        self.lock().on_stored();
    }

    async fn deliver(&self, batch: Batch) {
        let name = &self.options.name;
        let message = Message::of(name, &batch, self.options.content, self.options.batch_max > 1);
        let (id, trace_id, sent) = (message.id.clone(), message.trace, self.now());
        let outcome = self.send(message).await;
        let now = self.now();
        let ms = now.mono_ms.saturating_sub(sent.mono_ms);
        debug!(webhook = name, id, %trace_id, ms, ?outcome, "events sent");
        let (before, after) = {
            let mut delivery = self.lock();
            let stored = self.log.figures().stored;
            let before = delivery.figures(now, name, stored.as_ref());
            delivery.on_outcome(now, outcome);
            (before, delivery.figures(now, name, stored.as_ref()))
        };
        match (before.failures, &after.last_error) {
            (_, Some(error)) if self.lock().is_off() => {
                warn!(
                    event = "webhook_off",
                    webhook = name,
                    id,
                    %trace_id,
                    "{error}; the webhook is off until an operator resumes it, and events stay in its log"
                );
            }
            (0, Some(error)) => {
                warn!(event = "webhook_failed", webhook = name, id, %trace_id, "{error}; the events are sent again")
            }
            (1.., None) => info!(
                event = "webhook_well",
                webhook = name,
                lag = after.lag,
                "the receiver takes events again"
            ),
            _ => {}
        }
    }

    async fn send(&self, message: Message) -> Outcome {
        let Message { id, content_type, body, trace } = message;
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let request = Request::post(self.checked.url.clone())
            .header(CONTENT_TYPE, content_type)
            .header(ID_HEADER, &id)
            .header(TraceId::HEADER, trace.header(self.next_span.fetch_add(1, Ordering::Relaxed)))
            .header(TIMESTAMP_HEADER, at)
            .header(SIGNATURE_HEADER, self.checked.signer.sign(&id, at, &body));
        let request = request.body(Full::new(Bytes::from(body))).expect("the options are checked");
        match self.client.tell(request, ANSWER_BYTES_MAX, self.options.timeout).await {
            Ok((status, headers)) => {
                Outcome::Answered { status: status.as_u16(), retry_after_ms: retry_after_ms(&headers, at) }
            }
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    fn command(&self, command: WebhookCommand) {
        let mut delivery = self.lock();
        match command {
            WebhookCommand::Replay { from } => delivery.replay(from),
            WebhookCommand::Resume => delivery.resume(),
            WebhookCommand::Off => delivery.switch_off(),
        }
        drop(delivery);
        info!(event = "webhook_command", webhook = self.options.name, ?command, "command of an operator");
        self.changed.0.notify_one();
    }

    fn figures(&self) -> WebhookFigures {
        let now = self.now();
        let queue = self.log.figures();
        let figures = self.lock().figures(now, &self.options.name, queue.stored.as_ref());
        WebhookFigures { lost: queue.lost, waiting: queue.waiting, ..figures }
    }
}

/// Waits for an answer of the engine. One that it drops is an error.
async fn answer<T: Send + 'static, E: Send + 'static>(
    ask: impl FnOnce(Box<dyn FnOnce(Result<T, E>) + Send>),
) -> Result<T, Option<E>> {
    let (give, taken) = tokio::sync::oneshot::channel();
    ask(Box::new(move |result| drop(give.send(result))));
    let taken: Result<Result<T, E>, _> = taken.await;
    taken.map_err(|_| None)?.map_err(Some)
}

/// `Retry-After` in milliseconds: seconds, or a date.
fn retry_after_ms(headers: &HeaderMap, now_s: u64) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds.saturating_mul(1_000));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let at_s = date.duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some(at_s.saturating_sub(now_s).saturating_mul(1_000))
}

#[cfg(test)]
mod tests;
