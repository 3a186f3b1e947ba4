//! See `tautline_fuzz::client_packets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tautline_fuzz::client_packets(data));
