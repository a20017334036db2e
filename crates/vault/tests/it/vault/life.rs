//! The life of objects: arrival, tombstone, undelete, purge.

use strongroom_access::Refusal;
use strongroom_model::{FileName, FileType, Id};
use strongroom_vault::Error;
use strongroom_vault::people::Who;
use strongroom_vault::records::objects::View;
use strongroom_vault::rules::clock::{HOUR_MS, MINUTE_MS};
use strongroom_vault::rules::purge::{Hold, Tombstones};
use strongroom_vault::rules::quota::counted_bytes;
use strongroom_vault::rules::right::Right;
use strongroom_vault::vault::{Longer, NewToken};

use super::scene::{START_MS, Scene, key_file, new_token, repository};

#[test]
pub(crate) fn what_is_put_is_there_and_putting_it_again_is_the_same() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let content = vec![7; 1_000_000];
    let pack = scene.put(&append, FileType::Data, &content).unwrap();
    assert_eq!(scene.put(&append, FileType::Data, &content).unwrap(), pack);
    assert_eq!(scene.read(&append, View::Now, pack).unwrap(), content);
    assert_eq!(scene.list(&append, View::Now, FileType::Data), [pack]);
    let scene = scene.reopened();
    assert_eq!(scene.read(&append, View::Now, pack).unwrap(), content);
}

#[test]
pub(crate) fn records_are_kept_as_snapshots_are_and_no_record_is_lost_to_who_deletes_it() {
    let scene = Scene::new();
    let (append, maintain) = (scene.token(Right::Append), scene.token(Right::Maintain));
    scene.init(&append);
    let record = scene.put(&append, FileType::Records, b"a record").unwrap();
    // Unlike a key it waits for nobody.
    assert_eq!(scene.list(&append, View::Now, FileType::Records), [record]);
    assert_eq!(scene.list(&append, View::Now, FileType::Snapshots), []);
    assert_eq!(scene.read(&append, View::Now, record).unwrap(), b"a record");
    let other = FileName::new(FileType::Records, Id::of(b"other"));
    assert!(scene.put_as(&append, other, b"these").is_err());

    let refused = scene.vault.remove(&append, &repository(), record);
    assert!(
        matches!(refused, Err(Error::Forbidden { .. })),
        "{refused:?}"
    );
    scene
        .vault
        .remove(&maintain, &repository(), record)
        .unwrap();
    assert_eq!(scene.list(&append, View::Now, FileType::Records), []);
    let undeleted = scene
        .vault
        .undelete_one(Who::Folder, &repository(), record)
        .unwrap();
    assert!(undeleted);
    assert_eq!(scene.read(&append, View::Now, record).unwrap(), b"a record");
    let scene = scene.reopened();
    assert_eq!(scene.list(&append, View::Now, FileType::Records), [record]);
    assert!(scene.vault.tallies_agree().unwrap());
}

#[test]
pub(crate) fn bytes_that_are_not_what_their_name_says_leave_nothing() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let name = FileName::new(FileType::Data, Id::of(b"other"));
    let refused = scene.put_as(&append, name, b"these");
    assert!(
        matches!(refused, Err(Error::BadBytes { .. })),
        "{refused:?}"
    );
    assert_eq!(scene.list(&append, View::Now, FileType::Data), []);
    let found = scene.read(&append, View::Now, name);
    assert!(matches!(found, Err(Error::NotFound { .. })));
}

#[test]
pub(crate) fn an_upload_that_stops_leaves_nothing() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let name = FileName::new(FileType::Data, Id::of(b"whole"));
    let mut upload = scene
        .vault
        .begin_put(&append, &repository(), name, None)
        .unwrap();
    upload.write(b"who").unwrap();
    drop(upload);
    assert_eq!(scene.list(&append, View::Now, FileType::Data), []);
    scene.put_as(&append, name, b"whole").unwrap();
}

