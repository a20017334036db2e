//! Rehearsed restores: from one copy alone, whatever its siblings have, and nothing of it stays.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use parking_lot::Mutex;
use strongroom_engine::drill::restore::{
    Alone, ByRestic, Checked, DrillOptions, DrillTask, Restic, Room, SourceDrill, drill,
};
use strongroom_engine::restore::RestoreOptions;
use strongroom_engine::session::Password;
use strongroom_engine::snapshots::Snapshots;
use strongroom_engine::state::{RepositoryState, StateFolder};
use strongroom_engine::{Error, Result};
use strongroom_model::config::Source;
use strongroom_model::evidence::Share;
use strongroom_model::{CopyEvidence, FileName, FileType, Id};
use strongroom_repo::Snapshot;
use strongroom_repo::blob::BlobKind;
use strongroom_testkit::programs::{Restic as Program, restic_versions};
use strongroom_testkit::tree::TreeSpec;

use crate::fixture::{Fixture, PASSWORD};
use crate::restore::names;

/// Three copies of a source, and a folder to restore in.
struct Scene {
    fixture: Fixture,
    into: tempfile::TempDir,
    sources: Vec<Source>,
    rooms: Mutex<Vec<Room>>,
}

impl Scene {
    /// `check` is a line of the configuration, or nothing.
    fn new(check: &str) -> Self {
        let fixture = Fixture::new();
        TreeSpec {
            big_files_bytes: vec![3 << 20],
            ..TreeSpec::small(41)
        }
        .build(&fixture.source().join("tree"));
        let sources = fixture.sources(&format!("path = {:?}\n{check}", fixture.source()));
        assert!(fixture.backup_of(&sources).unwrap().is_complete());
        Self {
            fixture,
            into: tempfile::tempdir().unwrap(),
            sources,
            rooms: Mutex::default(),
        }
    }

    fn options(&self) -> DrillOptions {
        DrillOptions {
            share: 100,
            into: self.into.path().to_owned(),
            keep: false,
            limits: RestoreOptions::default(),
            restic: Err("restic is not installed".to_owned()),
        }
    }

    fn restic(&self, program: &Program, copy: &str, password: &str) -> Restic {
        Restic {
            program: program.path.clone(),
            repository: self.fixture.copy_path(copy).into_os_string(),
            password: Password::new(password.as_bytes().to_vec()),
            environment: Vec::new(),
            ends: None,
            arguments: Vec::new(),
            certificate: None,
        }
    }

    fn drill(
        &self,
        copy: &str,
        evidence: &CopyEvidence,
        options: &DrillOptions,
    ) -> Result<SourceDrill> {
        let fixture = &self.fixture;
        let store = fixture.copies.iter().find(|one| one.name == copy).unwrap();
        let mut alone = Alone::open(store, PASSWORD.as_bytes(), &fixture.looking, None)?;
        alone.note_locks_in(self.memory());
        let environment = &fixture.environment;
        let snapshots = alone.snapshots(&environment.cancel)?;
        let task = DrillTask {
            snapshots: &snapshots,
            source: &self.sources[0],
            evidence,
            options,
            environment,
            progress: &fixture.progress,
            tell: &|room| self.rooms.lock().push(room.clone()),
        };
        drill(&mut alone, &task)
    }

    /// What is remembered of the repository.
    fn memory(&self) -> RepositoryState {
        let state = StateFolder::new(self.fixture.folder.path().join("state-of-drills"));
        state.repository(self.fixture.open().id())
    }

    /// Puts a snapshot on the copy `one` that is like the real one, but for what is changed.
    fn forge(&self, change: impl FnOnce(&mut Snapshot)) -> Id {
        let fixture = &self.fixture;
        let all = Snapshots::load(&fixture.open(), &fixture.environment.cancel).unwrap();
        let mut snapshot = all.all[0].snapshot.clone();
        change(&mut snapshot);
        let (id, bytes) = snapshot.seal(&fixture.key, 2).unwrap();
        let name = FileName::new(FileType::Snapshots, id);
        fixture.copies[0].store.save(name, &bytes).unwrap();
        id
    }

