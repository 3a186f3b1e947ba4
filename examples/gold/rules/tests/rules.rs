//! Promises of the rules: by example, and for rooms and inputs from thousands of seeds.

use std::collections::BTreeMap;

use tautline_gold_rules::{
    BadSettings, Entry, Event, Field, Input, Phase, Refusal, Room, Settings, Verdict, View, What,
};

/// SplitMix64, as the rules have it: another generator than theirs would do as well.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }

    fn small(&mut self, end: u16) -> u16 {
        u16::try_from(self.below(u64::from(end))).expect("it is below")
    }

    fn settings(&mut self) -> Settings {
        let (width, height) = (4 + self.small(13), 4 + self.small(13));
        let gold = 1 + self.small(width * height / 2);
        Settings { width, height, gold, seats: u8::try_from(2 + self.small(3)).expect("at most four") }
    }

    /// Anything, by anybody, at any time; digs are often right, so that games get somewhere.
    fn input(&mut self, room: &Room) -> Input {
        let player = format!("p{}", self.below(5));
        let cell = self.small(room.view().settings.cells() + 2);
        match self.below(40) {
            0..4 => Input::Join { name: player.clone(), player },
            4 => Input::Start { player },
            5 if self.below(4) == 0 => Input::Leave { player },
            6 => Input::Away { player },
            7 | 8 => Input::Back { player },
            9 if self.below(40) == 0 => Input::BreakOff,
            9 => Input::Tick,
            10 => Input::Restart,
            11..15 => Input::Dig { player, turn: u32::from(self.small(60)), cell },
            _ => match room.view().phase {
                Phase::Playing { turn } => {
                    let player = room.view().seats[usize::from(turn.seat)].player.clone();
                    Input::Dig { player, turn: turn.number, cell }
                }
                _ => Input::Join { name: player.clone(), player },
            },
        }
    }

    fn wait(&mut self) -> u64 {
        match self.below(150) {
            0 => 700_000,
            1..5 => 130_000,
            5..10 => 20_000,
            10..15 => 0,
            _ => self.below(3_000),
        }
    }
}

/// A history: each input with its time, and what it did.
struct History {
    settings: Settings,
    seed: u64,
    room: Room,
    log: Vec<Entry>,
    events: Vec<Event>,
}

impl History {
    fn of(seed: u64, check: impl Fn(&Room, &Room, &Input, &[Event])) -> Self {
        let mut random = Random(seed);
        let settings = random.settings();
        let (mut room, opened) = Room::open(settings, seed, 1_000).expect("they are good");
        let (mut log, mut events, mut at) = (Vec::new(), vec![opened], 1_000);
        for _ in 0..300 {
            at += random.wait();
            let input = random.input(&room);
            let before = room.clone();
            let outcome = room.apply(at, &input);
            check(&before, &room, &input, &outcome.events);
            if !outcome.events.is_empty() {
                log.push(Entry { at, input });
            }
            events.extend(outcome.events);
        }
        Self { settings, seed, room, log, events }
    }

    fn quiet(seed: u64) -> Self {
        Self::of(seed, |_, _, _, _| {})
    }
}