#[test]
pub(crate) fn a_post_that_began_before_a_deletion_does_not_take_it_back() {
    let scene = Scene::new();
    let (append, maintain) = (scene.token(Right::Append), scene.token(Right::Maintain));
    scene.init(&append);
    let pack = scene.put(&append, FileType::Data, b"a pack").unwrap();
    let begin = || {
        let upload = scene.vault.begin_put(&append, &repository(), pack, Some(6));
        let mut upload = upload.unwrap();
        upload.write(b"a pack").unwrap();
        upload
    };
    let delete = || scene.vault.remove(&maintain, &repository(), pack).unwrap();
    let assert_late = |refused: strongroom_vault::Result<()>| {
        assert!(
            matches!(refused, Err(Error::DeletedMeanwhile { .. })),
            "{refused:?}"
        );
        assert_eq!(scene.list(&append, View::Now, FileType::Data), []);
    };
    // Its client has given it up, and had the pack deleted.
    let given_up = begin();
    delete();
    assert_late(given_up.finish());
    // Who puts it after that means it; and one deletion is not another.
    let given_up = begin();
    begin().finish().unwrap();
    delete();
    assert_late(given_up.finish());
    begin().finish().unwrap();
    assert_eq!(scene.read(&append, View::Now, pack).unwrap(), b"a pack");
    assert!(scene.vault.tallies_agree().unwrap());
}

#[test]
pub(crate) fn config_is_written_once() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    scene
        .put_as(&append, FileName::CONFIG, b"the config")
        .unwrap();
    let refused = scene.put_as(&append, FileName::CONFIG, b"another");
    assert!(
        matches!(refused, Err(Error::ConfigIsThere { .. })),
        "{refused:?}"
    );
    let maintain = scene.token(Right::Maintain);
    let refused = scene
        .vault
        .remove(&maintain, &repository(), FileName::CONFIG);
    assert!(
        matches!(refused, Err(Error::Forbidden { .. })),
        "{refused:?}"
    );
    let config = scene.read(&append, View::Now, FileName::CONFIG).unwrap();
    assert_eq!(config, b"the config");
    // And so it lies in the storage, for who reads it without us.
    assert_eq!(scene.lies(FileName::CONFIG).unwrap(), b"the config");
}

#[test]
pub(crate) fn a_key_that_comes_later_waits_for_an_operator() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    let first = scene.init(&append);
    let second = scene.put(&append, FileType::Keys, &key_file(2)).unwrap();
    assert_eq!(
        scene.put(&append, FileType::Keys, &key_file(2)).unwrap(),
        second
    );
    assert_eq!(scene.list(&append, View::Now, FileType::Keys), [first]);
    assert!(scene.read(&append, View::Now, second).is_err());
    assert_eq!(scene.vault.pending_keys(&repository()).unwrap(), [second]);
    assert!(
        scene
            .vault
            .admit_key(Who::Folder, &repository(), second)
            .unwrap()
    );
    assert!(
        !scene
            .vault
            .admit_key(Who::Folder, &repository(), second)
            .unwrap()
    );
    assert_eq!(scene.list(&append, View::Now, FileType::Keys).len(), 2);
    assert_eq!(scene.read(&append, View::Now, second).unwrap(), key_file(2));
}

#[test]
pub(crate) fn a_key_that_was_removed_waits_like_a_new_one() {
    let scene = Scene::new();
    let (append, maintain) = (scene.token(Right::Append), scene.token(Right::Maintain));
    let first = scene.init(&append);
    let second = scene.put(&append, FileType::Keys, &key_file(2)).unwrap();
    scene
        .vault
        .admit_key(Who::Folder, &repository(), second)
        .unwrap();
    scene
        .vault
        .remove(&maintain, &repository(), second)
        .unwrap();
    let put = scene.put(&append, FileType::Keys, &key_file(2)).unwrap();
    assert_eq!(put, second);
    assert_eq!(scene.list(&append, View::Now, FileType::Keys), [first]);
    assert!(scene.read(&append, View::Now, second).is_err());
    assert_eq!(scene.vault.pending_keys(&repository()).unwrap(), [second]);
    assert_eq!(scene.acts("pending").len(), 2);
    assert!(
        scene
            .vault
            .admit_key(Who::Folder, &repository(), second)
            .unwrap()
    );
    assert_eq!(scene.read(&append, View::Now, second).unwrap(), key_file(2));
}

