//! The head of the log is kept by a transaction and written once for all its leaves, and nobody
//! ever finds it behind: no number is given twice, and none is left out.

use std::sync::Arc;
use std::thread;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value as Json;
use strongroom_vault::database::{Commits, Database, Kept, Transaction};
use strongroom_vault::records::leaves::{self, Act, Dated, Moment};
use strongroom_vault::{Error, Result};

use crate::database::{Scene, Telling, both, empty_log, ids, number, own, put};

both! {
    the_head_is_written_by_the_first_leaf_and_once_more_for_all_behind_it
    the_first_leaf_of_each_transaction_asks_the_database
    a_leaf_that_is_too_long_takes_no_number_wherever_it_comes
    a_row_that_is_kept_is_there_for_whoever_names_its_table
    a_row_that_was_kept_goes_with_what_was_taken_back
    a_row_that_cannot_be_written_fails_the_commit
    processes_that_append_at_once_leave_no_gap_whatever_fails
    the_log_is_what_it_would_be_were_each_leaf_written_for_itself
}

/// Adds a leaf; what it says does not matter.
fn leaf(transaction: &mut dyn Transaction, recorded_ms: i64, vault_ms: i64) -> Result<Dated> {
    let moment = Moment {
        recorded_ms,
        vault_ms,
    };
    leaves::append_dated(transaction, moment, &Act::ClockConfirmed { by: None })
}

/// Tries to add a leaf that the log cannot hold.
fn too_long(transaction: &mut dyn Transaction) -> Result<()> {
    let moment = Moment {
        recorded_ms: 1_100,
        vault_ms: 1_100,
    };
    let entry = "x".repeat(70_000);
    leaves::append(transaction, moment, &Act::Carried { entry }).map(drop)
}

/// The log as it is, or as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Log {
    recorded_ms: i64,
    vault_ms: i64,
    /// The times of each leaf, as recorded and of the vault.
    leaves: Vec<[i64; 2]>,
    /// First leaf and time.
    moments: Vec<[i64; 2]>,
}

impl Log {
    /// What is stored. The head counts all leaves that there are, and no other.
    fn stored(database: &dyn Database) -> Self {
        let read = database.look(|transaction| {
            let mut log = Self::default();
            let times = "SELECT recorded_ms, vault_ms FROM log_head";
            transaction.query(times, &[], &mut |row| {
                (log.recorded_ms, log.vault_ms) = (row.int(0)?, row.int(1)?);
                Ok(())
            })?;
            leaves::entries(transaction, 0, 10_000, &mut |number, entry| {
                let entry: Json = serde_json::from_slice(&entry).unwrap();
                assert_eq!(number, log.leaves.len() as u64);
                assert_eq!(entry["n"], number);
                let time = |name: &str| {
                    let text = entry[name].as_str().unwrap();
                    text.parse::<Timestamp>().unwrap().as_millisecond()
                };
                log.leaves.push([time("at"), time("vault")]);
                Ok(())
            })?;
            let count = leaves::head(transaction)?.leaves;
            assert_eq!(count, log.leaves.len() as u64);
            let moments = "SELECT first_leaf, recorded_ms FROM moment ORDER BY first_leaf";
            transaction.query(moments, &[], &mut |row| {
                log.moments.push([row.int(0)?, row.int(1)?]);
                Ok(())
            })?;
            Ok(log)
        });
        read.unwrap()
    }

    fn note_time(&mut self, recorded_ms: i64, vault_ms: i64) {
        self.recorded_ms = self.recorded_ms.max(recorded_ms);
        self.vault_ms = self.vault_ms.max(vault_ms);
    }

    fn append(&mut self, recorded_ms: i64, vault_ms: i64) {
        self.note_time(recorded_ms, vault_ms);
        let number = self.leaves.len() as i64;
        self.leaves.push([self.recorded_ms, self.vault_ms]);
        let last = self.moments.last();
        if last.is_none_or(|[_, last_ms]| *last_ms < self.recorded_ms) {
            self.moments.push([number, self.recorded_ms]);
        }
    }

    fn count_until(&self, recorded_ms: i64) -> u64 {
        let mut later = self.moments.iter().filter(|[_, ms]| *ms > recorded_ms);
        let count = self.leaves.len() as i64;
        later.next().map_or(count, |[first, _]| *first) as u64
    }
}

/// Counts in a note how often the head is written.
const COUNT_ON_SQLITE: &str = "
    CREATE TRIGGER head_is_written AFTER UPDATE ON log_head
    BEGIN UPDATE note SET number = number + 1 WHERE id = 1; END;";

