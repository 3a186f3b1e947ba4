//! See `tautline_fuzz::server_packets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tautline_fuzz::server_packets(data));