#[test]
pub(crate) fn a_deletion_is_seen_by_none_and_undone_by_one_act() {
    let scene = Scene::new();
    let (append, maintain) = (scene.token(Right::Append), scene.token(Right::Maintain));
    scene.init(&append);
    let pack = scene.put(&append, FileType::Data, b"a pack").unwrap();
    scene.pass(MINUTE_MS);
    let before_ms = scene.vault.now().recorded_ms;
    scene.pass(MINUTE_MS);
    scene.vault.remove(&maintain, &repository(), pack).unwrap();
    // What is not there any more may be asked for again.
    scene.vault.remove(&maintain, &repository(), pack).unwrap();
    assert_eq!(scene.list(&append, View::Now, FileType::Data), []);
    assert!(scene.read(&append, View::Now, pack).is_err());

    let before = scene.vault.as_of(before_ms).unwrap();
    assert_eq!(scene.list(&append, before, FileType::Data), [pack]);
    assert_eq!(scene.read(&append, before, pack).unwrap(), b"a pack");

    assert_eq!(
        scene
            .vault
            .undelete(Who::Folder, &repository(), Some(&append.name), None, None)
            .unwrap(),
        0
    );
    let by = Some(maintain.name.as_str());
    assert_eq!(
        scene
            .vault
            .undelete(Who::Folder, &repository(), by, Some(before_ms), None)
            .unwrap(),
        1
    );
    assert_eq!(scene.read(&append, View::Now, pack).unwrap(), b"a pack");
    scene.vault.remove(&maintain, &repository(), pack).unwrap();
    assert!(
        scene
            .vault
            .undelete_one(Who::Folder, &repository(), pack)
            .unwrap()
    );
    assert!(
        !scene
            .vault
            .undelete_one(Who::Folder, &repository(), pack)
            .unwrap()
    );
    assert_eq!(scene.list(&append, View::Now, FileType::Data), [pack]);
}

#[test]
pub(crate) fn every_interval_of_a_life_is_seen_as_of_its_time() {
    let scene = Scene::new();
    let (append, maintain) = (scene.token(Right::Append), scene.token(Right::Maintain));
    scene.init(&append);
    let mut moments = vec![(scene.vault.now().recorded_ms, false)];
    let pack = FileName::new(FileType::Data, Id::of(b"a pack"));
    for is_there in [true, false, true, false, true] {
        scene.pass(MINUTE_MS);
        match is_there {
            true => scene.put_as(&append, pack, b"a pack").unwrap(),
            false => scene.vault.remove(&maintain, &repository(), pack).unwrap(),
        }
        moments.push((scene.vault.now().recorded_ms, is_there));
    }
    for (moment_ms, is_there) in moments {
        let view = scene.vault.as_of(moment_ms).unwrap();
        let seen = scene.list(&append, view, FileType::Data);
        assert_eq!(seen.contains(&pack), is_there, "{moment_ms}");
        assert_eq!(
            scene.read(&append, view, pack).is_ok(),
            is_there,
            "{moment_ms}"
        );
    }
    let before_all = scene.vault.as_of(START_MS - 1).unwrap();
    assert_eq!(scene.list(&append, before_all, FileType::Keys), []);
}

#[test]
pub(crate) fn bytes_go_when_retention_and_grace_are_over_and_not_before() {
    let scene = Scene::new();
    let (append, maintain) = (scene.token(Right::Append), scene.token(Right::Maintain));
    scene.init(&append);
    for number in 0..60_u8 {
        scene.put(&append, FileType::Data, &[number; 50]).unwrap();
    }
    let pack = scene.put(&append, FileType::Data, b"a pack").unwrap();
    scene.pass(HOUR_MS);
    scene.vault.remove(&maintain, &repository(), pack).unwrap();
    scene.pass(3 * HOUR_MS - MINUTE_MS);
    assert_eq!(purged(&scene), (0, None));
    assert!(
        scene
            .vault
            .undelete_one(Who::Folder, &repository(), pack)
            .unwrap()
    );
    scene.vault.remove(&maintain, &repository(), pack).unwrap();
    scene.pass(3 * HOUR_MS);
    assert_eq!(purged(&scene), (1, None));
    let before = scene.vault.as_of(START_MS + HOUR_MS / 2).unwrap();
    assert!(!scene.list(&append, before, FileType::Data).contains(&pack));
    assert!(scene.read(&append, before, pack).is_err());
    // It may come again, and the body of its new life has a name of its own.
    scene.put(&append, FileType::Data, b"a pack").unwrap();
    assert_eq!(scene.read(&append, View::Now, pack).unwrap(), b"a pack");
    let repositories = scene.vault.repositories().unwrap();
    assert_eq!(repositories[0].objects, 63);
}

