//! The log under a running vault: what is done to its files is found and never signed over; and a
//! vault that was set back begins another log.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use strongroom_ledger::{Remembered, Verdict, Verifier, audit};
use strongroom_model::FileType;
use strongroom_vault::Error;
use strongroom_vault::database::sqlite::Sqlite;
use strongroom_vault::database::{Database, Work};
use strongroom_vault::people::Who;
use strongroom_vault::publication::{CaughtUp, LogFiles, LogFolder, Publisher, begin_new};
use strongroom_vault::records::look_back::Wrong;
use strongroom_vault::rules::clock::HOUR_MS;
use strongroom_vault::rules::notices::Kind;
use strongroom_vault::rules::right::Right;
use strongroom_vault::vault::Demands;

use super::scene::{Scene, over_sqlite, within};

/// A vault with a published log.
struct Logged {
    scene: Scene,
    publisher: Publisher,
}

impl Logged {
    fn new(leaves: u32) -> Self {
        let scene = Scene::new();
        let publisher = open(&scene);
        let logged = Self { scene, publisher };
        logged.grow(leaves);
        logged.publisher.publish().unwrap();
        logged
    }

    /// Adds leaves: a token that is made and revoked is two.
    fn grow(&self, leaves: u32) {
        for _ in 0..leaves {
            let name = self.scene.token(Right::Read).name;
            self.scene.vault.revoke_token(Who::Folder, &name).unwrap();
        }
    }

    fn folder(&self) -> PathBuf {
        self.scene.folder.path().join("log")
    }

    fn key(&self) -> Verifier {
        self.publisher.key().parse().unwrap()
    }

    fn checkpoint(&self) -> Vec<u8> {
        fs::read(self.folder().join("checkpoint")).unwrap()
    }

    /// What the look back finds before it has gone round.
    fn look(&self) -> Option<Wrong> {
        (0..4).find_map(|_| self.publisher.look_back().unwrap())
    }

    fn known(&self) -> Option<Wrong> {
        let wrong = self.scene.vault.observe().unwrap().look_back.wrong;
        wrong.into_iter().next()
    }

    fn is_sound(&self) {
        let report = audit(&self.folder(), Some(&self.key()), None);
        assert!(report.is_sound(), "{:?}", report.faults);
    }
}

fn files(scene: &Scene) -> impl Fn(u64) -> strongroom_vault::Result<Arc<dyn LogFiles>> {
    let folder = scene.folder.path().to_owned();
    move |number| {
        let name = match number {
            1 => "log".to_owned(),
            number => format!("log~{number}"),
        };
        Ok(Arc::new(LogFolder::open(folder.join(name))?))
    }
}

fn keys(scene: &Scene) -> PathBuf {
    scene.folder.path().join("keys")
}

fn open(scene: &Scene) -> Publisher {
    let files = files(scene)(scene.vault.log().number).unwrap();
    Publisher::open(scene.vault.clone(), files, &keys(scene)).unwrap()
}

/// Each way to damage a file.
const DAMAGES: [fn(&Path, &[u8]); 4] = [
    |path, bytes| {
        let mut bytes = bytes.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    },
    |path, bytes| fs::write(path, &bytes[..bytes.len() - 1]).unwrap(),
    |path, _| fs::write(path, b"junk").unwrap(),
    |path, _| fs::remove_file(path).unwrap(),
];

#[test]
fn a_damaged_copy_of_the_checkpoint_is_written_anew_and_is_no_alarm() {
    let logged = Logged::new(5);
    let (path, sound) = (logged.folder().join("checkpoint"), logged.checkpoint());
    for damage in DAMAGES {
        damage(&path, &sound);
        assert_eq!(logged.look(), None);
        logged.publisher.mend().unwrap();
        assert_eq!(logged.checkpoint(), sound);
        // A process that starts with it goes on as well.
        damage(&path, &sound);
        let anew = open(&logged.scene.beside());
        anew.publish().unwrap();
        anew.mend().unwrap();
        assert_eq!(logged.checkpoint(), sound);
    }
    // One of another log is none of ours: it is not written over.
    let text = String::from_utf8(sound).unwrap();
    let foreign = text.replacen("vault.test", "vault.mine", 1);
    fs::write(&path, &foreign).unwrap();
    assert!(logged.look().is_some());
    assert!(logged.publisher.mend().is_err());
    assert!(open(&logged.scene.beside()).publish().is_err());
    assert_eq!(logged.checkpoint(), foreign.as_bytes());
}

