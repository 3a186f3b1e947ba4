//! `[limits]`: each field of [`Limits`] by its own name.

use std::num::NonZero;

use serde::Deserialize;
use tautline_protocol::{
    Limits,
    units::{ByteSize, Milliseconds},
};

/// How an option of the file becomes a field of [`Limits`].
trait Limit {
    type Field;
    fn field(self) -> Self::Field;
}

impl Limit for ByteSize {
    type Field = usize;
    fn field(self) -> usize {
        self.0
    }
}

impl Limit for Milliseconds {
    type Field = u64;
    fn field(self) -> u64 {
        self.0
    }
}

macro_rules! plain_limits {
    ($($number:ty),*) => {$(
        impl Limit for NonZero<$number> {
            type Field = $number;
            fn field(self) -> $number {
                self.get()
            }
        }
    )*};
}

plain_limits!(u32, usize);

/// One line a limit: the struct, its names and the way over cannot disagree.
macro_rules! limits_section {
    ($($name:ident: $option:ty,)*) => {
        /// The section as it is written. What is absent stays as it was; nothing may be zero.
        #[derive(Debug, Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub(super) struct LimitsSection {
            $($name: Option<$option>,)*
        }

        impl LimitsSection {
            /// Puts what the file names over `limits`.
            pub(super) fn apply(self, limits: &mut Limits) {
                $(if let Some(value) = self.$name {
                    limits.$name = value.field();
                })*
            }

            /// The options that the file left out.
            #[cfg(test)]
            pub(super) fn absent(&self) -> Vec<&'static str> {
                let mut absent = Vec::new();
                $(if self.$name.is_none() {
                    absent.push(stringify!($name));
                })*
                absent
            }
        }

        /// Breaks the build when a limit has no option yet.
        #[cfg(test)]
        #[expect(dead_code, reason = "only its pattern matters")]
        fn every_limit_has_an_option(limits: Limits) {
            let Limits { $($name: _,)* } = limits;
        }
    };
}

limits_section! {
    message_bytes_max: ByteSize,
    hello_bytes_max: ByteSize,
    welcome_bytes_max: ByteSize,
    batch_bytes_max: ByteSize,
    channels_max: NonZero<usize>,
    requests_in_flight_max: NonZero<usize>,
    replies_unseen_max: NonZero<usize>,
    replies_unseen_bytes_max: ByteSize,
    replies_bytes_max: ByteSize,
    replies_floor_bytes: ByteSize,
    history_page_max: NonZero<usize>,
    history_page_bytes_max: ByteSize,
    presence_members_max: NonZero<usize>,
    presence_bytes_max: ByteSize,
    hellos_max: NonZero<u32>,
    new_sessions_per_ms_max: NonZero<u32>,
    admission_wait_ms: Milliseconds,
    hello_ms: Milliseconds,
    challenge_ms: Milliseconds,
    ping_ms: Milliseconds,
    pong_ms: Milliseconds,
    park_ms: Milliseconds,
    key_ms: Milliseconds,
    attempt_ahead_ms: Milliseconds,
    ticket_ms: Milliseconds,
    auth_age_ms: Milliseconds,
    call_ms_max: Milliseconds,
    calls_bytes_max: ByteSize,
    sessions_max: NonZero<usize>,
    revocations_max: NonZero<usize>,
    channel_count_max: NonZero<usize>,
    log_bytes_max: ByteSize,
    acks_max: NonZero<usize>,
    tail_entries_max: NonZero<usize>,
    tail_bytes_max: ByteSize,
    pages_max: NonZero<usize>,
    pages_connection_max: NonZero<usize>,
    appends_bytes_max: ByteSize,
}
