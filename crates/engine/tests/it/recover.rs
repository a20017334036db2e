//! Recovery from a place that keeps versions, whatever somebody has put above what was there.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use strongroom_engine::progress::Progress;
use strongroom_engine::recover::{
    ConfigChoice, Destination, RecoverError, RecoverOptions, RecoverReport, recover,
};
use strongroom_engine::session::Password;
use strongroom_engine::{CopyStore, Error};
use strongroom_model::{FileName, FileType, Id};
use strongroom_store::{LocalStore, Store};
use strongroom_testkit::contract::noise;
use strongroom_testkit::programs::restic_versions;
use strongroom_testkit::tree::TreeSpec;
use strongroom_testkit::{FakeBucket, MemoryStore, RecordingStore, Rights};

use crate::fixture::{Fixture, PASSWORD, assert_same_tree, run_restic};

mod junk;
mod locked;

/// When everything was put, and when somebody came, by the clock of the place.
const PUT_S: u64 = 1_000;
const ATTACK_S: u64 = 2_000;

/// A backup, and a place that keeps versions of all of its files.
struct Scene {
    fixture: Fixture,
    place: Arc<FakeBucket>,
    copy: CopyStore,
}

impl Scene {
    fn new() -> Self {
        let fixture = Fixture::new();
        TreeSpec::small(1).build(&fixture.source().join("tree"));
        fixture.backup();
        let local = LocalStore::new(fixture.copy_path("one"));
        let scene = Self::of(fixture);
        for kind in FileType::STORED.into_iter().chain([FileType::Config]) {
            for entry in local.list(kind).unwrap() {
                let name = FileName::new(kind, entry.id);
                let bytes = local.read(name).unwrap();
                scene.place.save(name, &bytes).unwrap();
            }
        }
        scene.place.set_time(ATTACK_S);
        scene
    }

    /// A place with nothing in it yet.
    fn of(fixture: Fixture) -> Self {
        let place = Arc::new(FakeBucket::new("bucket"));
        place.set_time(PUT_S);
        let copy = CopyStore {
            name: "offsite".to_owned(),
            store: place.clone(),
            is_local: false,
        };
        Self {
            fixture,
            place,
            copy,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.fixture.folder.path().join(name)
    }

    fn try_recover(
        &self,
        destination: &Destination,
        options: &RecoverOptions,
    ) -> Result<RecoverReport, Error> {
        let environment = &self.fixture.environment;
        recover(
            &self.copy,
            destination,
            options,
            environment,
            &Progress::default(),
        )
    }

    fn recover(&self, destination: &Destination, options: &RecoverOptions) -> RecoverReport {
        self.try_recover(destination, options).unwrap()
    }

    /// Recovers into a folder beside the copies.
    fn recover_to(&self, name: &str, options: &RecoverOptions) -> RecoverReport {
        self.recover(&Destination::Folder(self.path(name)), options)
    }

    /// The only error that ends it before anything is done.
    fn refusal(&self, destination: &Destination) -> RecoverError {
        match self.try_recover(destination, &without_password()) {
            Err(Error::Recover(error)) => *error,
            other => panic!("{other:?}"),
        }
    }

    /// The files of a type.
    fn names(&self, kind: FileType) -> Vec<FileName> {
        let names = self.place.names().into_iter();
        names.filter(|name| name.kind() == kind).collect()
    }

    /// Asserts that stock restic finds nothing wrong there, and restores what the source holds.
    fn assert_restores(&self, repository: &Path) {
        for restic in restic_versions() {
            run_restic(&restic, repository, PASSWORD, &["check", "--read-data"]);
            let target = tempfile::tempdir().unwrap();
            let to = target.path().to_str().unwrap();
            let arguments = ["restore", "latest", "--target", to];
            run_restic(&restic, repository, PASSWORD, &arguments);
            let source = self.fixture.source();
            let restored = target.path().join(source.strip_prefix("/").unwrap());
            assert_same_tree(&source, &restored, &restic);
        }
    }
}

fn without_password() -> RecoverOptions {
    RecoverOptions {
        as_of: None,
        dry_run: false,
        without_records: false,
        password: None,
        state: None,
        memory_bytes: 64 << 20,
    }
}

fn with_password() -> RecoverOptions {
    RecoverOptions {
        password: Some(Password::new(PASSWORD.as_bytes().to_vec())),
        ..without_password()
    }
}

fn as_of(second: u64) -> RecoverOptions {
    let second = i64::try_from(second).unwrap();
    RecoverOptions {
        as_of: Some(Timestamp::from_second(second).unwrap()),
        ..without_password()
    }
}

#[test]
fn what_was_hidden_and_overwritten_comes_back_whole_and_without_the_password() {
    let scene = Scene::new();
    let names = scene.place.names();
    for (number, name) in names.iter().enumerate() {
        match number % 3 {
            0 => scene.place.hide(*name),
            1 => scene.place.put(*name, b"junk"),
            _ => {
                scene.place.put(*name, b"junk");
                scene.place.put(*name, b"other junk");
                scene.place.hide(*name);
            }
        }
    }
    let report = scene.recover_to("back", &without_password());
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.files, names.len() as u64);
    assert_eq!(report.config, Some(ConfigChoice::Oldest));
    let hidden = (0..names.len()).filter(|number| number % 3 != 1).count();
    assert_eq!(report.behind_markers, hidden as u64);
    assert!(report.overwritten > 0);
    scene.assert_restores(&scene.path("back"));

