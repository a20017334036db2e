//! Statements, values and rows as PostgreSQL wants them.
//!
//! What can go wrong: it guesses the types of values from the statement, and would take a small
//! integer where we mean a large one; so each statement is prepared for the types of its values.

use std::collections::HashMap;
use std::error::Error as _;
use std::fmt;
use std::pin::pin;

use bytes::BytesMut;
use futures_util::TryStreamExt;
use tokio_postgres::Statement;
use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};

use crate::Result;
use crate::database::guarded::{Fault, Statements, Stop};
use crate::database::postgres::connection::Connection;
use crate::database::{Row, Value, dialect, failed};

/// How many texts of statements a connection keeps prepared.
const STATEMENTS: usize = 256;

/// The statements that a connection has prepared, by their text; one for each row of types.
#[derive(Default)]
pub(super) struct Prepared(HashMap<Box<str>, Vec<Statement>>);

/// The statements of a transaction.
pub(super) struct Bare<'s> {
    connection: &'s Connection,
    prepared: &'s mut Prepared,
}

impl<'s> Bare<'s> {
    pub(super) fn new(connection: &'s Connection, prepared: &'s mut Prepared) -> Self {
        Self {
            connection,
            prepared,
        }
    }

    fn prepare(&mut self, text: &str, values: &[Value<'_>]) -> Result<Statement, Fault> {
        let known = self.prepared.0.get(text).into_iter().flatten();
        if let Some(statement) = known.into_iter().find(|known| fits(known, values)) {
            return Ok(statement.clone());
        }
        let types: Vec<_> = values.iter().map(type_of).collect();
        let statement = self
            .connection
            .ask(|client| client.prepare_typed(text, &types))?;
        if statement.params().len() != values.len() || highest_value(text) != values.len() {
            return Err(Fault {
                reason: "The statement takes another number of values".to_owned(),
                is_passing: false,
            });
        }
        if self.prepared.0.len() >= STATEMENTS && !self.prepared.0.contains_key(text) {
            self.prepared.0.clear();
        }
        let same = self.prepared.0.entry(text.into()).or_default();
        same.push(statement.clone());
        Ok(statement)
    }
}

impl Statements for Bare<'_> {
    fn execute(&mut self, statement: &str, values: &[Value<'_>]) -> Result<u64, Fault> {
        let statement = self.prepare(statement, values)?;
        let parameters: Vec<_> = values.iter().map(|value| Parameter(*value)).collect();
        let parameters: Vec<_> = parameters
            .iter()
            .map(|parameter| parameter as &(dyn ToSql + Sync))
            .collect();
        self.connection
            .ask(|client| client.execute(&statement, &parameters))
    }

    fn query(
        &mut self,
        statement: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<()>,
    ) -> Result<(), Stop> {
        let statement = self.prepare(statement, values).map_err(Stop::Fault)?;
        let parameters = values.iter().map(|value| Parameter(*value));
        let rows = self
            .connection
            .ask(|client| client.query_raw(&statement, parameters));
        let mut rows = pin!(rows.map_err(Stop::Fault)?);
        loop {
            let mut rows = rows.as_mut();
            let row = self
                .connection
                .ask(|_| async move { rows.try_next().await });
            match row.map_err(Stop::Fault)? {
                Some(row) => each(&row).map_err(Stop::Own)?,
                None => return Ok(()),
            }
        }
    }

    fn define(&mut self, statements: &str) -> Result<(), Fault> {
        self.connection.run(&dialect::for_postgres(statements))
    }

    fn take_time(&mut self) -> Result<(), Fault> {
        self.connection.run("SET LOCAL statement_timeout = 0")?;
        self.connection.set_hurried(false);
        Ok(())
    }

    /// The server's own clock, at this very moment: `now()` would be when the transaction began,
    /// which may have waited for others since.
    fn lease_ms(&mut self) -> Result<i64, Stop> {
        let statement =
            "SELECT CAST(FLOOR(EXTRACT(EPOCH FROM clock_timestamp()) * 1000) AS BIGINT)";
        let mut now_ms = 0;
        self.query(statement, &[], &mut |row| {
            now_ms = row.int(0)?;
            Ok(())
        })?;
        Ok(now_ms)
    }
}

/// A value on its way.
struct Parameter<'v>(Value<'v>);

