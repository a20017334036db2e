//! Bounds: of a token's life and day, of a quota, of the disk; and what goes on beyond them.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use strongroom_model::{FileName, FileType, Id};
use strongroom_store::{Bodies, BodyKey, Staged};
use strongroom_vault::database::{Database, Work};
use strongroom_vault::people::Who;
use strongroom_vault::records::leaves;
use strongroom_vault::records::objects::View;
use strongroom_vault::rules::clock::{DAY_MS, MINUTE_MS, SECOND_MS};
use strongroom_vault::rules::right::Right;
use strongroom_vault::vault::{NewToken, Principal, ReadClocks, Settings};
use strongroom_vault::{Error, Result, Vault};

use super::scene::{Scene, files_in, local_bodies, new_token, on_sqlite, repository, within};

#[test]
fn an_upload_that_was_held_open_until_its_token_was_revoked_comes_to_nothing() {
    let scene = Scene::new();
    let (honest, stolen) = (scene.token(Right::Append), scene.token(Right::Append));
    scene.init(&honest);
    let name = FileName::new(FileType::Index, Id::of(b"junk!"));
    let begin = || {
        scene
            .vault
            .begin_put(&stolen, &repository(), name, None)
            .unwrap()
    };
    let mut upload = begin();
    upload.write(b"junk!").unwrap();
    scene.vault.revoke_token(Who::Folder, &stolen.name).unwrap();
    scene.vault.hide(Who::Folder, &stolen.name, 0).unwrap();
    let refused = upload.finish();
    assert!(matches!(refused, Err(Error::Unauthorized)), "{refused:?}");
    assert_eq!(scene.list(&honest, View::Now, FileType::Index), []);
    for kind in [FileType::Locks, FileType::Data] {
        assert!(scene.put(&stolen, kind, &[1; 60]).is_err(), "{kind}");
    }
    assert_eq!(scene.list(&honest, View::Now, FileType::Locks), []);
}

#[test]
fn what_is_over_a_bound_leaves_nothing_on_the_disk() {
    let scene = Scene::new();
    let new = NewToken {
        daily_bytes: Some(1_000),
        daily_objects: Some(6),
        ..new_token(Right::Append)
    };
    let append = scene.admit(&new);
    scene.init(&append);
    let pack = scene.put(&append, FileType::Data, &[1; 100]).unwrap();
    let folder = scene.folder.path().join("repositories");
    let before = files_in(&folder);
    // By bytes, by a length that is not told, by objects.
    for content in [vec![2; 2_000], vec![3; 900]] {
        let refused = scene.put(&append, FileType::Data, &content);
        assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
        let name = FileName::new(FileType::Data, Id::of(&content));
        let upload = scene.vault.begin_put(&append, &repository(), name, None);
        let refused = upload.and_then(|mut upload| {
            upload.write(&content)?;
            upload.finish()
        });
        assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
        assert_eq!(files_in(&folder), before);
    }
    for number in 4..=9 {
        let _ = scene.put(&append, FileType::Data, &[number; 10]);
    }
    assert_eq!(scene.list(&append, View::Now, FileType::Data).len() + 3, 6);
    assert_eq!(files_in(&folder), before + 2);
    // A repository counts as well, or there is no end to them.
    let wide = scene.token_for(Right::Append, "acme");
    let refused = scene.vault.create(&append, &"acme/repos".parse().unwrap());
    assert!(refused.is_ok(), "it is there");
    scene
        .vault
        .create(&wide, &"acme/more".parse().unwrap())
        .unwrap();
    // What is there already is there, whatever is used up.
    scene
        .vault
        .set_quota(Who::Folder, &repository(), Some(1))
        .unwrap();
    assert_eq!(scene.put(&append, FileType::Data, &[1; 100]).unwrap(), pack);
    let refused = scene.put(&wide, FileType::Data, &[7; 100]);
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    assert_eq!(files_in(&folder), before + 2);
}

#[test]
fn who_declares_much_and_sends_nothing_takes_no_room_of_others() {
    let scene = Scene::new();
    let (honest, thief) = (scene.token(Right::Append), scene.token(Right::Append));
    scene.init(&honest);
    let quota = Some(50 << 20);
    scene
        .vault
        .set_quota(Who::Folder, &repository(), quota)
        .unwrap();
    let begin = |number: u8, bytes: u64| {
        let name = FileName::new(FileType::Data, Id::of(&[number]));
        scene
            .vault
            .begin_put(&thief, &repository(), name, Some(bytes))
    };
    let held: Vec<_> = (0..2)
        .map(|number| begin(number, 40 << 20).unwrap())
        .collect();
    scene
        .put(&honest, FileType::Data, &vec![1; 1 << 20])
        .unwrap();
    // What does not fit is refused before its first byte.
    let refused = begin(9, 60 << 20);
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    drop(held);
}

