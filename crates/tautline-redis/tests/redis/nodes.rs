//! Several engines on one Redis, each of a node of its own: messages, claims of sessions, keys of tickets.

use std::{
    sync::mpsc::{self, Receiver},
    time::{Duration, Instant},
};

use tautline_engine::{
    Answer, Appended, Ban, BanChange, ClaimSession, Doubt, Engine as _, Job, NodeEvent, NodeId, Nodes as _,
    Origin, Revocation, Revoke, RevokedLogins, SaveBan, SessionClaim,
};
use tautline_redis::{RedisEngine, RedisOptions, Wake};

use super::{
    asking::{NOW, append_of, publish, read, submit, wait},
    server::Server,
};

/// For what must come.
const PATIENCE: Duration = Duration::from_secs(30);
/// Nobody hands over in so short a time, unless it is asked.
const SOON: Duration = Duration::from_millis(200);

fn options(server: &Server) -> RedisOptions {
    let url = server.url().parse().expect("a valid URL");
    RedisOptions {
        reply_wait: Duration::from_millis(500),
        hand_over_wait: PATIENCE,
        ..RedisOptions::new(url)
    }
}

fn open(server: &Server) -> RedisEngine {
    RedisEngine::open(options(server)).expect("Redis is there")
}

/// What a node is told from now on. To each claim it hands over `hands`.
fn listen(engine: &RedisEngine, hands: Option<&'static str>) -> Receiver<NodeEvent> {
    let (give, events) = mpsc::channel();
    engine.on_node_event(move |event| {
        let is_claim = matches!(event, NodeEvent::SessionClaimed { .. });
        let _ = give.send(event);
        hands.filter(|_| is_claim).map(Into::into)
    });
    events
}

fn claim(
    engine: &RedisEngine,
    attempt: u64,
    sealed_by: Option<NodeId>,
) -> Receiver<Result<SessionClaim, String>> {
    let (give, outcome) = mpsc::channel();
    let answer = Answer::new(move |claim: Result<_, tautline_engine::EngineError>| {
        let _ = give.send(claim.map_err(|error| error.to_string()));
    });
    engine.claim(ClaimSession { session: 7, attempt, attempt_max: 1_000, sealed_by, answer });
    outcome
}

fn claimed(engine: &RedisEngine, attempt: u64, sealed_by: Option<NodeId>) -> SessionClaim {
    claim(engine, attempt, sealed_by).recv_timeout(PATIENCE).expect("an answer").expect("Redis is there")
}

fn tell(engine: &RedisEngine, texts: std::ops::RangeInclusive<u32>) {
    texts.for_each(|number| engine.tell(number.to_string().into()));
}

fn told(events: &Receiver<NodeEvent>, texts: std::ops::RangeInclusive<u32>) {
    for number in texts {
        let event = events.recv_timeout(PATIENCE).expect("a message");
        assert_eq!(event, NodeEvent::Told(number.to_string().into()));
    }
}

#[test]
fn node_that_was_cut_off_is_told_afterwards() {
    let Some(server) = Server::start(&[]) else { return };
    let (one, other) = (open(&server), open(&server));
    let own = listen(&one, None);
    // The other one reads only from here on, as after a cut.
    tell(&one, 1..=300);
    let events = listen(&other, None);
    told(&events, 1..=300);
    tell(&one, 301..=302);
    told(&events, 301..=302);
    let late = open(&server);
    let late_events = listen(&late, None);
    tell(&other, 1..=1);
    told(&late_events, 1..=1);
    told(&own, 1..=1);
}

#[test]
fn message_without_reply_arrives_once() {
    let Some(server) = Server::start(&[]) else { return };
    let (one, other) = (open(&server), open(&server));
    let (_own, events) = (listen(&one, None), listen(&other, None));
    tell(&one, 1..=1);
    told(&events, 1..=1);
    // The server has the messages in its buffer when the engine gives up the connection, and sends them again.
    server.pause();
    tell(&one, 2..=9);
    assert!(events.recv_timeout(Duration::from_millis(1_200)).is_err(), "nobody answers");
    server.resume();
    tell(&one, 10..=10);
    told(&events, 2..=10);
}

