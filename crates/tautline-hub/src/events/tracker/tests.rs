//! What the tracker tells, and what its journal comes to.

use super::*;

/// Writes down facts, and replays the journal.
#[derive(Default)]
struct Recorded {
    facts: Vec<String>,
    journal: Replayed,
}

impl Sink for Recorded {
    fn fact(&mut self, fact: &Fact<'_>) {
        self.facts.push(match fact {
            Fact::Opened(id, _) => format!("opened {}", id.0),
            Fact::Away(id, _, cause) => format!("away {} {}", id.0, cause.as_str()),
            Fact::Resumed(id, _, away) => format!("resumed {} {}", id.0, away.0),
            Fact::Closed(id, _, cause, away) => {
                format!("closed {} {} {:?}", id.0, cause.as_str(), away.map(|away| away.0))
            }
            Fact::Online(user) => format!("online {user}"),
            Fact::Offline(user, last_seen) => format!("offline {user} {last_seen}"),
        });
    }

    fn journal(&mut self, line: &JournalLine) {
        self.journal.take(&line.to_json());
    }
}

impl Recorded {
    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.facts)
    }
}

const GRACE_MS: u64 = 15_000;
const PARK_MS: u64 = 120_000;
const ONE: SessionId = SessionId(1);
const TWO: SessionId = SessionId(2);

fn at(ms: u64) -> Now {
    Now::new(5_000 + ms, 1_000_000 + ms)
}

fn identity(user: &str) -> Identity {
    Identity { user: UserId::parse(user).ok(), ..Identity::default() }
}

fn limits() -> HubLimits {
    HubLimits { user_offline_ms: GRACE_MS, ..HubLimits::default() }
}

fn load(tracker: &mut Tracker, now: Now, ended_at: u64, journal: Replayed, sink: &mut Recorded) {
    tracker.load(now, PARK_MS, Before::new(now, ended_at, &limits(), journal), sink);
}

fn loaded(sink: &mut Recorded) -> Tracker {
    let mut tracker = Tracker::new(&limits());
    let journal = std::mem::take(&mut sink.journal);
    load(&mut tracker, at(0), 1_000_000, journal, sink);
    tracker
}

/// All parts of one tick. Returns their number.
fn tick(tracker: &mut Tracker, now: Now, is_roomy: bool, sink: &mut Recorded) -> usize {
    (1..).find(|_| !tracker.tick(now, is_roomy, sink)).expect("it ends")
}

#[test]
fn session_goes_away_comes_back_and_ends() {
    let (mut sink, ann) = (Recorded::default(), identity("ann"));
    let mut tracker = loaded(&mut sink);
    tracker.attach(at(0), ONE, &ann, false, &mut sink);
    tracker.leave(at(100), ONE, AwayCause::Paused, &mut sink);
    tracker.leave(at(200), ONE, AwayCause::Disconnected, &mut sink);
    tracker.attach(at(1_100), ONE, &ann, true, &mut sink);
    tracker.attach(at(1_200), ONE, &ann, true, &mut sink);
    tracker.end(at(1_300), ONE, EndCause::Bye, &mut sink);
    assert_eq!(
        sink.take(),
        ["opened 1", "online ann", "away 1 paused", "resumed 1 1000", "closed 1 bye None"]
    );
    assert_eq!(sink.journal.sessions.len(), 0);
    tracker.end(at(1_400), ONE, EndCause::Bye, &mut sink);
    assert!(sink.take().is_empty(), "a session that no connection had is not known");
}

#[test]
fn session_that_moves_to_another_node_leaves_nothing() {
    let (mut sink, ann) = (Recorded::default(), identity("ann"));
    let mut tracker = loaded(&mut sink);
    tracker.attach(at(0), ONE, &ann, false, &mut sink);
    sink.take();
    tracker.moved(at(100), ONE, &mut sink);
    assert!(sink.take().is_empty(), "it goes on elsewhere");
    assert_eq!(sink.journal.sessions.len(), 0);
    tick(&mut tracker, at(100 + GRACE_MS), true, &mut sink);
    assert_eq!(sink.take(), ["offline ann 1000100"]);
}

