//! Time as a parameter: passed with every call, never read.

/// The readings of a host's two clocks, in milliseconds.
///
/// Waits are measured on `mono_ms`; packets and storage use `wall_ms`. A host with only a wall clock (a mini
/// program) derives the first from the second and absorbs backward jumps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since a fixed moment; never decreases.
    pub mono_ms: u64,
    /// Milliseconds since 1970-01-01 UTC; may jump.
    pub wall_ms: u64,
}

impl Now {
    /// The moment with these readings.
    #[must_use]
    pub const fn new(mono_ms: u64, wall_ms: u64) -> Self {
        Self { mono_ms, wall_ms }
    }

    /// `ms` later by both clocks.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self { mono_ms: self.mono_ms + ms, wall_ms: self.wall_ms + ms }
    }
}
