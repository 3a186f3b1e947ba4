//! The entry point: calls [`tautline::cli`].

use std::process::ExitCode;

// Memory per connection is a promise, and jemalloc gives freed memory back where the default allocator keeps it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[allow(unsafe_code)]
// SAFETY: jemalloc reads this symbol, a pointer to text that ends with a zero.
#[unsafe(export_name = "_rjem_malloc_conf")]
#[used]
static SETTINGS: &[u8; 68] = tautline_process::allocator::JEMALLOC_SETTINGS;

fn main() -> ExitCode {
    tautline::cli::run()
}
