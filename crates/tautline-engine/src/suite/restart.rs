//! State that an engine keeps across a restart.

use std::sync::mpsc;

use tautline_protocol::UserId;

use super::{
    Rig,
    asking::{ALL, Log, NOW, ask, is_new, is_repeated},
};
use crate::{
    Answer, Ban, BanChange, BanSubject, Doubt, Engine, InUse, Job, Origin, Position, Retention, RetentionOf,
    Revocation, Revoke, RevokedLogins, SaveBan, Span,
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

pub(super) fn bans_survive_restart_until_lifted_or_expired(rig: &mut dyn Rig) {
    let save = |engine: &dyn Engine, change: BanChange| {
        ask(engine, |answer| Job::SaveBan(SaveBan { change, answer })).expect("saved");
    };
    let subject = |text: &str| text.parse::<BanSubject>().expect("a valid subject");
    let ban = |text: &str, until| Ban { subject: subject(text), until, reason: "spam".into() };
    let (ann, lifted) = (ban("user:ann", Revocation::FOREVER), ban("address:192.0.2.7", NOW + 9));
    let (network, early) = (ban("address:2001:db8::", NOW + 9), ban("user:bob", NOW));
    for ban in [&ban("user:ann", NOW), &ann, &lifted, &network, &early] {
        save(&*rig.engine(), BanChange::Set(ban.clone()));
    }
    save(&*rig.engine(), BanChange::Lift(lifted.subject));
    save(&*rig.engine(), BanChange::Lift(subject("user:nobody")));
    if !rig.reopen() {
        return;
    }
    assert_eq!(rig.engine().bans(), [network.clone(), ann.clone(), early], "the later ban of a user holds");
    rig.engine().submit(Job::Tidy {
        wall_ms: NOW + 1,
        retention: RetentionOf::all(ALL),
        in_use: InUse::nothing(),
    });
    rig.reopen();
    assert_eq!(rig.engine().bans(), [network, ann]);
}
