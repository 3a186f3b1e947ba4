//! Between the contract's types and what SQLite stores.

use rusqlite::Row;
use tautline_engine::{Content, Origin, RevokedLogins};
use tautline_protocol::{RequestId, UserId};

use crate::fault::Fault;

/// As SQLite stores it. Offsets, times and sizes are far below its ceiling; what is not is cut off there.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The same for sizes.
pub(crate) fn size(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that is never negative.
pub(crate) fn get(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// A number that is never negative, or nothing.
pub(crate) fn get_option(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    match row.get_ref(column)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => get(row, column).map(Some),
    }
}

/// An origin as the index sorts it: a request is its session's 16 bytes and its number's 8, both big-endian, so the requests
/// of a session stand together and in order; a key is 16 bytes.
pub(crate) fn origin_blob(origin: Origin) -> Vec<u8> {
    match origin {
        Origin::Key(key) => key.to_be_bytes().to_vec(),
        Origin::Request { session, id } => request_blob(session, id),
    }
}

/// The same of what was appended under a doubt: found like any other, and behind all that is older than itself, but of another
/// length, because it proves nothing of younger requests.
pub(crate) fn doubted_blob(origin: Origin) -> Vec<u8> {
    [&origin_blob(origin)[..], &[1]].concat()
}

/// A request as an origin.
pub(crate) fn request_blob(session: u128, id: RequestId) -> Vec<u8> {
    [&session.to_be_bytes()[..], &id.to_be_bytes()].concat()
}

/// The key of revoked logins, and the moment before which they were issued, 0 where any moment counts.
pub(crate) fn revoked_key(logins: RevokedLogins) -> (Vec<u8>, u64) {
    match logins {
        RevokedLogins::Session(session) => (session.to_be_bytes().to_vec(), 0),
        RevokedLogins::User { user, before } => ([&b"u"[..], &user.to_be_bytes()].concat(), before),
        RevokedLogins::Token(token) => ([&b"t"[..], &token.to_be_bytes()].concat(), 0),
    }
}

/// The logins of such a key; `None` for a key that is not ours.
pub(crate) fn revoked_logins(key: &[u8], before: u64) -> Option<RevokedLogins> {
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u128::from_be_bytes);
    match key {
        [b'u', user @ ..] if key.len() == 17 => number(user).map(|user| RevokedLogins::User { user, before }),
        [b't', token @ ..] if key.len() == 17 => number(token).map(RevokedLogins::Token),
        _ => number(key).map(RevokedLogins::Session),
    }
}

/// A publication from three columns: data, sender, tags.
pub(crate) fn content(row: &Row<'_>, first: usize) -> Result<Content, Fault> {
    let text = |column: usize| row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from);
    let foreign = |words: String| Fault::Row(format!("a publication: {words}"));
    let from = text(first + 1)?.map(UserId::parse).transpose().map_err(|error| foreign(error.to_string()))?;
    Ok(Content {
        data: text(first)?.ok_or_else(|| foreign("it has no data".to_owned()))?.into(),
        from,
        tags: text(first + 2)?.map(Into::into),
    })
}
