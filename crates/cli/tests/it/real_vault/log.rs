//! The log of the real vault, as production's token reads it and as whoever has its files: in both
//! stands the statement of a drill.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use strongroom_ledger::bundle::entries;
use strongroom_ledger::tile::{TILE_WIDTH, width_in_tree};
use strongroom_ledger::{Edge, Folder, Level, Tile};
use strongroom_model::attack::SignedDrill;

use crate::real_vault::RealVault;
use crate::scene::{Ended, PATIENCE, Scene, write_noise};

/// The leaves of a log of which `summary` tells the size and the root; each bundle is read by its
/// place, and all of them must come to that root.
#[track_caller]
fn leaves(summary: &Value, read: impl Fn(Tile) -> Vec<u8>) -> Vec<Value> {
    let size = summary["size"].as_u64().unwrap();
    let mut edge = Edge::default();
    let mut leaves = Vec::new();
    for index in 0..size.div_ceil(u64::from(TILE_WIDTH)) {
        let width = width_in_tree(0, index, size);
        let bundle = read(Tile::new(Level::Entries, index, width).unwrap());
        for entry in entries(&bundle, width).unwrap() {
            edge.append(entry).unwrap();
            leaves.push(serde_json::from_slice(entry).unwrap());
        }
    }
    assert_eq!(summary["root"], edge.root().to_string(), "{summary}");
    leaves
}

/// The only leaf of that act.
#[track_caller]
fn only(leaves: Vec<Value>, act: &str) -> Value {
    let of_act = leaves.into_iter().filter(|leaf| leaf["act"] == act);
    let [leaf]: [Value; 1] = of_act.collect::<Vec<_>>().try_into().unwrap();
    leaf
}

/// The statement that this machine keeps under an id.
#[track_caller]
fn statement(scene: &Scene, id: &str) -> SignedDrill {
    let repositories = fs::read_dir(scene.path("state")).unwrap();
    let folders = repositories.map(|entry| entry.unwrap().path().join("drills"));
    let folders = folders.filter(|folder| folder.is_dir());
    let mut files = folders
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path());
    let end = format!("-{id}.json");
    let file = files.find(|file| file.to_string_lossy().ends_with(&end));
    SignedDrill::from_json(&fs::read(file.unwrap()).unwrap()).unwrap()
}

#[test]
fn the_statement_of_a_drill_is_found_in_the_log_of_a_vault() {
    let scene = Scene::new();
    write_noise(&scene.source().join("noise"), 1, 1 << 20);
    let (vault, name, token) = RealVault::of_copy(&scene, "append");
    scene.begin();
    // A checkpoint that somebody keeps shows that what is not in it came later.
    let kept = scene.path("checkpoint");
    let before = scene.expect(0, &["vault", "log", "three", "--note"]).out;
    fs::write(&kept, &before).unwrap();
    let size_before: u64 = before.lines().nth(1).unwrap().parse().unwrap();

    let drilled = scene.expect(0, &["--json", "drill", "attack"]).summary();
    assert_eq!(drilled["sent_to"], json!(["three"]));
    let receipt = drilled["receipt"].as_str().unwrap();

    // By the token that attacked, and up to the root that this machine remembers.
    let log = ["--json", "vault", "log", "three"];
    let remembered = scene.expect(0, &log).summary();
    assert_eq!(remembered["alarm"], Value::Null, "{remembered}");
    let user = format!("any:{token}");
    let seen = leaves(&remembered, |tile| {
        vault.get(&format!("/log/{tile}"), &["--fail", "--user", &user])
    });
    let leaf = only(seen, "drill");
    assert_eq!(leaf["drill"], receipt, "{leaf}");
    assert_eq!(leaf["token"], name, "{leaf}");
    assert_eq!(leaf["repository"], "acme/repos", "{leaf}");
    assert_eq!(leaf["copies"], drilled["copies"], "{leaf}");
    assert_eq!(leaf["proven"], drilled["proven"], "{leaf}");
    assert!(leaf["n"].as_u64().unwrap() >= size_before, "{leaf}");
    // Its id is that of the statement which this machine keeps, and whose it is.
    let statement = statement(&scene, receipt);
    assert_eq!(statement.id().to_string(), receipt);
    let opened = statement.verify(|_, _, _| true).unwrap();
    assert_eq!(leaf["client"], opened.claim().client.to_string(), "{leaf}");
    assert_eq!(opened.claim().copies.len(), 3);

    // By the files of the vault, which are sound and go on from that checkpoint.
    let files = vault.folder.join("log");
    let key = fs::read_to_string(vault.folder.join("keys/log.pub")).unwrap();
    let [folder, since] = [&files, &kept].map(|path| path.to_str().unwrap());
    let verify = ["--json", "log", "verify", folder, "--key", key.trim()];
    let verify = [&verify[..], &["--approvals", "--since", since]].concat();
    let until = Instant::now() + PATIENCE;
    // The file of the checkpoint comes a moment after the checkpoint.
    let audited = loop {
        let audited = scene.expect(0, &verify).summary();
        if audited["size"].as_u64() >= remembered["size"].as_u64() {
            break audited;
        }
        assert!(Instant::now() < until, "{audited}");
        thread::park_timeout(Duration::from_millis(50));
    };
    assert_eq!(audited["since"], size_before, "{audited}");
    assert_eq!(audited["approvals"]["complaint_count"], 0, "{audited}");
    let log = Folder::new(&files);
    let read = |tile: Tile| log.bundle(tile.index(), tile.width()).unwrap();
    let found = leaves(&audited, read);
    assert_eq!(only(found, "drill"), leaf);
    // As docs/evidence.md has it.
    let pattern = r#"{[^{}]*"act":"drill"[^{}]*"drill":"ID"[^{}]*}"#.replace("ID", receipt);
    let mut grep = Command::new("grep");
    grep.args(["-r", "-h", "-a", "-o", &pattern]);
    grep.arg(files.join("tile/entries"));
    let found = Ended::from(grep.output().unwrap());
    found.assert_code(0, &pattern);
    for line in found.out.lines() {
        assert_eq!(line.parse::<Value>().unwrap(), leaf);
    }
}
