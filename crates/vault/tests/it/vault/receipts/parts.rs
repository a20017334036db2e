//! A receipt that changes very much is written down in parts, and counts when it stands.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use strongroom_model::receipt::NeedsChange;
use strongroom_model::{Id, Needs, Receipt};
use strongroom_vault::database::{Row, Transaction};
use strongroom_vault::people::Who;
use strongroom_vault::records::{coming, needs};
use strongroom_vault::vault::ReceiptTaken;
use strongroom_vault::{Error, Result, Vault};

use super::World;
use crate::vault::parts::{Happens, dying, interrupted};
use crate::vault::scene::{Pair, Scene, repository, within};

/// Two parts, and half of one.
const MANY: u32 = 12_500;

/// What else is written for a receipt: that it came, that it is on its way, and that it stands.
const BESIDE: u64 = 3;

/// How long a thread is waited for, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(60);

impl World {
    /// What the first receipt needs, and very many packs that are not here.
    fn many_needs(&self) -> Needs {
        let mut needs = self.needs();
        let packs = (0..MANY).map(|number| Id::of(&number.to_le_bytes()));
        needs.packs.extend(packs);
        needs
    }

    /// A receipt that adds them, or drops them, behind another one.
    fn next(&self, parent: Id, before: &Needs, after: &Needs) -> Receipt {
        let change = NeedsChange::between(before, after);
        self.client.receipt(self.snapshot, Some(parent), change)
    }

    /// How many files are counted for the day of the only token that has sent receipts.
    fn counted(&self) -> i64 {
        self.row("SELECT files FROM receipt_day", |row| row.int(0))
    }

    /// How many rows there are of what receipts need, how many of them have no end, and how many
    /// receipts are on their way.
    fn rows(&self) -> (i64, i64, i64) {
        let statement = format!(
            "SELECT (SELECT COUNT(*) FROM need), (SELECT COUNT(*) FROM need WHERE ended = {}), \
             (SELECT COUNT(*) FROM coming)",
            needs::OPEN
        );
        self.row(&statement, |row| {
            Ok((row.int(0)?, row.int(1)?, row.int(2)?))
        })
    }

    fn row<T>(&self, statement: &str, read: impl Fn(&dyn Row) -> Result<T>) -> T {
        let database = self.scene.vault.database();
        let row = database.look(|transaction| transaction.first(statement, &[], &read));
        row.unwrap().unwrap()
    }
}

/// A world in some database and storage, its first receipt, and one behind that which adds very many
/// packs.
fn begun(pair: &Pair) -> (World, Id, Receipt) {
    let world = within(pair, World::new);
    let first = world.send_first();
    let adds = world.next(first, &world.needs(), &world.many_needs());
    (world, first, adds)
}

/// Lets all receipts on their way seem to have lost their process.
fn age(vault: &Vault) {
    let statement = "UPDATE coming SET at_ms = at_ms - 120000";
    let mut work =
        |transaction: &mut dyn Transaction| transaction.execute(statement, &[]).map(drop);
    vault.database().write(&mut work).unwrap();
}

fn told(scene: &Scene) -> usize {
    scene.acts("receipt").len()
}

pub(crate) fn a_large_receipt_stands_as_a_small_one_does() {
    let world = World::new();
    let (scene, append) = (&world.scene, &world.append);
    let first = world.send_first();
    let (few, many) = (world.needs(), world.many_needs());
    let mut adds = world.next(first, &few, &many);
    adds.snapshot = world.put_snapshot(1).id().unwrap();
    let (second, accepted) = world.client.send(scene, append, &adds).unwrap();
    assert_eq!(accepted.missing, u64::from(MANY));
    assert_eq!(world.rows(), (i64::from(MANY) + 3, i64::from(MANY) + 3, 0));
    let (again, accepted) = world.client.send(scene, append, &adds).unwrap();
    assert_eq!((again, accepted.missing), (second, u64::from(MANY)));
    assert_eq!(told(scene), 2);
    let mut drops = world.next(second, &many, &few);
    drops.snapshot = world.put_snapshot(2).id().unwrap();
    let (_, accepted) = world.client.send(scene, append, &drops).unwrap();
    assert_eq!(accepted.missing, 0);
    assert_eq!(world.rows(), (i64::from(MANY) + 3, 3, 0));
    let missing: Vec<u64> = world
        .missing()
        .into_iter()
        .map(|(files, _)| files)
        .collect();
    assert_eq!(missing, [0, u64::from(MANY), 0]);
    assert_eq!(told(scene), 3);
}