    // What is there is not read again.
    scene.place.take_asked();
    let report = scene.recover_to("back", &without_password());
    assert_eq!((report.files, report.bytes), (0, 0));
    assert_eq!(report.already_there, names.len() as u64);
    // But `config`, by which the folder is known.
    assert_eq!(scene.place.take_asked().opened, 1);

    // A run that was killed has left some of it, and never a torn file; what has rotted is seen.
    let lost = scene.names(FileType::Data)[0];
    let folder = LocalStore::new(scene.path("back"));
    folder.remove(lost).unwrap();
    folder.remove(FileName::CONFIG).unwrap();
    let rotten = scene.names(FileType::Index)[0];
    folder.remove(rotten).unwrap();
    let id = rotten.id().unwrap();
    fs::write(scene.path(&format!("back/index/{id}")), b"rot").unwrap();
    let report = scene.recover_to("back", &with_password());
    assert_eq!(report.files, 3);
    assert_eq!(report.config, Some(ConfigChoice::OldestThatDecrypts));
    scene.assert_restores(&scene.path("back"));
}

#[test]
fn as_of_a_time_nothing_that_came_later_counts() {
    let scene = Scene::new();
    let junk = FileName::new(FileType::Snapshots, Id::of(b"a snapshot of his"));
    scene.place.put(junk, b"a snapshot of his");
    for name in scene.place.names() {
        scene.place.hide(name);
    }
    let report = scene.recover_to("now", &without_password());
    assert!(scene.path(&format!("now/{junk}")).exists());
    let before = scene.recover_to("before", &as_of(PUT_S));
    assert!(before.is_complete(), "{before:?}");
    assert_eq!(before.files + 1, report.files);
    assert!(!scene.path(&format!("before/{junk}")).exists());
    scene.assert_restores(&scene.path("before"));
    let destination = Destination::Folder(scene.path("never"));
    let told = scene.try_recover(&destination, &as_of(PUT_S - 1));
    let is_told = matches!(
        &told,
        Err(Error::Recover(error)) if matches!(**error, RecoverError::NothingThen { .. })
    );
    assert!(is_told, "{told:?}");
    assert!(!scene.path("never").exists());
}

