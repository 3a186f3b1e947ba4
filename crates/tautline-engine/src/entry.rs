//! One publication, encoded once for all subscribers.

use bytes::Bytes;
use tautline_protocol::{ChannelName, UserId, json};

/// The content of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// JSON, as received.
    pub data: Box<str>,
    /// The publishing user; `None` for the back end and for guests.
    pub from: Option<UserId>,
    /// Labels, a JSON object as received.
    pub tags: Option<Box<str>>,
}

/// A publication in a log. Cheap to clone: the bytes are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The packet, line end included.
    line: Bytes,
    offset: u64,
    at: u64,
    /// Where the publication's own fields begin in `line`, after the channel's name.
    fields_at: u32,
}

impl Entry {
    /// Encodes a publication.
    #[must_use]
    pub fn encode(channel: &ChannelName, offset: u64, at: u64, content: &Content) -> Self {
        let mut line =
            Vec::with_capacity(content.data.len() + content.tags.as_ref().map_or(0, |tags| tags.len()) + 160);
        line.extend_from_slice(b"{\"pub\":{\"channel\":");
        json::write_json(&mut line, &channel.as_str());
        line.push(b',');
        let fields_at = u32::try_from(line.len()).expect("a channel's name is short");
        line.extend_from_slice(b"\"offset\":");
        json::write_json(&mut line, &offset);
        line.extend_from_slice(b",\"at\":");
        json::write_json(&mut line, &at);
        line.extend_from_slice(b",\"data\":");
        json::write_data(&mut line, &content.data);
        if let Some(from) = &content.from {
            line.extend_from_slice(b",\"from\":");
            json::write_json(&mut line, &from.as_str());
        }
        if let Some(tags) = &content.tags {
            line.extend_from_slice(b",\"tags\":");
            json::write_data(&mut line, tags);
        }
        line.extend_from_slice(b"}}\n");
        line.shrink_to_fit();
        Self { line: line.into(), offset, at, fields_at }
    }

    /// The packet that every subscriber receives, line end included.
    #[must_use]
    pub const fn line(&self) -> &Bytes {
        &self.line
    }

    /// The offset in the log.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// When it was appended, in wall milliseconds.
    #[must_use]
    pub const fn at(&self) -> u64 {
        self.at
    }

    /// True if the content is equal: by bytes, or else as JSON values.
    #[must_use]
    pub fn has_same_content(&self, other: &Self) -> bool {
        let json = |entry: &Self| serde_json::from_slice::<serde_json::Value>(&entry.line).ok();
        self.line == other.line || json(self).is_some_and(|it| Some(it) == json(other))
    }

    /// The number of bytes that [`Entry::write_history`] writes.
    #[must_use]
    pub fn history_bytes(&self) -> usize {
        self.line.len() - self.fields_at as usize - 1
    }

    /// Writes the publication in the form of `history`: `{"offset":…,"at":…,"data":…}`.
    pub fn write_history(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        // The packet ends in `}}\n`: the publication's brace, the packet's brace, the line end.
        out.extend_from_slice(&self.line[self.fields_at as usize..self.line.len() - 2]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publication_is_encoded_once_for_subscribers_and_history() {
        let channel = ChannelName::parse("room:7").expect("valid");
        let from = Some(UserId::parse("u7").expect("valid"));
        let content = Content { data: "{\"a\":\n1}".into(), from, tags: Some("{}".into()) };
        let entry = Entry::encode(&channel, 1, 5, &content);
        let fields = "\"offset\":1,\"at\":5,\"data\":{\"a\": 1},\"from\":\"u7\",\"tags\":{}";
        assert_eq!(entry.line(), &format!("{{\"pub\":{{\"channel\":\"room:7\",{fields}}}}}\n"));
        let mut history = Vec::new();
        entry.write_history(&mut history);
        assert_eq!(history, format!("{{{fields}}}").as_bytes());
        assert_eq!(entry.history_bytes(), history.len());
    }
}
