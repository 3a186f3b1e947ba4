//! A receiver that is down, slow or gone, on a clock that is moved by hand.

use tautline_hub::{LogState, Position};

use super::*;

/// A log and a receiver; both do what they are told.
struct World {
    delivery: Delivery,
    now: Now,
    head: u64,
    base: u64,
    position: Option<Position>,
    /// The engine cannot keep positions at present.
    refuses_positions: bool,
    /// The offsets of each request that was taken.
    taken: Vec<Vec<u64>>,
    attempts_at: Vec<u64>,
}

const OK: Outcome = Outcome::Answered { status: 200, retry_after_ms: None };

fn answered(status: u16) -> Outcome {
    Outcome::Answered { status, retry_after_ms: None }
}

impl World {
    fn new(batch_max: usize, head: u64) -> Self {
        let (taken, attempts_at) = (Vec::new(), Vec::new());
        let (delivery, now) = (Delivery::new(batch_max), Now::new(0, 1_000_000));
        Self { delivery, now, head, base: 0, position: None, refuses_positions: false, taken, attempts_at }
    }

    fn log(&self) -> LogState {
        let (epoch, head_at) = ("e".into(), self.now.wall_ms);
        LogState { epoch, head: self.head, head_at, base: self.base, base_at: None }
    }

    /// Runs until there is nothing to do at this moment. Returns when there will be.
    fn run(&mut self, receiver: impl Fn(&Batch) -> Outcome) -> Option<u64> {
        loop {
            match self.delivery.poll(self.now) {
                Step::Ask => {
                    let standing = EventLogStanding { log: self.log(), position: self.position.clone() };
                    self.delivery.on_standing(&standing);
                }
                Step::Read { after } => {
                    let first = after.max(self.base) + 1;
                    let events = (first..=self.head).take(100).map(|offset| StoredEvent {
                        offset,
                        at: self.now.wall_ms,
                        body: "{}".into(),
                    });
                    let page = EventPage { log: self.log(), events: events.collect() };
                    self.delivery.on_page(after, page);
                }
                Step::Send(batch) => {
                    self.attempts_at.push(self.now.mono_ms);
                    let outcome = receiver(&batch);
                    if outcome == OK {
                        self.taken.push(batch.events.iter().map(|event| event.offset).collect());
                    }
                    self.delivery.on_outcome(self.now, outcome);
                }
                Step::Save { epoch, offset } => {
                    if !self.refuses_positions {
                        self.position = Some(Position { epoch, offset });
                    }
                    self.delivery.on_saved(self.now, offset, !self.refuses_positions);
                }
                Step::Wait { until_ms } => return until_ms,
            }
        }
    }

    fn advance(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
    }

    /// The process is killed: what it had not saved is forgotten.
    fn restart(&mut self) {
        self.delivery = Delivery::new(self.delivery.batch_max);
    }

    fn offsets(&self) -> Vec<u64> {
        self.taken.concat()
    }
}

#[test]
fn events_arrive_in_order_in_batches() {
    let mut world = World::new(100, 250);
    world.run(|_| OK);
    assert_eq!(world.taken.iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 50]);
    assert_eq!(world.offsets(), (1..=250).collect::<Vec<_>>());
    world.head = 251;
    world.run(|_| OK);
    assert_eq!(world.offsets().len(), 250, "nobody has said that there is more");
    world.delivery.on_stored();
    world.run(|_| OK);
    assert_eq!(world.offsets().len(), 251);
    assert_eq!(world.delivery.figures(world.now, "shop", None).lag, 0);
}

#[test]
fn failed_event_is_tried_by_the_standard_schedule() {
    let mut world = World::new(1, 3);
    while let Some(until) = world.run(|_| answered(500)) {
        world.advance(until - world.now.mono_ms);
    }
    let waits: Vec<_> = world.attempts_at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits, SCHEDULE_MS[1..]);
    let figures = world.delivery.figures(world.now, "shop", None);
    assert_eq!((figures.state, figures.offset, figures.lag), (WebhookState::Off, 0, 3));
    assert!(figures.last_error.is_some_and(|error| error.contains("500")));
    world.delivery.resume();
    world.run(|_| OK);
    assert_eq!(world.offsets(), [1, 2, 3], "its events have stayed in the log");
}

