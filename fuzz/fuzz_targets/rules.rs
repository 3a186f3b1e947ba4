//! See `tautline_fuzz::rules`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tautline_fuzz::rules(data));