#[test]
fn a_damaged_edge_is_found_and_is_never_signed_over() {
    let logged = Logged::new(20);
    for tile in ["entries", "0"] {
        for damage in DAMAGES {
            let size = logged.publisher.publish().unwrap();
            let path = logged.folder().join(format!("tile/{tile}/000.p/{size}"));
            let sound = fs::read(&path).unwrap();
            damage(&path, &sound);
            let wrong = logged.look().expect("it is found");
            assert_eq!(wrong.bundle, None);
            assert_eq!(logged.known(), Some(wrong));
            // Nobody takes it up from there.
            let anew = open(&logged.scene.beside()).publish();
            assert!(matches!(anew, Err(Error::Log { .. })), "{anew:?}");
            fs::write(&path, &sound).unwrap();
            assert_eq!(logged.look(), None);
            logged.publisher.publish().unwrap();
            logged.is_sound();
        }
    }
    assert_eq!(logged.scene.acts("log-wrong").len(), 2 * DAMAGES.len());
    let told = logged.scene.vault.notices(None).unwrap();
    let count: u64 = told.iter().map(|row| row.repeated + 1).sum();
    assert_eq!(count, 2 * DAMAGES.len() as u64, "{told:?}");
    assert!(told.iter().all(|row| row.notice.kind == Kind::LogWrong));
}

#[test]
fn full_files_deep_in_the_log_are_looked_at_in_turn_and_told_of_once() {
    let logged = Logged::new(300);
    for name in ["tile/entries/000", "tile/0/001"] {
        for damage in DAMAGES {
            let path = logged.folder().join(name);
            let sound = fs::read(&path).unwrap();
            let before = logged.scene.acts("log-wrong").len();
            damage(&path, &sound);
            let wrong = logged.look().expect("it is found");
            assert_eq!(wrong.bundle, Some(u64::from(name.ends_with('1'))));
            for _ in 0..3 {
                assert_eq!(logged.look().as_ref(), Some(&wrong), "it stays");
            }
            // The log goes on meanwhile: what is signed is what was written, and it says what is
            // wrong; and another process knows it too.
            logged.publisher.publish().unwrap();
            assert_eq!(logged.scene.acts("log-wrong").len(), before + 1);
            let beside = logged.scene.beside();
            assert_eq!(beside.vault.observe().unwrap().look_back.wrong, [wrong]);
            let demands = Demands {
                verify_every_ms: 24 * HOUR_MS,
                behind_ms: None,
                channels: None,
            };
            let findings = beside.vault.findings(demands).unwrap();
            assert!(findings.iter().any(|finding| finding.about == "log"));
            fs::write(&path, sound).unwrap();
            assert_eq!(logged.look(), None);
            assert_eq!(logged.known(), None);
            logged.publisher.publish().unwrap();
            logged.is_sound();
        }
    }
}

