//! What figures should be, where the page says it in more than one place.

/// CPU seconds for a million deliveries: 1 → 1,000 with 16 in flight, with one, and 1 → 10,000 with 8.
pub const FANOUT: f64 = 0.60;
pub const FANOUT_ONE: f64 = 4.8;
pub const FANOUT_10000: f64 = 1.3;
/// CPU seconds for a million calls, one in flight a connection.
pub const ECHO: f64 = 6.7;
/// From when a publication was due to 99 of 100 deliveries, 1 → 1,000 with 10 a second.
pub const LATENCY_P99_MS: f64 = 6.0;
/// CPU a second for the heartbeats of one connection.
pub const HEARTBEAT_US: f64 = 0.5;
/// Resident memory of a connection that does nothing.
pub const IDLE_BYTES: f64 = 1024.0;
