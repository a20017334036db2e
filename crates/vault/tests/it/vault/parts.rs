//! What is done to very many objects is done a part at a time, and by another process where the
//! first one dies between two.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, Id};
use strongroom_vault::database::sqlite::Sqlite;
use strongroom_vault::database::{Database, Transaction, Work};
use strongroom_vault::people::Who;
use strongroom_vault::records::objects::{self, Key, View};
use strongroom_vault::records::tombstones;
use strongroom_vault::records::under_way::{self, Deed, UnderWay};
use strongroom_vault::rules::life::{Delete, Object, State};
use strongroom_vault::rules::right::Right;
use strongroom_vault::vault::Principal;
use strongroom_vault::{Error, Result, Vault};

use super::scene::{Pair, Scene, over_sqlite, repository, within};

/// Two parts, and half of one.
const MANY: u64 = 12_500;

/// The leaves from which on things were put, and were deleted.
const LEAVES: (u64, u64) = (1_000, 20_000);

fn write(scene: &Scene, mut work: impl FnMut(&mut dyn Transaction) -> Result<()>) {
    scene.vault.database().write(&mut work).unwrap();
}

fn key(number: u64) -> Key {
    let id = Id::of(&number.to_le_bytes());
    Key::new(1, FileName::new(FileType::Data, id))
}

/// Puts very many packs with a token, without bodies; half of them came with one leaf.
pub(crate) fn put_many(scene: &Scene, who: &Principal) {
    let tokens = scene.vault.tokens().unwrap();
    let token = tokens
        .iter()
        .find(|token| token.name == who.name)
        .unwrap()
        .id;
    write(scene, |transaction| {
        for number in 0..MANY {
            let object = Object {
                generation: 1,
                bytes: 10,
                state: State::Live,
                token,
                began: LEAVES.0 + number.saturating_sub(MANY / 2),
                ended: None,
                arrived_ms: 0,
                tombstoned_ms: None,
            };
            objects::insert(transaction, &key(number), &object)?;
        }
        transaction
            .execute("UPDATE log_head SET leaves = 40000", &[])
            .map(drop)
    });
}

/// A repository of an honest token, in which a thief has put very many packs.
fn flooded(scene: &Scene) -> (Principal, Principal) {
    let (honest, thief) = (scene.token(Right::Append), scene.token(Right::Append));
    scene.init(&honest);
    put_many(scene, &thief);
    (honest, thief)
}

fn told(scene: &Scene, act: &str) -> Vec<u64> {
    let leaves = scene.acts(act);
    let objects = leaves.iter().map(|leaf| leaf["objects"].as_u64().unwrap());
    objects.collect()
}

pub(crate) fn packs(scene: &Scene, who: &Principal) -> u64 {
    scene.list(who, View::Now, FileType::Data).len() as u64
}

pub(crate) fn much_is_hidden_shown_and_undeleted_a_part_at_a_time() {
    let scene = Scene::new();
    let (honest, thief) = (scene.token(Right::Append), scene.token(Right::Append));
    let maintain = scene.token(Right::Maintain);
    scene.init(&honest);
    put_many(&scene, &thief);
    let pack = scene.put(&honest, FileType::Data, b"a pack").unwrap();
    assert_eq!(
        scene
            .vault
            .hide(Who::Folder, &thief.name, 0)
            .unwrap()
            .objects,
        MANY
    );
    assert_eq!(told(&scene, "hide"), [5_000, 5_000, 2_500]);
    assert_eq!(scene.list(&honest, View::Now, FileType::Data), [pack]);
    let then = View::AsOf(40_000);
    let seen = scene.list(&honest, then, FileType::Data).len() as u64;
    assert_eq!(seen, MANY);
    assert_eq!(
        scene
            .vault
            .unhide(Who::Folder, &thief.name)
            .unwrap()
            .objects,
        MANY
    );
    assert_eq!(told(&scene, "unhide"), [5_000, 5_000, 2_500]);
    assert_eq!(packs(&scene, &honest), MANY + 1);
    assert!(scene.vault.tallies_agree().unwrap());

    let tokens = scene.vault.tokens().unwrap();
    let by = tokens
        .iter()
        .find(|token| token.name == maintain.name)
        .unwrap()
        .id;
    write(&scene, |transaction| {
        for number in 0..MANY {
            tombstones::make(
                transaction,
                &key(number),
                Delete::Ends,
                LEAVES.1 + number,
                0,
                by,
            )?;
        }
        // Their lives began again when they were shown, and not behind their end.
        let statement = "UPDATE object SET began = 19000 WHERE state = 1";
        transaction.execute(statement, &[]).map(drop)
    });
    let undone = scene
        .vault
        .undelete(Who::Folder, &repository(), Some(&maintain.name), None, None);
    assert_eq!(undone.unwrap(), MANY);
    assert_eq!(told(&scene, "undelete"), [5_000, 5_000, 2_500]);
    assert_eq!(packs(&scene, &honest), MANY + 1);
    assert!(scene.vault.tallies_agree().unwrap());
}

