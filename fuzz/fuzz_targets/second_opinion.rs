//! See `tautline_fuzz::second_opinion`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tautline_fuzz::second_opinion(data));