    fn once(&self, copy: &str, options: &DrillOptions) -> SourceDrill {
        let drilled = self.drill(copy, &CopyEvidence::default(), options);
        drilled.unwrap()
    }

    /// Damages every pack of a kind on a copy.
    fn damage(&self, copy: &str, kind: BlobKind) {
        for id in crate::restore::damage::packs(&self.fixture, kind) {
            let hex = id.to_string();
            let data = self.fixture.copy_path(copy).join("data");
            let path = data.join(&hex[..2]).join(&hex);
            crate::damage::Damage::Flip.strike(&path);
        }
    }

    fn assert_nothing_stays(&self) {
        assert_eq!(names(self.into.path()), [] as [PathBuf; 0]);
    }
}

#[test]
fn a_snapshot_whose_time_cannot_be_believed_is_passed_over_and_told() {
    let scene = Scene::new("");
    let real = scene.once("one", &scene.options()).snapshot;
    let ahead = scene.forge(|fake| fake.time = "2099-01-01T00:00:00Z".parse().unwrap());
    let now = (scene.fixture.environment.clock)();
    // Of now, though it lies there since yesterday.
    let minute = SignedDuration::from_mins(1);
    let old = scene.forge(|fake| fake.time = now.saturating_add(minute).unwrap());
    let yesterday = now.saturating_sub(SignedDuration::from_hours(24)).unwrap();
    let copy = &scene.fixture.copies[0];
    let seen = scene
        .memory()
        .update_sightings(copy, |seen| seen.note([old], yesterday, yesterday));
    seen.unwrap();
    let drilled = scene.once("one", &scene.options());
    assert_eq!(drilled.snapshot, real, "{:?}", drilled.notes);
    for passed in [ahead, old] {
        let id = passed.short();
        let is_told = |note: &String| note.contains(&id) && note.ends_with("was passed over");
        assert!(drilled.notes.iter().any(is_told), "{:?}", drilled.notes);
    }
}

#[test]
fn what_a_snapshot_says_of_its_size_is_not_believed() {
    let scene = Scene::new("");
    let now = (scene.fixture.environment.clock)();
    let fake = scene.forge(|fake| {
        fake.time = now.saturating_add(SignedDuration::from_mins(1)).unwrap();
        let summary = fake.summary.as_mut().unwrap();
        summary.total_bytes_processed = 1;
        summary.total_files_processed = 1;
    });
    let drilled = scene.once("one", &scene.options());
    assert_eq!(drilled.snapshot, fake);
    assert!(drilled.is_good(), "{drilled:?}");
    let rooms = scene.rooms.lock();
    assert_eq!(rooms[0].restored.bytes, drilled.restored.bytes);
    assert!(rooms[0].restored.files > 1 && drilled.restored.bytes > 3 << 20);
}

#[test]
fn a_sound_copy_gives_everything_back_and_nothing_of_it_stays() {
    let scene = Scene::new("");
    let drilled = scene.once("two", &scene.options());
    assert!(drilled.is_good(), "{drilled:?}");
    assert_eq!(drilled.share, Share::All);
    assert_eq!(drilled.restored.bytes, drilled.whole.bytes);
    assert!(drilled.restored.bytes > 3 << 20);
    assert_eq!(drilled.check, Checked::None);
    let reason = "restic is not installed".to_owned();
    assert_eq!(drilled.restic, ByRestic::Untried { reason });
    let live = drilled.live.clone().unwrap();
    assert_eq!((live.changed, live.gone, live.rotten.len()), (0, 0, 0));
    assert!(live.same > 0);
    let record = drilled.record().unwrap();
    assert!(record.is_good());
    assert_eq!(record.copy.unwrap().as_str(), "two");
    assert_eq!((record.restic, record.check), (None, None));
    let rooms = scene.rooms.lock();
    let [room] = rooms.as_slice() else {
        panic!("{rooms:?}");
    };
    assert!(room.needed_bytes >= drilled.restored.bytes);
    assert!(room.free_bytes >= room.needed_bytes);
    scene.assert_nothing_stays();
}

