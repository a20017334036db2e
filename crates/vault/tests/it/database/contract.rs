//! The contract of a database.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use strongroom_vault::database::{Database, Row, Transaction, Value, Work};
use strongroom_vault::{Error, Result};

use crate::database::{Scene, both, ids, is_own, number, own, put};

both! {
    values_come_back_as_they_went
    a_value_of_another_type_or_column_is_an_error
    a_text_with_a_nul_is_refused
    numbers_of_values_must_agree
    values_are_found_by_their_number
    several_statements_in_one_are_refused
    a_count_says_how_many_rows_changed
    what_was_returned_by_a_change_can_be_read
    text_is_ordered_by_its_bytes
    what_failed_left_nothing
    a_statement_that_failed_spoils_the_transaction
    an_error_of_a_reader_ends_the_query_and_not_the_transaction
    a_panic_leaves_nothing_and_the_database_goes_on
    nested_work_that_fails_leaves_nothing_and_the_rest_stays
    nested_work_that_swallows_a_failure_leaves_nothing
    a_read_cannot_write
    a_read_stays_on_its_state_while_others_write
    a_look_by_one_statement_sees_what_was_committed_before_it_and_cannot_write
    readers_never_see_half_of_a_transaction
    writers_follow_each_other
    more_may_read_at_once_than_there_are_connections
    nothing_waits_for_lists_and_lists_for_nothing_else
    many_rows_are_never_in_memory
}

/// Number, word and bytes of a note.
type Fields<'f> = (Option<i64>, Option<&'f str>, Option<&'f [u8]>);

fn values_come_back_as_they_went(scene: &Scene) {
    let database = scene.open();
    let large: Vec<u8> = (0..1_000_000_u32)
        .map(|n| (n.wrapping_mul(n) >> 3) as u8)
        .collect();
    let rows: &[Fields<'_>] = &[
        (Some(i64::MIN), Some(""), Some(b"")),
        (
            Some(i64::MAX),
            Some("Zürich 🏔 'quoted' \\"),
            Some(b"\0\xff\0"),
        ),
        (Some(0), Some("5"), Some(&large)),
        (Some(-1), None, None),
        (None, Some("x"), None),
        (None, None, Some(b"NULL")),
    ];
    database
        .write(&mut |transaction| {
            for (id, (number, word, bytes)) in (0..).zip(rows) {
                transaction.execute(
                    "INSERT INTO note (id, number, word, bytes) VALUES ($1, $2, $3, $4)",
                    &[
                        Value::Int(id),
                        number.map_or(Value::Null, Value::Int),
                        word.map_or(Value::Null, Value::Text),
                        bytes.map_or(Value::Null, Value::Bytes),
                    ],
                )?;
            }
            Ok(())
        })
        .unwrap();
    let mut seen = 0;
    database
        .read(&mut |transaction| {
            let all = "SELECT number, word, bytes, word IS NULL FROM note ORDER BY id";
            transaction.query(all, &[], &mut |row| {
                let (number, word, bytes) = rows[seen];
                assert_eq!(row.maybe_int(0)?, number);
                assert_eq!(row.int(0).ok(), number);
                assert_eq!(row.int(3)?, i64::from(word.is_none()));
                assert_eq!(row.text(1).ok().as_deref(), word);
                assert_eq!(row.maybe_bytes(2)?.as_deref(), bytes);
                assert_eq!(row.bytes(2).ok().as_deref(), bytes);
                seen += 1;
                Ok(())
            })
        })
        .unwrap();
    assert_eq!(seen, rows.len());
}

fn a_value_of_another_type_or_column_is_an_error(scene: &Scene) {
    let database = scene.open();
    database
        .write(&mut |transaction| {
            transaction.execute(
                "INSERT INTO note (id, number, word, bytes) VALUES (1, 5, 'x', $1)",
                &[Value::Bytes(b"y")],
            )?;
            let read = |row: &dyn Row| {
                let wrong: [Result<()>; 8] = [
                    row.int(1).map(drop),
                    row.maybe_int(2).map(drop),
                    row.text(0).map(drop),
                    row.text(2).map(drop),
                    row.bytes(0).map(drop),
                    row.bytes(1).map(drop),
                    row.maybe_bytes(1).map(drop),
                    row.int(3).map(drop),
                ];
                for wrong in wrong {
                    assert!(matches!(wrong, Err(Error::Database { .. })), "{wrong:?}");
                }
                Ok(())
            };
            transaction.first("SELECT number, word, bytes FROM note", &[], read)?;
            Ok(())
        })
        .unwrap();
}