/// A vault whose disk has so many bytes free, 10 MiB of which are its reserve.
fn on_a_small_disk(free_bytes: u64) -> (Scene, Arc<Free>) {
    let free = Arc::new(Free {
        bytes: AtomicU64::new(free_bytes),
        looks: AtomicU64::new(0),
    });
    let shared = Arc::clone(&free);
    let pair = on_sqlite(move |folder| {
        Arc::new(SmallDisk {
            inner: local_bodies(folder),
            free: Arc::clone(&shared),
        })
    });
    let reserve = |settings: &mut Settings| settings.reserve_bytes = RESERVE;
    (within(&pair, || Scene::with(reserve)), free)
}

const MIB: u64 = 1 << 20;

const RESERVE: u64 = 10 * MIB;

#[test]
fn uploads_of_no_declared_length_leave_the_reserve_alone() {
    let (scene, free) = on_a_small_disk(RESERVE + 20 * MIB);
    let append = scene.token(Right::Append);
    scene.init(&append);
    let begin = |number: u8| {
        let name = FileName::new(FileType::Data, Id::of(&[number]));
        let upload = scene.vault.begin_put(&append, &repository(), name, None);
        upload.ok()
    };
    let mut uploads: Vec<_> = (0..10).map(begin).collect();
    // As much as is written where nobody looks but every 8 MiB.
    for _ in 0..8 * MIB / (64 << 10) {
        for upload in &mut uploads {
            let Some(taking) = upload else {
                continue;
            };
            match taking.write(&[7; 64 << 10]) {
                Ok(()) => {}
                Err(Error::Full { .. }) => *upload = None,
                Err(error) => panic!("{error}"),
            }
        }
    }
    let left = free.bytes.load(Ordering::Relaxed);
    assert!(
        left >= RESERVE,
        "{} bytes of the reserve are gone",
        RESERVE - left
    );
    // It was used for something.
    assert!(left < RESERVE + 15 * MIB, "{left}");
}

#[test]
fn what_never_comes_takes_little_of_a_quota_or_a_disk() {
    let (scene, _free) = on_a_small_disk(RESERVE + 200 * MIB);
    let (honest, thief) = (scene.token(Right::Append), scene.token(Right::Append));
    scene.init(&honest);
    scene
        .vault
        .set_quota(Who::Folder, &repository(), Some(700 * MIB))
        .unwrap();
    let begin = |number: u8| {
        let name = FileName::new(FileType::Data, Id::of(&[number]));
        let declared = Some(8 * MIB);
        scene.vault.begin_put(&thief, &repository(), name, declared)
    };
    let held: Vec<_> = (0..96).map(|number| begin(number).unwrap()).collect();
    scene
        .put(&honest, FileType::Data, &vec![1; 2 << 20])
        .unwrap();
    drop(held);
}

/// Begins a small pack as often as that, and sends nothing.
fn begin_often(scene: &Scene, who: &Principal, times: u64) -> Result<()> {
    let name = FileName::new(FileType::Data, Id::of(b"a pack"));
    for _ in 0..times {
        drop(scene.vault.begin_put(who, &repository(), name, Some(6))?);
    }
    Ok(())
}

#[test]
fn what_waits_in_memory_for_a_disk_is_counted_until_it_is_there() {
    let (scene, free) = on_a_small_disk(RESERVE + 20 * MIB);
    let append = scene.token(Right::Append);
    scene.init(&append);
    free.bytes.store(RESERVE + MIB, Ordering::Relaxed);
    let begin = |number: u8| {
        let name = FileName::new(FileType::Data, Id::of(&[number]));
        let declared = Some(60 << 10);
        scene
            .vault
            .begin_put(&append, &repository(), name, declared)
    };
    // Seventeen times sixty are a thousand and twenty.
    let mut held: Vec<_> = (0..17).map(|number| begin(number).unwrap()).collect();
    for upload in &mut held {
        for _ in 0..5 {
            upload.write(&[7; 10 << 10]).unwrap();
        }
    }
    let refused = begin(17).map(drop);
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    drop(held);
    begin(17).unwrap();
}

