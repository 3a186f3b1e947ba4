//! The two tasks beside the connections: one turns the wheel and lets the hub tidy up, one pumps large channels.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tautline_hub::Hub;
use tokio::{task::AbortHandle, time::MissedTickBehavior};

use crate::{gateway::Shared, wheel::TICK_MS};

/// How often the hub tidies up, in ticks of the wheel.
const TICKS_A_TIDY: u64 = 1000 / TICK_MS;

/// How many connections are woken before others have a turn. Thousands whose deadlines came together, because they were
/// opened together, held up everybody else by milliseconds.
const WAKES_AT_ONCE: usize = 64;

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
            let Some(gateway) = gateway.upgrade() else { return };
            let now = gateway.clock.now();
            wake_in_turns(gateway.wheel.advance(now.mono_ms)).await;
            if tick % TICKS_A_TIDY == 0 {
                gateway.hub.tick(now);
            }
        }
    });
    [pump.abort_handle(), timer.abort_handle()]
}

async fn wake_in_turns(due: Vec<Waker>) {
    for (woken, waker) in due.into_iter().enumerate() {
        if woken > 0 && woken % WAKES_AT_ONCE == 0 {
            tokio::task::yield_now().await;
        }
        waker.wake();
    }
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

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn many_whose_deadlines_come_together_leave_turns_to_others() {
        let count = Arc::new(Count::default());
        let due = vec![Waker::from(Arc::clone(&count)); 2 * WAKES_AT_ONCE + 1];
        let mut turns = pin!(wake_in_turns(due));
        let mut cx = Context::from_waker(Waker::noop());
        for woken in [WAKES_AT_ONCE, 2 * WAKES_AT_ONCE] {
            assert!(turns.as_mut().poll(&mut cx).is_pending());
            assert_eq!(count.0.load(Ordering::Relaxed), woken);
        }
        assert!(turns.as_mut().poll(&mut cx).is_ready());
        assert_eq!(count.0.load(Ordering::Relaxed), 2 * WAKES_AT_ONCE + 1);
    }
}
