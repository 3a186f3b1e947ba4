//! Clients, a hub and a bad network on one virtual clock, with checkers that look for anything lost, doubled or reordered.
//!
//! A [`World`] runs the same client and server code as the real ones, with links of `tautline-netem` between them. One seed
//! gives one history, to the last packet: a seed that fails is a bug that can be looked at again. [`Pair`] is a world with
//! one phone, moved by hand, for tests that read as sentences.
//!
//! Not published. Start at [`World::step`].

mod app;
mod back_end;
mod clock;
mod device;
mod engine;
mod event_log;
mod input_mutator;
mod lifecycle;
mod pair;
mod phone;
mod remote;
mod scheduler;
mod server;
mod socket;
mod storm;
mod trace;
mod world;

pub use app::{App, Asked, Outcome, Received};
pub use device::{CrashPoint, SurvivingState};
pub use engine::{Count, EngineKind, EnginePlan, GroundTruth, Logs, Written};
pub use event_log::{Event, EventSink};
pub use pair::Pair;
pub use phone::{Ask, Phone};
pub use remote::Remote;
pub use server::Pushed;
pub use storm::{Recording, Summary, log_storm, record_storm, run_storm};
pub use world::{Closing, DialBehavior, World, WorldConfig};
