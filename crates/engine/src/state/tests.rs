//! Crashes, damage, and two writers at once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use jiff::Timestamp;
use strongroom_model::evidence::RestoreDrill;
use strongroom_testkit::memory::MemoryStore;

use super::*;

fn copy(name: &str, place: &str) -> CopyStore {
    CopyStore {
        name: name.to_owned(),
        store: Arc::new(MemoryStore::new(place)),
        is_local: true,
    }
}

struct World {
    folder: tempfile::TempDir,
    state: StateFolder,
    repository: RepositoryState,
    here: CopyStore,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::new(folder.path().join("state"));
        Self {
            repository: state.repository(Id::of(b"repository")),
            here: copy("here", "/backup"),
            folder,
            state,
        }
    }

    fn damage(&self, what: &str) {
        self.repository
            .update_evidence(&self.here, |evidence| {
                evidence.record_damage(Timestamp::UNIX_EPOCH, what.to_owned(), "gone".to_owned());
            })
            .unwrap();
    }

    fn damaged(&self) -> Vec<String> {
        let evidence = self.repository.evidence(&self.here);
        evidence.damage().keys().cloned().collect()
    }

    /// The files below the state folder, by their names.
    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.state.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => files.push(path),
                }
            }
        }
        files.sort();
        files
    }

    fn file(&self, part: &str) -> PathBuf {
        let mut files = self.files();
        files.retain(|file| {
            let text = file.display().to_string();
            text.contains(part) && text.ends_with(".json")
        });
        assert_eq!(files.len(), 1, "{part}: {files:?}");
        files.remove(0)
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_written_is_read_again_by_another_run() {
    let world = World::new();
    world.damage("data/a");
    world.damage("data/b");
    let again = StateFolder::new(world.state.path());
    let evidence = again
        .repository(Id::of(b"repository"))
        .evidence(&world.here);
    assert_eq!(evidence.damage().len(), 2);
    let other = again.repository(Id::of(b"another"));
    assert_eq!(other.evidence(&world.here).damage().len(), 0);
}

#[test]
fn a_removed_key_stays_removed_until_it_is_admitted_again() {
    let world = World::new();
    let (one, two) = (Id::of(b"one"), Id::of(b"two"));
    let insert = |id| {
        world.repository.update_removed_keys(|keys| {
            keys.insert(id);
        })
    };
    insert(one).unwrap();
    insert(two).unwrap();
    assert_eq!(world.repository.removed_keys(), [one, two].into());
    world
        .repository
        .update_removed_keys(|keys| keys.retain(|key| *key != one))
        .unwrap();
    assert_eq!(world.repository.removed_keys(), [two].into());
    fs::write(world.file("removed-keys"), b"{").unwrap();
    assert_eq!(world.repository.removed_keys(), [].into());
}

#[test]
fn reading_makes_nothing() {
    let world = World::new();
    assert_eq!(world.damaged(), [""; 0]);
    assert_eq!(world.repository.seen(&world.here), SeenFiles::default());
    assert_eq!(world.repository.restore_drill(), None);
    assert!(world.state.find_client_key().unwrap().is_none());
    assert!(
        world
            .state
            .remembered(std::slice::from_ref(&world.here))
            .is_none()
    );
    assert!(!world.state.path().exists());
}

#[test]
fn nobody_else_can_read_the_folder_or_anything_in_it() {
    let world = World::new();
    world.damage("data/a");
    world.state.client_key().unwrap();
    assert_eq!(mode(world.state.path()), 0o700);
    for file in world.files() {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
        assert_eq!(mode(file.parent().unwrap()), 0o700, "{}", file.display());
    }
}

#[test]
fn evidence_of_one_place_does_not_vouch_for_another_of_the_same_name() {
    let world = World::new();
    world.damage("data/a");
    let moved = copy("here", "/elsewhere");
    assert!(world.repository.evidence(&moved).damage().is_empty());
    assert!(world.state.remembered(&[moved]).is_none());
    assert!(world.state.remembered(&[world.here]).is_some());
}

#[test]
fn a_kill_between_writing_and_renaming_loses_only_what_was_being_written() {
    let world = World::new();
    world.damage("data/a");
    let evidence = world.file("evidence");
    let temporary = evidence.with_file_name(".writing");
    for torn in [&b""[..], b"{\"version\":", b"{\"version\":1}"] {
        fs::write(&temporary, torn).unwrap();
        fs::set_permissions(&temporary, fs::Permissions::from_mode(0o400)).unwrap();
        assert_eq!(world.damaged(), ["data/a"]);
        world.damage("data/a");
        assert!(!temporary.exists());
    }
}

#[test]
fn a_truncated_file_is_set_aside_and_stops_nothing() {
    for length in [0, 1, 20] {
        let world = World::new();
        world.damage("data/a");
        let path = world.file("evidence");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..length]).unwrap();
        assert_eq!(world.damaged(), [""; 0]);
        let aside = PathBuf::from(format!("{}.damaged", path.display()));
        assert_eq!(fs::read(&aside).unwrap(), &bytes[..length]);
        assert!(!path.exists());
        fs::write(&path, &bytes[..length]).unwrap();
        world.damage("data/b");
        assert_eq!(world.damaged(), ["data/b"]);
    }
}