/// `GOLD_SEEDS=100000` for more.
fn seeds() -> std::ops::Range<u64> {
    0..std::env::var("GOLD_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(200)
}

fn room_of(players: &[&str]) -> Room {
    let seats = u8::try_from(players.len()).expect("a few");
    let (mut room, _) = Room::open(Settings { seats, ..Settings::default() }, 7, 0).expect("they are good");
    for player in players {
        let join = Input::Join { player: (*player).into(), name: (*player).into() };
        room.apply(0, &join).verdict.expect("there is a seat");
    }
    room
}

fn turn(room: &Room) -> (String, u32) {
    let Phase::Playing { turn } = room.view().phase else { panic!("nobody plays: {:?}", room.view().phase) };
    (room.view().seats[usize::from(turn.seat)].player.clone(), turn.number)
}

fn dig(room: &mut Room, at: u64, cell: u16) -> Result<(), Refusal> {
    let (player, turn) = turn(room);
    room.apply(at, &Input::Dig { player, turn, cell }).verdict
}

fn cell_with(room: &Room, wanted: impl Fn(u8) -> bool) -> u16 {
    let is_hidden = |cell: &u16| room.view().cells.as_bytes()[usize::from(*cell)] == b'.';
    let mut cells = (0..room.view().settings.cells()).filter(is_hidden);
    cells.find(|cell| room.field().get(*cell).is_some_and(&wanted)).expect("there is such a cell")
}

#[test]
fn every_cell_counts_the_gold_around_it() {
    for seed in seeds() {
        let settings = Random(seed).settings();
        let (room, _) = Room::open(settings, seed, 0).expect("they are good");
        let (width, height) = (i32::from(settings.width), i32::from(settings.height));
        let at = |row: i32, column: i32| {
            let is_inside = (0..height).contains(&row) && (0..width).contains(&column);
            is_inside
                .then(|| room.field().get(u16::try_from(row * width + column).expect("inside")))
                .flatten()
        };
        let is_gold = |row, column| at(row, column) == Some(Field::GOLD);
        let mut gold = 0;
        for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
            if is_gold(row, column) {
                gold += 1;
                continue;
            }
            let near = (-1..=1).flat_map(|down| (-1..=1).map(move |right| (row + down, column + right)));
            let count = near.filter(|(row, column)| is_gold(*row, *column)).count();
            assert_eq!(
                at(row, column).map(usize::from),
                Some(count),
                "seed {seed}, row {row}, column {column}"
            );
        }
        assert_eq!(gold, settings.gold, "seed {seed}");
    }
}

#[test]
fn gold_is_as_likely_in_every_cell() {
    let mut found = vec![0_u32; 100];
    for seed in 0..5_000 {
        let (room, _) = Room::open(Settings::default(), seed, 0).expect("they are good");
        for (cell, sign) in room.solution().chars().enumerate() {
            found[cell] += u32::from(sign == '*');
        }
    }
    // 1,000 in each are expected, with a standard deviation of 28.
    assert!(found.iter().all(|count| (860..1_140).contains(count)), "{found:?}");
}

#[test]
fn any_inputs_replayed_make_the_same_room() {
    for seed in seeds() {
        let history = History::quiet(seed);
        let (room, events) =
            Room::replay(history.settings, history.seed, 1_000, &history.log).expect("they are good");
        assert_eq!((room, events), (history.room, history.events), "seed {seed}");
    }
}

#[test]
fn log_survives_being_written_as_json() {
    let history = History::quiet(11);
    let text = serde_json::to_string(&history.log).expect("it is written");
    assert_eq!(serde_json::from_str::<Vec<Entry>>(&text).expect("it is read"), history.log);
    let text = serde_json::to_string(&history.events).expect("it is written");
    assert_eq!(serde_json::from_str::<Vec<Event>>(&text).expect("it is read"), history.events);
}

#[test]
fn folded_events_are_the_view_of_the_server() {
    for seed in seeds() {
        let history = History::quiet(seed);
        let mut view = View::of(&history.events[0]);
        for event in &history.events[1..] {
            assert!(view.apply(event), "seed {seed}");
            assert!(!view.apply(event), "seed {seed}: an event that comes again changes nothing");
        }
        assert_eq!(&view, history.room.view(), "seed {seed}");
    }
}

#[test]
fn view_shows_open_cells_and_no_others() {
    for seed in seeds() {
        let history = History::quiet(seed);
        let opened = history.events.iter().flat_map(|event| match &event.what {
            What::Dug { opened, .. } => opened.clone(),
            _ => Vec::new(),
        });
        let mut expected: Vec<char> = ".".repeat(usize::from(history.settings.cells())).chars().collect();
        let solution: Vec<char> = history.room.solution().chars().collect();
        for (cell, _) in opened {
            let cell = usize::from(cell);
            assert_eq!(expected[cell], '.', "seed {seed}: a cell opens once");
            expected[cell] = solution[cell];
        }
        assert_eq!(history.room.view().cells, expected.iter().collect::<String>(), "seed {seed}");
    }
}

