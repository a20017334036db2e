//! What is done to very many objects is done a part at a time, and by another process where the
//! first one dies between two.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use strongroom_model::{FileName, FileType, Id};
use strongroom_vault::database::sqlite::Sqlite;
use strongroom_vault::database::{Database, Transaction, Work};
use strongroom_vault::records::objects::{self, Key, View};
use strongroom_vault::records::tombstones;
use strongroom_vault::records::under_way::{self, Deed, UnderWay};
use strongroom_vault::rules::life::{Delete, Object, State};
use strongroom_vault::rules::right::Right;
use strongroom_vault::vault::Principal;
use strongroom_vault::{Error, Result};

use super::scene::{Pair, Scene, local_bodies, repository, within};

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
fn put_many(scene: &Scene, who: &Principal) {
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

fn told(scene: &Scene, act: &str) -> Vec<u64> {
    let leaves = scene.acts(act);
    let objects = leaves.iter().map(|leaf| leaf["objects"].as_u64().unwrap());
    objects.collect()
}

fn packs(scene: &Scene, who: &Principal) -> u64 {
    scene.list(who, View::Now, FileType::Data).len() as u64
}

pub(crate) fn much_is_hidden_shown_and_undeleted_a_part_at_a_time() {
    let scene = Scene::new();
    let (honest, thief) = (scene.token(Right::Append), scene.token(Right::Append));
    let maintain = scene.token(Right::Maintain);
    scene.init(&honest);
    put_many(&scene, &thief);
    let pack = scene.put(&honest, FileType::Data, b"a pack").unwrap();
    assert_eq!(scene.vault.hide(&thief.name, 0).unwrap(), MANY);
    assert_eq!(told(&scene, "hide"), [5_000, 5_000, 2_500]);
    assert_eq!(scene.list(&honest, View::Now, FileType::Data), [pack]);
    let then = View::AsOf(40_000);
    let seen = scene.list(&honest, then, FileType::Data).len() as u64;
    assert_eq!(seen, MANY);
    assert_eq!(scene.vault.unhide(&thief.name).unwrap(), MANY);
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
        .undelete(&repository(), Some(&maintain.name), None, None);
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

#[test]
fn what_a_process_has_left_is_done_by_another() {
    let left = Arc::new(AtomicU64::new(u64::MAX));
    let dying = Arc::clone(&left);
    let pair: Pair = Rc::new(move |folder| {
        let database: Arc<dyn Database> = Arc::new(DyingDatabase {
            inner: Sqlite::open(&folder.join("vault.db")).unwrap(),
            left: Arc::clone(&dying),
        });
        (database, local_bodies(folder))
    });
    let scene = within(&pair, Scene::new);
    let (honest, thief) = (scene.token(Right::Append), scene.token(Right::Append));
    scene.init(&honest);
    put_many(&scene, &thief);
    left.store(2, Ordering::Relaxed);
    assert!(scene.vault.hide(&thief.name, 0).is_err());
    left.store(u64::MAX, Ordering::Relaxed);
    assert_eq!(packs(&scene, &honest), MANY - 10_000);
    let other = scene.beside();
    // Its process may be at it still.
    assert_eq!(other.vault.go_on().unwrap(), 0);
    scene.execute("UPDATE under_way SET at_ms = at_ms - 120000");
    assert_eq!(other.vault.go_on().unwrap(), 1);
    assert_eq!(told(&scene, "hide"), [5_000, 5_000, 2_500]);
    assert_eq!(packs(&scene, &honest), 0);
    assert_eq!(other.vault.go_on().unwrap(), 0);
    assert!(scene.vault.tallies_agree().unwrap());
}

#[test]
fn what_is_shown_again_is_hidden_no_further() {
    let scene = Scene::new();
    let (honest, thief) = (scene.token(Right::Append), scene.token(Right::Append));
    scene.init(&honest);
    put_many(&scene, &thief);
    let tokens = scene.vault.tokens().unwrap();
    let token = tokens
        .iter()
        .find(|token| token.name == thief.name)
        .unwrap();
    // As a process leaves it that dies before its first part.
    let act = UnderWay::of_token(Deed::Hide, (token.id, token.name.as_str()), 0, 50_000);
    write(&scene, |transaction| {
        under_way::keep(transaction, &act)?;
        let statement = "UPDATE under_way SET at_ms = at_ms - 120000";
        transaction.execute(statement, &[]).map(drop)
    });
    assert_eq!(scene.vault.unhide(&thief.name).unwrap(), 0);
    assert_eq!(scene.vault.go_on().unwrap(), 0);
    assert_eq!(packs(&scene, &honest), MANY);
}
