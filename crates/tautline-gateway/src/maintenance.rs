//! The two tasks beside the connections: one turns the wheel and lets the hub tidy up, one pumps large channels.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tautline_hub::Hub;
use tokio::{task::AbortHandle, time::MissedTickBehavior};
use tracing::{info, warn};

use crate::{
    gateway::GatewayState,
    timer_wheel::{TICK_MS, wake_batched},
};

/// A difference of the clocks from which on it is worth a line.
const CLOCK_LEAD_LOGGED_MS: u64 = 2_000;
/// How often the hub tidies up, in ticks of the wheel.
const TICKS_PER_TIDY: u64 = 1000 / TICK_MS;

/// Starts both. They run until they are aborted.
pub(crate) fn start(gateway: &Arc<GatewayState>) -> [AbortHandle; 2] {
    #[cfg(target_os = "linux")]
    if gateway.config.io_uring {
        // Tried now, so that the log tells at the start.
        crate::transport::uring::is_available();
    }
    // The tasks do not keep the gateway: it aborts them when the last of its connections has gone.
    let hub = gateway.hub.clone();
    let pump = tokio::spawn(std::future::poll_fn(move |cx| poll_pump(&hub, cx)));
    let gateway = Arc::downgrade(gateway);
    let timer = tokio::spawn(async move {
        let mut lead_ms = 0;
        let mut ticks = tokio::time::interval(Duration::from_millis(TICK_MS));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for tick in 0.. {
            ticks.tick().await;
            let due = {
                let Some(gateway) = gateway.upgrade() else { return };
                let now = gateway.clock.now();
                if tick % TICKS_PER_TIDY == 0 {
                    gateway.hub.tick(now);
                    gateway.warnings.log_ends(now);
                    log_clock_lead(&mut lead_ms, gateway.hub.clock_lead_ms(now));
                }
                gateway.wheel.advance(now.mono_ms)
            };
            wake_batched(due).await;
        }
    });
    [pump.abort_handle(), timer.abort_handle()]
}

/// Says when the wall clock jumps ahead, further ahead, and when that is over.
fn log_clock_lead(told_ms: &mut u64, lead_ms: u64) {
    if lead_ms > *told_ms + CLOCK_LEAD_LOGGED_MS {
        warn!(
            ahead_s = lead_ms / 1000,
            "the wall clock jumped ahead of the monotonic one: the jump counts as nobody's age, and nothing is deleted for it, \
             until all that was published before has had its time"
        );
    } else if lead_ms + CLOCK_LEAD_LOGGED_MS < *told_ms {
        info!(
            ahead_s = lead_ms / 1000,
            "the wall clock and the monotonic one agree again, or more than before"
        );
    } else {
        return;
    }
    *told_ms = lead_ms;
}

/// Rings one chunk of subscribers, then lets others run.
fn poll_pump(hub: &Hub, cx: &mut Context<'_>) -> Poll<()> {
    // Before pumping: what comes in between is not missed.
    hub.set_pump_waker(cx.waker().clone());
    if hub.pump() {
        cx.waker().wake_by_ref();
    }
    Poll::Pending
}