#[test]
fn gold_is_opened_by_its_own_dig_alone() {
    for seed in seeds() {
        for event in History::quiet(seed).events {
            let What::Dug { cell, opened, points, .. } = event.what else { continue };
            let gold: Vec<u16> =
                opened.iter().filter(|(_, value)| *value == Field::GOLD).map(|(cell, _)| *cell).collect();
            let expected = if points == 1 { vec![cell] } else { Vec::new() };
            assert_eq!(gold, expected, "seed {seed}");
        }
    }
}

#[test]
fn turns_differ_by_at_most_one_between_players() {
    for seed in seeds() {
        let mut turns: BTreeMap<u8, u32> = BTreeMap::new();
        for event in History::quiet(seed).events {
            let next = match event.what {
                What::Started { turn } | What::Passed { turn, .. } => Some(turn),
                What::Dug { turn, .. } => turn,
                What::Left { seat, turn, .. } => {
                    turns.remove(&seat);
                    turn
                }
                What::Joined { seat, .. } => {
                    turns.insert(seat, 0);
                    continue;
                }
                _ => continue,
            };
            if let Some(turn) = next {
                *turns.get_mut(&turn.seat).expect("the turn of a player in the game") += 1;
            }
            let (min, max) = (turns.values().min(), turns.values().max());
            assert!(max.zip(min).is_none_or(|(max, min)| max - min <= 1), "seed {seed}: {turns:?}");
        }
    }
}

#[test]
fn score_is_the_gold_that_is_open() {
    for seed in seeds() {
        let room = History::quiet(seed).room;
        let open = room.view().cells.matches('*').count();
        let scores: u32 = room.view().seats.iter().map(|seat| seat.score).sum();
        assert_eq!(usize::try_from(scores).expect("small"), open, "seed {seed}");
        let is_found = matches!(room.view().phase, Phase::Over { why: Verdict::Found });
        assert_eq!(room.view().gold_left() == 0, is_found, "seed {seed}");
    }
}

#[test]
fn input_without_events_leaves_the_room_as_it_was() {
    for seed in seeds() {
        History::of(seed, |before, after, input, events| {
            assert!(!events.is_empty() || before == after, "seed {seed}: {input:?}");
            let mut numbers = events.iter().map(|event| event.n).zip(before.view().n + 1..);
            assert!(numbers.all(|(number, expected)| number == expected), "seed {seed}: {events:?}");
        });
    }
}

#[test]
fn histories_reach_every_end() {
    let ends: std::collections::BTreeSet<String> =
        seeds().map(|seed| format!("{:?}", History::quiet(seed).room.view().phase)).collect();
    for end in ["Found", "Deserted", "Idle", "NotBegun", "Broken"] {
        assert!(ends.contains(&format!("Over {{ why: {end} }}")), "{end} is not in {ends:?}");
    }
}

#[test]
fn time_at_its_end_ends_the_room() {
    for players in [&["ann", "bo"][..], &["ann", "bo", "cy", "di"]] {
        let mut room = room_of(players);
        let events = room.apply(u64::MAX, &Input::Tick).events;
        assert!(events.len() <= 25, "{}", events.len());
        assert_eq!(room.view().phase, Phase::Over { why: Verdict::Idle });
        assert_eq!(room.deadline(), None);
    }
}

#[test]
fn time_that_runs_back_passes_no_turn_twice() {
    let mut room = room_of(&["ann", "bo"]);
    assert_eq!(room.apply(20_000, &Input::Tick).events.len(), 1);
    assert_eq!(room.apply(5_000, &Input::Tick).events, []);
    let cell = cell_with(&room, |value| value > 0);
    assert_eq!(dig(&mut room, 6_000, cell), Ok(()));
    assert_eq!(room.deadline(), Some(40_000));
}

#[test]
fn turn_passes_after_twenty_seconds_and_not_before() {
    let mut room = room_of(&["ann", "bo"]);
    let first = turn(&room);
    assert_eq!(room.apply(Settings::TURN_MS - 1, &Input::Tick).events, []);
    let late = Input::Dig { player: first.0.clone(), turn: first.1, cell: 0 };
    let outcome = room.apply(Settings::TURN_MS, &late);
    assert!(matches!(outcome.events[..], [Event { what: What::Passed { .. }, .. }]), "{outcome:?}");
    assert_eq!(outcome.verdict, Err(Refusal::NotYourTurn));
    assert_ne!(turn(&room).0, first.0);
}