#[test]
fn a_version_that_is_buried_is_found_and_no_more_is_read_than_must_be() {
    let scene = Scene::of(Fixture::new());
    let place = &scene.place;
    place.put(FileName::CONFIG, b"config");
    let bytes = noise(1, 100);
    let name = FileName::new(FileType::Data, Id::of(&bytes));
    // What lies above, all of it different, costs nothing: the oldest is tried second.
    place.replace(name, &bytes).unwrap();
    for second in 0..3_000_u64 {
        place.set_time(ATTACK_S + second);
        place.put(name, &second.to_le_bytes());
    }
    let report = scene.recover_to("above", &without_password());
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.files, report.overwritten), (2, 1));
    assert_eq!(place.take_asked().opened, 3);

    // Junk below and above, so that all must be read; and the same junk again and again, which
    // must not.
    let same = FileName::new(FileType::Data, Id::of(b"same"));
    let between = FileName::new(FileType::Data, Id::of(b"between"));
    place.set_time(PUT_S);
    place.put(between, b"below");
    place.put(same, b"below");
    place.set_time(PUT_S + 1);
    place.replace(between, b"between").unwrap();
    place.replace(same, b"same").unwrap();
    for second in 0..200_u64 {
        place.set_time(ATTACK_S + second);
        place.put(between, &second.to_le_bytes());
        place.put(same, b"junk");
    }
    let report = scene.recover_to("between", &without_password());
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.overwritten, 3);
    let reads = place.take_asked().opened;
    // The 200 above one, its right one and the one below, and a few for the others; what was begun
    // beside the right one may come on top.
    assert!((200..250).contains(&reads), "{reads}");
}

#[test]
fn what_cannot_be_read_is_passed_over_and_what_has_no_right_version_is_named() {
    let scene = Scene::new();
    let snapshot = scene.names(FileType::Snapshots)[0];
    scene.place.put_sealed(snapshot, b"his own key encrypts it");
    let report = scene.recover_to("sealed", &without_password());
    assert!(report.is_complete(), "{report:?}");
    scene.assert_restores(&scene.path("sealed"));

    let junk = FileName::new(FileType::Data, Id::of(b"never there"));
    scene.place.put(junk, b"junk");
    let report = scene.recover_to("named", &with_password());
    assert!(!report.is_complete());
    assert_eq!(report.not_recovered_count, 1);
    assert_eq!(report.not_recovered[0].name, junk.to_string());
    // No snapshot needs it.
    assert_eq!(report.incomplete, []);
    scene.assert_restores(&scene.path("named"));
}

#[test]
fn snapshots_that_need_what_is_lost_are_named_where_there_is_the_password() {
    let scene = Scene::of(Fixture::new());
    let fixture = &scene.fixture;
    TreeSpec::small(1).build(&fixture.source().join("tree"));
    fixture.backup();
    let local = LocalStore::new(fixture.copy_path("one"));
    for kind in FileType::STORED.into_iter().chain([FileType::Config]) {
        for entry in local.list(kind).unwrap() {
            let name = FileName::new(kind, entry.id);
            match kind {
                FileType::Data => scene.place.put(name, b"junk"),
                _ => scene.place.save(name, &local.read(name).unwrap()).unwrap(),
            }
        }
    }
    let report = scene.recover_to("lossy", &with_password());
    let packs = scene.names(FileType::Data).len();
    assert_eq!(report.not_recovered_count, packs as u64);
    let snapshot = scene.names(FileType::Snapshots)[0].id().unwrap();
    assert_eq!(report.incomplete.len(), 1);
    assert_eq!(report.incomplete[0].snapshot, snapshot);
    let report = scene.recover_to("lossy again", &without_password());
    assert_eq!(report.incomplete, []);
}

#[test]
fn of_config_the_oldest_counts_and_with_the_password_the_oldest_that_decrypts() {
    let scene = Scene::new();
    let config = scene.place.read(FileName::CONFIG).unwrap();
    scene.place.put(FileName::CONFIG, b"his config");
    scene.recover_to("oldest", &without_password());
    let read = |folder: &str| fs::read(scene.path(folder).join("config")).unwrap();
    assert_eq!(read("oldest"), config);

    // One that is older still, as of another repository that was there before.
    let other = Scene::of(Fixture::new());
    other.place.set_time(1);
    other.place.put(FileName::CONFIG, b"older");
    other.place.set_time(PUT_S);
    for name in scene.place.names() {
        match name.kind() {
            FileType::Config => other.place.put(name, &config),
            _ => {
                let bytes = scene.place.read(name).unwrap();
                other.place.save(name, &bytes).unwrap();
            }
        }
    }
    other.recover_to("first", &without_password());
    assert_eq!(fs::read(other.path("first/config")).unwrap(), b"older");
    let report = other.recover_to("right", &with_password());
    assert_eq!(report.config, Some(ConfigChoice::OldestThatDecrypts));
    assert_eq!(fs::read(other.path("right/config")).unwrap(), config);
    // A dry run chooses as the real one does: it reads the key and both versions, and writes nothing.
    let dry = RecoverOptions {
        dry_run: true,
        ..with_password()
    };
    other.place.take_asked();
    let foreseen = other.recover_to("foreseen", &dry);
    assert_eq!(foreseen.config, Some(ConfigChoice::OldestThatDecrypts));
    assert_eq!(other.place.take_asked().opened, 3);
    assert!(!other.path("foreseen").exists());
    // A password that opens nothing does no harm.
    let wrong = RecoverOptions {
        password: Some(Password::new(b"wrong".to_vec())),
        ..without_password()
    };
    let report = scene.recover_to("wrong", &wrong);
    assert_eq!(report.config, Some(ConfigChoice::Oldest));
    assert_eq!(report.notes.len(), 1);
    assert!(report.is_complete(), "{report:?}");
}

