//! What every transaction keeps to, whichever database runs it.
//!
//! What can go wrong: work that swallows the error of a statement. PostgreSQL would answer its
//! commit with a rollback and no error, SQLite would commit the half that succeeded. So the first
//! statement that fails spoils the transaction for good, and no commit follows. And a row that is
//! kept and was not written yet, which is written here before anybody could miss it.

use crate::database::{Kept, Row, Transaction, Value, Work, failed};
use crate::{Error, Result};

/// What a transaction does when it fails.
const ACTION: &str = "run a statement";

/// How a statement failed.
#[derive(Debug)]
pub(super) struct Fault {
    /// What the driver says, without secrets and without values.
    pub(super) reason: String,
    /// The transaction as a whole is lost through no fault of its work, which is done again.
    pub(super) is_passing: bool,
}

impl Fault {
    /// The error to tell of it.
    pub(super) fn into_error(self, action: &str) -> Error {
        failed(action, self.reason)
    }
}

/// Why a query, or a transaction, ended before its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// The work said so.
    Own(Error),
    /// The database failed.
    Fault(Fault),
}

/// The bare statements of a database inside a transaction.
pub(super) trait Statements {
    fn execute(&mut self, statement: &str, values: &[Value<'_>]) -> Result<u64, Fault>;

    fn query(
        &mut self,
        statement: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<()>,
    ) -> Result<(), Stop>;

    /// Runs all statements of a text of the schema.
    fn define(&mut self, statements: &str) -> Result<(), Fault>;

    /// Lets statements take as long as they need, until the transaction ends.
    fn take_time(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    /// Reads the clock of leases.
    fn lease_ms(&mut self) -> Result<i64, Stop>;
}

/// A transaction as its work sees it.
#[derive(Debug)]
pub(super) struct Guarded<S> {
    statements: S,
    spoiled: Option<Fault>,
    kept: Option<Kept>,
}

impl<S: Statements> Guarded<S> {
    /// Does work, and says whether it may be committed.
    pub(super) fn run(statements: S, work: &mut Work<'_>) -> Result<(), Stop> {
        let mut guarded = Self {
            statements,
            spoiled: None,
            kept: None,
        };
        let mut outcome = work(&mut guarded);
        if outcome.is_ok() && guarded.spoiled.is_none() {
            outcome = guarded.let_go();
        }
        match (outcome, guarded.spoiled) {
            (Ok(()), None) => Ok(()),
            (Err(error), Some(fault)) if !fault.is_passing => Err(Stop::Own(error)),
            (_, Some(fault)) => Err(Stop::Fault(fault)),
            (Err(error), None) => Err(Stop::Own(error)),
        }
    }

    fn statement<T>(
        &mut self,
        values: &[Value<'_>],
        run: impl FnOnce(&mut S) -> Result<T, Stop>,
    ) -> Result<T> {
        if let Some(fault) = &self.spoiled {
            let reason = format!("One before it failed: {}", fault.reason);
            return Err(failed(ACTION, reason));
        }
        let outcome = if values.iter().any(has_nul) {
            Err(Stop::Fault(Fault {
                reason: "A text has a NUL in it".to_owned(),
                is_passing: false,
            }))
        } else {
            run(&mut self.statements)
        };
        outcome.map_err(|stop| match stop {
            Stop::Own(error) => error,
            Stop::Fault(fault) => {
                let error = failed(ACTION, &fault.reason);
                self.spoiled = Some(fault);
                error
            }
        })
    }

    /// Writes the row that is kept, where it changed, and keeps it no more.
    fn let_go(&mut self) -> Result<()> {
        let Some(row) = self.kept.take().filter(|row| !row.is_written) else {
            return Ok(());
        };
        let values = row.numbers.map(Value::Int);
        self.statement(&values, |bare| {
            let changed = bare.execute(row.statement, &values);
            match changed.map_err(Stop::Fault)? {
                1 => Ok(()),
                _ => Err(Stop::Fault(Fault {
                    reason: format!("The row of {} is not what it was", row.table),
                    is_passing: false,
                })),
            }
        })
    }

    /// The same before a statement that could look at the row, or change it.
    fn let_go_before(&mut self, statement: &str) -> Result<()> {
        match &self.kept {
            Some(row) if statement.contains(row.table) => self.let_go(),
            _ => Ok(()),
        }
    }
}

impl<S: Statements> Transaction for Guarded<S> {
    fn execute(&mut self, statement: &str, values: &[Value<'_>]) -> Result<u64> {
        self.let_go_before(statement)?;
        self.statement(values, |bare| {
            bare.execute(statement, values).map_err(Stop::Fault)
        })
    }

    fn query(
        &mut self,
        statement: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<()>,
    ) -> Result<()> {
        self.let_go_before(statement)?;
        self.statement(values, |bare| bare.query(statement, values, each))
    }

    fn define(&mut self, statements: &str) -> Result<()> {
        self.let_go()?;
        self.statement(&[], |bare| bare.define(statements).map_err(Stop::Fault))
    }

    fn take_time(&mut self) -> Result<()> {
        self.statement(&[], |bare| bare.take_time().map_err(Stop::Fault))
    }

    fn lease_ms(&mut self) -> Result<i64> {
        self.statement(&[], Statements::lease_ms)
    }

    fn kept(&self) -> Option<Kept> {
        self.kept
    }

    fn keep(&mut self, row: Kept) {
        self.kept = Some(row);
    }

    fn nested(&mut self, work: &mut Work<'_>) -> Result<()> {
        self.define("SAVEPOINT nested")?;
        let mut outcome = work(self);
        if outcome.is_ok() && self.spoiled.is_none() {
            outcome = self.let_go();
        }
        if self.spoiled.as_ref().is_some_and(|fault| fault.is_passing) {
            // The whole transaction is lost: there is nothing left to go back to.
            return outcome;
        }
        if outcome.is_ok() && self.spoiled.is_none() {
            return self.define("RELEASE SAVEPOINT nested");
        }
        let spoiled = self.spoiled.take();
        // It was kept since the savepoint, and goes with what was done since.
        self.kept = None;
        self.define("ROLLBACK TO SAVEPOINT nested; RELEASE SAVEPOINT nested")?;
        match (outcome, spoiled) {
            (Ok(()), Some(fault)) => Err(fault.into_error(ACTION)),
            (outcome, _) => outcome,
        }
    }
}

fn has_nul(value: &Value<'_>) -> bool {
    matches!(value, Value::Text(text) if text.as_bytes().contains(&0))
}