#[test]
fn repeated_dig_counts_once_also_after_the_end() {
    let mut room = room_of(&["ann", "bo"]);
    let (player, number) = turn(&room);
    let cell = cell_with(&room, |value| value == Field::GOLD);
    let first = Input::Dig { player: player.clone(), turn: number, cell };
    assert_eq!(room.apply(1, &first).events.len(), 1);
    for at in [1, 2, 19_999] {
        let again = room.apply(at, &first);
        assert_eq!((again.events.len(), again.verdict), (0, Ok(())));
    }
    while !room.is_over() {
        let cell = cell_with(&room, |value| value == Field::GOLD);
        dig(&mut room, 2, cell).expect("it is the player's turn");
    }
    assert_eq!(room.apply(3, &first).verdict, Ok(()));
    let scores: u32 = room.view().seats.iter().map(|seat| seat.score).sum();
    assert_eq!(scores, 20);
}

#[test]
fn dig_out_of_turn_outside_or_twice_is_refused() {
    let mut room = room_of(&["ann", "bo"]);
    let (player, number) = turn(&room);
    let other = if player == "ann" { "bo" } else { "ann" };
    let dig_of = |player: &str, turn, cell| Input::Dig { player: player.into(), turn, cell };
    assert_eq!(room.apply(1, &dig_of(other, number, 0)).verdict, Err(Refusal::NotYourTurn));
    assert_eq!(room.apply(1, &dig_of(&player, number + 1, 0)).verdict, Err(Refusal::NotYourTurn));
    assert_eq!(room.apply(1, &dig_of("eve", number, 0)).verdict, Err(Refusal::NoSeat));
    assert_eq!(room.apply(1, &dig_of(&player, number, 100)).verdict, Err(Refusal::NoSuchCell));
    let cell = cell_with(&room, |value| value > 0);
    dig(&mut room, 2, cell).expect("it is the player's turn");
    assert_eq!(dig(&mut room, 3, cell), Err(Refusal::Open));
}

#[test]
fn empty_cell_opens_its_neighbourhood() {
    let settings = Settings { gold: 3, ..Settings::default() };
    let (mut room, _) = Room::open(settings, 5, 0).expect("they are good");
    for player in ["ann", "bo"] {
        let _ = room.apply(0, &Input::Join { player: player.into(), name: player.into() });
    }
    let cell = cell_with(&room, |value| value == 0);
    dig(&mut room, 1, cell).expect("it is the player's turn");
    for (open, sign) in room.view().cells.chars().enumerate() {
        if sign == '0' {
            let open = u16::try_from(open).expect("a cell");
            let mut near = room.field().around(open);
            assert!(near.all(|cell| room.view().cells.as_bytes()[usize::from(cell)] != b'.'), "round {open}");
        }
    }
    assert!(room.view().cells.matches(|sign| sign != '.').count() > 20);
}

#[test]
fn seat_is_kept_for_two_minutes() {
    let mut room = room_of(&["ann", "bo", "cy"]);
    let away = Input::Away { player: "ann".into() };
    assert!(matches!(room.apply(1_000, &away).events[..], [Event { what: What::Away { .. }, .. }]));
    let _ = room.apply(1_000 + Settings::SEAT_KEPT_MS - 1, &Input::Tick);
    assert!(!room.view().seats[0].has_left);
    let back = room.apply(1_000 + Settings::SEAT_KEPT_MS - 1, &Input::Back { player: "ann".into() });
    assert!(matches!(back.events[..], [Event { what: What::Back { seat: 0 }, .. }]), "{back:?}");

    let _ = room.apply(125_000, &away);
    let cell = cell_with(&room, |value| value > 0);
    dig(&mut room, 125_001, cell).expect("it is the player's turn");
    let _ = room.apply(125_000 + Settings::SEAT_KEPT_MS, &Input::Tick);
    assert!(room.view().seats[0].has_left);
    let join = Input::Join { player: "ann".into(), name: "ann".into() };
    assert_eq!(room.apply(245_001, &join).verdict, Err(Refusal::Begun));
}