#[test]
fn user_is_offline_a_while_after_the_last_connection() {
    let (mut sink, ann) = (Recorded::default(), identity("ann"));
    let mut tracker = loaded(&mut sink);
    tracker.attach(at(0), ONE, &ann, false, &mut sink);
    tracker.attach(at(0), TWO, &ann, false, &mut sink);
    tracker.leave(at(1_000), ONE, AwayCause::Disconnected, &mut sink);
    tick(&mut tracker, at(60_000), true, &mut sink);
    tracker.leave(at(60_000), TWO, AwayCause::Disconnected, &mut sink);
    tick(&mut tracker, at(60_000 + GRACE_MS - 1), true, &mut sink);
    tracker.attach(at(60_000 + GRACE_MS - 1), ONE, &ann, true, &mut sink);
    tick(&mut tracker, at(60_000 + GRACE_MS), true, &mut sink);
    assert!(!sink.take().iter().any(|fact| fact.starts_with("offline")), "it was back in time");
    tracker.leave(at(90_000), ONE, AwayCause::Disconnected, &mut sink);
    tick(&mut tracker, at(90_000 + GRACE_MS), true, &mut sink);
    assert_eq!(sink.take(), ["away 1 disconnected", "offline ann 1090000"]);
    assert_eq!(sink.journal.users.len(), 0);
    tracker.attach(at(200_000), ONE, &ann, true, &mut sink);
    assert_eq!(sink.take(), ["resumed 1 110000", "online ann"]);
}

#[test]
fn session_of_a_killed_node_is_closed_after_park_time() {
    let mut sink = Recorded::default();
    let mut killed = loaded(&mut sink);
    killed.attach(at(0), ONE, &identity("ann"), false, &mut sink);
    killed.attach(at(0), TWO, &identity("bob"), false, &mut sink);
    killed.leave(at(500), TWO, AwayCause::Disconnected, &mut sink);
    let mut third = SessionId(3);
    killed.attach(at(0), third, &identity("cem"), false, &mut sink);
    drop(killed);
    sink.facts.clear();

    let mut next = Tracker::new(&limits());
    let restart = at(10_000);
    let journal = std::mem::take(&mut sink.journal);
    load(&mut next, restart, 1_000_000 + 4_000, journal, &mut sink);
    next.attach(at(12_000), third, &identity("cem"), true, &mut sink);
    assert_eq!(sink.take(), ["resumed 3 8000"], "its user was online all the time");
    tick(&mut next, at(10_000 + GRACE_MS), true, &mut sink);
    assert_eq!(sink.take(), ["offline ann 1004000", "offline bob 1004000"]);
    tick(&mut next, at(10_000 + PARK_MS - 1), true, &mut sink);
    assert!(sink.take().is_empty());
    tick(&mut next, at(10_000 + PARK_MS), true, &mut sink);
    assert_eq!(
        sink.take(),
        ["closed 1 node_lost Some(126000)", "closed 2 expired Some(129500)"],
        "the second one was away before"
    );
    // By a ticket that is still good: a session of the same name begins.
    third = ONE;
    next.attach(at(200_000), third, &identity("ann"), true, &mut sink);
    assert_eq!(sink.take(), ["opened 1", "online ann"]);
}

#[test]
fn ticket_before_the_journal_is_read_resumes() {
    let mut sink = Recorded::default();
    let mut killed = loaded(&mut sink);
    killed.attach(at(0), ONE, &identity("ann"), false, &mut sink);
    sink.facts.clear();
    let before = std::mem::take(&mut sink.journal);
    let mut next = Tracker::new(&limits());
    next.attach(at(10_000), ONE, &identity("ann"), true, &mut sink);
    load(&mut next, at(10_100), 1_000_000, before, &mut sink);
    tick(&mut next, at(10_100 + PARK_MS), true, &mut sink);
    assert_eq!(sink.take(), ["resumed 1 0", "online ann"], "and is not closed later");
}

