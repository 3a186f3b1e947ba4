//! See `tautline_fuzz::msgpack`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tautline_fuzz::msgpack(data));
