//! The engine's promises as tests that an engine is passed to: memory, disk, redis and whatever comes later.
//!
//! Start at [`run_all`]. Each promise is a function that panics where it is broken; [`PROMISES`] lists them. An engine's own
//! tests pass a [`Rig`] that can bring it up, and down and up again over the same data.

mod asking;
mod forgetting;
mod order;
mod origins;
mod positions;
mod reading;
mod restart;
mod retention;
mod threads;

use std::sync::Arc;

use crate::Engine;

/// An engine under test.
pub trait Rig {
    /// The engine.
    fn engine(&self) -> Arc<dyn Engine>;

    /// Closes it and opens it again over the same data. False where nothing outlives it.
    fn reopen(&mut self) -> bool {
        false
    }
}

/// A promise, to be checked on an engine without any logs.
pub type Promise = fn(&mut dyn Rig);

macro_rules! promises {
    ($($module:ident::$name:ident,)*) => {
        &[$((stringify!($name), $module::$name as Promise),)*]
    };
}

/// All promises, by name.
pub const PROMISES: &[(&str, Promise)] = promises![
    order::a_log_that_nobody_wrote_to_stands_at_zero_and_begins_in_that_epoch,
    order::offsets_rise_by_one_and_times_never_fall,
    order::what_was_published_is_read_to_the_letter,
    order::logs_do_not_mix,
    order::what_was_answered_is_seen,
    order::appends_take_effect_and_are_answered_in_the_order_they_came_in,
    reading::pages_follow_or_precede_an_offset,
    reading::pages_are_bounded_and_have_one_publication_at_least,
    reading::an_offset_is_told_with_its_time_while_it_or_the_one_behind_it_is_kept,
    retention::the_oldest_go_by_count,
    retention::the_oldest_go_by_bytes,
    retention::the_oldest_go_by_age_without_an_append,
    retention::a_rule_that_keeps_less_than_before_holds_at_once,
    retention::a_log_that_keeps_nothing_still_counts,
    retention::a_long_log_moves_on_as_it_grows,
    retention::housekeeping_drops_what_is_too_old,
    forgetting::a_forgotten_log_begins_anew_in_another_epoch,
    forgetting::logs_forgotten_again_get_an_epoch_each_time,
    forgetting::a_log_in_use_is_never_forgotten,
    origins::a_repeated_key_is_answered_as_it_was_the_first_time,
    origins::a_key_is_forgotten_with_its_publication,
    origins::keys_submitted_together_are_told_apart_or_recognised,
    origins::a_request_that_is_in_the_log_is_not_appended_again,
    origins::a_request_is_known_to_be_new_where_an_older_one_is_kept,
    origins::a_request_is_known_to_be_new_where_the_log_reaches_back_to_its_session,
    origins::a_request_of_which_nobody_knows_is_in_doubt_and_not_appended,
    origins::requests_are_found_and_proven_new_in_a_long_log,
    origins::requests_without_a_doubt_are_never_held_back,
    positions::the_highest_position_of_an_epoch_wins,
    positions::a_position_of_another_epoch_takes_its_place,
    positions::users_and_deliveries_are_kept_apart,
    restart::logs_go_on_where_they_were,
    restart::origins_and_positions_are_known_again,
    restart::ended_sessions_are_known_again_until_they_expire,
    threads::a_channel_written_from_many_threads_is_answered_in_order,
    threads::an_answer_may_submit_the_next_job,
    threads::answers_that_nobody_waits_for_hold_nobody_up,
];

/// Checks every promise, each on a fresh engine.
///
/// # Panics
/// When one is broken; its name was printed last.
pub fn run_all(fresh: &mut dyn FnMut() -> Box<dyn Rig>) {
    for (name, promise) in PROMISES {
        println!("promise: {name}");
        promise(&mut *fresh());
    }
}