#[test]
fn noise_in_any_file_never_panics() {
    let world = World::new();
    // As an earlier version wrote it.
    let drill = r#"{"version":1,"at":"1970-01-01T00:00:00Z","source":"repos","bytes":1,"seconds":2,"matched":true}"#;
    world.damage("data/a");
    world.state.client_key().unwrap();
    let drill_path = world.repository.subfolder("restore-drill.json");
    fs::write(&drill_path, drill).unwrap();
    let seen = |seen: &mut SeenFiles| {
        seen.index.insert(Id::of(b"index"));
    };
    world.repository.update_seen(&world.here, seen).unwrap();
    let read: RestoreDrill = world.repository.restore_drill().unwrap();
    assert_eq!((read.source.as_str(), read.copy), ("repos", None));
    for noise in [
        &b""[..],
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"{\"version\":1}",
        &[b'['; 9999],
    ] {
        for file in world.files() {
            fs::write(&file, noise).unwrap();
        }
        assert_eq!(world.damaged(), [""; 0]);
        assert_eq!(world.repository.restore_drill(), None);
        assert_eq!(world.repository.seen(&world.here), SeenFiles::default());
        world.state.client_key().unwrap();
        world.damage("data/a");
        world.repository.update_seen(&world.here, seen).unwrap();
        fs::write(&drill_path, drill).unwrap();
        assert_eq!(world.damaged(), ["data/a"]);
    }
}

#[test]
fn what_a_newer_version_wrote_is_neither_believed_nor_overwritten() {
    let world = World::new();
    world.damage("data/a");
    let seen = |seen: &mut SeenFiles| {
        seen.snapshots.insert(Id::of(b"snapshot"));
    };
    world.repository.update_seen(&world.here, seen).unwrap();
    let newer = br#"{"version":7,"novelty":true}"#;
    for (part, update) in [("evidence", true), ("seen", false)] {
        let path = world.file(part);
        fs::write(&path, newer).unwrap();
        assert_eq!(world.damaged(), [""; 0]);
        let error = match update {
            true => world
                .repository
                .update_evidence(&world.here, |_| {})
                .unwrap_err(),
            false => world.repository.update_seen(&world.here, seen).unwrap_err(),
        };
        assert!(error.hint().unwrap().contains("newer"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), newer);
    }
}

#[test]
fn two_writers_lose_nothing_of_each_other() {
    let world = World::new();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let world = &world;
            scope.spawn(move || {
                for number in 0..10 {
                    world.damage(&format!("data/{writer}-{number}"));
                    world.damaged();
                }
            });
        }
    });
    assert_eq!(world.damaged().len(), 40);
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_to_writers_only() {
    let world = World::new();
    // A file in place of the folder is refused for root too.
    fs::write(world.state.path(), b"").unwrap();
    assert_eq!(world.damaged(), [""; 0]);
    assert!(
        world
            .repository
            .update_evidence(&world.here, |_| {})
            .is_err()
    );
    assert!(world.state.client_key().is_err());
}

#[test]
fn all_processes_get_the_same_client_key() {
    let world = World::new();
    let keys: Vec<Id> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| world.state.client_key().unwrap().id()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(keys.iter().all(|key| *key == keys[0]));
    let key = world.state.path().join("client.key");
    assert_eq!(fs::metadata(&key).unwrap().len(), 32);
}

#[test]
fn a_client_key_that_others_can_read_is_refused_with_the_command_that_mends_it() {
    let world = World::new();
    let id = world.state.client_key().unwrap().id();
    let path = world.state.path().join("client.key");
    for open in [0o640, 0o604, 0o660] {
        fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
        let error = world.state.client_key().unwrap_err();
        assert_eq!(
            error.hint().unwrap(),
            format!("chmod 600 '{}'", path.display())
        );
        assert!(world.state.find_client_key().is_err());
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(world.state.client_key().unwrap().id(), id);
}

#[test]
fn a_client_key_of_a_wrong_length_is_set_aside_for_a_new_one() {
    for length in [0, 31, 33] {
        let world = World::new();
        let old = world.state.client_key().unwrap().id();
        let path = world.state.path().join("client.key");
        fs::write(&path, vec![7; length]).unwrap();
        assert!(world.state.find_client_key().unwrap().is_none());
        let new = world.state.client_key().unwrap().id();
        assert_ne!(old, new);
        assert_eq!(world.state.client_key().unwrap().id(), new);
        assert!(world.state.path().join("client.key.damaged").exists());
    }
}

#[test]
fn a_link_in_place_of_the_key_is_not_followed() {
    let world = World::new();
    world.state.client_key().unwrap();
    let path = world.state.path().join("client.key");
    let elsewhere = world.folder.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    assert!(world.state.client_key().is_err());
}
