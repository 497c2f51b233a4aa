#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kpl_fuzz::kcl_protocol::kcl_protocol(data));
