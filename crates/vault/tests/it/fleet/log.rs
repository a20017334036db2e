//! One log, published by several processes.

use std::fs;
use std::sync::Arc;
use std::thread;

use strongroom_ledger::{SignedCheckpoint, Verifier, audit};
use strongroom_model::FileType;
use strongroom_vault::Error;
use strongroom_vault::database::Transaction;
use strongroom_vault::people::Who;
use strongroom_vault::publication::{LogFiles, LogFolder, Publisher};
use strongroom_vault::rules::right::Right;
use tempfile::TempDir;

use super::client::{self, content, put};
use super::pairs::{on_both, publisher};
use super::process::{Fleet, Process, wait_until};
use crate::vault::scene::Scene;

/// Adds a leaf.
fn add(scene: &Scene, path: &str) {
    scene
        .vault
        .add_repository(Who::Folder, &path.parse().unwrap())
        .unwrap();
}

fn size(note: &[u8], key: &str) -> u64 {
    let key: Verifier = key.parse().unwrap();
    SignedCheckpoint::open(note, &key)
        .unwrap()
        .checkpoint()
        .size()
}

#[test]
fn any_process_publishes_at_any_time_and_it_is_one_log() {
    on_both(|| {
        let one = Scene::new();
        let other = one.beside();
        let scenes = [&one, &other];
        let publishers = scenes.map(publisher);
        let key = publishers[0].key();
        assert_eq!(publishers[1].key(), key);
        thread::scope(|scope| {
            for (number, publisher) in publishers.iter().enumerate() {
                let vault = scenes[number].vault.clone();
                let key = &key;
                scope.spawn(move || {
                    let served = publisher.published();
                    let mut before = 0;
                    for round in 0..100 {
                        for part in 0..3 {
                            let path = format!("p{number}/r{round}-{part}");
                            vault
                                .add_repository(Who::Folder, &path.parse().unwrap())
                                .unwrap();
                        }
                        let published = publisher.publish().unwrap();
                        let note = served.file("checkpoint").unwrap().unwrap();
                        let told = size(&note, key);
                        // What was committed is published, and what was told is never taken back.
                        assert!(told >= published && published >= before);
                        before = told;
                    }
                });
            }
        });
        let log = one.folder.path().join("log");
        let report = audit(&log, Some(&key.parse().unwrap()), None);
        assert!(report.is_sound(), "{report:?}");
        assert!(report.leaves >= 600, "{}", report.leaves);
        let full = log.join("tile/0/000");
        assert!(full.is_file() && !log.join("tile/0/000.p").exists());
    });
}

#[test]
fn an_older_checkpoint_that_comes_late_is_never_served_and_is_mended() {
    let one = Scene::new();
    let other = one.beside();
    let publishers = [publisher(&one), publisher(&other)];
    publishers[0].publish().unwrap();
    let copy = one.folder.path().join("log/checkpoint");
    let old = fs::read(&copy).unwrap();
    add(&other, "acme/one");
    publishers[1].publish().unwrap();
    let new = fs::read(&copy).unwrap();
    assert_ne!(old, new);
    // The first process was asleep between the database and the file.
    fs::write(&copy, &old).unwrap();
    for publisher in &publishers {
        let served = publisher.published().file("checkpoint").unwrap();
        assert_eq!(served, Some(new.clone()));
    }
    publishers[1].mend().unwrap();
    assert_eq!(fs::read(&copy).unwrap(), new);
    fs::remove_file(&copy).unwrap();
    publishers[0].mend().unwrap();
    assert_eq!(fs::read(&copy).unwrap(), new);
    // A process that begins finds the older one no fault either.
    fs::write(&copy, &old).unwrap();
    add(&one, "acme/two");
    let third = publisher(&one.beside());
    assert_eq!(
        third.publish().unwrap(),
        size(&fs::read(&copy).unwrap(), &third.key())
    );
}