#[test]
fn player_who_leaves_alone_ends_the_game() {
    let mut room = room_of(&["ann", "bo"]);
    let events = room.apply(1, &Input::Leave { player: "ann".into() }).events;
    assert!(matches!(events[0].what, What::Left { seat: 0, turn: None, .. }), "{events:?}");
    assert_eq!(room.view().phase, Phase::Over { why: Verdict::Deserted });
}

#[test]
fn turn_of_a_leaver_goes_to_the_next() {
    let mut room = room_of(&["ann", "bo", "cy"]);
    let (first, number) = turn(&room);
    let _ = room.apply(1, &Input::Leave { player: first.clone() });
    assert_eq!(turn(&room).1, number + 1);
    for at in 2..8 {
        assert_ne!(turn(&room).0, first);
        let cell = cell_with(&room, |value| value > 0);
        dig(&mut room, at, cell).expect("it is the player's turn");
    }
}

#[test]
fn downtime_counts_against_nobody() {
    let mut room = room_of(&["ann", "bo"]);
    let before = turn(&room);
    let up_at = 3_600_000;
    let events = room.apply(up_at, &Input::Restart).events;
    assert!(matches!(events[..], [Event { what: What::Resumed { turn: Some(_) }, .. }]), "{events:?}");
    assert_eq!((turn(&room), room.deadline()), (before, Some(up_at + Settings::TURN_MS)));
    assert!(room.view().seats.iter().all(|seat| seat.is_away && !seat.has_left));
}

#[test]
fn seat_given_up_before_the_game_is_free() {
    let (mut room, _) = Room::open(Settings { seats: 3, ..Settings::default() }, 1, 0).expect("good");
    let join = |player: &str| Input::Join { player: player.into(), name: format!("  {player} ") };
    for player in ["ann", "bo"] {
        room.apply(0, &join(player)).verdict.expect("there is a seat");
    }
    assert_eq!(room.apply(1, &Input::Leave { player: "ann".into() }).verdict, Ok(()));
    assert_eq!(room.apply(1, &Input::Start { player: "bo".into() }).verdict, Err(Refusal::Alone));
    room.apply(2, &join("cy")).verdict.expect("there is a seat");
    assert_eq!(room.view().seats[0].name, "cy");
    assert_eq!(room.apply(3, &Input::Start { player: "bo".into() }).verdict, Ok(()));
    assert_eq!(room.apply(4, &join("di")).verdict, Err(Refusal::Begun));
}

fn join(player: &str) -> Input {
    Input::Join { player: player.into(), name: player.into() }
}

fn leave(player: &str) -> Input {
    Input::Leave { player: player.into() }
}

/// A room of four in which `ann` and `bo` are.
fn waiting_room() -> Room {
    let (mut room, _) = Room::open(Settings { seats: 4, ..Settings::default() }, 3, 0).expect("good");
    for player in ["ann", "bo"] {
        room.apply(0, &join(player)).verdict.expect("there is a seat");
    }
    room
}

#[test]
fn player_who_left_and_came_back_keeps_score() {
    // The seat that bo gave up is not the first that is free.
    let mut room = waiting_room();
    for input in [join("cy"), leave("ann"), leave("bo"), join("bo"), Input::Start { player: "bo".into() }] {
        room.apply(1, &input).verdict.expect("each is possible");
    }
    while !room.is_over() {
        let cell = cell_with(&room, |value| value == Field::GOLD);
        dig(&mut room, 2, cell).expect("it is the player's turn");
    }
    let results = room.results();
    assert_eq!(results.iter().map(|result| result.player.as_str()).collect::<Vec<_>>(), ["bo", "cy"]);
    assert!(results.iter().all(|result| result.score == 10 && result.has_won), "{results:?}");
}

#[test]
fn nobody_has_two_seats() {
    for seed in seeds() {
        History::of(seed, |_, room, _, _| {
            let players: std::collections::BTreeSet<_> =
                room.view().seats.iter().map(|seat| &seat.player).collect();
            assert_eq!(players.len(), room.view().seats.len(), "seed {seed}");
        });
    }
}