#[test]
fn a_disk_is_looked_at_each_time_unless_it_has_just_had_plenty() {
    let (scene, free) = on_a_small_disk(RESERVE + 20 * MIB);
    let append = scene.token(Right::Append);
    scene.init(&append);
    let looks = |times: u64| {
        let before = free.looks.load(Ordering::Relaxed);
        begin_often(&scene, &append, times).unwrap();
        free.looks.load(Ordering::Relaxed) - before
    };
    assert_eq!(looks(200), 200);
    free.bytes.store(RESERVE + 2048 * MIB, Ordering::Relaxed);
    let few = looks(200);
    assert!((1..200).contains(&few), "{few}");
    // It is good for a moment only.
    free.bytes.store(RESERVE, Ordering::Relaxed);
    let began = Instant::now();
    while begin_often(&scene, &append, 1).is_ok() {
        assert!(began.elapsed().as_secs() < 30, "nobody looks any more");
    }
    free.bytes.store(RESERVE + 20 * MIB, Ordering::Relaxed);
    assert_eq!(looks(3), 3);
}

/// What a disk has free, and how often somebody looked.
#[derive(Debug)]
struct Free {
    bytes: AtomicU64,
    looks: AtomicU64,
}

/// Bodies on a disk with so many bytes free, whatever there is of it.
#[derive(Debug)]
struct SmallDisk {
    inner: Arc<dyn Bodies>,
    free: Arc<Free>,
}

#[derive(Debug)]
struct OnSmallDisk {
    inner: Box<dyn Staged>,
    free: Arc<Free>,
}

impl Staged for OnSmallDisk {
    fn write(&mut self, bytes: &[u8]) -> strongroom_store::Result<()> {
        let (free, length) = (&self.free.bytes, bytes.len() as u64);
        let left = free.load(Ordering::Relaxed).saturating_sub(length);
        free.store(left, Ordering::Relaxed);
        self.inner.write(bytes)
    }

    fn publish(self: Box<Self>) -> strongroom_store::Result<()> {
        self.inner.publish()
    }
}

impl Bodies for SmallDisk {
    fn location(&self) -> &str {
        self.inner.location()
    }

    fn stage(&self, body: &BodyKey) -> strongroom_store::Result<Box<dyn Staged>> {
        Ok(Box::new(OnSmallDisk {
            inner: self.inner.stage(body)?,
            free: Arc::clone(&self.free),
        }))
    }

    fn open(
        &self,
        body: &BodyKey,
        range: Option<Range<u64>>,
    ) -> strongroom_store::Result<(u64, Box<dyn Read + Send>)> {
        self.inner.open(body, range)
    }

    fn remove(&self, body: &BodyKey) -> strongroom_store::Result<()> {
        self.inner.remove(body)
    }

    fn free_bytes(&self) -> strongroom_store::Result<Option<u64>> {
        self.free.looks.fetch_add(1, Ordering::Relaxed);
        Ok(Some(self.free.bytes.load(Ordering::Relaxed)))
    }

    fn probe(&self) -> strongroom_store::Result<()> {
        self.inner.probe()
    }

    fn sweep(&self, older_than: SystemTime) -> strongroom_store::Result<u64> {
        self.inner.sweep(older_than)
    }
}

#[test]
fn config_and_new_repositories_leave_the_reserve_alone() {
    let scene = Scene::with(|settings| settings.reserve_bytes = u64::MAX / 2);
    let append = scene.token_for(Right::Append, "acme");
    let refused = scene.vault.create(&append, &"acme/new".parse().unwrap());
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    assert!(scene.vault.repositories().unwrap().is_empty());
    scene
        .vault
        .add_repository(Who::Folder, &repository())
        .unwrap();
    let refused = scene.put(&append, FileType::Config, b"config");
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    let found = &scene.vault.repositories().unwrap()[0];
    assert_eq!((found.config, found.objects), (None, 0));
}

#[test]
fn tokens_make_no_more_repositories_than_the_bound_and_operators_do() {
    let scene = Scene::new();
    let append = scene.token_for(Right::Append, "acme");
    let path = |number: u32| format!("acme/r{number}").parse().unwrap();
    for number in 0..1_000 {
        scene.vault.create(&append, &path(number)).unwrap();
    }
    let refused = scene.vault.create(&append, &path(1_000));
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    scene.vault.create(&append, &path(7)).unwrap();
    scene
        .vault
        .add_repository(Who::Folder, &path(1_000))
        .unwrap();
    // Another token of the same prefix has not used up anything.
    let other = scene.token_for(Right::Append, "acme");
    scene.vault.create(&other, &path(1_001)).unwrap();
    let elsewhere = scene.token_for(Right::Append, "acm");
    let path = "acm/r".parse().unwrap();
    scene.vault.create(&elsewhere, &path).unwrap();
}

#[test]
fn a_quota_counts_what_small_objects_take() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let quota = Some(100 << 10);
    scene
        .vault
        .set_quota(Who::Folder, &repository(), quota)
        .unwrap();
    let taken = (0..100_u8).filter(|number| scene.put(&append, FileType::Data, &[*number]).is_ok());
    assert!(taken.count() < 25);
}

