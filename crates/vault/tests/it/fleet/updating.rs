//! A new version that is started while the one before still serves.

use strongroom_vault::database::{Transaction, Value};

use super::process::{Fleet, wait_until};

/// How many steps the schema of the database has taken.
fn schema(fleet: &Fleet) -> i64 {
    let newest = "SELECT MAX(version) FROM schema_version";
    fleet.row(newest, |row| row.int(0)).unwrap()
}

fn write(fleet: &Fleet, statement: &str, version: i64) {
    let mut work = |transaction: &mut dyn Transaction| {
        transaction
            .execute(statement, &[Value::Int(version)])
            .map(drop)
    };
    fleet.database().write(&mut work).unwrap();
}

#[test]
fn a_newer_schema_is_not_taken_beneath_who_serves() {
    let fleet = Fleet::on_a_folder();
    let one = fleet.start();
    wait_until("it has its leases", || {
        let clock = "SELECT COUNT(*) FROM lease WHERE name = 'clock'";
        fleet.row(clock, |row| row.int(0)) == Some(1)
    });
    // As if the one that serves did not know the last step.
    let known = schema(&fleet);
    let forget = "DELETE FROM schema_version WHERE version = $1";
    write(&fleet, forget, known);
    let said = fleet.try_start("data", "127.0.0.1:0").err().unwrap();
    assert!(said.contains("by which another process serves"), "{said}");
    assert!(said.contains("stop all processes"), "{said}");
    assert_eq!(schema(&fleet), known - 1, "nothing was changed");
    // One of the same version may start beside it.
    let remember = "INSERT INTO schema_version (version) VALUES ($1)";
    write(&fleet, remember, known);
    fleet.start().stop();
    one.stop();
}