#[test]
fn revocations_and_bans_reach_other_nodes() {
    let Some(server) = Server::start(&[]) else { return };
    let (one, other) = (open(&server), open(&server));
    let (own, events) = (listen(&one, None), listen(&other, None));
    let revocation = Revocation { subject: RevokedLogins::Session(7), until: 9_000_000_000_000 };
    wait(&submit(&one, |answer| Job::Revoke(Revoke { revocation, answer }))).expect("saved");
    let ban =
        Ban { subject: "user:ann".parse().expect("valid"), until: Revocation::FOREVER, reason: "x".into() };
    let changes = [BanChange::Set(ban.clone()), BanChange::Lift(ban.subject)];
    for change in changes.clone() {
        wait(&submit(&one, |answer| Job::SaveBan(SaveBan { change, answer }))).expect("saved");
    }
    let next = || events.recv_timeout(PATIENCE).expect("a message");
    assert_eq!(next(), NodeEvent::Revoked(revocation));
    let changes = changes.map(NodeEvent::BanChanged);
    assert_eq!([next(), next()], changes);
    // Its own bans, too, in the order of Redis: another node may have changed them in between.
    assert_eq!([(); 2].map(|()| own.recv_timeout(PATIENCE).expect("a message")), changes);
    // One that begins later reads what is kept, and is not told again.
    let late = open(&server);
    let late_events = listen(&late, None);
    assert_eq!((late.revocations(), late.bans()), (vec![revocation], Vec::new()));
    tell(&one, 1..=1);
    told(&late_events, 1..=1);
}

#[test]
fn node_that_missed_messages_reads_what_is_kept() {
    let Some(server) = Server::start(&[]) else { return };
    let (one, other) = (open(&server), open(&server));
    let _own = listen(&one, None);
    let revocation = Revocation { subject: RevokedLogins::Session(7), until: 9_000_000_000_000 };
    wait(&submit(&one, |answer| Job::Revoke(Revoke { revocation, answer }))).expect("saved");
    let keys = server.operate("KEYS *:control");
    let stream = keys.lines().find(|line| line.ends_with(":control")).expect("there is one");
    server.operate(&format!("DEL {stream}"));
    let events = listen(&other, None);
    let missed = events.recv_timeout(PATIENCE).expect("an event");
    let all = NodeEvent::Missed { revocations: vec![revocation], bans: Vec::new(), are_all: true };
    assert_eq!(missed, all);
    tell(&one, 1..=1);
    told(&events, 1..=1);
    server.operate("FLUSHALL");
    let lost = NodeEvent::Missed { revocations: Vec::new(), bans: Vec::new(), are_all: false };
    assert_eq!(events.recv_timeout(PATIENCE).expect("an event"), lost);
}

#[test]
fn session_moves_with_what_its_node_hands_over() {
    let Some(server) = Server::start(&[]) else { return };
    for wake in [Wake::Hints, Wake::Looks] {
        server.operate("FLUSHALL");
        let open = || RedisEngine::open(RedisOptions { wake, ..options(&server) }).expect("Redis is there");
        let (one, other) = (open(), open());
        let (first, second) = (listen(&one, Some("ledger")), listen(&other, Some("other")));
        assert_eq!(claimed(&one, 5, Some(one.id())), SessionClaim::Own { attempt: 5 });
        let handed = Some("ledger".into());
        assert_eq!(claimed(&other, 6, Some(one.id())), SessionClaim::Moved { attempt: 6, handed });
        let told = first.recv_timeout(PATIENCE).expect("told");
        assert_eq!(told, NodeEvent::SessionClaimed { session: 7, attempt: 6 });
        // The ticket still names the first node; Redis knows better.
        assert_eq!(claimed(&other, 7, Some(one.id())), SessionClaim::Own { attempt: 7 });
        for attempt in [6, 7] {
            assert_eq!(claimed(&one, attempt, Some(one.id())), SessionClaim::Superseded { attempt: 7 });
        }
        let handed = Some("other".into());
        assert_eq!(claimed(&one, 1 << 50, None), SessionClaim::Moved { attempt: 1_000, handed });
        drop(second);
    }
}