#[test]
fn a_large_receipt_is_taken_in() {
    a_large_receipt_stands_as_a_small_one_does();
}

#[test]
fn no_transaction_writes_more_than_a_part() {
    let (pair, left) = dying();
    let (world, _, adds) = begun(&pair);
    left.store(1_000, Ordering::Relaxed);
    world
        .client
        .send(&world.scene, &world.append, &adds)
        .unwrap();
    let written = 1_000 - left.load(Ordering::Relaxed);
    assert_eq!(written, BESIDE + 3);
}

#[test]
fn what_a_process_has_written_that_died_is_taken_back_and_sent_again() {
    let (pair, left) = dying();
    let (world, first, adds) = begun(&pair);
    let (scene, append) = (&world.scene, &world.append);
    let before = world.rows();
    let (few, many) = (world.needs(), world.many_needs());
    let die_after_two_parts = || {
        left.store(4, Ordering::Relaxed);
        world.client.send(scene, append, &adds).unwrap_err();
        left.store(u64::MAX, Ordering::Relaxed);
        let (needs, open, coming) = before;
        assert_eq!(world.rows(), (needs + 10_000, open + 10_000, coming + 1));
        // Nobody sees anything of it.
        assert_eq!(told(scene), 1);
        assert_eq!(world.missing(), [(0, Vec::new())]);
    };
    die_after_two_parts();
    let other = within(&pair, || scene.beside());
    // Its process may be at it still.
    assert_eq!(other.vault.take_back_receipts().unwrap(), 0);
    age(&scene.vault);
    assert_eq!(other.vault.take_back_receipts().unwrap(), 1);
    assert_eq!(world.rows(), before);
    assert_eq!(other.vault.take_back_receipts().unwrap(), 0);
    // Who comes next takes it back as well, where nobody has done so.
    die_after_two_parts();
    age(&scene.vault);
    let small = world.next(first, &few, &few);
    let (second, accepted) = world.client.send(scene, append, &small).unwrap();
    assert_eq!((accepted.missing, world.rows()), (0, before));
    assert_eq!(told(scene), 2);
    // Where no other process lives, nothing is waited for.
    let adds = world.next(second, &few, &many);
    left.store(3, Ordering::Relaxed);
    world.client.send(scene, append, &adds).unwrap_err();
    left.store(u64::MAX, Ordering::Relaxed);
    scene.vault.end_leases_of_the_dead().unwrap();
    let (_, accepted) = world.client.send(scene, append, &adds).unwrap();
    assert_eq!(accepted.missing, u64::from(MANY));
    assert_eq!(told(scene), 3);
    assert_eq!(world.rows().2, 0);
}

#[test]
fn who_stops_leaves_a_receipt_to_be_taken_back_at_once() {
    let (pair, interruption) = interrupted();
    let (world, _, adds) = begun(&pair);
    let (scene, append) = (&world.scene, &world.append);
    let (before, counted) = (world.rows(), world.counted());
    let vault = scene.vault.clone();
    let stop: Happens = Box::new(move || vault.end_jobs());
    // While the second part is written.
    *interruption.lock() = Some((3, stop));
    let left = world.client.send(scene, append, &adds);
    assert!(matches!(left, Err(Error::ReceiptLeft)), "{left:?}");
    assert_eq!(world.counted(), counted);
    // It takes back a part of it, which also has what was there, and leaves the rest.
    let (needs, _, coming) = world.rows();
    assert_eq!(coming, 1);
    assert!((5_000..=5_003).contains(&(needs - before.0)), "{needs}");
    assert_eq!(scene.vault.take_back_receipts().unwrap(), 0);
    let again = world.client.send(scene, append, &adds);
    assert!(matches!(again, Err(Error::ReceiptLeft)), "{again:?}");
    // Nobody waits for a minute.
    let other = within(&pair, || scene.beside());
    assert_eq!(other.vault.take_back_receipts().unwrap(), 1);
    assert_eq!(world.rows(), before);
    assert_eq!(told(scene), 1);
}

