//! The two tasks beside the connections: one turns the wheel and lets the hub tidy up, one pumps large channels.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tautline_hub::Hub;
use tokio::{task::AbortHandle, time::MissedTickBehavior};

use crate::{
    gateway::Shared,
    wheel::{TICK_MS, wake_in_turns},
};

/// How often the hub tidies up, in ticks of the wheel.
const TICKS_A_TIDY: u64 = 1000 / TICK_MS;

/// Starts both. They run until they are aborted.
pub(crate) fn start(gateway: &Arc<Shared>) -> [AbortHandle; 2] {
    #[cfg(target_os = "linux")]
    if gateway.config.io_uring {
        // Tried now, so that the log tells at the start.
        crate::ring::is_available();
    }
    // The tasks do not keep the gateway: it aborts them when the last of its connections has gone.
    let hub = gateway.hub.clone();
    let pump = tokio::spawn(std::future::poll_fn(move |cx| poll_pump(&hub, cx)));
    let gateway = Arc::downgrade(gateway);
    let timer = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(TICK_MS));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for tick in 0.. {
            ticks.tick().await;
            let due = {
                let Some(gateway) = gateway.upgrade() else { return };
                let now = gateway.clock.now();
                if tick % TICKS_A_TIDY == 0 {
                    gateway.hub.tick(now);
                    gateway.causes.tell_ends(now);
                }
                gateway.wheel.advance(now.mono_ms)
            };
            wake_in_turns(due).await;
        }
    });
    [pump.abort_handle(), timer.abort_handle()]
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
