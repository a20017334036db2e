//! Marks, by which a transaction is known again whose commit was not answered.
//!
//! Each process has a row of its own, and writes one transaction at a time. That writes into the
//! row a mark that no other transaction ever has; so whether it was committed is whether the row
//! has the mark.
//!
//! What can go wrong with anything else: the server's own number of a transaction is given again
//! by a server that takes another's place, or comes up after a crash, where nothing with that
//! number had been on the disk. Another transaction, which was committed, would be taken for ours.

use std::fmt;

use crate::database::guarded::{Statements, Stop};
use crate::database::postgres::bare::Bare;
use crate::database::{Value, failed};
use crate::{Error, Result};

/// The advisory lock of those who write: "vault" and a number.
const WRITERS: i64 = 0x7661_756c_7400_0001;

/// The table of marks, and the end of rows whose processes are gone for long: whoever is in doubt
/// asks within seconds. It belongs to how we speak with a server, and not to the schema, which
/// itself is made by transactions that can be in doubt.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS commit_mark (
         holder BYTEA PRIMARY KEY NOT NULL,
         mark BYTEA NOT NULL,
         marked_at TIMESTAMPTZ NOT NULL
     );
     DELETE FROM commit_mark WHERE marked_at < clock_timestamp() - INTERVAL '7 days'";

/// 128 random bits: a process, or one of its transactions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark([u8; 16]);

impl Mark {
    /// A mark like no other.
    ///
    /// # Errors
    /// [`Error::Database`]: the system has no randomness to give.
    pub(super) fn random() -> Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| failed("mark a transaction", error))?;
        Ok(Self(bytes))
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mark({})", data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl Bare<'_> {
    /// Makes the table of marks where there is none.
    pub(super) fn make_marks(&mut self) -> Result<(), Stop> {
        self.wait_for_writers()?;
        self.define(TABLE).map_err(Stop::Fault)
    }

    /// Waits until nobody else writes. What is read from then on is what all before have left.
    pub(super) fn wait_for_writers(&mut self) -> Result<(), Stop> {
        let statement = "SELECT pg_advisory_xact_lock($1)";
        self.query(statement, &[Value::Int(WRITERS)], &mut |_| Ok(()))
    }

    /// Waits until nobody else writes, and marks this transaction as one of a process.
    pub(super) fn enter(&mut self, process: Mark, mark: Mark) -> Result<(), Stop> {
        let statement = "INSERT INTO commit_mark (holder, mark, marked_at)
             SELECT $1, $2, clock_timestamp() FROM pg_advisory_xact_lock($3)
             ON CONFLICT (holder) DO UPDATE
             SET mark = excluded.mark, marked_at = excluded.marked_at";
        let values = [
            Value::Bytes(&process.0),
            Value::Bytes(&mark.0),
            Value::Int(WRITERS),
        ];
        self.execute(statement, &values).map_err(Stop::Fault)?;
        Ok(())
    }

    /// Whether a transaction of a process was committed that is its last one; to be asked when
    /// nobody else writes, so that it has ended in one way or the other.
    pub(super) fn was_committed(&mut self, process: Mark, mark: Mark) -> Result<bool, Stop> {
        let mut is_there = false;
        let statement = "SELECT mark FROM commit_mark WHERE holder = $1";
        self.query(statement, &[Value::Bytes(&process.0)], &mut |row| {
            is_there = row.bytes(0)? == mark.0;
            Ok::<_, Error>(())
        })?;
        Ok(is_there)
    }
}
