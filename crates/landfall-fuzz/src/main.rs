//! The program that searches: libFuzzer around the one target that `LANDFALL_FUZZ_TARGET` names.
//! It is built and run by `cargo xtask fuzz`, and never by a user.
#![no_main]

use std::sync::LazyLock;

use landfall_fuzz::Target;

static TARGET: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = std::env::var("LANDFALL_FUZZ_TARGET").unwrap_or_default();
    Target::named(&name).unwrap_or_else(|| panic!("LANDFALL_FUZZ_TARGET={name} is no target"))
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| (TARGET.run)(input));
