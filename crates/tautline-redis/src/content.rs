//! Publications as Redis stores them.
//!
//! The entry `<offset>-<at>` of a stream has three fields: `o` the origin, `s` the size of its packet, and `d`
//! the content: `<bytes of the user> <bytes of the tags>`, a line end, the user, the tags, the data.

use tautline_engine::{Append, Content, Entry, Origin};
use tautline_protocol::{ChannelName, UserId};

use crate::resp::Value;

/// The latest time that is stored, and the largest number that a script is given: it calculates with floating
/// point, and writes fourteen digits.
pub(crate) const NUMBER_MAX: u64 = 99_999_999_999_999;

/// The content as one text.
pub(crate) fn encode(content: &Content) -> Vec<u8> {
    let from = content.from.as_ref().map_or("", UserId::as_str);
    let tags = content.tags.as_deref().unwrap_or_default();
    let mut text = format!("{} {}\n", from.len(), tags.len()).into_bytes();
    for part in [from, tags, &content.data] {
        text.extend_from_slice(part.as_bytes());
    }
    text
}

/// The content of a text; `None` if it is not ours.
pub(crate) fn decode(text: &str) -> Option<Content> {
    let (sizes, rest) = text.split_once('\n')?;
    let (from, tags) = sizes.split_once(' ')?;
    let (from, rest) = rest.split_at_checked(from.parse().ok()?)?;
    let (tags, data) = rest.split_at_checked(tags.parse().ok()?)?;
    let from = match from {
        "" => None,
        from => Some(UserId::parse(from).ok()?),
    };
    Some(Content { data: data.into(), from, tags: (!tags.is_empty()).then(|| tags.into()) })
}

/// An origin as scripts compare it. A request in doubt is stored with a `d` in the place of the `r`.
pub(crate) fn origin(origin: Option<Origin>) -> String {
    match origin {
        None => String::new(),
        Some(Origin::Key(key)) => format!("k{key:032x}"),
        Some(Origin::Request { session, id }) => format!("r{session:032x}{id:016x}"),
    }
}

/// The size of a publication's packet, but for its offset and its time.
pub(crate) fn size(append: &Append) -> usize {
    Entry::encode(&append.channel, 0, 0, &append.content).line().len() - 2
}

/// An entry of a stream; `None` if it is not ours.
pub(crate) fn entry(channel: &ChannelName, value: &Value) -> Option<Entry> {
    let [id, fields] = value.array()? else { return None };
    let (offset, at) = place(id)?;
    let [_, _, _, _, _, content] = fields.array()? else { return None };
    Some(Entry::encode(channel, offset, at, &decode(content.text()?)?))
}

/// Offset and time of an entry's id.
pub(crate) fn place(id: &Value) -> Option<(u64, u64)> {
    let (offset, at) = id.text()?.split_once('-')?;
    Some((offset.parse().ok()?, at.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_read_back_as_written() {
        for (data, from, tags) in
            [("{\"a\":\n1}", None, None), ("\"☎\"", Some("ä"), None), ("1", Some("u"), Some("{\"a\":\n1}"))]
        {
            let from = from.and_then(|from| UserId::parse(from).ok());
            let content = Content { data: data.into(), from, tags: tags.map(Into::into) };
            let text = String::from_utf8(encode(&content)).expect("text");
            assert_eq!(decode(&text), Some(content));
        }
        for foreign in ["", "1", "1 2\n", "9 9\nab", "x 0\n1", "1 0\nä"] {
            assert_eq!(decode(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn origins_of_session_sort_as_their_ids() {
        let of = |id| origin(Some(Origin::Request { session: 7, id }));
        assert!(of(9) < of(10) && of(10) < of(u64::MAX));
        assert_eq!(origin(Some(Origin::Key(1))).len(), 33);
    }
}