impl fmt::Debug for Parameter<'_> {
    // The driver writes what it sends to its debugging log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl ToSql for Parameter<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self.0 {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(number) => number.to_sql(kind, out),
            Value::Text(text) => text.to_sql(kind, out),
            Value::Bytes(bytes) => bytes.to_sql(kind, out),
        }
    }

    // The statement was prepared for the types of its values.
    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

/// The type for which a statement is prepared; what has none is what the statement makes of it.
fn type_of(value: &Value<'_>) -> Type {
    match value {
        Value::Null => Type::UNKNOWN,
        Value::Int(_) => Type::INT8,
        Value::Text(_) => Type::TEXT,
        Value::Bytes(_) => Type::BYTEA,
    }
}

fn fits(statement: &Statement, values: &[Value<'_>]) -> bool {
    let types = statement.params();
    types.len() == values.len()
        && types
            .iter()
            .zip(values)
            .all(|(known, value)| *value == Value::Null || *known == type_of(value))
}

/// The highest number of a value in a statement: the server does not mind values too many.
fn highest_value(statement: &str) -> usize {
    let numbers = statement.split('$').skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit());
        rest.get(..end.unwrap_or(rest.len()))?.parse().ok()
    });
    numbers.max().unwrap_or(0)
}

impl Row for tokio_postgres::Row {
    fn int(&self, column: usize) -> Result<i64> {
        self.maybe_int(column)?.ok_or_else(|| wrong_type(column))
    }

    fn maybe_int(&self, column: usize) -> Result<Option<i64>> {
        let kind = self.columns().get(column).map(|column| column.type_());
        match kind {
            Some(&Type::BOOL) => Ok(get::<bool>(self, column)?.map(i64::from)),
            Some(&Type::INT4) => Ok(get::<i32>(self, column)?.map(i64::from)),
            _ => get(self, column),
        }
    }

    fn text(&self, column: usize) -> Result<String> {
        get(self, column)?.ok_or_else(|| wrong_type(column))
    }

    fn bytes(&self, column: usize) -> Result<Vec<u8>> {
        get(self, column)?.ok_or_else(|| wrong_type(column))
    }

    fn maybe_bytes(&self, column: usize) -> Result<Option<Vec<u8>>> {
        get(self, column)
    }
}

fn get<'r, T: FromSql<'r>>(row: &'r tokio_postgres::Row, column: usize) -> Result<Option<T>> {
    row.try_get(column).map_err(|_| wrong_type(column))
}

fn wrong_type(column: usize) -> crate::Error {
    failed("read a row", format!("Column {column} is of another type"))
}

/// What went wrong with a statement.
pub(super) fn fault(error: &tokio_postgres::Error) -> Fault {
    Fault {
        reason: told(error),
        is_passing: error.as_db_error().is_none_or(is_passing),
    }
}

/// What the driver says; never the details, which have values in them.
pub(super) fn told(error: &tokio_postgres::Error) -> String {
    if let Some(known) = error.as_db_error() {
        return format!("{} ({})", known.message(), known.code().code());
    }
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Whether it came from the server's state, and not from the statement.
fn is_passing(error: &DbError) -> bool {
    let ends_connection = matches!(
        error.parsed_severity(),
        Some(Severity::Fatal | Severity::Panic)
    );
    let code = error.code().code();
    ends_connection
        // The connection; conflicts between transactions; shutting down.
        || ["08", "40", "57P"].iter().any(|class| code.starts_with(class))
        // A prepared statement is gone, or its tables were changed by a migration.
        || code == "26000"
        || code == "0A000"
}
