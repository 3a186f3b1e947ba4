//! A room: the view that everybody has, the field that nobody sees, and the deadlines.

use crate::{
    Event, Field, Input, Leaving, Phase, Refusal, Settings, Turn, Verdict, View, What,
    input::Entry,
    random::Random,
    results::{self, GameResult},
    settings::BadSettings,
    view::{SeatView, sign},
};

/// A room. See [`Room::apply`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    view: View,
    field: Field,
    first_seat: usize,
    /// For each cell, the seat and the turn in which somebody dug there.
    digs: Vec<Option<(u8, u32)>>,
    /// For each seat that is away, since when.
    away_since: Vec<u64>,
    waiting_since: u64,
    /// Seats that were in the game when it began.
    has_played: Vec<bool>,
    passes_in_a_row: u32,
    /// When the last event happened: time does not run back.
    now: u64,
}

/// What an input has done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Outcome {
    /// What everybody is told, in this order. Where there is none, the room is as it was.
    pub events: Vec<Event>,
    /// Whether the input was accepted. A refused one may have events nevertheless: of deadlines that had come.
    pub verdict: Result<(), Refusal>,
}

/// A deadline that has come.
enum Due {
    Turn(Turn),
    Seat(usize),
    Wait,
}

impl Room {
    /// A room without players, and its first event. The same seed makes the same field.
    ///
    /// # Errors
    /// [`BadSettings`], see [`Settings::check`].
    pub fn open(settings: Settings, seed: u64, at: u64) -> Result<(Self, Event), BadSettings> {
        settings.check()?;
        let opened = Event { n: 1, at, what: What::Opened { settings } };
        let mut random = Random::new(seed);
        let room = Self {
            view: View::of(&opened),
            field: Field::new(settings, &mut random),
            first_seat: random.below(usize::from(settings.seats)),
            digs: vec![None; usize::from(settings.cells())],
            away_since: vec![0; usize::from(settings.seats)],
            waiting_since: at,
            has_played: vec![false; usize::from(settings.seats)],
            passes_in_a_row: 0,
            now: at,
        };
        Ok((room, opened))
    }

    /// The room that these inputs make, and all of its events.
    ///
    /// # Errors
    /// [`BadSettings`], as [`Room::open`].
    pub fn replay(
        settings: Settings,
        seed: u64,
        opened_at: u64,
        log: &[Entry],
    ) -> Result<(Self, Vec<Event>), BadSettings> {
        let (mut room, opened) = Self::open(settings, seed, opened_at)?;
        let mut events = vec![opened];
        for entry in log {
            events.extend(room.apply(entry.at, &entry.input).events);
        }
        Ok((room, events))
    }

    /// Takes an input in, after every deadline that came before it. `at` is in wall milliseconds.
    pub fn apply(&mut self, at: u64, input: &Input) -> Outcome {
        let mut events = Vec::new();
        let at = at.max(self.now);
        if *input == Input::Restart {
            self.restart(at, &mut events);
            return Outcome { events, verdict: Ok(()) };
        }
        self.settle(at, &mut events);
        let verdict = match input {
            Input::Join { player, name } => self.join(at, player, name, &mut events),
            Input::Start { player } => self.start_early(at, player, &mut events),
            Input::Dig { player, turn, cell } => self.dig(at, player, *turn, *cell, &mut events),
            Input::Leave { player } => self.leave(at, player, &mut events),
            Input::Away { player } => self.away(at, player, &mut events),
            Input::Back { player } => self.back(at, player, &mut events),
            Input::BreakOff => {
                self.break_off(at, &mut events);
                Ok(())
            }
            Input::Tick | Input::Restart => Ok(()),
        };
        Outcome { events, verdict }
    }

