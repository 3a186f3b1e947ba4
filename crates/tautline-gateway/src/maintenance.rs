//! The two tasks beside the connections: one advances the timer wheel and lets the hub tidy up, one runs the
//! pump of large channels.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tautline_hub::Hub;
use tokio::{task::AbortHandle, time::MissedTickBehavior};
use tracing::{info, warn};

use crate::{
    state::GatewayState,
    timer_wheel::{TICK_MS, wake_batched},
};

/// A change of the difference between the clocks that is worth a log line.
const CLOCK_LEAD_LOGGED_MS: u64 = 2_000;
/// How often the hub tidies up, in ticks of the timer wheel.
const TICKS_PER_TIDY: u64 = 1000 / TICK_MS;

/// Starts both, unless they run. Call it in the runtime that is to run them.
pub(crate) fn spawn_background_tasks(state: &Arc<GatewayState>) {
    state.background_tasks.0.get_or_init(|| spawn(state));
}

fn spawn(state: &Arc<GatewayState>) -> [AbortHandle; 2] {
    #[cfg(target_os = "linux")]
    if state.config.io_uring {
        // Tried now, so that the log has the outcome from the start.
        crate::transport::uring::is_available();
    }
    // The tasks do not keep the state alive: it aborts them when the last connection has gone.
    let hub = state.hub.clone();
    let pump = tokio::spawn(std::future::poll_fn(move |cx| poll_pump(&hub, cx)));
    let state = Arc::downgrade(state);
    let timer = tokio::spawn(async move {
        let mut logged_lead_ms = None;
        let mut ticks = tokio::time::interval(Duration::from_millis(TICK_MS));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for tick in 0.. {
            ticks.tick().await;
            let due = {
                let Some(state) = state.upgrade() else { return };
                let now = state.clock.now();
                if tick % TICKS_PER_TIDY == 0 {
                    state.hub.tick(now);
                    state.warnings.log_ends(now);
                    log_clock_lead(&mut logged_lead_ms, state.hub.clock_lead_ms(now));
                }
                state.timer_wheel.advance(now.mono_ms)
            };
            wake_batched(due).await;
        }
    });
    [pump.abort_handle(), timer.abort_handle()]
}

/// Logs when the wall clock jumps ahead, jumps further ahead, and when that is over; and at first, when it is far
/// ahead of the last process.
fn log_clock_lead(logged_ms: &mut Option<u64>, lead_ms: u64) {
    let Some(before_ms) = logged_ms else {
        *logged_ms = Some(lead_ms);
        if lead_ms > 0 {
            info!(
                event = "clock_behind_last_process",
                absent_s = lead_ms / 1000,
                "no process has run for this long, or the wall clock is wrong: the time does not age publications \
                 and deletes nothing for the first ten minutes"
            );
        }
        return;
    };
    if lead_ms > *before_ms + CLOCK_LEAD_LOGGED_MS {
        warn!(
            event = "clock_jumped",
            ahead_s = lead_ms / 1000,
            "wall clock jumped ahead of the monotonic clock; the jump does not age publications and deletes nothing \
             until all that were published before it have expired"
        );
    } else if lead_ms + CLOCK_LEAD_LOGGED_MS < *before_ms {
        info!(
            event = "clock_settled",
            ahead_s = lead_ms / 1000,
            "wall clock and monotonic clock have come closer together again"
        );
    } else {
        return;
    }
    *before_ms = lead_ms;
}

/// Notifies one chunk of subscribers, then lets other tasks run.
fn poll_pump(hub: &Hub, cx: &mut Context<'_>) -> Poll<()> {
    // Before pumping: work that is added in between is not missed.
    hub.set_pump_waker(cx.waker().clone());
    if hub.pump() {
        cx.waker().wake_by_ref();
    }
    Poll::Pending
}
