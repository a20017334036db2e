//! Leases: at most one process at a time moves the clock, publishes the log, purges, or scrubs.
//!
//! A lease has a name, a holder and an end. Whoever finds it ended may take it; the holder renews
//! it long before. All of this is statements in a transaction of the caller's, so that what only
//! a holder may do can be done in the same one.
//!
//! What can go wrong: a holder that was asleep and does not know that it lost its lease. It is
//! told when it renews; what must not happen twice is to be done in the transaction that renews.
//! All processes must measure time by one clock, and one that goes on when a holder dies: vault
//! time, which a holder moves, would never end its own lease.

use std::fmt;

use crate::Result;
use crate::database::{Transaction, Value, failed};

/// Who holds a lease: random, so that a process never takes its predecessor's for its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Holder([u8; 16]);

impl Holder {
    /// A holder like no other.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database): the system has no randomness to give.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| failed("name a holder of leases", error))?;
        Ok(Self(bytes))
    }
}

impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Holder({})", data_encoding::HEXLOWER.encode(&self.0))
    }
}

/// A lease, held or wished for.
#[derive(Clone, Copy, Debug)]
pub struct Lease<'l> {
    /// What may be done by one at a time.
    pub name: &'l str,
    /// Who wants to.
    pub holder: &'l Holder,
}

impl Lease<'_> {
    /// Takes the lease where it is free, has ended, or is the holder's own; false where another
    /// holds it.
    ///
    /// # Errors
    /// Those of the database.
    pub fn acquire(
        self,
        transaction: &mut dyn Transaction,
        now_ms: i64,
        until_ms: i64,
    ) -> Result<bool> {
        let taken = transaction.execute(
            "INSERT INTO leases (name, holder, until_ms) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE
             SET holder = excluded.holder, until_ms = excluded.until_ms
             WHERE leases.until_ms <= $4 OR leases.holder = excluded.holder",
            &[
                Value::Text(self.name),
                Value::Bytes(&self.holder.0),
                Value::Int(until_ms),
                Value::Int(now_ms),
            ],
        )?;
        Ok(taken == 1)
    }

    /// Moves the end of the lease; false where it has ended or been lost, and the holder must
    /// stop.
    ///
    /// # Errors
    /// Those of the database.
    pub fn renew(
        self,
        transaction: &mut dyn Transaction,
        now_ms: i64,
        until_ms: i64,
    ) -> Result<bool> {
        let renewed = transaction.execute(
            "UPDATE leases SET until_ms = $3
             WHERE name = $1 AND holder = $2 AND until_ms > $4",
            &[
                Value::Text(self.name),
                Value::Bytes(&self.holder.0),
                Value::Int(until_ms),
                Value::Int(now_ms),
            ],
        )?;
        Ok(renewed == 1)
    }

    /// Gives the lease back, so that nobody has to wait for its end; another's stays.
    ///
    /// # Errors
    /// Those of the database.
    pub fn release(self, transaction: &mut dyn Transaction) -> Result<()> {
        transaction.execute(
            "DELETE FROM leases WHERE name = $1 AND holder = $2",
            &[Value::Text(self.name), Value::Bytes(&self.holder.0)],
        )?;
        Ok(())
    }
}
