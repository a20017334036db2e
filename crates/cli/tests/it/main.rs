//! The program from outside: what it says and how it ends.
//!
//! Each file in `tests/cmd` is a transcript: commands behind `$`, what they write, and their exit
//! status where it is not 0. They run in order in a folder of their own.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test whose scene cannot be set has to fail loudly"
)]

mod account;
mod approvals;
mod away;
mod bucket;
mod card;
mod damage;
mod drill_attack;
mod drill_restore;
mod endings;
mod fake_vault;
mod gone;
mod json;
mod kill;
mod once;
mod packaging;
mod real_vault;
mod replaced;
mod rest;
mod scene;
mod sources;
mod transcript;
mod users;
mod vault;
