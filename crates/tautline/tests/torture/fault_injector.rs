//! What is done to the gateway's process: SIGKILL, SIGSTOP for a while, and a polite SIGTERM now and then.

use std::{fmt, sync::Arc, time::Duration};

use rustix::process::Signal;
use tautline_netem::Rng;
use tokio::time::sleep;

use crate::processes::Rig;

/// What was done.
#[derive(Default)]
pub struct FaultCounts {
    killed: u64,
    stopped: u64,
    drained: u64,
}

impl fmt::Display for FaultCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "killed {} times, stopped {}, drained {}", self.killed, self.stopped, self.drained)
    }
}

/// Kills `kills` times, evenly over the time; one stop and one drain lie between.
pub async fn run(rig: Arc<Rig>, seed: u64, kills: u64, lasts: Duration) -> FaultCounts {
    let mut rng = Rng::stream(seed, 2);
    let mut faults = FaultCounts::default();
    let every = lasts / u32::try_from(kills + 3).expect("a few");
    for round in 0..kills + 2 {
        // A schedule, not a wait for something.
        sleep(every.mul_f64(0.6 + 0.001 * f64::from(u32::try_from(rng.below(600)).expect("small")))).await;
        match round {
            1 => {
                rig.signal(Signal::STOP);
                sleep(Duration::from_secs(4)).await;
                rig.signal(Signal::CONT);
                faults.stopped += 1;
            }
            3 => {
                rig.drain_and_restart().await;
                faults.drained += 1;
            }
            _ => {
                rig.kill_and_restart().await;
                faults.killed += 1;
            }
        }
    }
    faults
}
