//! A storage of which it is not known yet whether it is that of the vault, and what is put right in
//! one that is.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use strongroom_model::{FileName, FileType, Id, RepositoryPath};
use strongroom_testkit::{Fault, Op, Rule};
use strongroom_vault::Error;
use strongroom_vault::people::Who;
use strongroom_vault::publication::{LogFolder, Publisher};
use strongroom_vault::records::objects::View;
use strongroom_vault::rules::clock::{DAY_MS, HOUR_MS};
use strongroom_vault::rules::right::Right;

use super::scene::{Scene, faulty, key_file, repository};

#[test]
fn a_storage_that_may_be_another_ones_is_let_alone_until_the_log_is_found_there() {
    let scene = Scene::new();
    let (append, maintain) = (scene.token(Right::Append), scene.token(Right::Maintain));
    scene.init(&append);
    let packs = scene.put_packs(&append, 100, 100);
    scene
        .vault
        .remove(&maintain, &repository(), packs[0])
        .unwrap();
    scene.pass(4 * HOUR_MS);
    scene.vault.doubt_storage();
    let is_in_doubt = |outcome: &Result<(), Error>| matches!(outcome, Err(Error::StorageInDoubt));
    for (kind, content) in [
        (FileType::Data, b"a pack".to_vec()),
        (FileType::Index, b"an index".to_vec()),
        (FileType::Snapshots, b"a snapshot".to_vec()),
        (FileType::Keys, key_file(2)),
        // Whoever posts again what is there hears nothing else.
        (FileType::Data, vec![1; 100]),
    ] {
        let put = scene.put(&append, kind, &content).map(drop);
        assert!(is_in_doubt(&put), "{kind}: {put:?}");
    }
    let config = scene.put_as(&append, FileName::CONFIG, b"the config");
    assert!(is_in_doubt(&config), "{config:?}");
    let read = scene.read(&append, View::Now, packs[1]).map(drop);
    assert!(is_in_doubt(&read), "{read:?}");
    assert!(is_in_doubt(&scene.vault.check_storage()));
    // Nothing is purged, counted as rot or swept away.
    scene.damage(packs[2], |bytes| bytes.clear());
    let scrubbed = scene.vault.scrub(30 * DAY_MS, &mut |_| true).unwrap();
    assert_eq!(scrubbed.read.objects, 0);
    assert!(scene.vault.purge().unwrap().is_empty());
    assert!(scene.body(packs[0]).exists());
    let left = scene
        .folder
        .path()
        .join("repositories/acme/repos/.tmp-left");
    std::fs::write(&left, b"cut off").unwrap();
    let in_a_century = SystemTime::UNIX_EPOCH + Duration::from_secs(5_000_000_000);
    assert_eq!(scene.vault.sweep(in_a_century).unwrap(), 0);
    // What needs no storage goes on.
    scene.put(&append, FileType::Locks, &[1; 60]).unwrap();
    let config = scene.read(&append, View::Now, FileName::CONFIG).unwrap();
    assert_eq!(config, b"the config");
    scene
        .vault
        .remove(&maintain, &repository(), packs[3])
        .unwrap();
    assert_eq!(scene.list(&append, View::Now, FileType::Data).len(), 98);
    assert!(
        scene
            .vault
            .undelete_one(Who::Folder, &repository(), packs[3])
            .unwrap()
    );
    // Whoever publishes has found the log.
    let keys = scene.folder.path().join("keys");
    let log = LogFolder::open(scene.folder.path().join("log")).unwrap();
    let publisher = Publisher::open(scene.vault.clone(), Arc::new(log), &keys).unwrap();
    assert!(publisher.look_back().unwrap().is_none());
    publisher.publish().unwrap();
    assert!(!scene.vault.is_storage_doubted());
    scene.put(&append, FileType::Data, b"a pack").unwrap();
    scene.read(&append, View::Now, packs[1]).unwrap();
    assert_eq!(scene.vault.purge().unwrap()[0].1.objects, 1);
    assert!(!scene.body(packs[0]).exists());
    assert_eq!(scene.vault.sweep(in_a_century).unwrap(), 1);
}

#[test]
fn a_storage_without_the_log_stays_in_doubt() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let keys = scene.folder.path().join("keys");
    let open = |folder: &str| {
        let log = LogFolder::open(scene.folder.path().join(folder)).unwrap();
        Publisher::open(scene.vault.clone(), Arc::new(log), &keys).unwrap()
    };
    open("log").publish().unwrap();
    scene.vault.doubt_storage();
    let other = open("elsewhere");
    let refused = other.publish();
    assert!(matches!(refused, Err(Error::Log { .. })), "{refused:?}");
    assert!(scene.vault.is_storage_doubted());
    // Nor is it an alarm that the files are not there.
    assert!(other.look_back().unwrap().is_none());
    assert!(scene.acts("log-wrong").is_empty());
    // Nor that the log has no such tile: what the database has is shown, and nothing else.
    let published = other.published();
    assert!(published.file("checkpoint").unwrap().is_some());
    let tile = published.file("tile/entries/000").map(drop);
    let consistency = published.consistency(0).map(drop);
    let inclusion = published.inclusion(0).map(drop);
    for read in [tile, consistency, inclusion] {
        assert!(matches!(read, Err(Error::StorageInDoubt)), "{read:?}");
    }
    assert!(scene.put(&append, FileType::Data, b"a pack").is_err());
    let log = open("log");
    log.publish().unwrap();
    assert!(log.published().inclusion(0).is_ok());
    scene.put(&append, FileType::Data, b"a pack").unwrap();
}

#[test]
fn a_config_that_cannot_be_looked_at_keeps_no_other_from_being_written() {
    let (scene, bodies) = faulty();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let second: RepositoryPath = "acme/second".parse().unwrap();
    scene.vault.create(&append, &second).unwrap();
    for (kind, content) in [
        (FileType::Keys, key_file(1)),
        (FileType::Config, b"another config".to_vec()),
    ] {
        let name = match kind {
            FileType::Config => FileName::CONFIG,
            _ => FileName::new(kind, Id::of(&content)),
        };
        let length_bytes = Some(content.len() as u64);
        let upload = scene.vault.begin_put(&append, &second, name, length_bytes);
        let mut upload = upload.unwrap();
        upload.write(&content).unwrap();
        upload.finish().unwrap();
    }
    let config = scene.folder.path().join("repositories/acme/second/config");
    std::fs::remove_file(&config).unwrap();
    let fault = Fault::Io(std::io::ErrorKind::Other);
    let first = Rule::on(&[Op::Open], fault)
        .named(FileName::CONFIG)
        .times(1);
    bodies.rules().add(first);
    let mended = scene.vault.mend_configs();
    assert!(matches!(mended, Err(Error::Storage(_))), "{mended:?}");
    assert_eq!(std::fs::read(&config).unwrap(), b"another config");
    scene.vault.mend_configs().unwrap();
}
