//! The fuzzer: libFuzzer feeds the target that `STRONGROOM_FUZZ_TARGET` names.
//!
//! One program for all targets, for each would be the same but for one pointer. It is built and
//! started by `cargo xtask fuzz`.
#![no_main]

use std::sync::LazyLock;

use strongroom_fuzz::{TARGETS, Target, limit_memory};

static TARGET: LazyLock<Option<&Target>> = LazyLock::new(|| {
    let name = std::env::var("STRONGROOM_FUZZ_TARGET").ok()?;
    TARGETS.iter().find(|target| target.name == name)
});

libfuzzer_sys::fuzz_target!(
    init: {
        assert!(TARGET.is_some(), "STRONGROOM_FUZZ_TARGET names no target");
        assert!(limit_memory().is_ok(), "memory cannot be limited");
    },
    |data: &[u8]| {
        if let Some(target) = *TARGET {
            (target.run)(data);
        }
    }
);
