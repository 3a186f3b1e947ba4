//! Whole games of simulated players on the rules and the store, as a room's task uses them, with faults: batches that are not
//! saved or saved without an answer, restarts, a wall clock that is set, calls that come again, events that come late or twice.

use std::collections::{BTreeSet, HashMap};

use tautline_gold_rules::{Entry, Event, Input, Phase, Room, Settings, Verdict, View, What};

use crate::{
    Limits,
    store::{StoredRoom, tests::TestStore},
};

/// Games that are played at the same time, their inputs saved together.
const TOGETHER: u64 = 100;
/// Steps in which every game has come to its end.
const STEPS_MAX: u32 = 3_000;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(of.len()).ok().filter(|count| *count > 0)?;
        of.get(usize::try_from(self.below(count)).unwrap())
    }
}

/// What becomes of a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Saved,
    NotSaved,
    /// It is on the disk, and nobody is told.
    AnswerLost,
}

/// A room, those who play in it, and those who watch.
struct Game {
    random: Random,
    stored: StoredRoom,
    room: Room,
    saved: u32,
    now: u64,
    events: Vec<Event>,
    /// Calls of before, which may come again.
    calls: Vec<Input>,
    /// Digs that were accepted: player, turn, cell.
    accepted: BTreeSet<(String, u32, u16)>,
    /// Screens, and the number of events that each has got.
    screens: Vec<(Option<View>, usize)>,
}

impl Game {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let side = |random: &mut Random| 4 + u16::try_from(random.below(7)).unwrap();
        let (width, height) = (side(&mut random), side(&mut random));
        let gold = 1 + u16::try_from(random.below(u64::from(width * height / 3))).unwrap();
        let seats = 2 + u8::try_from(random.below(3)).unwrap();
        let settings = Settings { width, height, gold, seats };
        let opened_at = 1_000_000_000 + random.below(1_000_000);
        let (room, opened) = Room::open(settings, seed, opened_at).unwrap();
        let stored = StoredRoom { room: format!("room{seed}"), settings, seed, opened_at, log: Vec::new() };
        Self {
            random,
            stored,
            room,
            saved: 0,
            now: opened_at,
            events: vec![opened],
            calls: Vec::new(),
            accepted: BTreeSet::new(),
            screens: vec![(None, 0); 3],
        }
    }

    fn pass_time(&mut self) {
        self.now += match self.random.below(200) {
            0 => 130_000,
            1..6 => 21_000,
            6..10 => 0,
            _ => self.random.below(2_500),
        };
    }

    fn input(&mut self) -> Input {
        let player = format!("p{}", self.random.below(5));
        let cell = u16::try_from(self.random.below(u64::from(self.stored.settings.cells()))).unwrap();
        match self.random.below(60) {
            0 => Input::Restart,
            1 => Input::Away { player },
            2 | 3 => Input::Back { player },
            4 if self.random.chance(8) => Input::Leave { player },
            5..8 => self.random.pick(&self.calls).cloned().unwrap_or(Input::Tick),
            8 => Input::Start { player },
            9 | 10 => Input::Join { name: player.clone(), player },
            11 => Input::Tick,
            12 => Input::Dig { player, turn: 1, cell },
            _ => match self.room.view().phase {
                Phase::Playing { turn } => {
                    let player = self.room.view().seats[usize::from(turn.seat)].player.clone();
                    Input::Dig { player, turn: turn.number, cell: self.hidden(cell) }
                }
                _ => Input::Join { name: player.clone(), player },
            },
        }
    }

    /// The first cell from here on that is not open.
    fn hidden(&self, from: u16) -> u16 {
        let cells = self.stored.settings.cells();
        let is_hidden = |cell: &u16| self.room.view().cells.as_bytes()[usize::from(*cell)] == b'.';
        (from..cells).chain(0..from).find(is_hidden).unwrap_or(from)
    }

    fn accept(&mut self, input: &Input, is_ok: bool, room: Room, events: Vec<Event>) {
        self.saved += u32::from(!events.is_empty());
        self.room = room;
        self.events.extend(events);
        if let (Input::Dig { player, turn, cell }, true) = (input, is_ok) {
            self.accepted.insert((player.clone(), *turn, *cell));
        }
        self.calls.push(input.clone());
    }

    /// Late, in order, each event again now and then; a screen that is made anew begins from the first event.
    fn show(&mut self, all: bool) {
        for (view, got) in &mut self.screens {
            if !all && self.random.chance(3) {
                continue;
            }
            if self.random.chance(50) {
                (*view, *got) = (None, 0);
            }
            let again = got.saturating_sub(usize::try_from(self.random.below(3)).unwrap());
            for event in &self.events[again..] {
                match view {
                    None => *view = Some(View::of(event)),
                    Some(view) => {
                        let is_next = event.n == view.n + 1;
                        assert_eq!(view.apply(event), is_next, "{}", self.stored.room);
                    }
                }
            }
            *got = self.events.len();
        }
    }

    fn check_end(&mut self) {
        let name = self.stored.room.clone();
        self.show(true);
        for (view, _) in &self.screens {
            assert_eq!(view.as_ref(), Some(self.room.view()), "{name}: every screen ends as the server");
        }
        let digs: Vec<_> = self
            .events
            .iter()
            .filter_map(|event| match &event.what {
                What::Dug { cell, .. } => Some(*cell),
                _ => None,
            })
            .collect();
        let cells: BTreeSet<_> = digs.iter().collect();
        assert_eq!(digs.len(), cells.len(), "{name}: no move is doubled");
        assert_eq!(digs.len(), self.accepted.len(), "{name}: no move is lost");
        let found: u32 = self.room.view().seats.iter().map(|seat| seat.score).sum();
        let is_found = self.room.view().phase == Phase::Over { why: Verdict::Found };
        assert_eq!(found == u32::from(self.stored.settings.gold), is_found, "{name}");
    }
}