#[test]
fn a_storage_without_the_log_is_refused() {
    let one = Scene::new();
    publisher(&one).publish().unwrap();
    let elsewhere = TempDir::new().unwrap();
    let files = LogFolder::open(elsewhere.path().join("log")).unwrap();
    let keys = one.folder.path().join("keys");
    let stranger = Publisher::open(one.beside().vault, Arc::new(files), &keys).unwrap();
    let refused = stranger.publish().unwrap_err();
    assert!(matches!(refused, Error::Log { .. }), "{refused}");
    assert!(
        refused.to_string().contains("must have their storage"),
        "{refused}"
    );
    assert!(!elsewhere.path().join("log/checkpoint").exists());
}

#[test]
fn a_database_that_was_set_back_is_noticed_and_nothing_more_is_published() {
    on_both(|| {
        let one = Scene::new();
        let running = publisher(&one);
        running.publish().unwrap();
        let head = "CREATE TABLE kept AS SELECT * FROM log_head; \
                    CREATE TABLE kept_leaf AS SELECT * FROM leaf";
        let mut keep = |transaction: &mut dyn Transaction| transaction.define(head);
        one.vault.database().write(&mut keep).unwrap();
        add(&one, "acme/one");
        add(&one, "acme/two");
        running.publish().unwrap();
        let copy = one.folder.path().join("log/checkpoint");
        let newest = fs::read(&copy).unwrap();

        // The database comes back as it was before, and goes on with other acts.
        one.execute("DELETE FROM log_head");
        one.execute("INSERT INTO log_head SELECT * FROM kept");
        one.execute("DELETE FROM leaf");
        one.execute("INSERT INTO leaf SELECT * FROM kept_leaf");
        one.execute("DELETE FROM repository");
        for publisher in [&running, &publisher(&one.beside())] {
            let refused = publisher.publish().unwrap_err();
            assert!(matches!(refused, Error::Log { .. }), "{refused}");
        }
        for name in ["acme/three", "acme/four", "acme/five", "acme/six"] {
            add(&one, name);
        }
        // It is longer than the log by now, and still another one.
        for publisher in [&running, &publisher(&one.beside())] {
            for _ in 0..2 {
                let refused = publisher.publish().unwrap_err();
                assert!(matches!(refused, Error::Log { .. }), "{refused}");
            }
        }
        assert_eq!(fs::read(&copy).unwrap(), newest);
    });
}

#[test]
fn a_key_of_ones_own_is_refused_and_none_is_made_where_the_log_has_one() {
    let one = Scene::new();
    publisher(&one).publish().unwrap();
    let open = |keys: &str| {
        let files = LogFolder::open(one.folder.path().join("log")).unwrap();
        let keys = one.folder.path().join(keys);
        fs::create_dir_all(&keys).unwrap();
        Publisher::open(one.beside().vault, Arc::new(files), &keys)
    };
    let refused = open("other").unwrap_err();
    assert!(matches!(refused, Error::OtherKey { .. }), "{refused}");
    assert!(!one.folder.path().join("other/log.key").exists());
    fs::write(one.folder.path().join("other/log.key"), "11".repeat(32)).unwrap();
    let refused = open("other").unwrap_err();
    assert!(matches!(refused, Error::OtherKey { .. }), "{refused}");
    assert!(refused.hint().unwrap().contains("copy"));
    fs::copy(
        one.folder.path().join("keys/log.key"),
        one.folder.path().join("other/log.key"),
    )
    .unwrap();
    open("other").unwrap().publish().unwrap();
}