#[test]
fn results_are_of_players_who_were_there_at_the_start() {
    let mut room = waiting_room();
    for input in [join("cy"), leave("ann"), Input::Start { player: "bo".into() }] {
        room.apply(1, &input).verdict.expect("each is possible");
    }
    assert_eq!(room.results(), [], "the game is not over");
    while !room.is_over() {
        let cell = cell_with(&room, |value| value == Field::GOLD);
        dig(&mut room, 2, cell).expect("it is the player's turn");
    }
    assert!(room.results().iter().all(|result| result.player != "ann"), "{:?}", room.results());
}

#[test]
fn best_of_those_who_stay_wins() {
    let mut room = room_of(&["ann", "bo", "cy"]);
    let (first, _) = turn(&room);
    // Two for the first player, one for each of the others.
    for _ in 0..4 {
        let cell = cell_with(&room, |value| value == Field::GOLD);
        dig(&mut room, 1, cell).expect("it is the player's turn");
    }
    let (second, _) = turn(&room);
    for leaver in [&first, &second] {
        assert_eq!(room.apply(2, &leave(leaver)).verdict, Ok(()));
    }
    for result in room.results() {
        assert_eq!(result.score, if result.player == first { 2 } else { 1 });
        assert_eq!(result.has_won, result.player != first && result.player != second, "{result:?}");
    }
    assert_eq!(room.results().len(), 3);
}

#[test]
fn repeated_leave_is_no_mistake_also_after_the_end() {
    let mut room = room_of(&["ann", "bo"]);
    for _ in 0..2 {
        assert_eq!(room.apply(1, &leave("ann")).verdict, Ok(()));
    }
    assert_eq!(room.apply(1, &leave("bo")).verdict, Err(Refusal::Over));
    assert_eq!(room.apply(1, &leave("eve")).verdict, Err(Refusal::Over));
}

#[test]
fn waiting_room_that_all_leave_ends() {
    let mut room = waiting_room();
    for player in ["ann", "bo"] {
        assert!(!room.is_over());
        assert_eq!(room.apply(1, &leave(player)).verdict, Ok(()));
    }
    assert_eq!(room.view().phase, Phase::Over { why: Verdict::NotBegun });
}

#[test]
fn broken_game_ends_once_and_has_no_results() {
    let mut room = room_of(&["ann", "bo"]);
    let cell = cell_with(&room, |value| value == Field::GOLD);
    dig(&mut room, 1, cell).expect("it is the player's turn");
    assert_eq!(room.apply(2, &Input::BreakOff).events.len(), 1);
    assert_eq!(room.apply(2, &Input::BreakOff).events, []);
    assert_eq!(room.view().phase, Phase::Over { why: Verdict::Broken });
    assert_eq!((room.results(), room.deadline()), (Vec::new(), None));
}

#[test]
fn room_that_nobody_fills_ends() {
    let (mut room, _) = Room::open(Settings::default(), 1, 0).expect("good");
    let _ = room.apply(500_000, &Input::Join { player: "ann".into(), name: "ann".into() });
    assert_eq!(room.deadline(), Some(500_000 + Settings::WAIT_MS));
    let _ = room.apply(500_000 + Settings::WAIT_MS, &Input::Tick);
    assert_eq!(room.view().phase, Phase::Over { why: Verdict::NotBegun });
}

#[test]
fn settings_out_of_range_are_refused() {
    let refused = |settings| Room::open(settings, 0, 0).expect_err("they are bad");
    let good = Settings::default();
    assert_eq!(refused(Settings { width: 3, ..good }), BadSettings::Size);
    assert_eq!(refused(Settings { height: 17, ..good }), BadSettings::Size);
    assert_eq!(refused(Settings { gold: 51, ..good }), BadSettings::Gold);
    assert_eq!(refused(Settings { gold: 0, ..good }), BadSettings::Gold);
    assert_eq!(refused(Settings { seats: 1, ..good }), BadSettings::Seats);
    assert_eq!(refused(Settings { width: u16::MAX, ..good }), BadSettings::Size);
}

#[test]
fn name_that_no_screen_shows_is_refused() {
    let (mut room, _) = Room::open(Settings::default(), 1, 0).expect("good");
    for name in ["", "  ", "a\nb", &"x".repeat(25)] {
        let join = Input::Join { player: "ann".into(), name: name.into() };
        assert_eq!(room.apply(0, &join).verdict, Err(Refusal::BadName), "{name:?}");
    }
}
