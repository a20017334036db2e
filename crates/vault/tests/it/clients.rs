//! The program as real clients meet it: stock restic, what behaves as others do, attackers, and
//! kill -9.

mod answers;
mod append_only;
mod attacks;
mod full;
mod kill;
mod ledger;
mod load;
mod moved;
mod paths;
mod restic;
mod rustic;
mod server;
mod snapshots;
mod tls;
mod wire;

use serde_json::Value;
use strongroom_ledger::bundle;

use server::Server;

/// The repository of most tests.
const REPOSITORY: &str = "/acme/repos/";

/// Whether there is time for more.
fn is_thorough() -> bool {
    std::env::var_os("STRONGROOM_THOROUGH").is_some()
}

/// All leaves of the log that are published.
fn leaves_of(server: &Server) -> Vec<Value> {
    let folder = strongroom_ledger::Folder::new(server.data().join("log"));
    let note = String::from_utf8(folder.checkpoint().unwrap()).unwrap();
    let size: u64 = note.lines().nth(1).unwrap().parse().unwrap();
    let mut leaves = Vec::new();
    for first in (0..size).step_by(256) {
        let width = (size - first).min(256) as u16;
        let bytes = folder.bundle(first / 256, width).unwrap();
        for entry in bundle::entries(&bytes, width).unwrap() {
            leaves.push(serde_json::from_slice(entry).unwrap());
        }
    }
    let numbers = leaves
        .iter()
        .map(|leaf: &Value| leaf["n"].as_u64().unwrap());
    assert!(numbers.eq(0..size));
    leaves
}