fn refused(database: &dyn Database, statement: &str, values: &[Value<'_>]) {
    let error = database
        .write(&mut |transaction| {
            put(transaction, 1000, 0)?;
            transaction.execute(statement, values).map(drop)
        })
        .unwrap_err();
    assert!(matches!(error, Error::Database { .. }), "{error:?}");
    assert!(ids(database).is_empty());
    let error = database
        .write(&mut |transaction| transaction.query(statement, values, &mut |_| Ok(())))
        .unwrap_err();
    assert!(matches!(error, Error::Database { .. }), "{error:?}");
}

fn a_text_with_a_nul_is_refused(scene: &Scene) {
    let insert = "INSERT INTO note (id, word) VALUES (1, $1)";
    refused(&*scene.open(), insert, &[Value::Text("a\0b")]);
}

fn numbers_of_values_must_agree(scene: &Scene) {
    let database = scene.open();
    let (one, two) = (Value::Int(1), Value::Int(2));
    let both = "INSERT INTO note (id, number) VALUES ($1, $2)";
    refused(&*database, both, &[one]);
    refused(&*database, both, &[one, two, two]);
    refused(&*database, "INSERT INTO note (id) VALUES (1)", &[one]);
    refused(&*database, "INSERT INTO note (id) VALUES ($2)", &[one]);
    refused(&*database, "INSERT INTO note (id) VALUES ($0)", &[one]);
}

fn values_are_found_by_their_number(scene: &Scene) {
    let database = scene.open();
    let insert = "INSERT INTO note (number, id, word) VALUES ($3, $1, $2)";
    let values = [Value::Int(1), Value::Text("two"), Value::Int(3)];
    database
        .write(&mut |transaction| {
            assert_eq!(transaction.execute(insert, &values)?, 1);
            let twice = "SELECT word FROM note WHERE number = $2 AND id = $1 AND number = $2";
            let word =
                transaction.first(twice, &[Value::Int(1), Value::Int(3)], |row| row.text(0))?;
            assert_eq!(word.as_deref(), Some("two"));
            Ok(())
        })
        .unwrap();
}

fn several_statements_in_one_are_refused(scene: &Scene) {
    let two = "DELETE FROM note; DELETE FROM note";
    refused(&*scene.open(), two, &[]);
}

fn a_count_says_how_many_rows_changed(scene: &Scene) {
    let database = scene.open();
    database
        .write(&mut |transaction| {
            for id in 0..10 {
                put(transaction, id, id % 3)?;
            }
            let mut count = |statement: &str| transaction.execute(statement, &[]).unwrap();
            assert_eq!(count("UPDATE note SET word = 'x' WHERE number = 1"), 3);
            assert_eq!(count("UPDATE note SET word = 'x' WHERE number = 1"), 3);
            assert_eq!(count("UPDATE note SET word = 'x' WHERE number = 9"), 0);
            let again = "INSERT INTO note (id) VALUES (5) ON CONFLICT (id) DO";
            assert_eq!(count(&format!("{again} NOTHING")), 0);
            assert_eq!(count(&format!("{again} UPDATE SET number = 7")), 1);
            assert_eq!(count("DELETE FROM note WHERE id < 8 RETURNING id"), 8);
            Ok(())
        })
        .unwrap();
    assert_eq!(ids(&*database), [8, 9]);
}

fn what_was_returned_by_a_change_can_be_read(scene: &Scene) {
    let database = scene.open();
    database
        .write(&mut |transaction| {
            put(transaction, 1, 10)?;
            let add = "UPDATE note SET number = number + $1 WHERE id = 1 RETURNING number";
            let sum = transaction.first(add, &[Value::Int(5)], |row| row.int(0))?;
            assert_eq!(sum, Some(15));
            let none = "DELETE FROM note WHERE id = 2 RETURNING number";
            assert_eq!(transaction.first(none, &[], |row| row.int(0))?, None);
            let total = "SELECT CAST(SUM(number) AS BIGINT), COUNT(*) FROM note";
            transaction.query(total, &[], &mut |row| {
                assert_eq!((row.int(0)?, row.int(1)?), (15, 1));
                Ok(())
            })
        })
        .unwrap();
}

fn text_is_ordered_by_its_bytes(scene: &Scene) {
    let database = scene.open();
    let mut words = ["b", "B", "a", "_", "é", "e", "z", "", "aa", "A", "🏔", "-a"];
    let mut found = Vec::new();
    database
        .write(&mut |transaction| {
            found.clear();
            for (id, word) in (0..).zip(words) {
                let values = [Value::Int(id), Value::Text(word)];
                transaction.execute("INSERT INTO note (id, word) VALUES ($1, $2)", &values)?;
            }
            let all = "SELECT word FROM note WHERE word >= $1 ORDER BY word";
            transaction.query(all, &[Value::Text("-")], &mut |row| {
                found.push(row.text(0)?);
                Ok(())
            })
        })
        .unwrap();
    words.sort_unstable();
    assert_eq!(found, words[1..]);
}

fn what_failed_left_nothing(scene: &Scene) {
    let database = scene.open();
    let error = database
        .write(&mut |transaction| {
            put(transaction, 1, 1)?;
            Err(own())
        })
        .unwrap_err();
    assert!(is_own(&error), "{error:?}");
    assert!(ids(&*database).is_empty());
    assert!(ids(&*scene.open()).is_empty());
}

fn a_statement_that_failed_spoils_the_transaction(scene: &Scene) {
    let database = scene.open();
    let swallowed = database.write(&mut |transaction| {
        put(transaction, 1, 1)?;
        put(transaction, 1, 1).unwrap_err();
        let next = put(transaction, 2, 1).unwrap_err();
        assert!(next.to_string().contains("One before it failed"), "{next}");
        Ok(())
    });
    let error = swallowed.unwrap_err().to_string();
    assert!(error.to_lowercase().contains("unique"), "{error}");
    let other = database.write(&mut |transaction| {
        transaction.execute("SELECT nonsense", &[]).unwrap_err();
        Err(own())
    });
    assert!(is_own(&other.unwrap_err()));
    assert!(ids(&*database).is_empty());
    database
        .write(&mut |transaction| put(transaction, 1, 1))
        .unwrap();
    assert_eq!(ids(&*database), [1]);
}

fn an_error_of_a_reader_ends_the_query_and_not_the_transaction(scene: &Scene) {
    let database = scene.open();
    let mut seen = 0;
    database
        .write(&mut |transaction| {
            seen = 0;
            for id in 0..5000 {
                put(transaction, id, 0)?;
            }
            let error = transaction
                .query("SELECT id FROM note", &[], &mut |_| {
                    seen += 1;
                    if seen == 3 { Err(own()) } else { Ok(()) }
                })
                .unwrap_err();
            assert!(is_own(&error), "{error:?}");
            transaction.execute("DELETE FROM note WHERE id <> 7", &[])?;
            Ok(())
        })
        .unwrap();
    assert_eq!(seen, 3);
    assert_eq!(ids(&*database), [7]);
}

fn a_panic_leaves_nothing_and_the_database_goes_on(scene: &Scene) {
    let database = scene.open();
    for reading in [false, true] {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut work = |transaction: &mut dyn Transaction| {
                if !reading {
                    put(transaction, 1, 1)?;
                }
                transaction.query("SELECT 1", &[], &mut |_| panic!("on purpose"))
            };
            if reading {
                database.read(&mut work)
            } else {
                database.write(&mut work)
            }
        }));
        assert!(outcome.is_err());
        assert!(ids(&*database).is_empty());
    }
    database
        .write(&mut |transaction| put(transaction, 2, 2))
        .unwrap();
    assert_eq!(ids(&*database), [2]);
}

