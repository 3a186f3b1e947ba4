//! Users and addresses that an operator keeps out.
//!
//! Start at [`Ban`].

use std::net::IpAddr;

use tautline_protocol::UserId;

/// Keeps a user or an address out for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// The user or the address.
    pub subject: BanSubject,
    /// When it ends, in wall milliseconds; [`crate::Revocation::FOREVER`] for one that does not end by itself.
    pub until: u64,
    /// Why, for operators; clients are not told.
    pub reason: Box<str>,
}

/// The subject of a ban.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BanSubject {
    /// A user, wherever it comes from.
    User(UserId),
    /// An address, whoever comes from there.
    Address(IpAddr),
}

/// Changes the bans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BanChange {
    /// Adds a ban, in the place of an earlier one of the same subject.
    Set(Ban),
    /// Ends a ban early.
    Lift(BanSubject),
}

/// A text that is not the form of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is neither `user:<id>` nor `address:<IP address>`")]
pub struct InvalidBanSubject;

impl std::fmt::Display for BanSubject {
    /// `user:<id>` or `address:<IP address>`: the form in which engines store it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(user) => write!(f, "user:{user}"),
            Self::Address(address) => write!(f, "address:{address}"),
        }
    }
}

impl std::str::FromStr for BanSubject {
    type Err = InvalidBanSubject;

    fn from_str(text: &str) -> Result<Self, InvalidBanSubject> {
        let subject = match text.split_once(':') {
            Some(("user", id)) => UserId::parse(id).ok().map(Self::User),
            Some(("address", address)) => address.parse().ok().map(Self::Address),
            _ => None,
        };
        subject.ok_or(InvalidBanSubject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_is_read_back_as_written() {
        for text in ["user:ann", "user:a:b", "address:192.0.2.7", "address:2001:db8:1:2::"] {
            assert_eq!(text.parse::<BanSubject>().map(|subject| subject.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "ann", "user:", "address:ann", "host:ann"] {
            assert_eq!(text.parse::<BanSubject>(), Err(InvalidBanSubject), "{text}");
        }
    }
}