/// One input of each game, saved in one batch.
async fn step(test: &TestStore, games: &mut [Game], fate: Fate) {
    let mut proposals = Vec::new();
    for game in games.iter_mut().filter(|game| !game.room.is_over()) {
        game.pass_time();
        let input = game.input();
        if input == Input::Restart {
            game.restart(test).await;
        }
        let mut room = game.room.clone();
        let outcome = room.apply(game.now, &input);
        proposals.push((game, input, room, outcome));
    }
    let entries: Vec<_> = proposals
        .iter()
        .filter(|(.., outcome)| !outcome.events.is_empty())
        .map(|(game, input, ..)| {
            let entry = Entry { at: game.now, input: input.clone() };
            (game.stored.room.clone(), game.saved, serde_json::to_string(&entry).unwrap())
        })
        .collect();
    if fate != Fate::NotSaved {
        let inputs: Vec<_> =
            entries.iter().map(|(room, number, entry)| (&**room, *number, &**entry)).collect();
        test.store.add_inputs(&inputs).await.unwrap();
    }
    for (game, input, room, outcome) in proposals {
        let (events, is_ok) = (outcome.events, outcome.verdict.is_ok());
        match fate {
            Fate::NotSaved if !events.is_empty() => continue,
            Fate::AnswerLost if !events.is_empty() => {
                let (read, all) =
                    test.store.room(&game.stored.room).await.unwrap().unwrap().replay().unwrap();
                assert_eq!(read, room, "{}", game.stored.room);
                let new = all[game.events.len()..].to_vec();
                game.accept(&input, is_ok, read, new);
                // The caller calls again, and is told what it would have been told.
                if !matches!(input, Input::Tick | Input::Restart) {
                    let again = game.room.apply(game.now, &input);
                    assert!(again.events.is_empty(), "{input:?}: {again:?}");
                    assert_eq!(again.verdict, outcome.verdict, "{input:?}");
                }
            }
            _ => game.accept(&input, is_ok, room, events),
        }
        game.show(false);
    }
}

impl Game {
    /// The process ends and starts again, perhaps with another time of day.
    async fn restart(&mut self, test: &TestStore) {
        let stored = test.store.room(&self.stored.room).await.unwrap().unwrap();
        let (room, events) = stored.replay().unwrap();
        assert_eq!(
            (&room, &events),
            (&self.room, &self.events),
            "{}: what is saved is what happened",
            self.stored.room
        );
        let wall = match self.random.below(4) {
            0 => self.now.saturating_sub(3_600_000),
            1 => self.now + 24 * 3_600_000,
            _ => self.now,
        };
        self.now = wall.max(room.last_at());
    }
}

/// `GOLD_GAMES=1000` for more.
fn games_max() -> u64 {
    std::env::var("GOLD_GAMES").ok().and_then(|count| count.parse().ok()).unwrap_or(60)
}

#[tokio::test]
async fn simulated_games_with_faults_lose_and_double_nothing() {
    let test = TestStore::open("simulation").await;
    let (mut gold, mut ends) = (HashMap::<String, u64>::new(), BTreeSet::new());
    for first in (0..games_max()).step_by(usize::try_from(TOGETHER).unwrap()) {
        let seeds = first..(first + TOGETHER).min(games_max());
        let mut games: Vec<_> = seeds.map(Game::new).collect();
        let mut random = Random(first);
        for game in &games {
            assert!(test.store.add_room(&game.stored).await.unwrap());
        }
        for _ in 0..STEPS_MAX {
            if games.iter().all(|game| game.room.is_over()) {
                break;
            }
            let fate = match random.below(20) {
                0 => Fate::NotSaved,
                1 => Fate::AnswerLost,
                _ => Fate::Saved,
            };
            step(&test, &mut games, fate).await;
        }
        for game in &mut games {
            assert!(game.room.is_over(), "{} has not ended", game.stored.room);
            game.check_end();
            // Killed between the two: the end is saved again.
            for _ in 0..2 {
                let results = game.room.results();
                test.store.end_room(&game.stored.room, &results, game.room.last_at()).await.unwrap();
            }
            for result in game.room.results() {
                *gold.entry(result.player).or_default() += u64::from(result.score);
            }
            ends.insert(format!("{:?}", game.room.view().phase));
        }
    }
    assert!(ends.len() >= 3, "{ends:?}");
    let limits = Limits { rooms_kept_max: 0, ..Limits::default() };
    assert_eq!(test.store.sweep(&limits, 0).await.unwrap(), games_max());
    for leader in test.store.leaders().await.unwrap() {
        assert_eq!(gold.remove(&leader.player).map(u64::cast_signed), Some(leader.gold), "{leader:?}");
    }
    assert!(gold.is_empty(), "{gold:?}");
}
