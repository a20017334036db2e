//! What both databases must do, and do alike.

mod commits;
mod contract;
mod durability;
mod head;
mod lease;
mod lists;
mod migrations;
mod moments;
mod notices;
mod plans;
mod postgres;
pub(crate) mod proxy;
mod receipts;
mod same;
mod schema;
mod sqlite;

use std::sync::{Arc, LazyLock};

use strongroom_model::Secret;
use strongroom_testkit::PostgresServer;
use strongroom_vault::database::{
    Database, Kept, Postgres, Row, Sqlite, Transaction, Value, Work, migrate,
};
use strongroom_vault::{Error, Result, records};
use tempfile::TempDir;

/// Makes two tests of each function, one for each database.
macro_rules! both {
    ($($name:ident)*) => {
        mod on_sqlite {
            $(#[test] fn $name() { super::$name(&crate::database::Scene::sqlite()); })*
        }
        mod on_postgres {
            $(#[test] fn $name() { super::$name(&crate::database::Scene::postgres()); })*
        }
    };
}
pub(crate) use both;

/// The schema of these tests: the one of a vault, so that what is tested is what runs, and notes.
pub(crate) static SCHEMA: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let notes = "CREATE TABLE note (
        id BIGINT PRIMARY KEY NOT NULL,
        number BIGINT,
        word TEXT,
        bytes BYTEA
    ) /* sqlite: STRICT */";
    [records::SCHEMA, &[notes]].concat()
});

/// A database that several may open.
pub(crate) enum Scene {
    Sqlite(TempDir),
    Postgres(PostgresServer),
}

impl Scene {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub(crate) fn postgres() -> Self {
        Self::Postgres(PostgresServer::start())
    }

    /// Opens it as another process would, without a schema.
    pub(crate) fn open_bare(&self) -> Arc<dyn Database> {
        match self {
            Self::Sqlite(folder) => {
                Arc::new(Sqlite::open(&folder.path().join("vault.db")).unwrap())
            }
            Self::Postgres(server) => {
                Arc::new(Postgres::open(&Secret::new(server.url()), None).unwrap())
            }
        }
    }

    /// Opens it as another process would.
    pub(crate) fn open(&self) -> Arc<dyn Database> {
        let database = self.open_bare();
        migrate(&*database, &SCHEMA).unwrap();
        database
    }
}

/// A transaction that tells each of its statements before it runs it.
pub(crate) struct Telling<'t, T> {
    inner: &'t mut dyn Transaction,
    tell: T,
}

impl<'t, T> Telling<'t, T>
where
    T: FnMut(&mut dyn Transaction, &str, &[Value<'_>]) -> Result<()>,
{
    pub(crate) fn new(inner: &'t mut dyn Transaction, tell: T) -> Self {
        Self { inner, tell }
    }
}

impl<T> Transaction for Telling<'_, T>
where
    T: FnMut(&mut dyn Transaction, &str, &[Value<'_>]) -> Result<()>,
{
    fn execute(&mut self, statement: &str, values: &[Value<'_>]) -> Result<u64> {
        (self.tell)(&mut *self.inner, statement, values)?;
        self.inner.execute(statement, values)
    }

    fn query(
        &mut self,
        statement: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<()>,
    ) -> Result<()> {
        (self.tell)(&mut *self.inner, statement, values)?;
        self.inner.query(statement, values, each)
    }

    fn define(&mut self, statements: &str) -> Result<()> {
        self.inner.define(statements)
    }

    fn lease_ms(&mut self) -> Result<i64> {
        self.inner.lease_ms()
    }

    fn kept(&self) -> Option<Kept> {
        self.inner.kept()
    }

    fn keep(&mut self, row: Kept) {
        self.inner.keep(row);
    }

    fn nested(&mut self, work: &mut Work<'_>) -> Result<()> {
        self.inner.nested(work)
    }
}

/// Empties the log: it has no leaf, and no time, as if nothing had ever been done.
pub(crate) fn empty_log(transaction: &mut dyn Transaction) -> Result<()> {
    for table in ["moment", "leaf"] {
        transaction.execute(&format!("DELETE FROM {table}"), &[])?;
    }
    let head = "UPDATE log_head SET leaves = 0, published = 0, recorded_ms = 0, vault_ms = 0, \
                moment_ms = -1, moment_before_ms = -1";
    transaction.execute(head, &[]).map(drop)
}

/// Puts a note with a number.
pub(crate) fn put(transaction: &mut dyn Transaction, id: i64, number: i64) -> Result<()> {
    let values = [Value::Int(id), Value::Int(number)];
    transaction
        .execute("INSERT INTO note (id, number) VALUES ($1, $2)", &values)
        .map(|changed| assert_eq!(changed, 1))
}

/// The number of a note.
pub(crate) fn number(transaction: &mut dyn Transaction, id: i64) -> Result<Option<i64>> {
    let values = [Value::Int(id)];
    transaction.first("SELECT number FROM note WHERE id = $1", &values, |row| {
        row.int(0)
    })
}

/// The ids of all notes.
pub(crate) fn ids(database: &dyn Database) -> Vec<i64> {
    let read = database.look(|transaction| {
        let mut ids = Vec::new();
        transaction.query("SELECT id FROM note ORDER BY id", &[], &mut |row| {
            ids.push(row.int(0)?);
            Ok(())
        })?;
        Ok(ids)
    });
    read.unwrap()
}

/// An error as a work's own.
pub(crate) fn own() -> Error {
    Error::NewerSchema { found: 7, known: 6 }
}

pub(crate) fn is_own(error: &Error) -> bool {
    matches!(error, Error::NewerSchema { found: 7, known: 6 })
}
