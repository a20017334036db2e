//! From a time to a number of leaves, however many moments there are.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use strongroom_vault::Result;
use strongroom_vault::database::{Database, Transaction, Value};
use strongroom_vault::records::leaves;

use crate::database::{Scene, both};

both! {
    a_time_is_found_by_one_look_into_the_index
    a_time_is_the_leaves_until_it
}

/// As many as a small vault has after some weeks.
const MOMENTS: i64 = 400_000;

/// Looks at one place; as many as a restore of as many packs takes.
const LOOKS: i64 = 1_000;

fn count(database: &dyn Database, recorded_ms: i64) -> u64 {
    let mut counted = None;
    let looked = database.read(&mut |transaction| {
        counted = Some(leaves::count_until(transaction, recorded_ms)?);
        Ok(())
    });
    looked.unwrap();
    counted.unwrap()
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
