//! SQLite and PostgreSQL do the same, whatever they are told.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use strongroom_vault::Result;
use strongroom_vault::database::{Database, Row, Transaction, Value};

use crate::database::{Scene, own};

/// What a note may hold.
#[derive(Clone, Debug)]
struct Note {
    number: Option<i64>,
    word: Option<String>,
    bytes: Option<Vec<u8>>,
}

#[derive(Clone, Debug)]
enum Act {
    Insert(i64, Note),
    Put(i64, Note),
    PutIfLater(i64, i64),
    Move(i64, i64),
    Rename(String, Option<String>),
    Delete(i64, i64),
    Count(String),
    Nested {
        acts: Vec<Act>,
        fails: bool,
        swallows: bool,
    },
}

/// A transaction: what it does, and whether it fails in the end.
type Story = Vec<(Vec<Act>, bool)>;

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[abAB_é-]{0,3}",
        any::<String>(),
        Just("with\0nul".to_owned()),
    ]
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![-3..3_i64, Just(i64::MIN), Just(i64::MAX), any::<i64>()]
}

fn note() -> impl Strategy<Value = Note> {
    let bytes = prop::collection::vec(any::<u8>(), 0..20);
    (
        prop::option::of(number()),
        prop::option::of(word()),
        prop::option::of(bytes),
    )
        .prop_map(|(number, word, bytes)| Note {
            number,
            word,
            bytes,
        })
}

fn act() -> impl Strategy<Value = Act> {
    let id = || 0..6_i64;
    let simple = prop_oneof![
        (id(), note()).prop_map(|(id, note)| Act::Insert(id, note)),
        (id(), note()).prop_map(|(id, note)| Act::Put(id, note)),
        (id(), number()).prop_map(|(id, number)| Act::PutIfLater(id, number)),
        (id(), id()).prop_map(|(from, to)| Act::Move(from, to)),
        (word(), prop::option::of(word())).prop_map(|(from, to)| Act::Rename(from, to)),
        (number(), number()).prop_map(|(from, to)| Act::Delete(from, to)),
        word().prop_map(Act::Count),
    ];
    simple.prop_recursive(2, 12, 4, |inner| {
        (
            prop::collection::vec(inner, 0..4),
            any::<bool>(),
            any::<bool>(),
        )
            .prop_map(|(acts, fails, swallows)| Act::Nested {
                acts,
                fails,
                swallows,
            })
    })
}

fn story() -> impl Strategy<Value = Story> {
    let acts = prop::collection::vec(act(), 0..8);
    prop::collection::vec((acts, any::<bool>()), 1..6)
}

fn text(text: &Option<String>) -> Value<'_> {
    text.as_deref().map_or(Value::Null, Value::Text)
}

/// Does an act; what there is to be seen of it goes into the diary.
fn perform(act: &Act, transaction: &mut dyn Transaction, diary: &mut Vec<String>) -> Result<()> {
    let changed = match act {
        Act::Insert(id, note) | Act::Put(id, note) => {
            let insert = "INSERT INTO note (id, number, word, bytes) VALUES ($1, $2, $3, $4)";
            let or_update = "ON CONFLICT (id) DO UPDATE SET number = excluded.number,
                             word = excluded.word, bytes = excluded.bytes";
            let statement = match act {
                Act::Insert(..) => insert.to_owned(),
                _ => format!("{insert} {or_update}"),
            };
            let values = [
                Value::Int(*id),
                note.number.map_or(Value::Null, Value::Int),
                text(&note.word),
                note.bytes.as_deref().map_or(Value::Null, Value::Bytes),
            ];
            transaction.execute(&statement, &values)?
        }
        Act::PutIfLater(id, number) => transaction.execute(
            "INSERT INTO note (id, number) VALUES ($1, $2) ON CONFLICT (id)
             DO UPDATE SET number = excluded.number WHERE note.number < excluded.number",
            &[Value::Int(*id), Value::Int(*number)],
        )?,
        Act::Move(from, to) => transaction.execute(
            "UPDATE note SET id = $2 WHERE id = $1",
            &[Value::Int(*from), Value::Int(*to)],
        )?,
        Act::Rename(from, to) => transaction.execute(
            "UPDATE note SET word = $2 WHERE word > $1",
            &[Value::Text(from), text(to)],
        )?,
        Act::Delete(from, to) => transaction.execute(
            "DELETE FROM note WHERE number BETWEEN $1 AND $2",
            &[Value::Int(*from), Value::Int(*to)],
        )?,
        Act::Count(above) => {
            let count = "SELECT COUNT(*), MIN(word), COALESCE(MAX(number), 0), COUNT(bytes) > 0
                         FROM note WHERE word >= $1";
            let found = transaction.first(count, &[Value::Text(above)], |row| {
                Ok((row.int(0)?, row.text(1).ok(), row.int(2)?, row.int(3)?))
            })?;
            diary.push(format!("found {found:?}"));
            0
        }
        Act::Nested {
            acts,
            fails,
            swallows,
        } => {
            let outcome = transaction.nested(&mut |transaction| {
                for act in acts {
                    let outcome = perform(act, transaction, diary);
                    if !swallows {
                        outcome?;
                    }
                }
                if *fails { Err(own()) } else { Ok(()) }
            });
            diary.push(format!("nested {}", outcome.is_ok()));
            0
        }
    };
    diary.push(format!("changed {changed}"));
    Ok(())
}

/// Tells a story to a database; returns all that could be seen.
fn tell(story: &Story, database: &dyn Database) -> Vec<String> {
    let mut seen = Vec::new();
    database
        .write(&mut |transaction| transaction.execute("DELETE FROM note", &[]).map(drop))
        .unwrap();
    for (acts, fails) in story {
        let mut diary = Vec::new();
        let outcome = database.write(&mut |transaction| {
            diary.clear();
            for act in acts {
                perform(act, transaction, &mut diary)?;
            }
            if *fails { Err(own()) } else { Ok(()) }
        });
        seen.append(&mut diary);
        seen.push(format!("committed {}", outcome.is_ok()));
        let show = |row: &dyn Row| {
            let text = row.text(2).ok();
            Ok::<_, strongroom_vault::Error>(format!(
                "{} {:?} {text:?} {:?}",
                row.int(0)?,
                row.maybe_int(1)?,
                row.maybe_bytes(3)?
            ))
        };
        database
            .read(&mut |transaction| {
                let all = "SELECT id, number, word, bytes FROM note
                           ORDER BY word IS NULL, word, id";
                transaction.query(all, &[], &mut |row| {
                    seen.push(show(row)?);
                    Ok(())
                })
            })
            .unwrap();
    }
    seen
}

#[test]
fn both_databases_tell_the_same_story() {
    let scenes = [Scene::sqlite(), Scene::postgres()];
    let [sqlite, postgres] = scenes.each_ref().map(Scene::open);
    let mut runner = TestRunner::new(Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&story(), |story| {
            prop_assert_eq!(tell(&story, &*sqlite), tell(&story, &*postgres));
            Ok(())
        })
        .unwrap();
}
