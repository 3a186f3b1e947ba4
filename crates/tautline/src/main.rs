//! The entry point: calls [`tautline::cli`].

use std::process::ExitCode;

// Memory per connection is a promise, and jemalloc gives freed memory back where the default allocator keeps it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

// By itself jemalloc gives pages back only when it is asked for memory: what a burst has left stays for as long as nobody
// says anything. A thread of its own looks, and sleeps while there is nothing to give (docs/adr/0017).
#[allow(unsafe_code)]
// SAFETY: jemalloc reads this symbol, a pointer to text that ends with a zero.
#[unsafe(export_name = "_rjem_malloc_conf")]
#[used]
static SETTINGS: &[u8; 68] = b"background_thread:true,max_background_threads:1,dirty_decay_ms:1000\0";

fn main() -> ExitCode {
    tautline::cli::run()
}
