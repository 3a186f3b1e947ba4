//! The rules of Gold, minesweeper turned round: two to four players take turns to dig in a field, and gold gives a point.
//!
//! Start at [`Room::apply`]. No I/O, no clock, no randomness: a room is made from a seed, told the time with each input, and
//! answers with [`Event`]s, which are all that players and spectators ever see. [`View::apply`] folds them.
//!
//! ```
//! use tautline_gold_rules::{Input, Room, Settings, View};
//!
//! let (mut room, opened) = Room::open(Settings { seats: 2, ..Settings::default() }, 7, 0)?;
//! let mut screen = View::of(&opened);
//! for (at, player) in [(1, "ann"), (2, "bo")] {
//!     let join = Input::Join { player: player.into(), name: player.into() };
//!     for event in room.apply(at, &join).events {
//!         screen.apply(&event);
//!     }
//! }
//! assert_eq!(&screen, room.view()); // the game has begun: both seats are taken
//! assert_eq!(room.deadline(), Some(2 + Settings::TURN_MS));
//! # Ok::<(), tautline_gold_rules::BadSettings>(())
//! ```
//!
//! A server keeps the seed, the settings and each input that had events; [`Room::replay`] makes the same room of them.

mod event;
mod field;
mod input;
mod random;
mod results;
mod room;
mod settings;
mod view;

pub use self::{
    event::{Event, Leaving, Turn, Verdict, What},
    field::Field,
    input::{Entry, Input, Refusal},
    results::GameResult,
    room::{Outcome, Room},
    settings::{BadSettings, Settings},
    view::{Phase, SeatView, View},
};
