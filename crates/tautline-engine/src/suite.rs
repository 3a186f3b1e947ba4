//! The engine's promises as tests for any engine: memory, disk, redis and later ones.
//!
//! Start at [`run_all`]. Each promise is a function that panics where it is broken; [`PROMISES`] lists them.
//! An engine's own tests pass a [`Rig`] that opens it, and reopens it over the same data.

mod asking;
mod expecting;
mod forgetting;
mod order;
mod origins;
mod positions;
mod reading;
mod restart;
mod retention;
mod threads;
mod users;

use std::sync::Arc;

use crate::Engine;

/// An engine under test.
pub trait Rig {
    /// The engine under test.
    fn engine(&self) -> Arc<dyn Engine>;

    /// Closes the engine and reopens it over the same data. False if it keeps nothing across a restart.
    fn reopen(&mut self) -> bool {
        false
    }
}

/// A promise, checked on an engine without logs.
pub type Promise = fn(&mut dyn Rig);

macro_rules! promises {
    ($($module:ident::$name:ident,)*) => {
        &[$((stringify!($name), $module::$name as Promise),)*]
    };
}

/// All promises, by name.
pub const PROMISES: &[(&str, Promise)] = promises![
    order::unwritten_log_has_head_zero_and_its_epoch,
    order::offsets_rise_by_one_and_times_never_fall,
    order::published_content_is_read_unchanged,
    order::logs_are_independent,
    order::answered_append_is_visible_to_later_jobs,
    order::appends_apply_and_answer_in_submission_order,
    order::appends_of_each_holder_apply_in_submission_order,
    reading::pages_follow_or_precede_an_offset,
    reading::pages_are_bounded_with_at_least_one_publication,
    reading::offset_time_known_while_it_or_successor_kept,
    retention::oldest_are_dropped_by_count,
    retention::oldest_are_dropped_by_bytes,
    retention::oldest_are_dropped_by_age_without_append,
    retention::reduced_retention_applies_at_once,
    retention::log_with_zero_retention_still_counts,
    retention::long_log_drops_oldest_as_it_grows,
    retention::maintenance_drops_expired_publications,
    forgetting::forgotten_log_begins_anew_in_another_epoch,
    forgetting::logs_forgotten_again_get_an_epoch_each_time,
    forgetting::log_in_use_is_never_forgotten,
    expecting::append_with_expected_head_succeeds_once,
    expecting::unwritten_log_is_expected_at_zero_of_its_epoch,
    expecting::head_of_another_epoch_is_a_conflict,
    expecting::repeated_key_is_recognised_before_expected_head,
    expecting::of_appends_expecting_one_head_only_first_succeeds,
    origins::repeated_key_returns_first_result,
    origins::key_is_forgotten_with_its_publication,
    origins::concurrent_keys_are_distinguished_or_recognised,
    origins::request_in_log_is_not_appended_again,
    origins::request_is_new_where_older_one_is_kept,
    origins::request_is_new_where_log_covers_its_session,
    origins::unprovable_request_is_in_doubt_and_not_appended,
    origins::requests_are_found_and_proven_in_long_log,
    origins::requests_without_doubt_are_always_appended,
    positions::highest_position_of_epoch_wins,
    positions::position_of_another_epoch_replaces_it,
    positions::user_and_delivery_positions_are_separate,
    restart::logs_continue_after_restart,
    restart::origins_and_positions_survive_restart,
    restart::revocations_survive_restart_until_they_expire,
    restart::bans_survive_restart_until_lifted_or_expired,
    users::inbox_of_forgotten_user_is_empty_and_keeps_its_place,
    users::forgotten_user_has_no_position_in_any_log,
    threads::concurrent_appends_are_answered_in_order,
    threads::callback_may_submit_next_job,
    threads::unawaited_answers_do_not_block_others,
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
