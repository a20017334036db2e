//! An empty repository that opens at once, for tests with a stock restic and no code of ours that
//! writes the format.
//!
//! restic makes no key that costs scrypt less than half a second, and each of its runs pays that
//! again. This one has N = 16, r = 8, p = 1: it guards nothing, and what is in it is for everybody.

/// The password that opens it.
pub const PASSWORD: &str = "a password";

/// Its only key file, whose SHA-256 is its name.
pub const KEY: &[u8] = include_bytes!("cheap/key.json");

/// Its `config`, of version 2.
pub const CONFIG: &[u8] = include_bytes!("cheap/config");
