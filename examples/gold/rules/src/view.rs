//! What a screen shows: events, folded.

use serde::{Deserialize, Serialize};

use crate::{Event, Field, Settings, Turn, Verdict, What};

/// A room as players and spectators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The number of the last event in it.
    pub n: u64,
    /// Field and seats.
    pub settings: Settings,
    /// How far the game has come.
    #[serde(flatten)]
    pub phase: Phase,
    /// Those who have, or had, a seat.
    pub seats: Vec<SeatView>,
    /// A character for each cell: `.` not open, `*` gold, or the gold round it.
    pub cells: String,
}

/// How far a game has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// For players.
    Waiting,
    /// It is somebody's turn.
    Playing {
        /// Whose.
        turn: Turn,
    },
    /// It is over.
    Over {
        /// Why.
        why: Verdict,
    },
}

/// A player.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatView {
    /// The player's id.
    pub player: String,
    /// The player's name.
    pub name: String,
    /// Gold found.
    pub score: u32,
    /// Whether the phone is out of reach.
    pub is_away: bool,
    /// Whether the player is no longer in the game.
    pub has_left: bool,
}

impl SeatView {
    pub(crate) fn new(player: &str, name: &str) -> Self {
        let (player, name) = (player.to_owned(), name.to_owned());
        Self { player, name, score: 0, is_away: false, has_left: false }
    }
}

impl View {
    /// The view that a room's first event makes; nothing of a room, where it is another one.
    #[must_use]
    pub fn of(opened: &Event) -> Self {
        let settings = match &opened.what {
            What::Opened { settings } => *settings,
            _ => Settings::default(),
        };
        let cells = ".".repeat(usize::from(settings.cells()));
        Self { n: opened.n, settings, phase: Phase::Waiting, seats: Vec::new(), cells }
    }

    /// Takes the next event in. False: it is not the next one, and nothing has changed. One that comes again is left out; after
    /// one that is missing, the server has a fresh view.
    pub fn apply(&mut self, event: &Event) -> bool {
        if event.n != self.n + 1 {
            return false;
        }
        self.n = event.n;
        match &event.what {
            What::Opened { .. } => {}
            What::Joined { seat, player, name } => self.join(*seat, SeatView::new(player, name)),
            What::Started { turn } => self.phase = Phase::Playing { turn: *turn },
            What::Dug { seat, opened, points, turn, .. } => {
                self.open(opened);
                self.seat(*seat, |player| player.score += points);
                self.turn(*turn);
            }
            What::Passed { turn, .. } => self.turn(Some(*turn)),
            What::Away { seat } => self.seat(*seat, |player| player.is_away = true),
            What::Back { seat } => self.seat(*seat, |player| player.is_away = false),
            What::Left { seat, turn, .. } => {
                self.seat(*seat, |player| player.has_left = true);
                self.turn(*turn);
            }
            What::Resumed { turn } => {
                let here = self.seats.iter_mut().filter(|seat| !seat.has_left);
                here.for_each(|seat| seat.is_away = true);
                self.turn(*turn);
            }
            What::Ended { why } => self.phase = Phase::Over { why: *why },
        }
        true
    }

    /// Gold that nobody has found.
    #[must_use]
    pub fn gold_left(&self) -> u32 {
        let found: u32 = self.seats.iter().map(|seat| seat.score).sum();
        u32::from(self.settings.gold).saturating_sub(found)
    }

    fn join(&mut self, seat: u8, player: SeatView) {
        let seat = usize::from(seat);
        if seat < self.seats.len() {
            self.seats[seat] = player;
        } else {
            self.seats.push(player);
        }
    }

    fn turn(&mut self, turn: Option<Turn>) {
        if let Some(turn) = turn {
            self.phase = Phase::Playing { turn };
        }
    }

    fn seat(&mut self, seat: u8, change: impl FnOnce(&mut SeatView)) {
        if let Some(seat) = self.seats.get_mut(usize::from(seat)) {
            change(seat);
        }
    }

    fn open(&mut self, opened: &[(u16, u8)]) {
        let mut cells: Vec<char> = self.cells.chars().collect();
        for (cell, value) in opened {
            if let Some(place) = cells.get_mut(usize::from(*cell)) {
                *place = sign(*value);
            }
        }
        self.cells = cells.into_iter().collect();
    }
}

/// A value as a character of [`View::cells`].
pub(crate) fn sign(value: u8) -> char {
    if value == Field::GOLD { '*' } else { char::from(b'0' + value.min(8)) }
}