#[test]
fn a_log_that_a_version_before_published_as_files_alone_goes_on() {
    let one = Scene::new();
    let append = one.token(Right::Append);
    one.init(&append);
    publisher(&one).publish().unwrap();
    one.put(&append, FileType::Data, b"a pack").unwrap();
    one.execute("UPDATE log_head SET checkpoint = NULL, public_key = NULL");
    let later = publisher(&one.beside());
    let published = later.publish().unwrap();
    let note = later.published().file("checkpoint").unwrap().unwrap();
    assert_eq!(size(&note, &later.key()), published);
    let report = audit(
        &one.folder.path().join("log"),
        Some(&later.key().parse().unwrap()),
        None,
    );
    assert!(
        report.is_sound() && report.leaves == published,
        "{report:?}"
    );
}

fn create(process: &Process, append: &str) {
    let path = format!("/{}/?create=true", client::REPOSITORY);
    let made = client::ask(&process.address, "POST", &path, Some(append), b"");
    assert_eq!(made.unwrap().0, 200);
}

#[test]
fn an_edited_file_of_the_log_is_an_alarm_at_every_process() {
    let fleet = Fleet::on_a_folder();
    let processes = [fleet.start(), fleet.start()];
    let append = fleet.token("append");
    create(&processes[0], &append);
    for number in 0..300 {
        let pack = content(number, 100);
        assert!(put(&processes[0].address, &append, &pack).is_some());
    }
    fleet.wait_for_log();
    for process in &processes {
        wait_until("it is ready", || process.is_ready());
    }
    let path = fleet.path("storage/log/tile/entries/000");
    let sound = fs::read(&path).unwrap();
    let mut edited = sound.clone();
    edited[1_000] ^= 1;
    fs::write(&path, edited).unwrap();
    let page = |address: &str, page: &str| {
        let (_, body) = client::ask(address, "GET", page, None, b"").unwrap();
        String::from_utf8(body).unwrap()
    };
    for process in &processes {
        // It takes and proves backups, at each process alike: none of them is taken out.
        let told = || page(&process.address, "/readyz");
        wait_until("it is told", || told().contains("log_files warning"));
        assert!(process.is_ready(), "{}", told());
        let metrics = page(&process.address, "/metrics");
        assert!(
            metrics.contains("strongroom_vault_log_wrong 1"),
            "{metrics}"
        );
    }
    let looked = fleet.output(&["doctor"]);
    let told = String::from_utf8_lossy(&looked.stdout).into_owned();
    assert_eq!(looked.status.code(), Some(1), "{told}");
    assert!(told.contains("fail  look back"), "{told}");
    let said = processes.iter().map(|process| process.said());
    let said = said.filter(|said| said.contains("files of the log are not what was written"));
    assert!(said.count() >= 1);
    // It serves meanwhile, and its log goes on.
    assert!(put(&processes[1].address, &append, &content(1_000, 100)).is_some());
    fleet.wait_for_log();
    fs::write(&path, sound).unwrap();
    for process in &processes {
        let told = || page(&process.address, "/readyz");
        wait_until("it is well again", || told().contains("log_files ok"));
    }
    assert_eq!(fleet.count_acts(&fleet.path("storage/log"), "log-wrong"), 1);
    for process in processes {
        process.stop();
    }
}

