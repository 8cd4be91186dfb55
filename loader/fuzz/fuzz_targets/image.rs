//! Whatever the bytes of a file: an answer, and no panic. Run with
//! `cargo +nightly fuzz run image`; a good start is a corpus of a few real
//! libraries, stripped.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plugbay_loader::{inspect, manifest_in};

fuzz_target!(|data: &[u8]| {
    let _ = manifest_in(data);
    let _ = inspect(data);
});