    /// When [`Input::Tick`] is due, in wall milliseconds; `None` when the game is over.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.next_due().map(|(at, _)| at)
    }

    /// What players and spectators see.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The field. It stays with the server.
    #[must_use]
    pub fn field(&self) -> &Field {
        &self.field
    }

    /// Whether the game is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.view.phase, Phase::Over { .. })
    }

    /// When the last event happened.
    #[must_use]
    pub fn last_at(&self) -> u64 {
        self.now
    }

    /// Whether the player has a seat, and has not left.
    #[must_use]
    pub fn has_seat(&self, player: &str) -> bool {
        self.seat_of(player).is_ok()
    }

    /// What the game was for its players: see [`GameResult`].
    #[must_use]
    pub fn results(&self) -> Vec<GameResult> {
        results::of(&self.view, &self.has_played)
    }

    fn next_due(&self) -> Option<(u64, Due)> {
        let stage = match self.view.phase {
            Phase::Over { .. } => return None,
            Phase::Waiting => (self.waiting_since.saturating_add(Settings::WAIT_MS), Due::Wait),
            Phase::Playing { turn } => (turn.ends_at, Due::Turn(turn)),
        };
        let away = self.in_game().filter(|seat| self.view.seats[*seat].is_away);
        let seats =
            away.map(|seat| (self.away_since[seat].saturating_add(Settings::SEAT_KEPT_MS), Due::Seat(seat)));
        seats.chain([stage]).min_by_key(|(at, _)| *at)
    }

    fn settle(&mut self, at: u64, events: &mut Vec<Event>) {
        while let Some((due_at, due)) = self.next_due().filter(|(due_at, _)| *due_at <= at) {
            let due_at = due_at.max(self.now);
            match due {
                Due::Turn(turn) => self.pass(due_at, turn, events),
                Due::Seat(seat) => self.remove(due_at, seat, Leaving::Away, events),
                Due::Wait => self.emit(due_at, What::Ended { why: Verdict::NotBegun }, events),
            }
        }
    }

    fn join(&mut self, at: u64, player: &str, name: &str, events: &mut Vec<Event>) -> Result<(), Refusal> {
        if self.seat_of(player).is_ok() {
            return self.back(at, player, events);
        }
        match self.view.phase {
            Phase::Waiting => {}
            Phase::Playing { .. } => return Err(Refusal::Begun),
            Phase::Over { .. } => return Err(Refusal::Over),
        }
        let taken = self.in_game().count();
        if taken >= usize::from(self.view.settings.seats) {
            return Err(Refusal::Full);
        }
        let name = name.trim();
        let is_short = (1..=Settings::NAME_CHARS_MAX).contains(&name.chars().count());
        if !is_short || name.chars().any(char::is_control) {
            return Err(Refusal::BadName);
        }
        // The player's own seat of before comes first: nobody has two.
        let given_up = |of: Option<&str>| {
            let is_it = |seat: &SeatView| seat.has_left && of.is_none_or(|player| seat.player == player);
            self.view.seats.iter().position(is_it)
        };
        let seat = given_up(Some(player)).or_else(|| given_up(None)).unwrap_or(self.view.seats.len());
        let seat = number(seat);
        self.waiting_since = at;
        let SeatView { player, name, .. } = SeatView::new(player, name);
        self.emit(at, What::Joined { seat, player, name }, events);
        if taken + 1 == usize::from(self.view.settings.seats) {
            self.start(at, events);
        }
        Ok(())
    }

    fn start_early(&mut self, at: u64, player: &str, events: &mut Vec<Event>) -> Result<(), Refusal> {
        self.seat_of(player)?;
        match self.view.phase {
            Phase::Playing { .. } => Ok(()),
            Phase::Over { .. } => Err(Refusal::Over),
            Phase::Waiting if self.in_game().count() < 2 => Err(Refusal::Alone),
            Phase::Waiting => {
                self.start(at, events);
                Ok(())
            }
        }
    }

    fn start(&mut self, at: u64, events: &mut Vec<Event>) {
        let players: Vec<usize> = self.in_game().collect();
        for seat in &players {
            self.has_played[*seat] = true;
        }
        let seat = number(players[self.first_seat % players.len()]);
        let turn = Turn { number: 1, seat, ends_at: at.saturating_add(Settings::TURN_MS) };
        self.emit(at, What::Started { turn }, events);
    }

    fn dig(
        &mut self,
        at: u64,
        player: &str,
        turn_number: u32,
        cell: u16,
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        let seat = self.view.seats.iter().position(|seat| seat.player == player).map(number);
        let dig = self.digs.get(usize::from(cell)).ok_or(Refusal::NoSuchCell)?;
        // It counted already; the player has not heard so.
        if seat.is_some() && *dig == seat.map(|seat| (seat, turn_number)) {
            return Ok(());
        }
        let turn = match self.view.phase {
            Phase::Playing { turn } => turn,
            Phase::Waiting => return Err(Refusal::NotBegun),
            Phase::Over { .. } => return Err(Refusal::Over),
        };
        let seat = number(self.seat_of(player)?);
        if turn.number != turn_number || turn.seat != seat {
            return Err(Refusal::NotYourTurn);
        }
        if self.is_open(cell) {
            return Err(Refusal::Open);
        }
        self.passes_in_a_row = 0;
        self.digs[usize::from(cell)] = Some((seat, turn_number));
        let opened = self.field.opened_by(cell, |near| self.is_open(near));
        let points = u32::from(self.field.get(cell) == Some(Field::GOLD));
        let is_last = self.view.gold_left() == points;
        let turn = (!is_last).then(|| self.turn_after(turn, at));
        self.emit(at, What::Dug { seat, cell, opened, points, turn }, events);
        if is_last {
            self.emit(at, What::Ended { why: Verdict::Found }, events);
        }
        Ok(())
    }

    fn leave(&mut self, at: u64, player: &str, events: &mut Vec<Event>) -> Result<(), Refusal> {
        // It counted already; the player has not heard so.
        if self.view.seats.iter().any(|seat| seat.player == player && seat.has_left) {
            return Ok(());
        }
        if self.is_over() {
            return Err(Refusal::Over);
        }
        let seat = self.seat_of(player)?;
        self.remove(at, seat, Leaving::Left, events);
        Ok(())
    }

    fn away(&mut self, at: u64, player: &str, events: &mut Vec<Event>) -> Result<(), Refusal> {
        let seat = self.seat_of(player)?;
        if !self.is_over() && !self.view.seats[seat].is_away {
            self.away_since[seat] = at;
            self.emit(at, What::Away { seat: number(seat) }, events);
        }
        Ok(())
    }

    fn back(&mut self, at: u64, player: &str, events: &mut Vec<Event>) -> Result<(), Refusal> {
        let seat = self.seat_of(player)?;
        if !self.is_over() && self.view.seats[seat].is_away {
            self.emit(at, What::Back { seat: number(seat) }, events);
        }
        Ok(())
    }

    fn restart(&mut self, at: u64, events: &mut Vec<Event>) {
        let turn = match self.view.phase {
            Phase::Over { .. } => return,
            Phase::Waiting => None,
            Phase::Playing { turn } => Some(Turn { ends_at: at.saturating_add(Settings::TURN_MS), ..turn }),
        };
        self.waiting_since = at;
        self.away_since.fill(at);
        self.emit(at, What::Resumed { turn }, events);
    }

    fn break_off(&mut self, at: u64, events: &mut Vec<Event>) {
        if !self.is_over() {
            self.emit(at, What::Ended { why: Verdict::Broken }, events);
        }
    }

    fn pass(&mut self, at: u64, turn: Turn, events: &mut Vec<Event>) {
        self.passes_in_a_row += 1;
        let next = self.turn_after(turn, at);
        self.emit(at, What::Passed { seat: turn.seat, turn: next }, events);
        let players = u32::from(number(self.in_game().count()));
        if self.passes_in_a_row >= players * Settings::IDLE_ROUNDS_MAX {
            self.emit(at, What::Ended { why: Verdict::Idle }, events);
        }
    }

    fn remove(&mut self, at: u64, seat: usize, why: Leaving, events: &mut Vec<Event>) {
        let is_deserted = self.in_game().count() <= 2;
        let turn = match self.view.phase {
            Phase::Playing { turn } if usize::from(turn.seat) == seat && !is_deserted => {
                Some(self.turn_after(turn, at))
            }
            _ => None,
        };
        self.waiting_since = at;
        self.emit(at, What::Left { seat: number(seat), why, turn }, events);
        let why = match self.view.phase {
            Phase::Playing { .. } if is_deserted => Verdict::Deserted,
            // A room that nobody is in does not wait.
            Phase::Waiting if self.in_game().next().is_none() => Verdict::NotBegun,
            _ => return,
        };
        self.emit(at, What::Ended { why }, events);
    }

    /// The turn of the next player who is in the game.
    fn turn_after(&self, turn: Turn, at: u64) -> Turn {
        let before = usize::from(turn.seat);
        let next = self.in_game().find(|seat| *seat > before).or_else(|| self.in_game().next());
        let ends_at = at.saturating_add(Settings::TURN_MS);
        Turn { number: turn.number.saturating_add(1), seat: number(next.unwrap_or(before)), ends_at }
    }

    fn emit(&mut self, at: u64, what: What, events: &mut Vec<Event>) {
        let event = Event { n: self.view.n + 1, at, what };
        self.now = at;
        let is_next = self.view.apply(&event);
        debug_assert!(is_next, "an event follows the one before");
        events.push(event);
    }

    fn is_open(&self, cell: u16) -> bool {
        self.view.cells.as_bytes().get(usize::from(cell)) != Some(&b'.')
    }

    /// The seats of those who have not left.
    fn in_game(&self) -> impl Iterator<Item = usize> + '_ {
        let seats = self.view.seats.iter().enumerate();
        seats.filter(|(_, seat)| !seat.has_left).map(|(index, _)| index)
    }

    fn seat_of(&self, player: &str) -> Result<usize, Refusal> {
        self.in_game().find(|seat| self.view.seats[*seat].player == player).ok_or(Refusal::NoSeat)
    }

    /// What a screen would show of the whole field; for tests, and for those who keep the results.
    #[must_use]
    pub fn solution(&self) -> String {
        (0..self.view.settings.cells()).filter_map(|cell| self.field.get(cell)).map(sign).collect()
    }
}

/// There are at most four seats.
fn number(seat: usize) -> u8 {
    u8::try_from(seat).unwrap_or(u8::MAX)
}
