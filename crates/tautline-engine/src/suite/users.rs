//! Forgetting a user: its inbox is emptied, and its positions are gone everywhere.

use tautline_protocol::UserId;

use super::{
    Rig,
    asking::{Log, NOW, ask, is_new, is_repeated},
};
use crate::{Engine, ForgetUser, Job, LogState, Origin, Position, Span};

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a valid user")
}

fn forget(engine: &dyn Engine, name: &str) {
    ask(engine, |answer| Job::ForgetUser(ForgetUser { user: user(name), answer })).expect("forgotten");
}

fn at(offset: u64) -> Position {
    Position { epoch: "e".into(), offset }
}

pub(super) fn inbox_of_forgotten_user_is_empty_and_keeps_its_place(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let (inbox, other) = (Log::of(&*engine, "user:anna"), Log::of(&*engine, "user:annabel"));
    let key = Some(Origin::Key(7));
    for n in 0..600 {
        inbox.publish(NOW + n, "1");
    }
    assert!(is_new(&inbox.append(NOW + 600, "1", key, None), 601));
    other.publish(NOW, "1");
    let before = inbox.stat(NOW).log;
    forget(&*engine, "anna");
    let LogState { epoch, head, base, .. } = inbox.stat(NOW).log;
    assert_eq!((&epoch, head, base), (&before.epoch, 601, 601), "an old cursor still matches");
    assert_eq!(inbox.read(Span::After(0)).entries, []);
    assert_eq!(other.read(Span::After(0)).entries.len(), 1, "another user's is untouched");
    assert!(is_new(&inbox.append(NOW + 700, "2", key, None), 602), "the key is forgotten, too");
    assert!(is_repeated(&inbox.append(NOW + 700, "2", key, None), 602));
    forget(&*engine, "anna");
    assert_eq!(inbox.read(Span::After(0)).entries, [], "again");
}

pub(super) fn forgotten_user_has_no_position_in_any_log(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let (anna, bert) = (user("anna"), user("bert"));
    let names = ["user:anna", "room:7", "room:8"];
    for (name, offset) in names.iter().zip(1..) {
        let log = Log::of(&*engine, name);
        log.publish(NOW, "1");
        log.keep(Some(&anna), at(offset));
        log.keep(Some(&bert), at(offset));
        log.expect_position(&bert, &at(offset));
    }
    forget(&*engine, "anna");
    forget(&*engine, "nobody");
    let check = |engine: &dyn Engine| {
        for (name, offset) in names.iter().zip(1..) {
            let log = Log::of(engine, name);
            assert_eq!(log.look_for(NOW, None, Some(&anna)).acknowledged, None, "{name}");
            assert_eq!(log.look_for(NOW, None, Some(&bert)).acknowledged, Some(at(offset)), "{name}");
        }
        assert_eq!(Log::of(engine, "room:7").read(Span::After(0)).entries.len(), 1, "shared logs stay");
    };
    check(&*engine);
    let room = Log::of(&*engine, "room:7");
    room.keep(Some(&anna), at(9));
    room.expect_position(&anna, &at(9));
    forget(&*engine, "anna");
    drop(engine);
    if rig.reopen() {
        check(&*rig.engine());
    }
}