fn nested_work_that_fails_leaves_nothing_and_the_rest_stays(scene: &Scene) {
    let database = scene.open();
    database
        .write(&mut |transaction| {
            put(transaction, 1, 1)?;
            transaction.nested(&mut |transaction| put(transaction, 2, 2))?;
            let error = transaction
                .nested(&mut |transaction| {
                    put(transaction, 3, 3)?;
                    Err(own())
                })
                .unwrap_err();
            assert!(is_own(&error), "{error:?}");
            transaction
                .nested(&mut |transaction| {
                    put(transaction, 4, 4)?;
                    transaction.nested(&mut |transaction| put(transaction, 5, 5))?;
                    put(transaction, 1, 1)
                })
                .unwrap_err();
            transaction.nested(&mut |transaction| {
                transaction
                    .nested(&mut |transaction| put(transaction, 1, 1))
                    .unwrap_err();
                put(transaction, 6, 6)
            })
        })
        .unwrap();
    assert_eq!(ids(&*database), [1, 2, 6]);
}

fn nested_work_that_swallows_a_failure_leaves_nothing(scene: &Scene) {
    let database = scene.open();
    database
        .write(&mut |transaction| {
            put(transaction, 1, 1)?;
            let error = transaction
                .nested(&mut |transaction| {
                    put(transaction, 2, 2)?;
                    put(transaction, 2, 2).unwrap_err();
                    Ok(())
                })
                .unwrap_err();
            assert!(matches!(error, Error::Database { .. }), "{error:?}");
            Ok(())
        })
        .unwrap();
    assert_eq!(ids(&*database), [1]);
}

