//! Clients, a hub and a bad network on one virtual clock, with checkers that look for anything lost, doubled or reordered.
//!
//! A [`World`] runs the same client and server code as the real ones, with links of `tautline-netem` between them. One seed
//! gives one history, to the last packet: a seed that fails is a bug that can be looked at again. [`Pair`] is a world with
//! one phone, moved by hand, for tests that read as sentences.
//!
//! Not published. Start at [`World::step`].

mod app;
mod device;
mod engine;
mod lives;
mod pair;
mod phone;
mod server;
mod socket;
mod storm;
mod story;
mod trace;
mod whims;
mod wires;
mod world;

pub use app::{App, Asked, Outcome, Received};
pub use device::{Moment, Remains};
pub use engine::{Chronicle, Count, EngineKind, EnginePlan, Logs, Written};
pub use pair::Pair;
pub use phone::{Ask, Phone};
pub use server::Pushed;
pub use storm::{Recording, Summary, record_storm, run_storm, tell_storm};
pub use story::{Event, Teller};
pub use world::{Air, Closing, World, WorldConfig};