#[test]
fn sixteen_versions_and_more_are_read_at_a_time_and_not_all() {
    let scene = Scene::of(Fixture::new());
    for seed in 0..64 {
        let bytes = noise(seed, 100);
        let name = FileName::new(FileType::Data, Id::of(&bytes));
        scene.place.replace(name, &bytes).unwrap();
    }
    // There is no config, which is named.
    scene.place.await_at_once(16);
    let report = scene.recover_to("many", &without_password());
    assert_eq!((report.files, report.not_recovered_count), (64, 1));
    let most = scene.place.most_at_once();
    assert!((16..=32).contains(&most), "{most}");
    assert_eq!(report.not_recovered[0].name, "config");
    // A run that found no config either goes on in what it has left.
    let report = scene.recover_to("many", &without_password());
    assert_eq!((report.files, report.already_there), (0, 64));
}

#[test]
fn in_place_everything_is_seen_again_and_no_version_is_removed() {
    for remove_versions in [true, false] {
        let scene = Scene::new();
        scene.place.allow(Rights {
            remove_versions,
            ..Rights::default()
        });
        let names = scene.place.names();
        let bytes: Vec<_> = names
            .iter()
            .map(|name| scene.place.read(*name).unwrap())
            .collect();
        for (number, name) in names.iter().enumerate() {
            match number % 4 {
                0 => {}
                1 => scene.place.hide(*name),
                2 => scene.place.put(*name, b"junk"),
                _ => {
                    scene.place.hide(*name);
                    scene.place.put(*name, b"junk");
                    scene.place.hide(*name);
                    scene.place.hide(*name);
                }
            }
        }
        let count = |name: &FileName| scene.place.count(*name);
        let before: Vec<_> = names.iter().map(count).collect();
        let dry = RecoverOptions {
            dry_run: true,
            ..without_password()
        };
        let foreseen = scene.recover(&Destination::InPlace, &dry);
        assert_eq!(names.iter().map(count).collect::<Vec<_>>(), before);
        let report = scene.recover(&Destination::InPlace, &without_password());
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(report.behind_markers, foreseen.behind_markers);
        let expected = (0..names.len()).filter(|number| number % 4 != 0).count();
        assert_eq!(report.files, expected as u64);
        for (number, name) in names.iter().enumerate() {
            assert_eq!(scene.place.read(*name).unwrap(), bytes[number], "{name}");
            // What was hidden and no more needs no further version, where its marker may be removed.
            let is_new = number % 4 > 1 || (number % 4 == 1 && !remove_versions);
            assert_eq!(count(name), before[number] + usize::from(is_new), "{name}");
        }
        let again = scene.recover(&Destination::InPlace, &without_password());
        assert_eq!((again.files, again.already_there), (0, names.len() as u64));
    }
}

#[test]
fn as_of_a_time_in_place_what_is_right_since_then_is_left_alone() {
    let scene = Scene::new();
    let pack = scene.names(FileType::Data)[0];
    let bytes = scene.place.read(pack).unwrap();
    scene.place.hide(pack);
    scene.place.replace(pack, &bytes).unwrap();
    let late = FileName::new(FileType::Data, Id::of(b"late"));
    scene.place.replace(late, b"late").unwrap();
    let report = scene.recover(&Destination::InPlace, &as_of(PUT_S));
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.files, 0);
    assert_eq!((scene.place.count(pack), scene.place.count(late)), (2, 1));
}

