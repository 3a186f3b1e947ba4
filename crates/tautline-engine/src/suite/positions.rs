//! Saved positions of readers.

use std::sync::Arc;

use tautline_protocol::UserId;

use super::{
    Rig,
    asking::{Log, NOW, until},
};
use crate::{Answer, Job, Position, PositionUpdate, SavePositions};

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a valid user")
}

fn at(epoch: &str, offset: u64) -> Position {
    Position { epoch: epoch.into(), offset }
}

/// Updates whose outcome is ignored.
fn kept(updates: Vec<PositionUpdate>) -> SavePositions {
    SavePositions { updates, answer: Answer::new(drop) }
}

impl Log<'_> {
    pub(super) fn keep(&self, user: Option<&UserId>, position: Position) {
        let mark = PositionUpdate { channel: self.channel.clone(), user: user.cloned(), position };
        self.engine.submit(Job::SavePositions(kept(vec![mark])));
    }

    /// Waits until a user's position is this one.
    pub(super) fn expect_position(&self, user: &UserId, position: &Position) {
        until(self.engine, || self.look_for(NOW, None, Some(user)).acknowledged.as_ref() == Some(position));
    }
}

pub(super) fn highest_position_of_epoch_wins(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7");
    log.publish(NOW, "1");
    let anna = user("anna");
    assert_eq!(log.look_for(NOW, None, Some(&anna)).acknowledged, None, "nothing was ever acknowledged");
    for (told, kept) in [(3, 3), (2, 3), (300, 300), (299, 300), (300, 300)] {
        log.keep(Some(&anna), at("e", told));
        log.keep(Some(&user("last")), at("e", told));
        log.expect_position(&anna, &at("e", kept));
    }
    let both = [at("e", 500), at("e", 400)].map(|position| {
        let (channel, user) = (log.channel.clone(), Some(anna.clone()));
        PositionUpdate { channel, user, position }
    });
    engine.submit(Job::SavePositions(kept(both.into())));
    log.expect_position(&anna, &at("e", 500));
}

pub(super) fn position_of_another_epoch_replaces_it(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let log = Log::of(&*engine, "room:7");
    let epoch = log.publish(NOW, "1").epoch;
    let anna = user("anna");
    log.keep(Some(&anna), at("old", 900));
    log.expect_position(&anna, &at("old", 900));
    let here = Position { epoch: Arc::clone(&epoch), offset: 1 };
    log.keep(Some(&anna), here.clone());
    log.expect_position(&anna, &here);
}

pub(super) fn user_and_delivery_positions_are_separate(rig: &mut dyn Rig) {
    let engine = rig.engine();
    let (log, other) = (Log::of(&*engine, "user:anna"), Log::of(&*engine, "user:bert"));
    log.publish(NOW, "1");
    other.publish(NOW, "1");
    let (anna, bert) = (user("anna"), user("bert"));
    log.keep(None, at("e", 9));
    log.keep(Some(&anna), at("e", 5));
    log.keep(Some(&bert), at("e", 6));
    other.keep(Some(&anna), at("e", 7));
    log.expect_position(&anna, &at("e", 5));
    log.expect_position(&bert, &at("e", 6));
    other.expect_position(&anna, &at("e", 7));
    assert_eq!(log.stat(NOW).delivered, Some(at("e", 9)));
    assert_eq!(log.stat(NOW).acknowledged, None, "the stat named no user");
    assert_eq!(other.stat(NOW).delivered, None);
}