/// The same.
const COUNT_ON_POSTGRES: &str = "
    CREATE FUNCTION count_write() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE note SET number = number + 1 WHERE id = 1;
        RETURN NULL;
    END $$;
    CREATE TRIGGER head_is_written AFTER UPDATE ON log_head
    FOR EACH ROW EXECUTE FUNCTION count_write();";

/// Has the database itself count how often the head is written: what a transaction keeps it writes
/// where its work sees nothing of it.
fn count_writes(scene: &Scene, database: &dyn Database) {
    let trigger = match scene {
        Scene::Sqlite(_) => COUNT_ON_SQLITE,
        Scene::Postgres(_) => COUNT_ON_POSTGRES,
    };
    let begun = database.write(&mut |transaction| {
        put(transaction, 1, 0)?;
        transaction.define(trigger)
    });
    begun.unwrap();
}

/// The number of the first note.
fn noted(database: &dyn Database) -> Option<i64> {
    database.look(|transaction| number(transaction, 1)).unwrap()
}

fn the_head_is_written_by_the_first_leaf_and_once_more_for_all_behind_it(scene: &Scene) {
    let database = scene.open();
    count_writes(scene, &*database);
    let mut told = Vec::new();
    database
        .write(&mut |transaction| {
            told.clear();
            let mut telling = Telling::new(transaction, |_, statement, _| {
                told.push(statement.to_owned());
                Ok(())
            });
            for _ in 0..64 {
                leaf(&mut telling, 1_000, 1_000)?;
            }
            Ok(())
        })
        .unwrap();
    let count = |begin: &str| {
        told.iter()
            .filter(|statement| statement.starts_with(begin))
            .count()
    };
    assert_eq!(count("UPDATE log_head"), 1, "{told:?}");
    assert_eq!(count("INSERT INTO leaf"), 64, "{told:?}");
    assert_eq!(count("INSERT INTO moment"), 1, "{told:?}");
    assert_eq!(told.len(), 66, "{told:?}");
    let stored = Log::stored(&*database);
    assert_eq!(stored.leaves, [[1_000, 1_000]; 64]);
    assert_eq!(stored.moments, [[0, 1_000]]);
    assert_eq!(noted(&*database), Some(2));
    // A leaf alone writes it once; whoever names it has it written where several came before.
    let write = |groups: &[u64]| {
        let before = noted(&*database);
        let written = database.write(&mut |transaction| {
            for (place, count) in groups.iter().enumerate() {
                if place > 0 {
                    leaves::head(transaction)?;
                }
                for _ in 0..*count {
                    leaf(transaction, 1_000, 1_000)?;
                }
            }
            Ok(())
        });
        written.unwrap();
        noted(&*database)
            .zip(before)
            .map(|(after, before)| after - before)
    };
    assert_eq!(write(&[1]), Some(1));
    assert_eq!(write(&[9, 9]), Some(4));
    assert_eq!(write(&[1, 1]), Some(2));
    assert_eq!(write(&[9, 0]), Some(2));
    assert_eq!(write(&[0, 0]), Some(0));
}

fn the_first_leaf_of_each_transaction_asks_the_database(scene: &Scene) {
    let processes = [scene.open(), scene.open()];
    let mut expected = Log::stored(&*processes[0]);
    for round in 0..6 {
        let process = &processes[round % 2];
        let mut numbers = Vec::new();
        let outcome = process.write(&mut |transaction| {
            assert_eq!(transaction.kept(), None);
            numbers.clear();
            for _ in 0..3 {
                numbers.push(leaf(transaction, 1_000, 1_000)?.number);
            }
            // Every third one is taken back.
            if round % 3 == 2 { Err(own()) } else { Ok(()) }
        });
        let first = expected.leaves.len() as u64;
        assert_eq!(numbers, [first, first + 1, first + 2]);
        if outcome.is_ok() {
            (0..3).for_each(|_| expected.append(1_000, 1_000));
        }
        assert_eq!(Log::stored(&**process), expected);
    }
    assert_eq!(expected.leaves.len(), 12);
}