/// Another copy to recover to, and what it was given.
fn recorded_copy() -> (Destination, Arc<RecordingStore<MemoryStore>>) {
    let recorded = Arc::new(RecordingStore::new(MemoryStore::new("other")));
    let other = CopyStore {
        name: "other".to_owned(),
        store: recorded.clone(),
        is_local: false,
    };
    (Destination::Copy(other), recorded)
}

#[test]
fn into_another_copy_a_whole_repository_comes_and_snapshots_come_last() {
    let scene = Scene::new();
    let (other, recorded) = recorded_copy();
    let report = scene.recover(&other, &without_password());
    assert!(report.is_complete(), "{report:?}");
    let kinds: Vec<_> = recorded.written().iter().map(FileName::kind).collect();
    let place = |kind| kinds.iter().position(|one| *one == kind).unwrap();
    let order = [
        FileType::Keys,
        FileType::Config,
        FileType::Data,
        FileType::Index,
        FileType::Snapshots,
    ];
    assert!(order.is_sorted_by_key(|kind| place(*kind)), "{kinds:?}");
    assert_eq!(kinds.last(), Some(&FileType::Snapshots));
    // Sizes tell that it is all there.
    let again = scene.recover(&other, &without_password());
    assert_eq!((again.files, again.already_there), (0, report.files));
}

#[test]
fn a_wrong_place_is_refused_before_anything_is_written() {
    let scene = Scene::new();
    let holding = |folder: &str, file: &str| {
        let path = scene.path(folder).join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"something").unwrap();
        scene.refusal(&Destination::Folder(scene.path(folder)))
    };
    let not_empty = holding("home", "letter.txt");
    assert!(not_empty.to_string().contains("letter.txt"), "{not_empty}");
    let other = holding("repository", "config");
    assert!(matches!(other, RecoverError::OtherRepository { .. }));
    let part = format!("keys/{}", Id::of(b"key of another"));
    let other = holding("part", &part);
    assert!(matches!(other, RecoverError::NotEmpty { .. }), "{other:?}");
    let itself = scene.refusal(&Destination::Copy(scene.copy.clone()));
    assert!(matches!(itself, RecoverError::IntoItself { .. }));
    for error in [not_empty, itself] {
        assert!(error.hint().is_some());
    }
}

#[test]
fn a_place_without_versions_and_a_right_that_is_missing_are_told() {
    let scene = Scene::new();
    let folder = Destination::Folder(scene.path("folder"));
    let with = |list_versions, read_versions| {
        scene.place.allow(Rights {
            list_versions,
            read_versions,
            remove_versions: true,
        });
        let error = scene.refusal(&folder);
        (error.to_string(), error.hint().unwrap())
    };
    let (text, hint) = with(false, true);
    assert!(text.contains("s3:ListBucketVersions"), "{text}");
    assert!(hint.contains("s3:ListBucketVersions"), "{hint}");
    let (text, _) = with(true, false);
    assert!(text.contains("s3:GetObjectVersion"), "{text}");

    for (location, step) in [
        ("/srv/backup", "strongroom sync"),
        (
            "rest:https://h/acme/",
            "strongroom vault repository undelete",
        ),
    ] {
        let copy = CopyStore {
            name: "plain".to_owned(),
            store: Arc::new(strongroom_testkit::MemoryStore::at(location)),
            is_local: true,
        };
        let environment = &scene.fixture.environment;
        let options = without_password();
        let told = recover(&copy, &folder, &options, environment, &Progress::default());
        let error = told.unwrap_err();
        assert!(error.to_string().contains(location), "{error}");
        assert!(error.hint().unwrap().contains(step), "{error}");
    }
    let nothing = Scene::of(Fixture::new());
    let error = nothing.try_recover(&folder, &without_password());
    let no_repository = strongroom_repo::Error::NoRepository {
        location: "fake:bucket".to_owned(),
    };
    let said = error.unwrap_err().to_string();
    assert_eq!(said, no_repository.to_string());
}
