//! What every program of Tautline does as a process, the gateway and the tools alike.
//!
//! Start at [`run()`]: it parses nothing, but catches panics, prints the error that ends the program, and flushes the log.
//! [`log`] writes lines that can neither fail nor wait, [`signals`] tells what ends the process, [`socket`] opens what it
//! listens on, [`units`] and [`secret`] read values that people write.

// They panic where stderr is closed, and wait where nobody reads: `log` prints.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod allocator;
pub mod escape;
pub mod log;
mod run;
pub mod signals;
pub mod socket;

pub use run::{IO_EVENTS_PER_POLL, run, runtime};
pub use tautline_files::secret;
pub use tautline_protocol::{units, utc};