#[test]
fn a_wrong_file_hides_no_other_and_the_first_three_are_told() {
    let logged = Logged::new(700);
    let bundles = || {
        // There are eight.
        for _ in 0..9 {
            logged.publisher.look_back().unwrap();
        }
        let wrong = logged.scene.vault.observe().unwrap().look_back.wrong;
        wrong.iter().map(|wrong| wrong.bundle).collect::<Vec<_>>()
    };
    assert_eq!(bundles(), []);
    let path = |bundle: u64| logged.folder().join(format!("tile/entries/00{bundle}"));
    let sound: Vec<Vec<u8>> = (0..5)
        .map(|bundle| fs::read(path(bundle)).unwrap())
        .collect();
    let damage = |bundle: u64| {
        let mut bytes = sound[usize::try_from(bundle).unwrap()].clone();
        bytes[100] ^= 1;
        fs::write(path(bundle), bytes).unwrap();
    };
    // One stays wrong, and others come.
    damage(2);
    assert_eq!(bundles(), [Some(2)]);
    damage(0);
    damage(4);
    let mut found = bundles();
    assert_eq!(found[0], Some(2), "the first one stays the first");
    found.sort();
    assert_eq!(found, [Some(0), Some(2), Some(4)]);
    assert_eq!(logged.scene.acts("log-wrong").len(), 3);
    damage(1);
    assert_eq!(bundles().len(), 3);
    // Where one is put right, there is room for the next.
    fs::write(path(2), &sound[2]).unwrap();
    let mut found = bundles();
    found.sort();
    assert_eq!(found, [Some(0), Some(1), Some(4)]);
    assert_eq!(logged.scene.acts("log-wrong").len(), 4);
    for bundle in [0, 1, 4] {
        fs::write(path(bundle), &sound[usize::try_from(bundle).unwrap()]).unwrap();
    }
    assert_eq!(bundles(), []);
    // A checkpoint by another name, which is never written over, hides nothing either.
    let checkpoint = logged.checkpoint();
    let text = String::from_utf8(checkpoint.clone()).unwrap();
    let foreign = text.replacen("vault.test", "vault.mine", 1);
    fs::write(logged.folder().join("checkpoint"), foreign).unwrap();
    damage(3);
    assert_eq!(bundles(), [None, Some(3)]);
}

#[test]
fn a_look_back_goes_on_where_another_process_stopped() {
    let logged = Logged::new(300);
    let next = || logged.scene.vault.observe().unwrap().look_back.next_bundle;
    logged.publisher.look_back().unwrap();
    assert_eq!(next(), 1);
    let beside = logged.scene.beside();
    let other = open(&beside);
    other.look_back().unwrap();
    assert_eq!(next(), 1, "one looks at a time");
    logged.scene.vault.release_leases().unwrap();
    other.look_back().unwrap();
    assert_eq!(next(), 2);
    for _ in 0..6 {
        other.look_back().unwrap();
    }
    let look_back = logged.scene.vault.observe().unwrap().look_back;
    assert!(look_back.last_began_at_ms.is_some(), "{look_back:?}");
}

#[test]
fn a_leaf_that_was_changed_in_the_database_is_found() {
    let logged = Logged::new(5);
    let statement = "UPDATE leaf SET entry = $1 WHERE number = 3";
    let change = strongroom_vault::database::Value::Bytes(b"another");
    let mut work = |transaction: &mut dyn strongroom_vault::database::Transaction| {
        transaction.execute(statement, &[change]).map(drop)
    };
    logged.scene.vault.database().write(&mut work).unwrap();
    let wrong = logged.look().expect("it is found");
    assert!(wrong.what.contains("leaf 3"), "{wrong:?}");
}

