//! The time as the core sees it: told with every call, never read.

/// Both clocks of a host at one moment, in milliseconds.
///
/// Waits are measured on `mono_ms`; what travels on the wire and is stored uses `wall_ms`. A host with a wall clock alone
/// (a mini program) derives the first from the second and absorbs jumps backwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since some fixed moment; never goes back.
    pub mono_ms: u64,
    /// Milliseconds since 1970-01-01 UTC; may jump.
    pub wall_ms: u64,
}

impl Now {
    /// The moment at which both clocks say these values.
    #[must_use]
    pub const fn new(mono_ms: u64, wall_ms: u64) -> Self {
        Self { mono_ms, wall_ms }
    }

    /// The same pair of clocks `ms` later.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self { mono_ms: self.mono_ms + ms, wall_ms: self.wall_ms + ms }
    }
}