#[test]
fn much_is_done_a_part_at_a_time() {
    much_is_hidden_shown_and_undeleted_a_part_at_a_time();
}

/// A database that dies after some more transactions that write.
#[derive(Debug)]
struct DyingDatabase {
    inner: Sqlite,
    left: Arc<AtomicU64>,
}

impl Database for DyingDatabase {
    fn write(&self, work: &mut Work<'_>) -> Result<()> {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(1), Ordering::Relaxed);
        match left {
            0 => Err(Error::Database {
                action: "commit".to_owned(),
                reason: "a test has ended the process".to_owned(),
            }),
            _ => self.inner.write(work),
        }
    }

    fn read(&self, work: &mut Work<'_>) -> Result<()> {
        self.inner.read(work)
    }
}

/// A database that dies, and what says after how many more transactions that write.
pub(super) fn dying() -> (Pair, Arc<AtomicU64>) {
    let left = Arc::new(AtomicU64::new(u64::MAX));
    let of_pair = Arc::clone(&left);
    let pair = over_sqlite(move |inner| {
        let left = Arc::clone(&of_pair);
        Arc::new(DyingDatabase { inner, left })
    });
    (pair, left)
}

/// What happens once, after so many more transactions that write and before the next one.
pub(super) type Interruption = Arc<Mutex<Option<(u64, Happens)>>>;

pub(super) type Happens = Box<dyn FnOnce() + Send>;

/// A database between two of whose transactions something else happens.
struct InterruptedDatabase {
    inner: Sqlite,
    interruption: Interruption,
}

impl fmt::Debug for InterruptedDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InterruptedDatabase")
    }
}

impl Database for InterruptedDatabase {
    fn write(&self, work: &mut Work<'_>) -> Result<()> {
        let due = {
            let mut interruption = self.interruption.lock();
            match interruption.take() {
                Some((0, happens)) => Some(happens),
                Some((left, happens)) => {
                    *interruption = Some((left - 1, happens));
                    None
                }
                None => None,
            }
        };
        if let Some(happens) = due {
            happens();
        }
        self.inner.write(work)
    }

    fn read(&self, work: &mut Work<'_>) -> Result<()> {
        self.inner.read(work)
    }
}

pub(super) fn interrupted() -> (Pair, Interruption) {
    let interruption = Interruption::default();
    let of_pair = Arc::clone(&interruption);
    let pair = over_sqlite(move |inner| {
        let interruption = Arc::clone(&of_pair);
        Arc::new(InterruptedDatabase {
            inner,
            interruption,
        })
    });
    (pair, interruption)
}

/// Lets all that is under way seem to have lost its process.
fn age(vault: &Vault) {
    let statement = "UPDATE under_way SET at_ms = at_ms - 120000";
    let mut work =
        |transaction: &mut dyn Transaction| transaction.execute(statement, &[]).map(drop);
    vault.database().write(&mut work).unwrap();
}

#[test]
fn what_a_process_has_left_is_done_by_another() {
    let (pair, left) = dying();
    let scene = within(&pair, Scene::new);
    let (honest, thief) = flooded(&scene);
    left.store(2, Ordering::Relaxed);
    assert!(scene.vault.hide(Who::Folder, &thief.name, 0).is_err());
    left.store(u64::MAX, Ordering::Relaxed);
    assert_eq!(packs(&scene, &honest), MANY - 10_000);
    let other = scene.beside();
    // Its process may be at it still.
    assert_eq!(other.vault.go_on().unwrap(), 0);
    age(&scene.vault);
    assert_eq!(other.vault.go_on().unwrap(), 1);
    assert_eq!(told(&scene, "hide"), [5_000, 5_000, 2_500]);
    assert_eq!(packs(&scene, &honest), 0);
    assert_eq!(other.vault.go_on().unwrap(), 0);
    assert!(scene.vault.tallies_agree().unwrap());
}

/// How many acts have a row.
fn rows(scene: &Scene) -> i64 {
    let mut rows = 0;
    let mut count = |transaction: &mut dyn Transaction| {
        transaction.query("SELECT COUNT(*) FROM under_way", &[], &mut |row| {
            rows = row.int(0)?;
            Ok(())
        })
    };
    scene.vault.database().read(&mut count).unwrap();
    rows
}