fn a_read_cannot_write(scene: &Scene) {
    let database = scene.open();
    let error = database
        .read(&mut |transaction| put(transaction, 1, 1))
        .unwrap_err();
    assert!(matches!(error, Error::Database { .. }), "{error:?}");
    assert!(ids(&*database).is_empty());
}

fn a_read_stays_on_its_state_while_others_write(scene: &Scene) {
    let database = scene.open();
    let put_one = |id| database.write(&mut |transaction| put(transaction, id, 0));
    put_one(1).unwrap();
    database
        .read(&mut |transaction| {
            let count = "SELECT COUNT(*) FROM note";
            let before = transaction.first(count, &[], |row| row.int(0))?;
            thread::scope(|scope| scope.spawn(|| put_one(2)).join().unwrap())?;
            let after = transaction.first(count, &[], |row| row.int(0))?;
            assert_eq!((before, after), (Some(1), Some(1)));
            Ok(())
        })
        .unwrap();
    assert_eq!(ids(&*database), [1, 2]);
}

fn a_look_by_one_statement_sees_what_was_committed_before_it_and_cannot_write(scene: &Scene) {
    let database = scene.open();
    let look = |id| database.look_once(|transaction| number(transaction, id));
    for id in 0..10 {
        assert_eq!(look(id).unwrap(), None);
        database
            .write(&mut |transaction| put(transaction, id, 7))
            .unwrap();
        assert_eq!(look(id).unwrap(), Some(7));
        // Whatever became of one, the next one begins anew.
        let refused = database.look_once(|transaction| put(transaction, 100, 7));
        assert!(
            matches!(refused, Err(Error::Database { .. })),
            "{refused:?}"
        );
        let swallowed = database.look_once(|transaction| {
            transaction.execute("SELECT nonsense", &[]).unwrap_err();
            Ok(())
        });
        assert!(
            matches!(swallowed, Err(Error::Database { .. })),
            "{swallowed:?}"
        );
        let broken_off: Result<()> = database.look_once(|transaction| {
            transaction.query("SELECT id FROM note", &[], &mut |_| Err(own()))
        });
        assert!(is_own(&broken_off.unwrap_err()));
    }
    assert_eq!(ids(&*database), (0..10).collect::<Vec<_>>());
}

