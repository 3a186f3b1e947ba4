//! Builds, tests and shows Tautline.
fn main() {}
