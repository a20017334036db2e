//! From a time to a number of leaves, however many moments there are, and however many have gone.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use strongroom_model::{FileName, FileType, Id};
use strongroom_vault::Result;
use strongroom_vault::database::{Database, Transaction, Value};
use strongroom_vault::records::leaves::{self, Act, Moment};
use strongroom_vault::records::moments::{self, Spot};
use strongroom_vault::records::objects::{self, Key, View};
use strongroom_vault::records::{purging, tombstones};
use strongroom_vault::rules::life::{Delete, Object, State};
use strongroom_vault::rules::moments::Marks;

use crate::database::{Scene, both, empty_log};

both! {
    a_time_is_found_by_one_look_into_the_index
    a_time_is_the_leaves_until_it
    moments_go_and_every_time_shows_what_it_showed
}

/// As many as a small vault has after some weeks.
const MOMENTS: i64 = 400_000;

/// Looks at one place; as many as a restore of as many packs takes.
const LOOKS: i64 = 1_000;

fn count(database: &dyn Database, recorded_ms: i64) -> u64 {
    database
        .look(|transaction| leaves::count_until(transaction, recorded_ms))
        .unwrap()
}

/// Moments in steps of ten milliseconds, and three leaves each.
fn fill(transaction: &mut dyn Transaction) -> Result<()> {
    let statement = "INSERT INTO moment (first_leaf, recorded_ms) \
         WITH RECURSIVE number(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < $1) \
         SELECT n * 3, n * 10 FROM number";
    let filled = transaction.execute(statement, &[Value::Int(MOMENTS)])?;
    assert_eq!(filled, MOMENTS as u64);
    let statement = "UPDATE log_head SET leaves = $1 WHERE one = 1";
    transaction.execute(statement, &[Value::Int(MOMENTS * 3)])?;
    Ok(())
}

fn a_time_is_found_by_one_look_into_the_index(scene: &Scene) {
    let database = scene.open();
    database
        .write(&mut |transaction| fill(transaction))
        .unwrap();
    let last_ms = (MOMENTS - 1) * 10;
    for (recorded_ms, expected) in [
        (-1, 0),
        (0, 3),
        (last_ms / 2 / 10 * 10, ((MOMENTS - 1) / 2 + 1) as u64 * 3),
        (last_ms - 1, (MOMENTS - 1) as u64 * 3),
        (last_ms, MOMENTS as u64 * 3),
    ] {
        let began = Instant::now();
        for _ in 0..LOOKS {
            assert_eq!(count(&*database, recorded_ms), expected);
        }
        // A look at all moments takes some 20 ms; one into the index a few µs and a round trip.
        let took = began.elapsed();
        assert!(took < Duration::from_secs(4), "{took:?} at {recorded_ms}");
    }
}

fn a_time_is_the_leaves_until_it(scene: &Scene) {
    let database = scene.open();
    let cases = prop::collection::vec((0..4_i64, 1..4_i64), 1..30);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(30));
    let outcome = runner.run(&cases, |steps| {
        // As the log notes them: a row where time went on, and none where it did not.
        let (mut now_ms, mut leaf, mut moments) = (1_000, 0, Vec::new());
        for (passed_ms, leaves) in steps {
            now_ms += passed_ms;
            if moments.last().is_none_or(|(_, last_ms)| *last_ms < now_ms) {
                moments.push((leaf, now_ms));
            }
            leaf += leaves;
        }
        let written = database.write(&mut |transaction| {
            transaction.execute("DELETE FROM moment", &[])?;
            for (first_leaf, recorded_ms) in &moments {
                let values = [Value::Int(*first_leaf), Value::Int(*recorded_ms)];
                let statement = "INSERT INTO moment (first_leaf, recorded_ms) VALUES ($1, $2)";
                transaction.execute(statement, &values)?;
            }
            let head = "UPDATE log_head SET leaves = $1 WHERE one = 1";
            transaction.execute(head, &[Value::Int(leaf)]).map(drop)
        });
        written.unwrap();
        for at_ms in 998..=now_ms + 1 {
            let later = moments
                .iter()
                .filter(|(_, recorded_ms)| *recorded_ms > at_ms);
            let expected = later.map(|(first, _)| *first).min().unwrap_or(leaf);
            prop_assert_eq!(count(&*database, at_ms), expected as u64);
        }
        Ok(())
    });
    outcome.unwrap();
}

/// What may happen, and how long after the step before.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A leaf that tells of no object.
    Leaf,
    Put(u8),
    /// By a second token as well.
    PutToo(u8),
    Remove(u8),
    Undelete(u8),
    Purge(u8),
}

fn steps() -> impl Strategy<Value = Vec<(i64, Step)>> {
    let step = prop_oneof![
        4 => Just(Step::Leaf),
        3 => (0..4_u8).prop_map(Step::Put),
        1 => (0..4_u8).prop_map(Step::PutToo),
        2 => (0..4_u8).prop_map(Step::Remove),
        1 => (0..4_u8).prop_map(Step::Undelete),
        2 => (0..4_u8).prop_map(Step::Purge),
    ];
    prop::collection::vec((0..3_i64, step), 1..25)
}

fn key(number: u8) -> Key {
    Key::new(1, FileName::new(FileType::Data, Id::of(&[number])))
}

/// Adds a leaf; what it says does not matter.
fn leaf(transaction: &mut dyn Transaction, now_ms: i64) -> Result<u64> {
    let moment = Moment {
        recorded_ms: now_ms,
        vault_ms: now_ms,
    };
    leaves::append(transaction, moment, &Act::ClockConfirmed { by: None })
}

