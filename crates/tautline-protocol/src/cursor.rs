//! Cursors: positions in a channel's log.

use serde::{Deserialize, Serialize};

/// A position in a log: the last publication that its holder has taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The log's epoch.
    pub epoch: String,
    /// The last offset taken; 0 is before the first.
    pub offset: u64,
    /// When that publication was appended, in wall milliseconds; absent if its holder never received it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
}

/// The position from which a subscription reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ReadFrom {
    /// Only new publications.
    #[default]
    Now,
    /// All publications kept.
    Start,
    /// Behind the user's acknowledged position; from the start if there is none.
    Acked,
    /// Behind this cursor.
    Cursor(Cursor),
}

impl Serialize for ReadFrom {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Now => serializer.serialize_str("now"),
            Self::Start => serializer.serialize_str("start"),
            Self::Acked => serializer.serialize_str("acked"),
            Self::Cursor(cursor) => cursor.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ReadFrom {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "`from` is \"now\", \"start\", \"acked\" or a cursor {epoch, offset, at}"
        )]
        enum Wire {
            Word(Word),
            Cursor(Cursor),
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Word {
            Now,
            Start,
            Acked,
        }
        Ok(match Wire::deserialize(deserializer)? {
            Wire::Word(Word::Now) => Self::Now,
            Wire::Word(Word::Start) => Self::Start,
            Wire::Word(Word::Acked) => Self::Acked,
            Wire::Cursor(cursor) => Self::Cursor(cursor),
        })
    }
}