#[test]
fn receiver_down_for_a_day_and_twenty_kills_lose_nothing() {
    const DAY_MS: u64 = 24 * HOUR_MS;
    let mut world = World::new(10, 0);
    let mut kills = 0;
    while world.now.mono_ms < 3 * DAY_MS {
        let is_down = (DAY_MS / 2..DAY_MS * 3 / 2).contains(&world.now.mono_ms);
        world.head += 7;
        world.delivery.on_stored();
        world.run(|_| if is_down { Outcome::Failed("there is no connection".to_owned()) } else { OK });
        // Not on the second, so that it does not always find a saved position.
        world.advance(10 * MINUTE_MS + 300);
        if kills < 20 && world.now.mono_ms > DAY_MS / 3 + kills * DAY_MS / 12 {
            kills += 1;
            world.restart();
        }
    }
    world.run(|_| OK);
    assert_eq!(kills, 20);
    let offsets = world.offsets();
    let mut distinct = offsets.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct, (1..=world.head).collect::<Vec<_>>(), "every event has arrived");
    // In order: an event is seen first behind all that are before it.
    let mut seen = 0;
    for offset in &offsets {
        assert!(*offset <= seen + 1, "{offset} came before {}", seen + 1);
        seen = seen.max(*offset);
    }
}

#[test]
fn gone_receiver_is_off_until_an_operator_acts() {
    let mut world = World::new(1, 2);
    assert_eq!(world.run(|_| answered(410)), None);
    world.advance(30 * 24 * HOUR_MS);
    world.delivery.on_stored();
    assert_eq!(world.run(|_| OK), None);
    assert_eq!(world.attempts_at.len(), 1);
    world.delivery.resume();
    world.run(|_| OK);
    assert_eq!(world.offsets(), [1, 2]);
}

#[test]
fn redirect_is_a_failure() {
    let mut world = World::new(1, 1);
    assert_eq!(world.run(|_| answered(302)), Some(5_000));
}

#[test]
fn retry_after_is_obeyed_within_bounds() {
    for (status, asked_ms, waits_ms) in
        [(429, 60_000, 60_000), (503, 60_000, 60_000), (503, 1_000, 5_000), (429, u64::MAX, HOUR_MS)]
    {
        let mut world = World::new(1, 1);
        let until = world.run(|_| Outcome::Answered { status, retry_after_ms: Some(asked_ms) });
        assert_eq!(until, Some(waits_ms), "{status} {asked_ms}");
    }
}

#[test]
fn overloaded_receiver_is_asked_more_slowly_and_never_off() {
    let mut world = World::new(1, 3);
    for _ in 0..50 {
        let until = world.run(|_| answered(429)).expect("it is tried again");
        world.advance(until - world.now.mono_ms);
    }
    let waits: Vec<_> = world.attempts_at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!((waits[0], waits[1], waits[48]), (PACE_MS_MIN, 2 * PACE_MS_MIN, PACE_MS_MAX));
    let until = world.run(|_| OK).expect("the next one waits");
    assert!(until - world.now.mono_ms <= PACE_MS_MAX && world.offsets() == [1]);
    while world.offsets().len() < 3 {
        let until = world.run(|_| OK).expect("more to send");
        world.advance(until - world.now.mono_ms);
    }
}

#[test]
fn restart_goes_on_at_the_saved_position() {
    let mut world = World::new(10, 30);
    world.run(|_| OK);
    assert_eq!(world.position.as_ref().map(|position| position.offset), Some(10), "once a second");
    world.restart();
    world.run(|_| OK);
    assert_eq!(world.offsets()[30..], (11..=30).collect::<Vec<_>>());
    world.advance(SAVE_EVERY_MS);
    world.run(|_| OK);
    world.restart();
    world.run(|_| OK);
    assert_eq!(world.offsets().len(), 50, "nothing is sent again");
}

#[test]
fn replay_sends_the_same_events_again() {
    let mut world = World::new(4, 10);
    world.run(|_| OK);
    world.delivery.replay(5);
    world.run(|_| OK);
    assert_eq!(world.offsets()[10..], [5, 6, 7, 8, 9, 10]);
    world.delivery.replay(u64::MAX);
    world.run(|_| panic!("there is nothing behind the last one"));
    world.head = 11;
    world.delivery.on_stored();
    world.run(|_| OK);
    assert_eq!(world.offsets()[16..], [11]);
}