/// Does what a vault does, as far as there is anything to do.
fn follow(transaction: &mut dyn Transaction, now_ms: i64, step: Step) -> Result<()> {
    let (Step::Put(number)
    | Step::PutToo(number)
    | Step::Remove(number)
    | Step::Undelete(number)
    | Step::Purge(number)) = step
    else {
        return leaf(transaction, now_ms).map(drop);
    };
    let key = key(number);
    let found = objects::get(transaction, &key)?;
    match (step, found.as_ref().map(|object| object.state)) {
        (Step::Put(_), None) => {
            let object = Object {
                generation: 1,
                bytes: 10,
                state: State::Live,
                token: 1,
                began: leaf(transaction, now_ms)?,
                ended: None,
                arrived_ms: now_ms,
                tombstoned_ms: None,
            };
            objects::insert(transaction, &key, &object)
        }
        (Step::Put(_), Some(State::Tombstoned)) => {
            let number = leaf(transaction, now_ms)?;
            objects::revive(transaction, &key, number, now_ms, 1)
        }
        (Step::PutToo(_), Some(State::Live)) => objects::add_putter(transaction, &key, 2),
        (Step::Remove(_), Some(State::Live)) => {
            let number = leaf(transaction, now_ms)?;
            tombstones::make(transaction, &key, Delete::Ends, number, now_ms, 1)
        }
        (Step::Undelete(_), Some(State::Tombstoned)) => {
            let number = leaf(transaction, now_ms)?;
            objects::restore(transaction, &key, number)
        }
        (Step::Purge(_), Some(State::Tombstoned)) => {
            leaf(transaction, now_ms)?;
            purging::begin(transaction, &key)?;
            if let Some(object) = found {
                purging::end(transaction, &key, &object)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// All that is made of a time: what is seen as of it, and what was put or deleted since.
fn shown(transaction: &mut dyn Transaction, until_ms: i64) -> Result<Vec<(i64, Vec<u8>)>> {
    let mut all = Vec::new();
    for at_ms in 998..=until_ms {
        let leaves = leaves::count_until(transaction, at_ms)?;
        let mut seen = Vec::new();
        for number in 0..4 {
            let found = objects::seen(transaction, &key(number), View::AsOf(leaves))?;
            seen.push(u8::from(found.is_some()));
        }
        for (table, since) in [
            ("object", "put >= $1"),
            ("object", "state = 1 AND COALESCE(tombstone, ended) >= $1"),
            ("putter", "put >= $1"),
        ] {
            let statement = format!("SELECT COUNT(*) FROM {table} WHERE {since}");
            let values = [Value::Int(leaves as i64)];
            let count = transaction.first(&statement, &values, |row| row.int(0))?;
            seen.push(count.unwrap() as u8);
        }
        all.push((at_ms, seen));
    }
    Ok(all)
}

fn count_moments(transaction: &mut dyn Transaction) -> Result<i64> {
    let count = "SELECT COUNT(*) FROM moment";
    Ok(transaction.first(count, &[], |row| row.int(0))?.unwrap())
}

/// Lets go of what nobody needs, with pages of three objects.
fn thin(transaction: &mut dyn Transaction) -> Result<u64> {
    let mut marks = Marks::new(0, leaves::head(transaction)?.leaves);
    moments::of_repositories(transaction, &mut |leaf| marks.mark(leaf))?;
    let mut next = Some(Spot::FIRST);
    while let Some(behind) = next {
        next = moments::of_objects(transaction, &behind, 3, &mut |leaf| marks.mark(leaf))?;
    }
    let page = moments::page(transaction, 0, 1_000)?;
    moments::remove(transaction, &marks.unneeded(&page))
}

fn moments_go_and_every_time_shows_what_it_showed(scene: &Scene) {
    let database = scene.open();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(24));
    let outcome = runner.run(&steps(), |steps| {
        let mut now_ms = 1_000;
        let mut compared = None;
        let written = database.write(&mut |transaction| {
            empty_log(transaction)?;
            for table in ["object", "past", "putter", "purged", "tally"] {
                transaction.execute(&format!("DELETE FROM {table}"), &[])?;
            }
            now_ms = 1_000;
            for (number, (passed_ms, step)) in steps.iter().enumerate() {
                now_ms += passed_ms;
                follow(transaction, now_ms, *step)?;
                // Some go while there is more to come.
                if number == steps.len() / 2 {
                    thin(transaction)?;
                }
            }
            let before = shown(transaction, now_ms + 1)?;
            thin(transaction)?;
            let after = shown(transaction, now_ms + 1)?;
            let left = count_moments(transaction)?;
            let again = thin(transaction)?;
            compared = Some((before, after, left, again));
            Ok(())
        });
        written.unwrap();
        let (before, after, left, again) = compared.unwrap();
        prop_assert_eq!(before, after);
        prop_assert_eq!(again, 0);
        // No more are left than there are leaves of which objects speak, and the last one.
        let mut spoken = std::collections::BTreeSet::new();
        let read = database.read(&mut |transaction| {
            let mut next = Some(Spot::FIRST);
            while let Some(behind) = next {
                let each = &mut |leaf: u64| {
                    spoken.insert(leaf);
                };
                next = moments::of_objects(transaction, &behind, 100, each)?;
            }
            Ok(())
        });
        read.unwrap();
        prop_assert!(left <= spoken.len() as i64 + 1, "{} of {:?}", left, spoken);
        Ok(())
    });
    outcome.unwrap();
}