#[test]
fn damage_of_one_copy_is_found_though_its_siblings_are_sound() {
    for kind in [BlobKind::Data, BlobKind::Tree] {
        let scene = Scene::new("");
        scene.damage("two", kind);
        let drilled = scene.once("two", &scene.options());
        assert!(!drilled.matched() && !drilled.errors.is_empty(), "{kind:?}");
        assert!(drilled.damaged.iter().all(|damage| damage.copy == "two"));
        assert!(!drilled.damaged.is_empty());
        assert!(!drilled.record().unwrap().is_good());
        assert!(scene.once("one", &scene.options()).is_good());
        scene.assert_nothing_stays();
    }
}

#[test]
fn what_keeps_a_copy_from_opening_alone_is_found_though_its_siblings_open() {
    for folder in ["keys", "snapshots"] {
        let scene = Scene::new("");
        for path in names(&scene.fixture.copy_path("two").join(folder)) {
            let path = scene.fixture.copy_path("two").join(folder).join(path);
            fs::remove_file(path).unwrap();
        }
        let drilled = scene.drill("two", &CopyEvidence::default(), &scene.options());
        assert!(drilled.is_err(), "{folder}");
    }
}

#[test]
fn stock_restics_restore_the_same_from_a_sound_copy() {
    let scene = Scene::new("");
    for program in restic_versions() {
        let restic = scene.restic(&program, "three", PASSWORD);
        let options = DrillOptions {
            restic: Ok(restic),
            ..scene.options()
        };
        let drilled = scene.once("three", &options);
        let ByRestic::Same { version, files, .. } = &drilled.restic else {
            panic!("{:?}", drilled.restic);
        };
        let expected = format!("restic {}.", program.version);
        assert!(version.starts_with(&expected), "{version}");
        assert!(*files > 0);
        assert!(drilled.is_good());
        scene.assert_nothing_stays();
    }
    // Room for both was looked for.
    let rooms = scene.rooms.lock();
    let is_enough = |room: &Room| room.needed_bytes >= 2 * room.restored.bytes;
    assert!(rooms.iter().all(is_enough));
}

#[test]
fn a_restic_that_cannot_restore_is_no_agreement() {
    let scene = Scene::new("");
    let program = restic_versions().pop().unwrap();
    let wrong = DrillOptions {
        restic: Ok(scene.restic(&program, "three", "not the password")),
        ..scene.options()
    };
    let drilled = scene.once("three", &wrong);
    assert!(drilled.matched() && !drilled.is_good(), "{drilled:?}");
    assert_eq!(drilled.record().unwrap().restic, Some(false));

    let mut missing = scene.restic(&program, "three", PASSWORD);
    missing.program = "/no/such/restic".into();
    let missing = DrillOptions {
        restic: Ok(missing),
        ..scene.options()
    };
    let drilled = scene.once("three", &missing);
    assert_eq!(drilled.restic.agrees(), None);
    assert!(drilled.is_good());
    scene.assert_nothing_stays();
}

#[test]
fn a_restic_whose_account_ends_before_it_is_done_says_nothing_of_the_copy() {
    let scene = Scene::new("");
    let program = restic_versions().pop().unwrap();
    let now = (scene.fixture.environment.clock)();
    let hour = SignedDuration::from_hours(1);
    for (ends, agrees) in [
        (now.saturating_sub(hour).unwrap(), None),
        (now.saturating_add(hour).unwrap(), Some(false)),
    ] {
        let restic = Restic {
            ends: Some(ends),
            ..scene.restic(&program, "three", "not the password")
        };
        let options = DrillOptions {
            restic: Ok(restic),
            ..scene.options()
        };
        let drilled = scene.once("three", &options);
        assert_eq!(drilled.restic.agrees(), agrees, "{:?}", drilled.restic);
        assert_eq!(drilled.is_good(), agrees.is_none());
        assert_eq!(drilled.record().unwrap().restic, agrees);
    }
    // One that comes to its end in time is compared, whatever has ended meanwhile.
    let restic = Restic {
        ends: Some(now.saturating_sub(hour).unwrap()),
        ..scene.restic(&program, "three", PASSWORD)
    };
    let options = DrillOptions {
        restic: Ok(restic),
        ..scene.options()
    };
    assert_eq!(scene.once("three", &options).restic.agrees(), Some(true));
    scene.assert_nothing_stays();
}

