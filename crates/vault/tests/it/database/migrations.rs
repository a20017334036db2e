//! The schema goes forward only, once, and never backward.

use std::thread;

use strongroom_vault::Error;
use strongroom_vault::database::{Value, migrate};

use crate::database::{Scene, both};

both! {
    old_data_is_there_after_a_step_forward
    a_step_that_fails_changes_nothing
    a_newer_schema_is_refused_and_left_alone
    processes_that_migrate_at_once_take_each_step_once
}

const STEPS: &[&str] = &[
    "CREATE TABLE shelf (id BIGINT PRIMARY KEY NOT NULL) /* sqlite: STRICT */;
     INSERT INTO shelf (id) VALUES (1);",
    "ALTER TABLE shelf ADD COLUMN label TEXT NOT NULL DEFAULT 'none';
     CREATE INDEX shelf_label ON shelf (label);",
    "INSERT INTO shelf (id, label) VALUES (2, 'two')",
];

fn old_data_is_there_after_a_step_forward(scene: &Scene) {
    let database = scene.open_bare();
    migrate(&*database, &STEPS[..1]).unwrap();
    database
        .write(&mut |transaction| {
            let insert = "INSERT INTO shelf (id) VALUES ($1)";
            transaction.execute(insert, &[Value::Int(9)]).map(drop)
        })
        .unwrap();
    drop(database);

    let database = scene.open_bare();
    for _ in 0..2 {
        migrate(&*database, STEPS).unwrap();
        let found = database
            .look(|transaction| {
                let mut found = Vec::new();
                let all = "SELECT id, label FROM shelf ORDER BY id";
                transaction.query(all, &[], &mut |row| {
                    found.push((row.int(0)?, row.text(1)?));
                    Ok(())
                })?;
                Ok(found)
            })
            .unwrap();
        let expected = [(1, "none"), (2, "two"), (9, "none")];
        assert_eq!(found, expected.map(|(id, label)| (id, label.to_owned())));
    }
}

fn a_step_that_fails_changes_nothing(scene: &Scene) {
    let database = scene.open_bare();
    let broken = [STEPS[0], STEPS[1], "CREATE TABLE shelf (id BIGINT)"];
    let error = migrate(&*database, &broken).unwrap_err();
    assert!(matches!(error, Error::Database { .. }), "{error:?}");
    // Would fail if one of the steps had stayed.
    migrate(&*database, STEPS).unwrap();
}

fn a_newer_schema_is_refused_and_left_alone(scene: &Scene) {
    let database = scene.open_bare();
    migrate(&*database, STEPS).unwrap();
    let error = migrate(&*database, &STEPS[..2]).unwrap_err();
    assert!(
        matches!(error, Error::NewerSchema { found: 3, known: 2 }),
        "{error:?}"
    );
    migrate(&*database, STEPS).unwrap();
}

fn processes_that_migrate_at_once_take_each_step_once(scene: &Scene) {
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| migrate(&*scene.open_bare(), STEPS).unwrap());
        }
    });
}
