//! See `tautline_fuzz::hub_peer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tautline_fuzz::hub_peer(data));