#[test]
pub(crate) fn many_deletions_in_a_day_hold_the_purge_until_an_operator_agrees() {
    let scene = Scene::new();
    let (append, maintain) = (scene.token(Right::Append), scene.token(Right::Maintain));
    scene.init(&append);
    let packs = scene.put_packs(&append, 40, 50);
    for pack in &packs[..3] {
        scene.vault.remove(&maintain, &repository(), *pack).unwrap();
    }
    scene.pass(4 * HOUR_MS);
    assert_eq!(purged(&scene), (0, Some(Hold::ManyTombstones)));
    // What came since somebody looked is not agreed to.
    scene
        .vault
        .remove(&maintain, &repository(), packs[3])
        .unwrap();
    let looked_at = scene.tombstones();
    assert_eq!(looked_at.count, 4);
    for wrong in [
        Tombstones {
            count: 3,
            ..looked_at
        },
        Tombstones {
            count: u64::MAX,
            newest: Some(u64::MAX),
        },
        Tombstones {
            newest: None,
            ..looked_at
        },
    ] {
        let refused = scene
            .vault
            .agree_to_purge(Who::Folder, &repository(), wrong);
        let Err(Error::OtherTombstones { found, agreed, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((found, agreed), (looked_at, wrong));
    }
    assert_eq!(purged(&scene), (0, Some(Hold::ManyTombstones)));
    assert!(scene.agree().unwrap());
    let leaf = &scene.acts("purge-agreed")[0];
    assert_eq!(leaf["tombstones"], 4);
    assert_eq!(leaf["newest_tombstone"], scene.acts("tombstone")[3]["n"]);
    assert!(!scene.agree().unwrap());
    assert_eq!(purged(&scene), (3, None));
}

#[test]
pub(crate) fn locks_stand_for_half_an_hour_and_their_own_token_or_maintain_removes_them() {
    let scene = Scene::new();
    let (one, other) = (scene.token(Right::Append), scene.token(Right::Append));
    scene.init(&one);
    let lock = scene.put(&one, FileType::Locks, &[1; 100]).unwrap();
    assert_eq!(scene.list(&other, View::Now, FileType::Locks), [lock]);
    let refused = scene.vault.remove(&other, &repository(), lock);
    assert!(
        matches!(refused, Err(Error::Forbidden { .. })),
        "{refused:?}"
    );
    scene.vault.remove(&one, &repository(), lock).unwrap();
    assert_eq!(scene.list(&one, View::Now, FileType::Locks), []);

    scene.put(&one, FileType::Locks, &[2; 100]).unwrap();
    scene.pass(29 * MINUTE_MS);
    assert_eq!(scene.list(&one, View::Now, FileType::Locks).len(), 1);
    scene.put(&one, FileType::Locks, &[2; 100]).unwrap();
    scene.pass(29 * MINUTE_MS);
    assert_eq!(scene.list(&one, View::Now, FileType::Locks).len(), 1);
    scene.pass(2 * MINUTE_MS);
    assert_eq!(scene.list(&one, View::Now, FileType::Locks), []);
    assert_eq!(scene.vault.drop_old_locks().unwrap(), 1);

    // Whoever prunes removes those that others have left.
    let left = scene.put(&one, FileType::Locks, &[4; 100]).unwrap();
    let maintain = scene.token(Right::Maintain);
    scene.vault.remove(&maintain, &repository(), left).unwrap();
    assert_eq!(scene.list(&one, View::Now, FileType::Locks), []);

    for size in [5, 32, (16 << 10) + 1, 20_000] {
        assert!(
            scene.put(&one, FileType::Locks, &vec![3; size]).is_err(),
            "{size}"
        );
    }
    for size in [33, 16 << 10] {
        let lock = scene.put(&one, FileType::Locks, &vec![3; size]).unwrap();
        scene.vault.remove(&one, &repository(), lock).unwrap();
    }
    let locks = (0..20_u8).map(|number| scene.put(&one, FileType::Locks, &[number; 40]));
    let (kept, refused): (Vec<_>, Vec<_>) = locks.partition(Result::is_ok);
    assert_eq!(kept.len(), 16);
    // The disk is not full: restic must not be told so.
    for error in refused {
        assert!(
            matches!(error, Err(Error::TooManyLocks { most: 16 })),
            "{error:?}"
        );
    }
    let scene_of_now = scene.vault.as_of(i64::MAX).unwrap();
    assert_eq!(scene.list(&one, scene_of_now, FileType::Locks), []);
}

#[test]
pub(crate) fn rotten_bytes_are_replaced_when_they_come_again() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let pack = scene.put(&append, FileType::Data, b"a pack").unwrap();
    scene.lay(pack, b"rotten");
    scene.put_as(&append, pack, b"a pack").unwrap();
    assert_eq!(scene.read(&append, View::Now, pack).unwrap(), b"a pack");
    assert_eq!(scene.lies(pack).unwrap(), b"a pack");
}

#[test]
pub(crate) fn a_token_counts_until_it_expires_or_is_revoked() {
    let scene = Scene::new();
    let new = NewToken {
        expires_in_ms: Some(HOUR_MS),
        ..new_token(Right::Read)
    };
    let short = scene.vault.create_token(Who::Folder, &new).unwrap();
    let long = scene
        .vault
        .create_token(
            Who::Folder,
            &NewToken {
                expires_in_ms: None,
                ..new
            },
        )
        .unwrap();
    assert!(scene.vault.authenticate(short.reveal()).is_ok());
    assert!(scene.vault.authenticate(long.reveal()).is_ok());
    for wrong in [
        "",
        "srt-",
        "srt-a-b",
        &short.reveal()[..30],
        &format!("{}x", short.reveal()),
    ] {
        assert!(
            matches!(scene.vault.authenticate(wrong), Err(Error::Unauthorized)),
            "{wrong}"
        );
    }
    assert!(!format!("{short:?} {:?}", scene.vault.tokens().unwrap()).contains(short.reveal()));
    scene.pass(HOUR_MS);
    assert!(scene.vault.authenticate(short.reveal()).is_err());
    scene.vault.revoke_token(Who::Folder, &long.name).unwrap();
    assert!(scene.vault.authenticate(long.reveal()).is_err());
}

#[test]
pub(crate) fn quotas_and_limits_hold() {
    let scene = Scene::with(|settings| settings.object_limit_bytes = 10_000);
    let append = scene.token(Right::Append);
    scene.init(&append);
    let refused = scene.put(&append, FileType::Data, &[1; 10_001]);
    assert!(
        matches!(refused, Err(Error::TooLarge { .. })),
        "{refused:?}"
    );
    let before = &scene.vault.repositories().unwrap()[0];
    let counted = counted_bytes(before.objects, before.bytes);
    let quota = Some(counted + 15_000);
    scene
        .vault
        .set_quota(Who::Folder, &repository(), quota)
        .unwrap();
    scene.put(&append, FileType::Data, &[1; 9_000]).unwrap();
    let refused = scene.put(&append, FileType::Data, &[2; 9_000]);
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");

    let scene = Scene::with(|settings| settings.reserve_bytes = u64::MAX / 2);
    let append = scene.token(Right::Append);
    scene
        .vault
        .add_repository(Who::Folder, &repository())
        .unwrap();
    let refused = scene.put(&append, FileType::Data, b"a pack");
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    // Locks and reading go on.
    scene.put(&append, FileType::Locks, &[1; 100]).unwrap();
}

#[test]
pub(crate) fn keeping_is_only_ever_raised() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let keeping = scene.vault.repositories().unwrap()[0].keeping;
    let mut longer = Longer {
        retention_ms: Some(keeping.retention_ms * 2),
        grace_ms: Some(keeping.grace_ms),
    };
    scene
        .vault
        .keep_longer(Who::Folder, &repository(), longer)
        .unwrap();
    longer.grace_ms = Some(keeping.grace_ms - 1);
    let refused = scene.vault.keep_longer(Who::Folder, &repository(), longer);
    let needs_approval = Err(Error::NotPermitted(Refusal::NeedsApproval));
    assert_eq!(
        format!("{refused:?}"),
        format!("{:?}", needs_approval.map(|(): ()| keeping))
    );
}

fn purged(scene: &Scene) -> (u64, Option<Hold>) {
    let outcomes = scene.vault.purge().unwrap();
    let (_, purged) = &outcomes[0];
    (purged.objects, purged.held)
}
