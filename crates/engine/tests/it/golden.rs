//! Repositories that real restics and a rustic wrote: opened, added to, and still sound for every restic.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use strongroom_engine::backup::{BackupOptions, backup};
use strongroom_engine::session::{self, CopyStore, Looking};
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::Repository;
use strongroom_repo::key::{KeyFile, ScryptCost};
use strongroom_store::{LocalStore, Store};
use strongroom_testkit::programs::restic_versions;
use strongroom_testkit::tree::TreeSpec;

use crate::fixture::{Fixture, assert_same_tree, run_restic};

/// Copies a golden repository, with the empty folders that Git does not keep.
pub(crate) fn golden(name: &str, to: &Path) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata/golden")
        .join(name)
        .join("repository");
    let status = Command::new("cp")
        .arg("-r")
        .arg(from)
        .arg(to)
        .status()
        .unwrap();
    assert!(status.success());
    for folder in ["data", "index", "keys", "locks", "snapshots"] {
        fs::create_dir_all(to.join(folder)).unwrap();
    }
}

/// Puts the key of a golden repository under its password anew, so that it opens at once.
pub(crate) fn open_at_once(repository: &Path) {
    let store = LocalStore::new(repository);
    let opened = Repository::open(&store, b"golden", &mut BTreeSet::new()).unwrap();
    let (made, cost) = ("2026-01-01T00:00:00Z".parse().unwrap(), ScryptCost::LEAST);
    let key = KeyFile::seal(opened.key(), b"golden", cost, made, "tester", "testhost");
    let bytes = key.unwrap().to_bytes().unwrap();
    for old in store.list(FileType::Keys).unwrap() {
        let name = FileName::new(FileType::Keys, old.id);
        store.remove(name).unwrap();
    }
    let name = FileName::new(FileType::Keys, Id::of(&bytes));
    store.save(name, &bytes).unwrap();
}

#[test]
fn a_repository_of_restic_or_rustic_is_opened_added_to_and_stays_sound() {
    for (name, oldest) in [
        ("restic-0.14-v1", "0.14"),
        ("restic-0.14-v2", "0.14"),
        ("restic-0.18-v2", "0.14"),
        ("rustic-0.11-v2", "0.14"),
    ] {
        let fixture = Fixture::new();
        TreeSpec::everything(20).build(&fixture.source().join("tree"));
        let repository = fixture.folder.path().join("golden");
        golden(name, &repository);
        let copies = [CopyStore {
            name: "golden".to_owned(),
            store: Arc::new(LocalStore::new(&repository)),
            is_local: true,
        }];
        // Either password opens it.
        session::open(&copies, b"golden second", &Looking::default()).unwrap();
        let mut session = session::open(&copies, b"golden", &Looking::default()).unwrap();
        let options = BackupOptions::default();
        let sources = fixture.folder_source();
        for _ in 0..2 {
            let report = backup(
                &mut session,
                &sources,
                &options,
                &fixture.environment,
                &fixture.progress,
            )
            .unwrap();
            assert!(report.is_complete(), "{name}: {report:?}");
        }
        for restic in restic_versions() {
            if restic.version < oldest {
                continue;
            }
            let check = ["check", "--read-data"];
            run_restic(&restic, &repository, "golden", &check);
            let target = tempfile::tempdir().unwrap();
            let to = target.path().to_str().unwrap();
            let restore = ["restore", "latest", "--host", "testhost", "--target", to];
            run_restic(&restic, &repository, "golden", &restore);
            let restored = target
                .path()
                .join(fixture.source().strip_prefix("/").unwrap());
            assert_same_tree(&fixture.source(), &restored, &restic);
        }
    }
}