#[test]
fn what_comes_when_the_process_stops_is_not_begun_and_costs_nothing() {
    let world = World::new();
    let first = world.send_first();
    let adds = world.next(first, &world.needs(), &world.many_needs());
    let (before, counted) = (world.rows(), world.counted());
    let other = world.scene.beside();
    world.scene.vault.end_jobs();
    for _ in 0..2 {
        let left = world.client.send(&world.scene, &world.append, &adds);
        assert!(matches!(left, Err(Error::ReceiptLeft)), "{left:?}");
        assert_eq!((world.rows(), world.counted()), (before, counted));
    }
    // Another process takes it in, and then it has its cost.
    world.client.send(&other, &world.append, &adds).unwrap();
    assert_eq!(world.counted(), counted + i64::from(MANY));
}

#[test]
fn one_of_those_who_wait_takes_back_what_was_left_and_the_others_go_on_waiting() {
    let (pair, interruption) = interrupted();
    let (world, first, _) = begun(&pair);
    let scene = &world.scene;
    let same = world.next(first, &world.needs(), &world.needs());
    let bytes = world.client.request(&world.client.sign(&same));
    let database = scene.vault.database();
    let begun = database.write(&mut |transaction| coming::begin(transaction, 1, 1, "gone"));
    begun.unwrap();
    let wait = || {
        let (length_bytes, folder) = (Some(bytes.len() as u64), scene.folder.path());
        let begun = scene
            .vault
            .begin_receipt(&world.append, &repository(), length_bytes, folder);
        let mut upload = begun.unwrap();
        upload.write(&bytes).unwrap();
        match upload.take().unwrap() {
            ReceiptTaken::Waits(waiting) => waiting,
            ReceiptTaken::Stands(accepted) => panic!("{accepted:?}"),
        }
    };
    let (one, other) = (wait(), wait());
    let left = database.write(&mut |transaction| {
        coming::leave(transaction, 1, "gone").map(|is_left| assert!(is_left))
    });
    left.unwrap();
    let look: Happens = Box::new(move || {
        let (reply, answer) = channel();
        // Whoever took back the same would wait for the transaction that is under way.
        thread::spawn(move || drop(reply.send(other.look().unwrap())));
        let looked = answer.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(looked, ControlFlow::Continue(_)), "{looked:?}");
    });
    *interruption.lock() = Some((0, look));
    let looked = one.look().unwrap();
    assert!(matches!(looked, ControlFlow::Break(_)), "{looked:?}");
    assert!(interruption.lock().is_none());
    assert_eq!(world.rows().2, 0);
}

#[test]
fn who_was_taken_for_dead_begins_anew() {
    let (pair, interruption) = interrupted();
    let (world, _, adds) = begun(&pair);
    let (scene, append) = (&world.scene, &world.append);
    let other = within(&pair, || scene.beside());
    let vault = other.vault.clone();
    let take_back: Happens = Box::new(move || {
        age(&vault);
        assert_eq!(vault.take_back_receipts().unwrap(), 1);
    });
    // Before the second part.
    *interruption.lock() = Some((3, take_back));
    let (_, accepted) = world.client.send(scene, append, &adds).unwrap();
    assert!(interruption.lock().is_none());
    assert_eq!(accepted.missing, u64::from(MANY));
    assert_eq!(world.rows(), (i64::from(MANY) + 3, i64::from(MANY) + 3, 0));
    assert_eq!(told(scene), 2);
}

#[test]
fn what_is_refused_in_the_end_leaves_nothing() {
    let (pair, interruption) = interrupted();
    let (world, _, adds) = begun(&pair);
    let (scene, append) = (&world.scene, &world.append);
    let before = world.rows();
    let other = within(&pair, || scene.beside());
    let vault = other.vault.clone();
    let fill: Happens = Box::new(move || {
        vault
            .set_quota(Who::Folder, &repository(), Some(1))
            .unwrap()
    });
    *interruption.lock() = Some((4, fill));
    let refused = world.client.send(scene, append, &adds);
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    assert_eq!(world.rows(), before);
    assert_eq!(told(scene), 1);
    assert_eq!(world.missing(), [(0, Vec::new())]);
}
