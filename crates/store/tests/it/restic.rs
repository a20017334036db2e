//! Stock restic on a folder that this store wrote into.

use std::fs;
use std::path::Path;
use std::process::Command;

use strongroom_model::{FileName, FileType, Id};
use strongroom_store::{LocalStore, Store};
use tempfile::TempDir;

fn restic(repository: &Path, arguments: &[&str]) -> String {
    let output = Command::new("restic")
        .args(["--no-cache", "--repo"])
        .arg(repository)
        .args(arguments)
        .env("RESTIC_PASSWORD", "secret")
        .output()
        .expect("restic is needed for this test: apt-get install restic");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "restic {arguments:?}: {text}{complaint}"
    );
    assert!(!complaint.contains(".tmp-"), "{complaint}");
    text
}

#[test]
fn restic_opens_checks_and_changes_what_was_copied_by_this_store_beside_its_leftovers() {
    let folder = TempDir::new().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    fs::write(folder.path().join("file"), "content").unwrap();
    let file = folder.path().join("file");
    restic(&first, &["init"]);
    restic(&first, &["backup", file.to_str().unwrap()]);

    let (from, to) = (LocalStore::new(&first), LocalStore::new(&second));
    to.create().unwrap();
    for kind in FileType::SYNCED.into_iter().chain([FileType::Config]) {
        for entry in from.list(kind).unwrap() {
            let name = FileName::new(kind, entry.id);
            to.save(name, &from.read(name).unwrap()).unwrap();
        }
    }
    // What a killed process leaves.
    let pack = to.list(FileType::Data).unwrap()[0].id.to_string();
    for place in [
        &format!("data/{}", &pack[..2]),
        "index",
        "keys",
        "locks",
        "snapshots",
    ] {
        fs::write(second.join(place).join(".tmp-00112233"), "torn").unwrap();
    }

    assert!(restic(&second, &["check", "--read-data"]).contains("no errors were found"));
    restic(&second, &["backup", "--force", file.to_str().unwrap()]);
    restic(&second, &["forget", "--prune", "--keep-last", "1"]);
    assert!(restic(&second, &["check", "--read-data"]).contains("no errors were found"));
    assert_eq!(to.list(FileType::Snapshots).unwrap().len(), 1);
    // And back: this store reads what restic wrote, each file under the name of its hash.
    for kind in FileType::SYNCED {
        for entry in to.list(kind).unwrap() {
            let bytes = to.read(FileName::new(kind, entry.id)).unwrap();
            assert_eq!(Id::of(&bytes), entry.id);
        }
    }
}