#[test]
fn a_database_from_an_earlier_time_begins_a_new_log_that_names_the_old_one() {
    let logged = Logged::new(20);
    let data = logged.scene.folder.path().to_owned();
    // The database as it was once.
    let kept = data.join("kept.db");
    copy_database(&data, &kept);
    logged.grow(30);
    logged.publisher.publish().unwrap();
    let (old_key, old_note) = (logged.key(), logged.checkpoint());
    let client = Remembered::first(old_key.clone(), &old_note).unwrap();
    let folder = Arc::clone(&logged.scene.folder);
    let clocks = Arc::clone(&logged.scene.clocks);
    let settings = logged.scene.settings.clone();
    drop(logged);
    restore_database(&data, &kept);

    let scene = Scene::open(folder, clocks, settings);
    let refused = open(&scene).publish().unwrap_err();
    assert!(
        refused.to_string().contains("older than the log"),
        "{refused}"
    );
    assert!(refused.hint().unwrap().contains("log begin-new"));
    let append = scene.token(Right::Append);
    let begin = |because| begin_new(&scene.vault, &files(&scene), &keys(&scene), because);
    let none = begin("  ");
    assert!(matches!(none, Err(Error::Refused { .. })), "{none:?}");
    // Somebody serves it.
    let beside = scene.beside();
    beside.vault.tick().unwrap();
    let served = begin("restored");
    assert!(matches!(served, Err(Error::Refused { .. })), "{served:?}");
    beside.vault.release_leases().unwrap();
    let stale = open(&beside);
    let begun = begin("restored from last night").unwrap();
    assert_eq!(begun.number, 2);
    assert_eq!(begun.origin, "vault.test/log/2");
    // Who knows the old log only writes to none of them any more, and serves none of them.
    let published = stale.publish();
    assert!(
        matches!(published, Err(Error::OtherLog { log: 2 })),
        "{published:?}"
    );
    assert!(stale.published().file("checkpoint").is_err());
    let scene = scene.reopened();
    assert_eq!(scene.vault.log(), &begun);
    let publisher = open(&scene);
    publisher.publish().unwrap();
    scene.init(&append);
    scene.put(&append, FileType::Data, b"a pack").unwrap();
    publisher.publish().unwrap();
    assert_eq!(publisher.look_back().unwrap(), None);

    // The old one is whole, and the first leaf of the new one names it.
    let report = audit(&data.join("log"), Some(&old_key), None);
    assert!(report.is_sound(), "{:?}", report.faults);
    let kept_key = fs::read_to_string(data.join("keys/log-1.pub")).unwrap();
    assert_eq!(kept_key.trim(), old_key.to_string());
    let new_key: Verifier = publisher.key().parse().unwrap();
    assert_ne!(new_key.public(), old_key.public());
    let report = audit(&data.join("log~2"), Some(&new_key), None);
    assert!(report.is_sound(), "{:?}", report.faults);
    let first = &scene.acts("new-log")[0];
    assert_eq!(first["before"].as_str().unwrap().as_bytes(), old_note);
    assert_eq!(first["verified"], true);
    assert_eq!(first["because"], "restored from last night");
    assert_eq!(first["n"], begun.base);
    let old_size = client.last().checkpoint().size();
    assert!(begun.base >= old_size, "no number is given twice");
    let proved = publisher.published().inclusion(0).unwrap();
    let told: serde_json::Value = serde_json::from_slice(&proved.entry).unwrap();
    assert_eq!(told["act"], "new-log");

    // To a client it is another log, until a person says that it is right.
    let note = fs::read(data.join("log~2/checkpoint")).unwrap();
    let verdict = client.check(&note, &[]);
    assert!(matches!(verdict, Verdict::OtherLog { .. }), "{verdict:?}");
    assert!(Remembered::first(new_key, &note).is_ok());
    // What had not been published is not lost: the token that was made meanwhile.
    let carried = format!("{:?}", scene.acts("carried"));
    assert!(carried.contains(&append.name), "{carried}");
}