#[test]
fn what_restic_says_is_repeated_without_what_is_secret() {
    let scene = Scene::new("");
    let folder = tempfile::tempdir().unwrap();
    let talker = folder.path().join("restic");
    let text = "#!/bin/sh\n\
        if [ \"$1\" = version ]; then echo restic 0.0.0 of a test; exit 0; fi\n\
        echo \"$RESTIC_REPOSITORY: $RESTIC_PASSWORD, $AWS_SECRET_ACCESS_KEY\" >&2\n\
        exit 1\n";
    fs::write(&talker, text).unwrap();
    fs::set_permissions(&talker, fs::Permissions::from_mode(0o755)).unwrap();
    let program = restic_versions().pop().unwrap();
    let options = DrillOptions {
        restic: Ok(Restic {
            program: talker,
            repository: "rest:https://backup:t0ken@vault.example/acme/".into(),
            environment: vec![("AWS_SECRET_ACCESS_KEY".into(), "hunter2".into())],
            ..scene.restic(&program, "three", PASSWORD)
        }),
        ..scene.options()
    };
    let drilled = scene.once("three", &options);
    let ByRestic::Differs { differences, .. } = &drilled.restic else {
        panic!("{:?}", drilled.restic);
    };
    let said = "exit status: 1: rest:https://***@vault.example/acme/: ***, ***";
    assert!(differences[0].ends_with(said), "{differences:?}");
    scene.assert_nothing_stays();
}

