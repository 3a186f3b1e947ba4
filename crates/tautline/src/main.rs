//! The door to [`tautline::cli`].

use std::process::ExitCode;

// Memory per connection is a promise, and jemalloc gives freed memory back where the default allocator keeps it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    tautline::cli::run()
}