fn readers_never_see_half_of_a_transaction(scene: &Scene) {
    let database = scene.open();
    database
        .write(&mut |transaction| {
            put(transaction, 1, 0)?;
            put(transaction, 2, 0)
        })
        .unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let set = "UPDATE note SET number = $1 WHERE id = $2";
            for step in 1.. {
                let fails = step % 3 == 0;
                let outcome = database.write(&mut |transaction| {
                    transaction.execute(set, &[Value::Int(step), Value::Int(1)])?;
                    transaction.execute(set, &[Value::Int(step), Value::Int(2)])?;
                    if fails { Err(own()) } else { Ok(()) }
                });
                assert_eq!(outcome.is_err(), fails);
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..200 {
                        database
                            .read(&mut |transaction| {
                                let first = number(transaction, 1)?;
                                let second = number(transaction, 2)?;
                                assert_eq!(first, second);
                                // Every third step failed.
                                assert!(first == Some(0) || first.unwrap() % 3 != 0);
                                Ok(())
                            })
                            .unwrap();
                    }
                })
            })
            .collect();
        let outcomes: Vec<_> = readers.into_iter().map(|reader| reader.join()).collect();
        done.store(true, Ordering::Relaxed);
        assert!(outcomes.iter().all(Result::is_ok));
    });
}

fn writers_follow_each_other(scene: &Scene) {
    let processes = [scene.open(), scene.open()];
    processes[0]
        .write(&mut |transaction| put(transaction, 1, 0))
        .unwrap();
    thread::scope(|scope| {
        for thread in 0..6 {
            let database = &processes[thread % 2];
            scope.spawn(move || {
                for _ in 0..25 {
                    database
                        .write(&mut |transaction| {
                            let old = number(transaction, 1)?.unwrap();
                            let values = [Value::Int(old + 1)];
                            let set = "UPDATE note SET number = $1 WHERE id = 1";
                            transaction.execute(set, &values).map(drop)
                        })
                        .unwrap();
                }
            });
        }
    });
    processes[1]
        .read(&mut |transaction| {
            assert_eq!(number(transaction, 1)?, Some(150));
            Ok(())
        })
        .unwrap();
}

fn more_may_read_at_once_than_there_are_connections(scene: &Scene) {
    let database = scene.open();
    thread::scope(|scope| {
        for _ in 0..30 {
            scope.spawn(|| (0..5).for_each(|_| assert!(ids(&*database).is_empty())));
        }
    });
}

fn nothing_waits_for_lists_and_lists_for_nothing_else(scene: &Scene) {
    let database = scene.open();
    let read = |is_list: bool, work: &mut Work<'_>| match is_list {
        true => database.read_list(work),
        false => database.read(work),
    };
    // As many as have a connection at a time.
    for (are_lists, count) in [(true, 2), (false, 4)] {
        let gate = Barrier::new(count + 1);
        let other = thread::scope(|scope| {
            for _ in 0..count {
                scope.spawn(|| {
                    let hold = &mut |_: &mut dyn Transaction| {
                        gate.wait();
                        gate.wait();
                        Ok(())
                    };
                    read(are_lists, hold).unwrap();
                });
            }
            gate.wait();
            let other = read(!are_lists, &mut |_| Ok(()));
            gate.wait();
            other
        });
        assert!(other.is_ok(), "{other:?}");
    }
}

fn many_rows_are_never_in_memory(scene: &Scene) {
    let database = scene.open();
    let kilobyte = [7; 1024];
    database
        .write(&mut |transaction| {
            transaction
                .execute(
                    "WITH RECURSIVE counted (n) AS (
                         SELECT CAST(1 AS BIGINT)
                         UNION ALL SELECT n + 1 FROM counted WHERE n < 100000
                     )
                     INSERT INTO note (id, bytes) SELECT n, $1 FROM counted",
                    &[Value::Bytes(&kilobyte)],
                )
                .map(|count| assert_eq!(count, 100_000))
        })
        .unwrap();
    let before = peak_bytes();
    let mut seen = 0;
    database
        .read(&mut |transaction| {
            seen = 0;
            transaction.query("SELECT id, bytes FROM note ORDER BY id", &[], &mut |row| {
                seen += 1;
                assert_eq!(row.int(0)?, seen);
                assert_eq!(row.bytes(1)?.len(), 1024);
                Ok(())
            })
        })
        .unwrap();
    assert_eq!(seen, 100_000);
    let grown = peak_bytes() - before;
    assert!(grown < 30_000_000, "{grown} bytes for 100 MB of rows");
}

/// The most memory that this process ever had.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes: u64 = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kilobytes * 1024
}
