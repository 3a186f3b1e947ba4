//! Who subscribed from now on began behind what had been published, and before what was published later.
//!
//! That nothing is lost from there on is what the app itself holds against everything that it is handed.

use super::World;
use crate::{
    app::Start,
    engine::{GroundTruth, life_of},
};

/// Looks at each confirmed subscription, and counts them.
///
/// # Panics
/// When one began elsewhere.
pub(super) fn check(world: &World) -> u64 {
    let mut starts = 0;
    world.ground_truth(|ground_truth| {
        for (number, phone) in world.phones.iter().enumerate() {
            for start in &phone.app.starts {
                began_behind_what_was_known(number, start, ground_truth);
                began_where_the_log_had_come(number, start, ground_truth);
                starts += 1;
            }
        }
    });
    starts
}

fn began_behind_what_was_known(phone: usize, start: &Start, ground_truth: &GroundTruth) {
    let Start { channel, cursor, asked_ms, .. } = start;
    // A log that was forgotten, and began anew, is in the records of the one before it.
    if life_of(&cursor.epoch) != cursor.epoch {
        return;
    }
    let told = ground_truth.told_before(channel, &cursor.epoch, *asked_ms);
    assert!(
        told <= cursor.offset,
        "phone {phone} subscribed from now on when {told} was known, and began elsewhere: {start:?}"
    );
}

fn began_where_the_log_had_come(phone: usize, start: &Start, ground_truth: &GroundTruth) {
    let Start { channel, cursor, confirmed_ms, .. } = start;
    let mut ever = ground_truth.ever_at(channel, &cursor.epoch, cursor.offset);
    assert!(
        cursor.offset == 0 || ever.any(|it| it.committed_ms <= *confirmed_ms),
        "phone {phone} subscribed from now on, and began with what nobody had published: {start:?}"
    );
}