#[test]
fn session_of_dead_node_moves_without_waiting() {
    let Some(server) = Server::start(&[]) else { return };
    let (one, other) = (open(&server), open(&server));
    let (_first, _second) = (listen(&one, Some("ledger")), listen(&other, None));
    assert!(matches!(claimed(&one, 5, None), SessionClaim::Own { .. }));
    one.close();
    let since = Instant::now();
    assert_eq!(claimed(&other, 6, None), SessionClaim::Moved { attempt: 6, handed: None });
    assert!(since.elapsed() < PATIENCE, "it has given its lease back");
}

#[test]
fn silent_node_is_told_when_it_wakes() {
    let Some(server) = Server::start(&[]) else { return };
    let silent = open(&server);
    let hasty = RedisOptions { hand_over_wait: SOON, ..options(&server) };
    let other = RedisEngine::open(hasty).expect("Redis is there");
    let _events = listen(&other, None);
    let sealed_by = Some(tautline_engine::Nodes::id(&silent));
    assert_eq!(claimed(&other, 6, sealed_by), SessionClaim::Moved { attempt: 6, handed: None });
    let woken = listen(&silent, Some("too late"));
    let told = woken.recv_timeout(PATIENCE).expect("told");
    assert_eq!(told, NodeEvent::SessionClaimed { session: 7, attempt: 6 });
}

#[test]
fn late_first_sending_of_doubtful_publish_is_recognised() {
    let Some(server) = Server::start(&[]) else { return };
    let (one, other) = (open(&server), open(&server));
    publish(&one, "room:7", "1");
    let origin = Some(Origin::Request { session: 7, id: 2 });
    let doubt = Some(Doubt { session_incarnation: one.incarnation() });
    let second = append_of(&other, "room:7", ("2", NOW), origin, doubt);
    assert!(matches!(wait(&second), Ok(Appended::New { .. })), "the log proves that it was not executed");
    // The node that had the session appends what it had received before.
    let first = append_of(&one, "room:7", ("2", NOW), origin, None);
    assert!(matches!(wait(&first), Ok(Appended::Repeated { offset: 2, .. })));
    let another = append_of(&one, "room:7", ("3", NOW), Some(Origin::Request { session: 7, id: 3 }), None);
    assert!(matches!(wait(&another), Ok(Appended::New { .. })));
    assert_eq!(read(&one, "room:7"), ["1", "2", "3"]);
}

#[test]
fn nodes_share_keys_of_tickets() {
    const DAY: u64 = 86_400_000;
    let Some(server) = Server::start(&[]) else { return };
    let (one, other) = (open(&server), open(&server));
    let keys = |engine: &RedisEngine, wall_ms| engine.ticket_keys(wall_ms, DAY).expect("Redis is there");
    let first = keys(&one, 10 * DAY);
    assert_eq!((first.len(), keys(&other, 10 * DAY)), (1, first.clone()));
    let second = keys(&other, 11 * DAY + 1);
    assert_eq!((second.len(), second[0]), (2, first[0]), "the new one does not seal yet");
    assert_eq!(keys(&one, 11 * DAY + 2), second);
    assert_eq!(keys(&one, 11 * DAY + 200_000), [second[1], second[0]]);
    // A Redis that has lost them gets them back.
    server.operate("FLUSHALL");
    assert_eq!(keys(&other, 11 * DAY + 200_000), [second[1], second[0]]);
}