#[test]
fn a_log_that_is_lost_begins_anew_with_all_that_was_not_published() {
    let logged = Logged::new(5);
    let data = logged.scene.folder.path().to_owned();
    fs::remove_dir_all(logged.folder()).unwrap();
    logged.grow(3);
    let Logged { scene, publisher } = logged;
    drop(publisher);
    assert!(open(&scene).publish().is_err());
    let begin = |scene: &Scene, because: &str| {
        begin_new(&scene.vault, &files(scene), &keys(scene), because).unwrap()
    };
    let begun = begin(&scene, "the disk lost it");
    // The database still had its last checkpoint.
    assert!(begun.before.is_some());
    let scene = scene.reopened();
    let publisher = open(&scene);
    publisher.publish().unwrap();
    // Three tokens made and revoked, and used for the first time.
    let carried = scene.acts("carried");
    assert_eq!(carried.len(), 9, "{carried:?}");
    let key: Verifier = publisher.key().parse().unwrap();
    assert!(audit(&data.join("log~2"), Some(&key), None).is_sound());
    // And once more: each log has a name of its own, whatever lies about.
    fs::create_dir(data.join("log~3")).unwrap();
    fs::write(data.join("log~3/checkpoint"), b"of an earlier try").unwrap();
    let again = begin(&scene, "again");
    assert_eq!(again.origin, "vault.test/log/4");
    let scene = scene.reopened();
    open(&scene).publish().unwrap();
    assert!(data.join("log~4/checkpoint").is_file());
}

#[test]
fn a_database_from_before_a_new_log_is_noticed() {
    let logged = Logged::new(5);
    let data = logged.scene.folder.path().to_owned();
    let kept = data.join("kept.db");
    copy_database(&data, &kept);
    let Logged { scene, publisher } = logged;
    drop(publisher);
    begin_new(&scene.vault, &files(&scene), &keys(&scene), "a try").unwrap();
    let (folder, clocks) = (Arc::clone(&scene.folder), Arc::clone(&scene.clocks));
    let settings = scene.settings.clone();
    drop(scene);
    restore_database(&data, &kept);
    let scene = Scene::open(folder, clocks, settings);
    let files = files(&scene)(1).unwrap();
    let refused = Publisher::open(scene.vault.clone(), files, &keys(&scene)).unwrap_err();
    assert!(refused.to_string().contains("a later log"), "{refused}");
    assert!(refused.hint().unwrap().contains("log begin-new"));
}

#[test]
fn a_new_log_that_was_not_begun_names_the_file_that_it_left() {
    let logged = Logged::new(5);
    let left = keys(&logged.scene).join("log-2.key");
    fs::write(&left, format!("{}\n", "07".repeat(32))).unwrap();
    let opened = || {
        let files = files(&logged.scene)(1).unwrap();
        Publisher::open(logged.scene.vault.clone(), files, &keys(&logged.scene))
    };
    let refused = opened().unwrap_err();
    let left = left.display().to_string();
    assert!(refused.to_string().contains(&left), "{refused}");
    let hint = refused.hint().unwrap();
    assert!(hint.contains(&format!("remove {left}")), "{hint}");
    fs::remove_file(&left).unwrap();
    opened().unwrap().publish().unwrap();
}

/// A database that tells of a failure once it is told to.
#[derive(Debug)]
struct Doubtful {
    inner: Sqlite,
    fails: Arc<Mutex<Fails>>,
}

/// What becomes of the next transactions that write.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fails {
    No,
    /// One is done, and nobody hears so.
    Unheard,
    /// One is not done.
    Once,
    /// None is done.
    Always,
}

impl Database for Doubtful {
    fn write(&self, work: &mut Work<'_>) -> strongroom_vault::Result<()> {
        let fails = *self.fails.lock();
        if fails != Fails::Always {
            *self.fails.lock() = Fails::No;
        }
        if matches!(fails, Fails::No | Fails::Unheard) {
            self.inner.write(work)?;
        }
        match fails {
            Fails::No => Ok(()),
            _ => Err(Error::Database {
                action: "commit".to_owned(),
                reason: "the server is gone".to_owned(),
            }),
        }
    }

    fn read(&self, work: &mut Work<'_>) -> strongroom_vault::Result<()> {
        self.inner.read(work)
    }
}