#[test]
fn shares_come_around_until_every_file_was_restored() {
    let scene = Scene::new("check = [\"false\"]");
    // A link comes back with its part, and counts as no file anywhere.
    symlink("nowhere", scene.fixture.source().join("link")).unwrap();
    assert!(
        scene
            .fixture
            .backup_of(&scene.sources)
            .unwrap()
            .is_complete()
    );
    let all_of_it = scene.once("two", &scene.options()).whole;
    let program = restic_versions().pop().unwrap();
    let mut evidence = CopyEvidence::default();
    let (mut files, mut numbers) = (0, Vec::new());
    let mut seen = BTreeSet::new();
    let (mut bytes, mut others) = (0, 0);
    for _ in 0..4 {
        let options = DrillOptions {
            share: 25,
            keep: true,
            restic: Ok(scene.restic(&program, "one", PASSWORD)),
            ..scene.options()
        };
        let drilled = scene.drill("one", &evidence, &options).unwrap();
        assert!(drilled.is_good(), "{drilled:?}");
        // What is not whole is not checked, and that is told.
        assert!(matches!(drilled.check, Checked::Skipped { .. }));
        assert_eq!(drilled.restic.agrees(), Some(true));
        let Share::Slice { number, of: 4 } = drilled.share else {
            panic!("{:?}", drilled.share);
        };
        numbers.push(number);
        let counts = drilled.restored;
        files += counts.files + counts.hard_links;
        others += counts.others;
        bytes += counts.bytes;
        assert_eq!(drilled.whole, all_of_it);
        let kept = drilled.kept.clone().unwrap();
        for path in files_below(&kept.join("restored")) {
            assert!(seen.insert(path.clone()), "{path:?} came twice");
        }
        evidence.record_restore(drilled.record().unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert_eq!((files, bytes), (all_of_it.files, all_of_it.bytes));
    assert_eq!(others, 1);
    let source = scene.fixture.source();
    let all = files_below(&source).into_iter();
    let inner = source.strip_prefix("/").unwrap();
    let all: BTreeSet<PathBuf> = all.map(|path| inner.join(path)).collect();
    assert_eq!(seen, all);
}

/// The names below a folder that are no folders.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut all = names(folder);
    all.retain(|path| !folder.join(path).symlink_metadata().unwrap().is_dir());
    all
}

#[test]
fn a_share_of_few_files_is_never_empty() {
    let fixture = Fixture::new();
    fs::write(fixture.source().join("only"), "content").unwrap();
    let sources = fixture.folder_source();
    fixture.backup();
    let scene = Scene {
        fixture,
        into: tempfile::tempdir().unwrap(),
        sources,
        rooms: Mutex::default(),
    };
    let options = DrillOptions {
        share: 1,
        ..scene.options()
    };
    let drilled = scene.once("one", &options);
    assert_eq!((drilled.share, drilled.restored.files), (Share::All, 1));
}

#[test]
fn the_sources_own_check_decides_and_runs_where_it_was_restored() {
    let passing = Scene::new("check = [\"test\", \"-d\", \"tree\"]");
    let drilled = passing.once("one", &passing.options());
    assert_eq!(drilled.check.passed(), Some(true), "{:?}", drilled.check);
    assert!(drilled.is_good());

    let failing = Scene::new("check = [\"sh\", \"-c\", \"echo a link is broken; exit 4\"]");
    let drilled = failing.once("one", &failing.options());
    let Checked::Failed { reason } = &drilled.check else {
        panic!("{:?}", drilled.check);
    };
    let end = "exit status: 4: a link is broken";
    assert!(reason.ends_with(end), "{reason}");
    assert!(drilled.matched() && !drilled.is_good());
    assert!(!drilled.record().unwrap().is_good());
    failing.assert_nothing_stays();
}

#[test]
fn the_output_of_a_command_is_checked_where_its_file_is() {
    let fixture = Fixture::new();
    let settings = "command = [\"echo\", \"dumped\"]\nas = \"shop.dump\"\n\
                    check = [\"grep\", \"-q\", \"dumped\", \"shop.dump\"]";
    let sources = fixture.sources(settings);
    assert!(fixture.backup_of(&sources).unwrap().is_complete());
    let scene = Scene {
        fixture,
        into: tempfile::tempdir().unwrap(),
        sources,
        rooms: Mutex::default(),
    };
    let drilled = scene.once("two", &scene.options());
    assert_eq!(drilled.check.passed(), Some(true), "{:?}", drilled.check);
    assert_eq!(drilled.live, None);
}

#[test]
fn nothing_stays_where_the_run_is_interrupted() {
    let scene = Scene::new("");
    let fixture = &scene.fixture;
    let store = &fixture.copies[0];
    let mut alone = Alone::open(store, PASSWORD.as_bytes(), &fixture.looking, None).unwrap();
    let snapshots = alone.snapshots(&fixture.environment.cancel).unwrap();
    let cancel = &fixture.environment.cancel;
    let task = DrillTask {
        snapshots: &snapshots,
        source: &scene.sources[0],
        evidence: &CopyEvidence::default(),
        options: &scene.options(),
        environment: &fixture.environment,
        progress: &fixture.progress,
        // There is room, and somebody has thought better of it.
        tell: &|_| cancel.cancel(),
    };
    let drilled = drill(&mut alone, &task);
    assert!(matches!(drilled, Err(Error::Interrupted)), "{drilled:?}");
    scene.assert_nothing_stays();
}

#[test]
fn what_is_kept_is_the_source_as_it_was() {
    let scene = Scene::new("");
    let options = DrillOptions {
        keep: true,
        ..scene.options()
    };
    let kept = scene.once("one", &options).kept.unwrap();
    assert!(kept.starts_with(scene.into.path()));
    let source = scene.fixture.source();
    let inner = source.strip_prefix("/").unwrap();
    let restored = kept.join("restored").join(inner);
    assert_eq!(strongroom_testkit::tree::compare(&source, &restored), []);
}

#[test]
fn a_source_without_a_snapshot_and_a_folder_that_is_not_there_are_told() {
    let mut scene = Scene::new("");
    let missing = DrillOptions {
        into: scene.into.path().join("missing"),
        ..scene.options()
    };
    let drilled = scene.drill("one", &CopyEvidence::default(), &missing);
    assert!(matches!(drilled, Err(Error::Local { .. })));
    scene.sources[0].name = "other".parse().unwrap();
    let drilled = scene.drill("one", &CopyEvidence::default(), &scene.options());
    assert!(matches!(drilled, Err(Error::NoSnapshot { .. })));
    scene.assert_nothing_stays();
}
