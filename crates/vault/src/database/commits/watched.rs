//! A transaction in which it is seen whether a work has done more than look.

use crate::Result;
use crate::database::{Kept, Row, Transaction, Value, Work};

/// The transaction of one work.
pub(super) struct Watched<'t> {
    inner: &'t mut dyn Transaction,
    is_untouched: bool,
}

impl<'t> Watched<'t> {
    pub(super) fn new(inner: &'t mut dyn Transaction) -> Self {
        Self {
            inner,
            is_untouched: true,
        }
    }

    /// Whether the transaction is as it was before this work: no statement has changed anything,
    /// and none has failed.
    pub(super) fn is_untouched(&self) -> bool {
        self.is_untouched
    }
}

impl Transaction for Watched<'_> {
    fn execute(&mut self, statement: &str, values: &[Value<'_>]) -> Result<u64> {
        self.is_untouched = false;
        self.inner.execute(statement, values)
    }

    fn query(
        &mut self,
        statement: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<()>,
    ) -> Result<()> {
        let before = self.is_untouched;
        // What it was is known only when it has come to its end.
        self.is_untouched = false;
        self.inner.query(statement, values, each)?;
        self.is_untouched = before && only_looks(statement);
        Ok(())
    }

    fn define(&mut self, statements: &str) -> Result<()> {
        self.is_untouched = false;
        self.inner.define(statements)
    }

    fn lease_ms(&mut self) -> Result<i64> {
        let before = self.is_untouched;
        self.is_untouched = false;
        let now_ms = self.inner.lease_ms()?;
        self.is_untouched = before;
        Ok(now_ms)
    }

    fn kept(&self) -> Option<Kept> {
        self.inner.kept()
    }

    fn keep(&mut self, row: Kept) {
        self.is_untouched = false;
        self.inner.keep(row);
    }

    fn nested(&mut self, work: &mut Work<'_>) -> Result<()> {
        self.is_untouched = false;
        self.inner.nested(work)
    }
}

/// Whether a statement changes nothing: ours that do begin with what they do.
fn only_looks(statement: &str) -> bool {
    statement.trim_start().starts_with("SELECT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_select_looks() {
        assert!(only_looks("SELECT 1"));
        assert!(only_looks(" \n SELECT a FROM b"));
        for statement in [
            "UPDATE a SET b = 1 RETURNING b",
            "WITH a AS (DELETE FROM b RETURNING *) SELECT * FROM a",
            "INSERT INTO a SELECT 1",
            "",
        ] {
            assert!(!only_looks(statement), "{statement}");
        }
    }
}
