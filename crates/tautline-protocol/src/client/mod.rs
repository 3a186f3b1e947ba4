//! What the client decides, without I/O.
