//! The time that worlds begin with.

/// Wall time at which every world begins.
pub(crate) const BEGIN_WALL_MS: u64 = 1_763_666_000_000;
