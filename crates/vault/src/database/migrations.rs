//! The schema as a list of texts, each of which takes it one step forward; there is no way back.
//!
//! The texts are SQL with the types `BIGINT`, `TEXT` and `BYTEA`, spelled so, in capitals, and
//! nowhere but as types; `/* sqlite: STRICT, WITHOUT ROWID */` behind a table is read by SQLite
//! alone, and `STRICT` belongs behind every one.
//!
//! What can go wrong: two processes that migrate at once (the second finds it done, as all is one
//! transaction that writes), and a program that is older than its database (refused, since it
//! would break promises that it does not know).

use crate::database::{Database, Transaction, Value};
use crate::{Error, Result};

/// Finds out how many steps a database has taken; 0 for an empty one. `tables` counts the tables
/// called `schema_version`, in the words of its kind. Nothing is changed.
///
/// # Errors
/// Those of the database.
pub fn version(database: &dyn Database, tables: &str) -> Result<i64> {
    database.look(|transaction| version_in(transaction, tables))
}

/// As [`version`], in a transaction.
///
/// # Errors
/// Those of the database.
pub fn version_in(transaction: &mut dyn Transaction, tables: &str) -> Result<i64> {
    if transaction.first(tables, &[], |row| row.int(0))? == Some(0) {
        return Ok(0);
    }
    let newest = "SELECT COALESCE(MAX(version), 0) FROM schema_version";
    let version = transaction.first(newest, &[], |row| row.int(0))?;
    Ok(version.unwrap_or_default())
}

/// Brings the schema up to date, or finds that it is: all steps or none.
///
/// # Errors
/// [`Error::NewerSchema`], and those of the database.
pub fn migrate(database: &dyn Database, steps: &[&str]) -> Result<()> {
    database.write(&mut |transaction| {
        // A step may write each row of a large table anew.
        transaction.take_time()?;
        transaction.define(
            "CREATE TABLE IF NOT EXISTS schema_version (
                 version BIGINT PRIMARY KEY NOT NULL
             ) /* sqlite: STRICT */",
        )?;
        let found = transaction
            .first(
                "SELECT COALESCE(MAX(version), 0) FROM schema_version",
                &[],
                |row| row.int(0),
            )?
            .unwrap_or(0);
        let mut known = 0;
        for step in steps {
            known += 1;
            if known > found {
                transaction.define(step)?;
                transaction.execute(
                    "INSERT INTO schema_version (version) VALUES ($1)",
                    &[Value::Int(known)],
                )?;
            }
        }
        if found > known {
            return Err(Error::NewerSchema { found, known });
        }
        Ok(())
    })
}