fn a_leaf_that_is_too_long_takes_no_number_wherever_it_comes(scene: &Scene) {
    let database = scene.open();
    // Behind a head that is kept, whatever a work makes of the error.
    database
        .write(&mut |transaction| {
            assert_eq!(leaf(transaction, 1_000, 1_000)?.number, 0);
            too_long(transaction).unwrap_err();
            assert_eq!(leaf(transaction, 1_000, 1_000)?.number, 1);
            too_long(transaction).unwrap_err();
            Ok(())
        })
        .unwrap();
    let mut expected = vec![[1_000, 1_000]; 2];
    assert_eq!(Log::stored(&*database).leaves, expected);
    // As the first of its transaction, and where the head was let go.
    database
        .write(&mut |transaction| {
            for _ in 0..2 {
                too_long(transaction).unwrap_err();
                assert_eq!(leaves::head(transaction)?.leaves, 2);
            }
            Ok(())
        })
        .unwrap();
    let stored = Log::stored(&*database);
    assert_eq!(stored.leaves, expected);
    assert_eq!(stored.moments, [[0, 1_000]]);
    database
        .write(&mut |transaction| {
            too_long(transaction).unwrap_err();
            // It leaves no time behind either.
            let dated = leaf(transaction, 1_000, 1_000)?;
            assert_eq!((dated.number, dated.moment.recorded_ms), (2, 1_000));
            assert_eq!(leaf(transaction, 1_000, 1_000)?.number, 3);
            assert_eq!(leaves::head(transaction)?.leaves, 4);
            too_long(transaction).unwrap_err();
            Ok(())
        })
        .unwrap();
    expected.extend([[1_000, 1_000]; 2]);
    let stored = Log::stored(&*database);
    assert_eq!(stored.leaves, expected);
    assert_eq!(stored.moments, [[0, 1_000]]);
    assert_eq!([stored.recorded_ms, stored.vault_ms], [1_000, 1_000]);
}

/// A note as a row that is kept: its number becomes `number`.
fn kept_note(id: i64, number: i64) -> Kept {
    Kept {
        table: "note",
        statement: "UPDATE note SET number = $1 WHERE id = $2 AND number < $3",
        numbers: [number, id, 100],
        is_written: false,
    }
}

fn a_row_that_is_kept_is_there_for_whoever_names_its_table(scene: &Scene) {
    let database = scene.open();
    database
        .write(&mut |transaction| {
            put(transaction, 1, 1)?;
            transaction.keep(kept_note(1, 2));
            leaves::head(transaction)?;
            assert_eq!(transaction.kept(), Some(kept_note(1, 2)));
            assert_eq!(number(transaction, 1)?, Some(2));
            assert_eq!(transaction.kept(), None);
            transaction.keep(kept_note(1, 3));
            transaction.nested(&mut |transaction| {
                assert_eq!(transaction.kept(), None);
                assert_eq!(number(transaction, 1)?, Some(3));
                transaction.keep(kept_note(1, 4));
                Ok(())
            })?;
            assert_eq!(number(transaction, 1)?, Some(4));
            transaction.keep(kept_note(1, 5));
            Ok(())
        })
        .unwrap();
    assert_eq!(noted(&*database), Some(5));
}

fn a_row_that_was_kept_goes_with_what_was_taken_back(scene: &Scene) {
    let database = scene.open();
    database
        .write(&mut |transaction| {
            put(transaction, 1, 1)?;
            transaction.keep(kept_note(1, 2));
            transaction
                .nested(&mut |transaction| {
                    transaction.keep(kept_note(1, 3));
                    Err(own())
                })
                .unwrap_err();
            assert_eq!(transaction.kept(), None);
            assert_eq!(number(transaction, 1)?, Some(2));
            Ok(())
        })
        .unwrap();
    database
        .write(&mut |transaction| {
            transaction.keep(kept_note(1, 4));
            Err(own())
        })
        .unwrap_err();
    database
        .write(&mut |transaction| {
            assert_eq!(transaction.kept(), None);
            assert_eq!(number(transaction, 1)?, Some(2));
            Ok(())
        })
        .unwrap();
}

fn a_row_that_cannot_be_written_fails_the_commit(scene: &Scene) {
    let database = scene.open();
    let write = |is_asked_for: bool| {
        database.write(&mut |transaction| {
            put(transaction, 1, 1)?;
            // There is no such note.
            transaction.keep(kept_note(9, 2));
            if is_asked_for {
                // Nor does it help to swallow that.
                let _ = number(transaction, 1);
            }
            Ok(())
        })
    };
    for is_asked_for in [false, true] {
        let error = write(is_asked_for).unwrap_err();
        assert!(matches!(error, Error::Database { .. }), "{error:?}");
        assert!(ids(&*database).is_empty());
    }
}

