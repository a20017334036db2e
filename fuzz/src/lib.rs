//! What must hold for every parser, whatever it is fed.
//!
//! Each [`Target`] is one function over arbitrary bytes that panics where a rule is broken. The
//! fuzzer searches for bytes that do so; an ordinary test replays what it found worth keeping,
//! with the same functions, on stable Rust. What can go wrong: a rule that holds because the
//! parser refuses everything. So the corpus holds real files, and the replay counts those taken.
//!
//! **Architecture invariant:** no program depends on this crate.

mod chunker;
mod ledger;
mod model;
mod pack;
mod repo;
mod sealed;
mod state;
mod store;
mod tree;
mod vault;

use std::io;
use std::sync::LazyLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use strongroom_repo::Key;

/// A parser with its rules.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its folder in `testdata/corpus`.
    pub name: &'static str,
    /// Feeds the parser and panics where a rule is broken; tells whether the input was taken.
    pub run: fn(&[u8]) -> bool,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    target("blob", sealed::blob),
    target("chunker", chunker::chunker),
    target("cipher", sealed::cipher),
    target("config", repo::config),
    target("evidence", model::evidence),
    target("gone_files", state::gone_files),
    target("head", state::head),
    target("holds", state::holds),
    target("index", repo::index),
    target("key", repo::key_file),
    target("ledger_approval", ledger::approval),
    target("ledger_approvals", ledger::approvals),
    target("ledger_bundle", ledger::bundle),
    target("ledger_memory", ledger::memory),
    target("ledger_note", ledger::note),
    target("ledger_path", ledger::path),
    target("ledger_proof", ledger::proof),
    target("ledger_witness", ledger::witness),
    target("lock", repo::lock),
    target("lock_dates", state::lock_dates),
    target("needs", state::needs),
    target("own_locks", state::own_locks),
    target("pack_header", pack::header),
    target("receipt", model::receipt),
    target("record", repo::record),
    target("removed_keys", state::removed_keys),
    target("rest_listing", store::rest_listing),
    target("restore_drill", state::restore_drill),
    target("seen", state::seen),
    target("snapshot", repo::snapshot),
    target("strongroom_toml", model::strongroom_toml),
    target("tree", tree::tree),
    target("unpacked", sealed::unpacked),
    target("vault_key", vault::key),
    target("vault_login", vault::login),
    target("vault_range", vault::range),
    target("vault_route", vault::route),
    target("vault_toml", vault::toml),
];

const fn target(name: &'static str, run: fn(&[u8]) -> bool) -> Target {
    Target { name, run }
}

/// The most memory that any input may cost.
///
/// Inputs are some kilobytes, and what a parser keeps of one is a small multiple of it. What
/// exceeds this has believed a length.
const MEMORY_LIMIT_BYTES: u64 = 512 << 20;

/// Makes an allocation beyond what an input can justify end this process, so that it is noticed.
///
/// # Errors
/// Fails where the system has no such limit.
pub fn limit_memory() -> io::Result<()> {
    let limit = Rlimit {
        current: Some(MEMORY_LIMIT_BYTES),
        ..getrlimit(Resource::As)
    };
    Ok(setrlimit(Resource::As, limit)?)
}

/// The key under which everything is read here; an attacker has none, a careless writer has.
pub fn key() -> &'static Key {
    static KEY: LazyLock<Key> = LazyLock::new(|| Key::from_bytes(&[7; 64]));
    &KEY
}