#[test]
fn the_key_of_a_new_log_stays_unless_the_log_is_known_not_to_have_begun() {
    for (how, begins, stays) in [
        (Fails::Unheard, true, true),
        (Fails::Once, false, false),
        (Fails::Always, false, true),
    ] {
        let fails = Arc::new(Mutex::new(Fails::No));
        let of_pair = Arc::clone(&fails);
        let pair = over_sqlite(move |inner| {
            let fails = Arc::clone(&of_pair);
            Arc::new(Doubtful { inner, fails })
        });
        within(&pair, || {
            let Logged { scene, publisher } = Logged::new(5);
            drop(publisher);
            *fails.lock() = how;
            let begun = begin_new(&scene.vault, &files(&scene), &keys(&scene), "a try");
            *fails.lock() = Fails::No;
            assert_eq!(begun.is_ok(), begins, "{how:?}: {begun:?}");
            let key = keys(&scene).join("log-2.key");
            assert_eq!(key.exists(), stays, "{how:?}");
            match begun {
                Ok(log) => assert_eq!(log.number, 2),
                Err(Error::LogInDoubt { key: told, .. }) => {
                    assert_eq!(told, key);
                    return;
                }
                Err(error) => assert!(matches!(error, Error::Database { .. }), "{error:?}"),
            }
            let scene = scene.reopened();
            open(&scene).publish().unwrap();
        });
    }
}

#[test]
fn a_name_that_changes_in_the_configuration_changes_no_log() {
    let mut logged = Logged::new(3);
    logged.scene.settings.origin = "another.test/log".to_owned();
    let Logged { scene, publisher } = logged;
    drop(publisher);
    let scene = scene.reopened();
    assert_eq!(scene.vault.origin(), "vault.test/log");
    open(&scene).publish().unwrap();
    // Nor that of a vault whose version before did not write it down: its key has it.
    let mut forget = |transaction: &mut dyn strongroom_vault::database::Transaction| {
        let statement = "DELETE FROM log_identity";
        transaction.execute(statement, &[]).map(drop)
    };
    scene.vault.database().write(&mut forget).unwrap();
    let scene = scene.reopened();
    assert_eq!(scene.vault.origin(), "vault.test/log");
    open(&scene).publish().unwrap();
}

/// Copies the database as a backup does.
fn copy_database(data: &Path, to: &Path) {
    let database = rusqlite::Connection::open(data.join("vault.db")).unwrap();
    let statement = format!("VACUUM INTO '{}'", to.display());
    database.execute_batch(&statement).unwrap();
}

fn restore_database(data: &Path, from: &Path) {
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(data.join(format!("vault.db{end}")));
    }
    fs::copy(from, data.join("vault.db")).unwrap();
}

#[test]
fn questions_have_the_log_published_once_a_second_and_are_all_answered() {
    let logged = Logged::new(2);
    let publisher = &logged.publisher;
    // Nothing was published for long.
    let start = Instant::now() + Duration::from_secs(60);
    let mut waiting = Vec::new();
    let mut checkpoints = vec![logged.checkpoint()];
    for step in 0..30_u64 {
        logged.grow(1);
        let now = start + Duration::from_millis(100 * step);
        match publisher.catch_up(None, now).unwrap() {
            CaughtUp::Done => {}
            CaughtUp::Later { wanted, pause } => {
                assert!(pause <= Duration::from_secs(1), "{pause:?}");
                waiting.push((now + pause, wanted));
            }
        }
        checkpoints.push(logged.checkpoint());
    }
    checkpoints.dedup();
    assert_eq!(checkpoints.len(), 1 + 3, "once in each of three seconds");
    // Those that wait for the same second have it written once, when it is over.
    for (when, wanted) in waiting {
        let done = publisher.catch_up(Some(wanted), when).unwrap();
        assert_eq!(done, CaughtUp::Done, "{wanted}");
    }
    checkpoints.push(logged.checkpoint());
    checkpoints.dedup();
    assert_eq!(checkpoints.len(), 1 + 3 + 1);
    // Whoever asks when nothing is new has his answer at once.
    let now = start + Duration::from_secs(10);
    assert_eq!(publisher.catch_up(None, now).unwrap(), CaughtUp::Done);
}