#[test]
fn an_object_has_a_thousand_lives_in_a_day_and_no_more() {
    let scene = Scene::new();
    let maintain = scene.token(Right::Maintain);
    scene.init(&maintain);
    let pack = scene.put(&maintain, FileType::Data, b"a pack").unwrap();
    let delete = || scene.vault.remove(&maintain, &repository(), pack);
    for _ in 0..1_000 {
        delete().unwrap();
        scene.put_as(&maintain, pack, b"a pack").unwrap();
    }
    let refused = delete();
    let Err(Error::TooManyLives { pause, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(pause.as_secs() <= 24 * 60 * 60, "{pause:?}");
    // The rest goes on, and so does this one when the day is over.
    let other = scene.put(&maintain, FileType::Data, b"another").unwrap();
    scene.vault.remove(&maintain, &repository(), other).unwrap();
    scene.pass(DAY_MS);
    delete().unwrap();
}

#[test]
fn recorded_times_never_run_backwards() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    scene.clocks.lock().wall_ms += 30 * SECOND_MS;
    scene.put(&append, FileType::Data, b"later").unwrap();
    scene.clocks.lock().wall_ms -= DAY_MS;
    scene
        .put(&append, FileType::Data, b"and not earlier")
        .unwrap();
    let read = scene.vault.database().look(|transaction| {
        let mut times = Vec::new();
        leaves::entries(transaction, 0, 100, &mut |_, entry| {
            let leaf: serde_json::Value = serde_json::from_slice(&entry).unwrap();
            let at: jiff::Timestamp = leaf["at"].as_str().unwrap().parse().unwrap();
            times.push(at);
            Ok(())
        })?;
        Ok(times)
    });
    let times = read.unwrap();
    assert!(times.len() > 5 && times.is_sorted(), "{times:?}");
}

#[test]
fn where_nothing_can_be_written_reading_goes_on() {
    let scene = Scene::new();
    let text = scene
        .vault
        .create_token(Who::Folder, &new_token(Right::Append))
        .unwrap();
    let append = scene.vault.authenticate(text.reveal()).unwrap();
    scene.init(&append);
    let pack = scene.put(&append, FileType::Data, b"a pack").unwrap();
    let full = Arc::new(FullDatabase {
        inner: Arc::clone(scene.vault.database()),
        is_full: AtomicBool::new(false),
    });
    let bodies = strongroom_store::LocalBodies::new(scene.folder.path().join("repositories"));
    let clocks = Arc::clone(&scene.clocks);
    let vault = Vault::open(
        Arc::clone(&full) as _,
        Arc::new(bodies),
        scene.settings.clone(),
        ReadClocks::new(move || clocks.lock().clone()),
    )
    .unwrap();
    full.is_full.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        // Long enough for its use to be noted again.
        let mut clocks = scene.clocks.lock();
        clocks.boottime_ms += 2 * MINUTE_MS;
        clocks.wall_ms += 2 * MINUTE_MS;
        drop(clocks);
        let append = vault.authenticate(text.reveal()).unwrap();
        let found = vault.find(&append, &repository(), View::Now, pack);
        assert!(found.is_ok(), "{found:?}");
    }
    // The first use of a token is in the log, or is none.
    full.is_full.store(false, Ordering::Relaxed);
    let new = new_token(Right::Read);
    let fresh = vault.create_token(Who::Folder, &new).unwrap();
    full.is_full.store(true, Ordering::Relaxed);
    assert!(vault.authenticate(fresh.reveal()).is_err());
    // It is remembered by now, and gets in by that as little.
    assert_eq!(vault.authenticate_known(fresh.reveal()), None);
    full.is_full.store(false, Ordering::Relaxed);
    vault.authenticate(fresh.reveal()).unwrap();
    assert_eq!(vault.authenticate_known(fresh.reveal()), None);
    vault.authenticate(fresh.reveal()).unwrap();
    assert!(vault.authenticate_known(fresh.reveal()).is_some());
}

/// A database on a disk that may be full.
#[derive(Debug)]
struct FullDatabase {
    inner: Arc<dyn Database>,
    is_full: AtomicBool,
}

impl Database for FullDatabase {
    fn write(&self, work: &mut Work<'_>) -> Result<()> {
        match self.is_full.load(Ordering::Relaxed) {
            true => Err(Error::Database {
                action: "commit".to_owned(),
                reason: "database or disk is full".to_owned(),
            }),
            false => self.inner.write(work),
        }
    }

    fn read(&self, work: &mut Work<'_>) -> Result<()> {
        self.inner.read(work)
    }
}
