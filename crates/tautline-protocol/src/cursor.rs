//! Where a reader stands in a channel's log.

use serde::{Deserialize, Serialize};

/// A place in a log: the last publication that its holder has taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Which life of the log the offset belongs to.
    pub epoch: String,
    /// The last publication taken; 0 stands before the first.
    pub offset: u64,
    /// When that publication was appended, in wall milliseconds; absent where its holder never saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
}

/// Where a subscription begins to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ReadFrom {
    /// Only what is published from now on.
    #[default]
    Now,
    /// Everything that is kept.
    Start,
    /// Behind what the user has acknowledged; the start where nothing was.
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