fn processes_that_append_at_once_leave_no_gap_whatever_fails(scene: &Scene) {
    let processes = [scene.open(), scene.open()];
    let commits = processes
        .each_ref()
        .map(|database| Commits::new(Arc::clone(database)).unwrap());
    // What is done is one leaf, two of them, or one too much: by itself, alone or behind another.
    let work = |commits: &Commits, round: i64| {
        commits.commit(move |transaction| {
            let mut numbers = Vec::new();
            if round % 5 != 3 {
                numbers.push(leaf(transaction, 1_000 + round, 1_000)?.number);
            }
            match round % 5 {
                0 => numbers.push(leaf(transaction, 1_000, 1_000 + round)?.number),
                1 => return Err(own()),
                2 | 3 => too_long(transaction)?,
                _ => {}
            }
            Ok(numbers)
        })
    };
    let mut numbers: Vec<u64> = Vec::new();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..16_usize)
            .map(|thread| {
                let (commits, work) = (&commits[thread % 2], &work);
                scope.spawn(move || {
                    let outcomes = (0..10).map(|round| (round, work(commits, round)));
                    let mut numbers = Vec::new();
                    for (round, outcome) in outcomes {
                        assert_eq!(outcome.is_ok(), matches!(round % 5, 0 | 4));
                        numbers.extend(outcome.into_iter().flatten());
                    }
                    numbers
                })
            })
            .collect();
        for thread in threads {
            numbers.extend(thread.join().unwrap());
        }
    });
    drop(commits);
    numbers.sort_unstable();
    // Two of each five works are answered, with three leaves.
    let expected: Vec<u64> = (0..16 * 10 / 5 * 3).collect();
    assert_eq!(numbers, expected);
    let stored = Log::stored(&*processes[0]);
    assert_eq!(stored.leaves.len(), expected.len());
}

#[derive(Clone, Debug)]
enum Step {
    Leaf(i64, i64),
    TooLong,
    NoteTime(i64, i64),
    Head,
    CountUntil(i64),
    Nested(Vec<Step>, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let ms = || 1_000..1_010_i64;
    let simple = prop_oneof![
        8 => (ms(), ms()).prop_map(|(recorded, vault)| Step::Leaf(recorded, vault)),
        1 => Just(Step::TooLong),
        1 => (ms(), ms()).prop_map(|(recorded, vault)| Step::NoteTime(recorded, vault)),
        1 => Just(Step::Head),
        1 => ms().prop_map(Step::CountUntil),
    ];
    simple.prop_recursive(2, 12, 4, |inner| {
        (prop::collection::vec(inner, 0..4), any::<bool>())
            .prop_map(|(steps, fails)| Step::Nested(steps, fails))
    })
}

/// Takes some steps, and fails at the end where it should.
fn follow(
    steps: &[Step],
    fails: bool,
    transaction: &mut dyn Transaction,
    log: &mut Log,
) -> Result<()> {
    for step in steps {
        match step {
            Step::Leaf(recorded_ms, vault_ms) => {
                let dated = leaf(transaction, *recorded_ms, *vault_ms)?;
                log.append(*recorded_ms, *vault_ms);
                assert_eq!(dated.number + 1, log.leaves.len() as u64);
                let moment = [dated.moment.recorded_ms, dated.moment.vault_ms];
                assert_eq!(log.leaves.last(), Some(&moment));
            }
            Step::TooLong => too_long(transaction)?,
            Step::NoteTime(recorded_ms, vault_ms) => {
                let moment = Moment {
                    recorded_ms: *recorded_ms,
                    vault_ms: *vault_ms,
                };
                leaves::note_time(transaction, moment)?;
                log.note_time(*recorded_ms, *vault_ms);
            }
            Step::Head => {
                let count = leaves::head(transaction)?.leaves;
                assert_eq!(count, log.leaves.len() as u64);
            }
            Step::CountUntil(recorded_ms) => {
                let count = leaves::count_until(transaction, *recorded_ms)?;
                assert_eq!(count, log.count_until(*recorded_ms));
            }
            Step::Nested(steps, fails) => {
                let before = log.clone();
                let mut work = |inner: &mut dyn Transaction| follow(steps, *fails, inner, log);
                if transaction.nested(&mut work).is_err() {
                    *log = before;
                }
            }
        }
    }
    if fails { Err(own()) } else { Ok(()) }
}

fn the_log_is_what_it_would_be_were_each_leaf_written_for_itself(scene: &Scene) {
    let processes = [scene.open(), scene.open()];
    let transaction = (
        prop::collection::vec(step(), 0..10),
        0..2_usize,
        prop::bool::weighted(0.2),
    );
    let mut runner = TestRunner::new(Config {
        cases: 60,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&prop::collection::vec(transaction, 1..6), |story| {
        processes[0]
            .write(&mut |transaction| empty_log(transaction))
            .unwrap();
        let mut expected = Log::default();
        for (steps, process, fails) in &story {
            let process = &processes[*process];
            let mut log = Log::default();
            let outcome = process.write(&mut |transaction| {
                log = expected.clone();
                follow(steps, *fails, transaction, &mut log)
            });
            if outcome.is_ok() {
                expected = log;
            }
            let stored = Log::stored(&**process);
            prop_assert_eq!(&stored, &expected);
        }
        Ok(())
    });
    outcome.unwrap();
}