/// A scene with very many packs of a token, and what another process of it does as soon as the first
/// part of an act on them is done, whose process seems to be gone then.
fn with_another(
    then: impl FnOnce(&Vault, &str) + Send + 'static,
) -> (Scene, Scene, Principal, Principal) {
    let (pair, interruption) = interrupted();
    let scene = within(&pair, Scene::new);
    let (honest, thief) = flooded(&scene);
    let other = scene.beside();
    let (vault, name) = (other.vault.clone(), thief.name.clone());
    let goes_on: Happens = Box::new(move || {
        age(&vault);
        assert_eq!(vault.go_on().unwrap(), 1);
        then(&vault, &name);
    });
    *interruption.lock() = Some((1, goes_on));
    (scene, other, honest, thief)
}

#[test]
fn who_slept_while_another_did_the_last_part_tells_the_right_number() {
    let (scene, other, honest, thief) = with_another(|_, _| ());
    assert_eq!(
        scene
            .vault
            .hide(Who::Folder, &thief.name, 0)
            .unwrap()
            .objects,
        MANY
    );
    assert_eq!(told(&scene, "hide"), [5_000, 5_000, 2_500]);
    assert_eq!(packs(&scene, &honest), 0);
    assert_eq!(rows(&scene), 0);
    assert_eq!(other.vault.go_on().unwrap(), 0);
}

#[test]
fn what_was_done_to_its_end_is_not_taken_back_by_the_contrary() {
    let (scene, _other, honest, thief) = with_another(|vault, name| {
        assert_eq!(vault.unhide(Who::Folder, name).unwrap().objects, MANY);
    });
    assert_eq!(
        scene
            .vault
            .hide(Who::Folder, &thief.name, 0)
            .unwrap()
            .objects,
        MANY
    );
    assert_eq!(packs(&scene, &honest), MANY);
    assert_eq!(rows(&scene), 0);
}

#[test]
fn what_another_process_brought_to_its_end_is_forgotten_after_an_hour() {
    let (scene, honest, _) = left_behind();
    assert_eq!(scene.vault.go_on().unwrap(), 1);
    age(&scene.vault);
    assert_eq!(scene.vault.go_on().unwrap(), 0);
    assert_eq!(rows(&scene), 1);
    scene.execute("UPDATE under_way SET at_ms = at_ms - 3600000");
    assert_eq!(scene.vault.go_on().unwrap(), 0);
    assert_eq!(rows(&scene), 0);
    assert_eq!(packs(&scene, &honest), 0);
}

/// An act as a process leaves it that dies before its first part.
fn left_to_hide(scene: &Scene, thief: &Principal, leaf: u64) {
    let tokens = scene.vault.tokens().unwrap();
    let token = tokens
        .iter()
        .find(|token| token.name == thief.name)
        .unwrap();
    let act = UnderWay::of_token(Deed::Hide, (token.id, token.name.as_str()), 0, 50_000);
    write(scene, |transaction| {
        under_way::keep(transaction, &act, leaf).map(drop)
    });
}

/// A scene that was flooded, and an act that was to hide the flood and whose process seems to be gone.
fn left_behind() -> (Scene, Principal, Principal) {
    let scene = Scene::new();
    let (honest, thief) = flooded(&scene);
    left_to_hide(&scene, &thief, 39_999);
    age(&scene.vault);
    (scene, honest, thief)
}

#[test]
fn what_is_shown_again_is_hidden_no_further() {
    let (scene, honest, thief) = left_behind();
    // That alone is something that was done.
    let shown = scene.vault.unhide(Who::Folder, &thief.name).unwrap();
    assert_eq!((shown.objects, shown.others, shown.found), (0, 1, true));
    assert_eq!(scene.vault.go_on().unwrap(), 0);
    assert_eq!(packs(&scene, &honest), MANY);
    // Whoever has begun it may only be asleep, for an hour at most.
    age(&scene.vault);
    assert_eq!(scene.vault.go_on().unwrap(), 0);
    assert_eq!(rows(&scene), 1);
    scene.execute("UPDATE under_way SET at_ms = at_ms - 3600000");
    assert_eq!(scene.vault.go_on().unwrap(), 0);
    assert_eq!(rows(&scene), 0);
    assert_eq!(packs(&scene, &honest), MANY);
}

#[test]
fn who_slept_until_an_act_was_taken_back_hears_that_as_well() {
    let (pair, interruption) = interrupted();
    let scene = within(&pair, Scene::new);
    let (honest, thief) = flooded(&scene);
    let other = scene.beside();
    let (vault, name) = (other.vault.clone(), thief.name.clone());
    let unhide: Happens = Box::new(move || {
        assert_eq!(vault.unhide(Who::Folder, &name).unwrap().objects, 5_000);
        age(&vault);
        assert_eq!(vault.go_on().unwrap(), 0);
    });
    *interruption.lock() = Some((1, unhide));
    let hidden = scene.vault.hide(Who::Folder, &thief.name, 0);
    let Err(Error::TakenBack { deed, objects }) = hidden else {
        panic!("{hidden:?}");
    };
    assert_eq!((deed, objects), ("hide", 5_000));
    assert_eq!(packs(&scene, &honest), MANY);
    assert_eq!(rows(&scene), 0);
}