#[test]
fn a_database_that_was_restored_begins_a_new_log_at_every_process() {
    let fleet = Fleet::on_a_folder();
    let first = fleet.start();
    let append = fleet.token("append");
    create(&first, &append);
    fleet.wait_for_log();
    // The database as it was once.
    let keep = "CREATE TABLE kept_head AS SELECT * FROM log_head; \
                CREATE TABLE kept_leaf AS SELECT * FROM leaf";
    let mut work = |transaction: &mut dyn Transaction| transaction.define(keep);
    fleet.database().write(&mut work).unwrap();
    assert!(put(&first.address, &append, &content(1, 100)).is_some());
    fleet.wait_for_log();
    let refused = fleet.output(&["log", "begin-new", "--because", "a try"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("a process serves this vault"), "{said}");
    let (_, old_note) = client::ask(&first.address, "GET", "/log/checkpoint", None, b"").unwrap();
    first.stop();
    let restore = "DELETE FROM log_head; INSERT INTO log_head SELECT * FROM kept_head; \
                   DELETE FROM leaf; INSERT INTO leaf SELECT * FROM kept_leaf";
    let mut work = |transaction: &mut dyn Transaction| transaction.define(restore);
    fleet.database().write(&mut work).unwrap();

    let said = fleet.try_start("data", "127.0.0.1:0").err().unwrap();
    assert!(said.contains("older than the log"), "{said}");
    assert!(said.contains("log begin-new"), "{said}");
    let begun = ["log", "begin-new", "--json", "--because", "restored"];
    let begun: serde_json::Value = serde_json::from_str(&fleet.run(&begun)).unwrap();
    assert_eq!(begun["log"], 2);
    let old_note = String::from_utf8(old_note).unwrap();
    assert_eq!(begun["before"], old_note);
    let processes = [fleet.start(), fleet.start()];
    for process in &processes {
        let vault = client::ask(&process.address, "GET", "/v1/vault", Some(&append), b"");
        let told: serde_json::Value = serde_json::from_slice(&vault.unwrap().1).unwrap();
        assert_eq!(told["log_key"], begun["key"]);
        assert_eq!(told["new_log"]["before"], old_note);
        assert!(put(&process.address, &append, &content(2, 100)).is_some());
    }
    fleet.wait_for_log();
    let leaves = processes[1].audit_log(&append, &fleet.path("audit"));
    assert!(leaves >= 4, "{leaves}");
    assert_eq!(fleet.count_acts(&fleet.path("audit"), "new-log"), 1);
    // A machine that has not got the new key does not start.
    fs::remove_file(fleet.path("data/keys/log-2.key")).unwrap();
    let said = fleet.try_start("data", "127.0.0.1:0").err().unwrap();
    assert!(said.contains("copy the folder keys"), "{said}");
}

#[test]
fn files_of_a_log_in_a_folder_are_whole_whoever_writes_them() {
    let folder = TempDir::new().unwrap();
    let files = LogFolder::open(folder.path().join("log")).unwrap();
    log_files_contract(&files);
    // Nothing lies there but the log.
    let left = fs::read_dir(folder.path().join("log/tile/entries")).unwrap();
    assert!(
        left.flatten()
            .all(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
    );
}

/// What a place for a log must do.
pub(super) fn log_files_contract(files: &dyn LogFiles) {
    assert_eq!(files.read("checkpoint").unwrap(), None);
    assert_eq!(files.read("tile/0/000").unwrap(), None);
    files.remove_partial("tile/0/000");
    files.write("checkpoint", b"first").unwrap();
    files.write("checkpoint", b"second").unwrap();
    assert_eq!(files.read("checkpoint").unwrap().unwrap(), b"second");
    files.write("tile/0/000.p/1", &[1; 32]).unwrap();
    files.write("tile/0/000.p/2", &[2; 64]).unwrap();
    files.write("tile/0/001.p/2", &[3; 64]).unwrap();
    files.write("tile/0/000", &[4; 8192]).unwrap();
    files.remove_partial("tile/0/000");
    assert_eq!(files.read("tile/0/000.p/1").unwrap(), None);
    assert_eq!(files.read("tile/0/000.p/2").unwrap(), None);
    assert_eq!(files.read("tile/0/000").unwrap().unwrap(), [4; 8192]);
    assert_eq!(files.read("tile/0/001.p/2").unwrap().unwrap(), [3; 64]);
    // Two that write one name: what is read is the one or the other, never both.
    let bundles = [vec![5; 300_000], vec![6; 200_000]];
    thread::scope(|scope| {
        for bundle in &bundles {
            scope.spawn(move || {
                for _ in 0..20 {
                    files.write("tile/entries/000", bundle).unwrap();
                }
            });
        }
        for _ in 0..40 {
            if let Some(found) = files.read("tile/entries/000").unwrap() {
                assert!(bundles.contains(&found));
            }
        }
    });
}
