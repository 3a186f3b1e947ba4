//! The two forms that packets travel in.

/// What the messages of a connection look like (protocol, section 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Text, one packet a line.
    #[default]
    Json,
    /// Binary, maps one after another.
    Msgpack,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Json, Self::Msgpack];

    /// The WebSocket subprotocol that asks for it.
    #[must_use]
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "tautline.v1.json",
            Self::Msgpack => "tautline.v1.msgpack",
        }
    }

    /// Its name, as in `/connect?format=…`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Msgpack => "msgpack",
        }
    }
}
