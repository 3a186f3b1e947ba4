//! What it costs to hand one message to many sockets, by who writes it. The figures of docs/adr/0016 are from here.
//!
//! `cargo run --release -p tautline-bench --example writers [-- --help]`, on Linux with two cores.

#[cfg(target_os = "linux")]
mod ways;

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    ways::compare()
}

#[cfg(not(target_os = "linux"))]
fn main() -> anyhow::Result<()> {
    anyhow::bail!("io_uring and cores of one's own are Linux's")
}