#[test]
fn lag_grows_while_the_receiver_is_down() {
    let mut world = World::new(10, 3);
    world.run(|_| answered(500));
    world.head = 50;
    let stored = |epoch: &str| Position { epoch: epoch.into(), offset: 50 };
    let lag = |stored| world.delivery.figures(world.now, "shop", Some(&stored)).lag;
    assert_eq!(lag(stored("e")), 50);
    assert_eq!(lag(stored("another log")), 3);
}

#[test]
fn replay_while_the_receiver_is_down_begins_where_it_says() {
    let mut world = World::new(10, 3);
    world.run(|_| answered(500));
    world.head = 50;
    world.delivery.on_stored();
    world.delivery.replay(45);
    world.run(|_| OK);
    assert_eq!(world.offsets(), [45, 46, 47, 48, 49, 50]);
}

#[test]
fn replay_before_the_log_is_known_is_kept() {
    let mut world = World::new(10, 30);
    world.run(|_| OK);
    world.restart();
    world.delivery.replay(28);
    world.run(|_| OK);
    assert_eq!(world.offsets()[30..], [28, 29, 30]);
}

#[test]
fn refused_position_is_saved_later() {
    let mut world = World::new(10, 10);
    world.refuses_positions = true;
    assert_eq!(world.run(|_| OK), Some(SAVE_EVERY_MS));
    assert!(world.delivery.unsaved().is_some(), "the engine has not kept it");
    world.refuses_positions = false;
    world.advance(SAVE_EVERY_MS);
    world.run(|_| OK);
    assert_eq!(world.position.as_ref().map(|position| position.offset), Some(10));
    assert!(world.delivery.unsaved().is_none());
}

#[test]
fn answer_after_a_resume_moves_nothing() {
    let mut world = World::new(4, 10);
    world.run(|_| answered(500));
    world.advance(5_000);
    let Step::Send(_) = world.delivery.poll(world.now) else { panic!("it is due") };
    world.delivery.resume();
    world.delivery.on_outcome(world.now, OK);
    world.run(|_| OK);
    assert_eq!(world.offsets(), (1..=10).collect::<Vec<_>>());
}

#[test]
fn answer_after_a_replay_moves_nothing() {
    let mut world = World::new(10, 10);
    world.run(|_| answered(500));
    world.advance(5_000);
    let Step::Send(_) = world.delivery.poll(world.now) else { panic!("it is due") };
    world.delivery.replay(3);
    world.delivery.on_outcome(world.now, OK);
    world.run(|_| OK);
    assert_eq!(world.offsets(), (3..=10).collect::<Vec<_>>());
}

#[test]
fn expired_events_are_told_with_the_next_one() {
    let mut world = World::new(2, 10);
    world.run(|_| answered(500));
    world.restart();
    world.base = 6;
    let told = std::cell::RefCell::new(Vec::new());
    world.run(|batch| {
        told.borrow_mut().push(batch.expired);
        OK
    });
    assert_eq!(*told.borrow(), [6, 0]);
    assert_eq!(
        (world.offsets(), world.delivery.figures(world.now, "shop", None).expired),
        (vec![7, 8, 9, 10], 6)
    );
}

#[test]
fn events_that_all_expired_are_told_with_the_next_one() {
    let mut world = World::new(2, 10);
    world.run(|_| answered(500));
    world.restart();
    world.base = 10;
    world.run(|_| panic!("there is nothing to send"));
    world.head = 11;
    world.delivery.on_stored();
    let told = std::cell::RefCell::new(Vec::new());
    world.run(|batch| {
        told.borrow_mut().push(batch.expired);
        OK
    });
    assert_eq!((told.into_inner(), world.offsets()), (vec![10], vec![11]));
}

#[test]
fn page_of_a_read_before_a_replay_is_ignored() {
    let mut world = World::new(10, 3);
    world.run(|_| OK);
    let late = EventPage { log: world.log(), events: Vec::new() };
    world.delivery.replay(1);
    world.delivery.on_page(3, late);
    world.run(|_| OK);
    assert_eq!(world.offsets(), [1, 2, 3, 1, 2, 3]);
}

#[test]
fn log_that_began_anew_is_read_from_its_start() {
    let mut world = World::new(10, 3);
    world.run(|_| OK);
    world.position = Some(Position { epoch: "another".into(), offset: 3 });
    world.restart();
    world.run(|_| OK);
    assert_eq!(world.offsets(), [1, 2, 3, 1, 2, 3]);
}
