#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kpl_fuzz::spool_segment::spool_segment(data));
