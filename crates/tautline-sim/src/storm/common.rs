//! What every part of a storm knows: its channels, its users, and chance.

use tautline_netem::Rng;

/// Where everybody talks.
pub(super) const CHANNELS: [&str; 3] = ["room:1", "room:2", "room:3"];
/// Long enough for a publication to be appended and to reach everybody.
pub(super) const DELIVERY_MS: u64 = 5_000;

/// The user that a phone may belong to.
pub(super) fn user_of(phone: usize) -> String {
    format!("u{phone}")
}

pub(super) fn inbox_of(phone: usize) -> String {
    format!("user:{}", user_of(phone))
}

/// One of these, by chance.
pub(super) fn pick<T: Clone, const N: usize>(rng: &mut Rng, from: [T; N]) -> T {
    from[usize::try_from(rng.below(N as u64)).expect("small")].clone()
}