#[test]
fn session_that_ends_before_the_journal_is_read_is_told_once() {
    let mut sink = Recorded::default();
    let mut killed = loaded(&mut sink);
    for (id, user) in [(ONE, "ann"), (TWO, "bob")] {
        killed.attach(at(0), id, &identity(user), false, &mut sink);
    }
    sink.facts.clear();
    let before = std::mem::take(&mut sink.journal);
    let mut next = Tracker::new(&limits());
    for (id, user) in [(ONE, "ann"), (TWO, "bob")] {
        next.attach(at(10_000), id, &identity(user), true, &mut sink);
        next.end(at(11_000), id, EndCause::Bye, &mut sink);
    }
    next.attach(at(12_000), TWO, &identity("bob"), true, &mut sink);
    // The engine is slow: users count as offline before it answers.
    tick(&mut next, at(11_000 + GRACE_MS), true, &mut sink);
    sink.facts.clear();
    load(&mut next, at(60_000), 1_000_000, before, &mut sink);
    tick(&mut next, at(60_000 + PARK_MS), true, &mut sink);
    assert_eq!(sink.take(), [""; 0], "both have ended, and the second is open again");
    assert_eq!(next.lines(), 2, "the second, and its user");
}

#[test]
fn long_work_is_done_in_parts() {
    let mut sink = Recorded::default();
    let mut killed = loaded(&mut sink);
    let many = 3 * PART + 1;
    for id in 0..many as u128 {
        killed.attach(at(0), SessionId(id), &identity(&format!("u{id}")), false, &mut sink);
    }
    sink.facts.clear();
    let mut next = loaded(&mut sink);
    assert!(next.tick(at(PARK_MS), true, &mut sink));
    assert_eq!(sink.take().len(), 2 * PART, "as many users and sessions");
    assert_eq!(tick(&mut next, at(PARK_MS), true, &mut sink), 3);
    assert_eq!((sink.take().len(), next.lines()), (2 * (many - PART), 0));
}

#[test]
fn orphans_wait_while_there_is_no_room() {
    let mut sink = Recorded::default();
    let mut killed = loaded(&mut sink);
    killed.attach(at(0), ONE, &Identity::default(), false, &mut sink);
    sink.facts.clear();
    let mut next = loaded(&mut sink);
    tick(&mut next, at(PARK_MS), false, &mut sink);
    assert_eq!(sink.take().len(), 0);
    tick(&mut next, at(PARK_MS), true, &mut sink);
    assert_eq!((sink.take().len(), next.lines()), (1, 0));
}

#[test]
fn compaction_writes_the_state_while_it_changes() {
    let mut sink = Recorded::default();
    let mut tracker = loaded(&mut sink);
    let many = PART as u128 + 10;
    for id in 0..many {
        tracker.attach(at(0), SessionId(id), &identity(&format!("u{id}")), false, &mut sink);
    }
    tracker.leave(at(50), SessionId(7), AwayCause::Disconnected, &mut sink);
    // All before this is dropped.
    sink.journal = Replayed::default();
    tracker.begin_compaction();
    let mut ticks = 0;
    while tracker.is_compacting() {
        tracker.tick(at(100), true, &mut sink);
        ticks += 1;
        // One that is written already, and one that is not.
        tracker.end(at(100), SessionId(ticks), EndCause::Bye, &mut sink);
        tracker.end(at(100), SessionId(many - ticks), EndCause::Bye, &mut sink);
        tracker.attach(at(100), SessionId(many + ticks), &Identity::default(), false, &mut sink);
    }
    let state: BTreeMap<_, _> =
        tracker.sessions.iter().map(|(id, known)| (*id, (known.owner.clone(), known.away_at))).collect();
    assert_eq!(sink.journal.sessions, state);
    assert_eq!(sink.journal.users.len(), tracker.users.len());
    assert_eq!(sink.journal.sessions[&SessionId(7)].1, Some(1_000_050));
}
