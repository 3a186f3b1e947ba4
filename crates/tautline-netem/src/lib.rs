//! A seeded bad network without I/O: latency, loss, cuts, half-open sockets, stalls, the mini-program background kill.
//!
//! Start at [`Link`], one connection with its two directions, or at [`Pipe`], one direction alone. Both carry anything
//! that knows its size ([`Segment`]): bytes for a proxy, whole messages for a simulator. [`Rules`] say how bad the
//! network is all the time, a [`Fault`] is something that happens once, a [`Storm`] is a schedule of faults.
//!
//! Nothing here reads a clock or a random source. Time is a parameter ([`Now`]), randomness is a seed: the same seed and
//! the same calls give the same history, on any machine.
//!
//! ```
//! use std::time::Duration;
//! use tautline_netem::{Arrival, Fault, Link, Rules, Way};
//!
//! let mut link = Link::new(Rules { latency_ms: 80, ..Rules::default() }, 42);
//! let at = |ms| Duration::from_millis(ms);
//! link.push(at(0), Way::Up, b"hello".to_vec())?;
//! assert_eq!(link.poll(at(79), Way::Up), None);
//! assert_eq!(link.poll(at(80), Way::Up), Some(Arrival::Segment(b"hello".to_vec())));
//!
//! link.apply(at(90), Fault::half_open());
//! link.push(at(91), Way::Up, b"is anybody there?".to_vec())?;
//! assert_eq!(link.poll_timeout(), None, "the bytes are gone and nobody is told");
//! # Ok::<(), tautline_netem::Full<Vec<u8>>>(())
//! ```

mod connect_gate;
mod fault;
mod link;
mod pipe;
mod rng;
mod rules;
mod storm;

use std::time::Duration;

pub use connect_gate::{Admission, ConnectGate, Unplugged};
pub use fault::{BACKGROUND_KEEP_MS, Direction, FAULT_MS_MAX, Fault, FaultError, Way};
pub use link::{Link, LinkState};
pub use pipe::{Arrival, Ending, Flow, Full, Pipe, Segment};
pub use rng::Rng;
pub use rules::{Preset, Rules, RulesError, RulesPatch};
pub use storm::{Reach, ScheduledFault, Storm, StormError, StormPlan, Weights};

/// A moment: how long after the start of the caller's clock. The clock may be virtual; it must not run backwards.
pub type Now = Duration;
