//! State that an engine keeps across a restart.

use std::sync::mpsc;

use tautline_protocol::UserId;

use super::{
    Rig,
    asking::{ALL, Log, NOW, is_new, is_repeated},
};
use crate::{
    Answer, Doubt, Engine, InUse, Job, Origin, Position, Retention, RetentionOf, Revocation, Revoke,
    RevokedLogins, Span,
};

pub(super) fn logs_continue_after_restart(rig: &mut dyn Rig) {
    let retention = Retention { count: 40, ..ALL };
    let (incarnation, log_state, page) = {
        let engine = rig.engine();
        let log = Log::of(&*engine, "room:7").keeping(retention);
        (1..=100).for_each(|n| drop(log.publish(NOW + n, &n.to_string())));
        (engine.incarnation(), log.stat(NOW).log, log.read(Span::After(0)))
    };
    if !rig.reopen() {
        return;
    }
    let engine = rig.engine();
    assert_eq!(engine.incarnation(), incarnation, "nothing was lost");
    let log = Log::of(&*engine, "room:7").keeping(retention);
    assert_eq!(log.stat(NOW).log, log_state);
    assert_eq!(log.read(Span::After(0)).entries, page.entries);
    let next = log.publish(NOW, "1");
    assert_eq!((next.entry.offset(), next.entry.at()), (101, NOW + 100), "times never fall");
    assert_eq!((next.epoch, next.base, next.base_at), (log_state.epoch, 61, Some(NOW + 61)));
}

pub(super) fn origins_and_positions_survive_restart(rig: &mut dyn Rig) {
    let key = Some(Origin::Key(5));
    let request = |id| Some(Origin::Request { session: u128::MAX, id });
    let anna = UserId::parse("anna").expect("a valid user");
    let position = Position { epoch: "e".into(), offset: 2 };
    let ours = Some(Doubt { session_incarnation: rig.engine().incarnation() });
    {
        let engine = rig.engine();
        let log = Log::of(&*engine, "room:7");
        assert!(is_new(&log.append(NOW, "1", key, None), 1));
        assert!(is_new(&log.append(NOW, "1", request(u64::MAX - 1), None), 2));
        log.keep(Some(&anna), position.clone());
        log.expect_position(&anna, &position);
    }
    if !rig.reopen() {
        return;
    }
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7");
    log.expect_position(&anna, &position);
    assert!(is_repeated(&log.append(NOW, "1", key, None), 1));
    assert!(is_repeated(&log.append(NOW, "1", request(u64::MAX - 1), ours), 2));
    assert!(is_new(&log.append(NOW, "1", request(u64::MAX), Some(Doubt { session_incarnation: 0 })), 3));
    let never = Log::of(&*engine, "room:8");
    assert!(is_new(&never.append(NOW, "1", request(1), ours), 1), "it began in this incarnation");
}

pub(super) fn revocations_survive_restart_until_they_expire(rig: &mut dyn Rig) {
    let early = Revocation { subject: RevokedLogins::Session(u128::MAX), until: NOW };
    let late = Revocation { subject: RevokedLogins::Session(1), until: NOW + 9 };
    // The same number, and each is kept beside the others.
    let token = Revocation { subject: RevokedLogins::Token(1), until: NOW + 10 };
    let user =
        |before| Revocation { subject: RevokedLogins::User { user: 1, before }, until: Revocation::FOREVER };
    let revoke = |engine: &dyn Engine, revocation: Revocation| {
        let (done, outcome) = mpsc::channel();
        let answer = Answer::new(move |outcome| drop(done.send(outcome)));
        engine.submit(Job::Revoke(Revoke { revocation, answer }));
        outcome.recv().expect("answered").expect("kept");
    };
    assert_eq!(rig.engine().revocations(), []);
    revoke(&*rig.engine(), late);
    revoke(&*rig.engine(), early);
    revoke(&*rig.engine(), early);
    for logins in [user(NOW), user(NOW + 5), token, user(NOW + 1)] {
        revoke(&*rig.engine(), logins);
    }
    if !rig.reopen() {
        return;
    }
    assert_eq!(rig.engine().revocations(), [early, late, token, user(NOW + 5)], "in order of expiry");
    rig.engine().submit(Job::Tidy {
        wall_ms: NOW + 1,
        retention: RetentionOf::all(ALL),
        in_use: InUse::nothing(),
    });
    rig.reopen();
    assert_eq!(rig.engine().revocations(), [late, token, user(NOW + 5)]);
}
