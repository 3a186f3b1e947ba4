//! Channels, logs, cursors, sessions and presence. No I/O, never waits.
