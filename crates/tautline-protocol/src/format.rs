//! The two packet formats.

/// The format of a connection's messages (protocol, section 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Text, one packet per line.
    #[default]
    Json,
    /// Binary, one map after another.
    Msgpack,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 2] = [Self::Json, Self::Msgpack];

    /// The WebSocket subprotocol that selects it.
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