#[test]
fn who_goes_on_with_an_act_of_another_leaves_it_to_him_to_see_that_it_was_taken_back() {
    let (pair, interruption) = interrupted();
    let scene = within(&pair, Scene::new);
    let (honest, thief) = flooded(&scene);
    left_to_hide(&scene, &thief, 39_999);
    age(&scene.vault);
    let other = scene.beside();
    let (vault, name) = (other.vault.clone(), thief.name.clone());
    let unhide: Happens =
        Box::new(move || assert_eq!(vault.unhide(Who::Folder, &name).unwrap().objects, 5_000));
    *interruption.lock() = Some((1, unhide));
    assert_eq!(scene.vault.go_on().unwrap(), 1);
    assert!(interruption.lock().is_none());
    assert_eq!(packs(&scene, &honest), MANY);
    assert_eq!(rows(&scene), 1);
}

#[test]
fn who_is_taken_back_hears_that_and_no_number_of_another_act() {
    let (pair, interruption) = interrupted();
    let scene = within(&pair, Scene::new);
    let (honest, thief) = flooded(&scene);
    // Another process shows again what was hidden so far, and dies when it has done a part of it.
    let (pair, left) = dying();
    let other = within(&pair, || scene.beside());
    let (vault, name) = (other.vault.clone(), thief.name.clone());
    let unhide: Happens = Box::new(move || {
        left.store(1, Ordering::Relaxed);
        assert!(vault.unhide(Who::Folder, &name).is_err());
        left.store(u64::MAX, Ordering::Relaxed);
    });
    *interruption.lock() = Some((2, unhide));
    let hidden = scene.vault.hide(Who::Folder, &thief.name, 0);
    let Err(Error::TakenBack { deed, objects }) = hidden else {
        panic!("{hidden:?}");
    };
    assert_eq!((deed, objects), ("hide", 10_000));
    assert_eq!(packs(&scene, &honest), MANY - 5_000);
    age(&scene.vault);
    assert_eq!(scene.vault.go_on().unwrap(), 1);
    assert_eq!(packs(&scene, &honest), MANY);
    assert_eq!(told(&scene, "hide"), [5_000, 5_000]);
    assert_eq!(told(&scene, "unhide"), [5_000, 5_000]);
    assert!(scene.vault.tallies_agree().unwrap());
}

#[test]
fn who_stops_leaves_the_rest_to_others() {
    let (pair, interruption) = interrupted();
    let scene = within(&pair, Scene::new);
    let (honest, thief) = flooded(&scene);
    let vault = scene.vault.clone();
    let stop: Happens = Box::new(move || vault.end_jobs());
    *interruption.lock() = Some((1, stop));
    let hidden = scene.vault.hide(Who::Folder, &thief.name, 0);
    let Err(Error::Stopping { objects }) = hidden else {
        panic!("{hidden:?}");
    };
    assert_eq!(objects, 10_000);
    let other = scene.beside();
    // It was given back: nobody waits for a minute.
    assert_eq!(other.vault.go_on().unwrap(), 1);
    assert_eq!(told(&scene, "hide"), [5_000, 5_000, 2_500]);
    assert_eq!(packs(&scene, &honest), 0);
}

#[test]
fn an_act_that_cannot_be_done_keeps_no_other_from_being_done() {
    let scene = Scene::new();
    let (honest, thief) = flooded(&scene);
    left_to_hide(&scene, &thief, 39_998);
    left_to_hide(&scene, &thief, 39_999);
    write(&scene, |transaction| {
        let statement = "UPDATE under_way SET deed = 9 WHERE id = 39998";
        transaction.execute(statement, &[]).map(drop)
    });
    age(&scene.vault);
    assert!(scene.vault.go_on().is_err());
    assert_eq!(packs(&scene, &honest), 0);
    // It rests for a minute, and is tried again then.
    assert_eq!(scene.vault.go_on().unwrap(), 0);
    age(&scene.vault);
    assert!(scene.vault.go_on().is_err());
}

#[test]
fn acts_are_never_taken_for_one_another() {
    let scene = Scene::new();
    flooded(&scene);
    let mut known = Vec::new();
    let act = UnderWay::of_token(Deed::Hide, (2, "a token"), 0, 50_000);
    for leaf in [39_000, 39_500] {
        write(&scene, |transaction| {
            let id = under_way::keep(transaction, &act, leaf)?;
            under_way::end(transaction, id)?;
            known.push(id);
            Ok(())
        });
    }
    assert_eq!(known, [39_000, 39_500]);
}
