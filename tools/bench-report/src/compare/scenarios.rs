//! What is measured of each server.

/// Where it is kept, and how its chart is called.
pub const SLUG: &str = "compare";

/// One call of `tautline-bench`, for each server.
pub struct Scenario {
    pub name: &'static str,
    pub arguments: &'static str,
    /// How long it is measured, and how long where it has to be quick.
    pub seconds: [&'static str; 2],
    pub slope: Option<Slope>,
}

/// The same with fewer connections, at another fresh server: what the two differ by is what those between cost. A server that
/// compiles and collects as it goes needs some megabytes more for its first thousand than before, which belong to no connection.
pub struct Slope {
    pub arguments: &'static str,
    pub connections_between: f64,
}

const fn scenario(name: &'static str, arguments: &'static str) -> Scenario {
    Scenario { name, arguments, seconds: ["3", "1"], slope: None }
}

/// In the order in which they are measured.
pub static SCENARIOS: [Scenario; 6] = [
    // Heartbeats are rare: 400 a second for the first of their two figures.
    Scenario {
        seconds: ["10", "2"],
        slope: Some(Slope { arguments: "idle --connections 1000", connections_between: 9000.0 }),
        ..scenario("idle", "idle --connections 10000")
    },
    scenario("fanout", "fanout --connections 1000 --in-flight 16"),
    scenario("fanout-one", "fanout --connections 1000 --in-flight 1"),
    // A slow server hands out 80,000 deliveries at once, then none for a while: a short look would see either.
    Scenario { seconds: ["6", "4"], ..scenario("fanout-10000", "fanout --connections 10000 --in-flight 8") },
    scenario("echo", "echo --connections 100 --in-flight 1"),
    // One publication of a hundred decides.
    Scenario { seconds: ["20", "4"], ..scenario("fanout-slowly", "fanout --connections 1000 --rate 10") },
];
