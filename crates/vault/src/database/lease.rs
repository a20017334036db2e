//! Leases: at most one process at a time moves the clock, publishes the log, purges, or scrubs.
//!
//! A lease has a name, a holder and an end. Whoever finds it ended may take it; the holder renews
//! it long before. All of this is statements in a transaction of the caller's, so that what only
//! a holder may do can be done in the same one, behind [`Lease::require`].
//!
//! What can go wrong: a holder that was asleep and does not know that it lost its lease. It is
//! told when it renews, or when a transaction of its job requires the lease; so nothing that must
//! not happen twice rests on time. Time is told by
//! [`Transaction::lease_ms`](crate::database::Transaction::lease_ms) alone: vault time, which a
//! holder moves, would never end its own lease. Where that clock jumps forward, leases end early,
//! and a holder finds out as one that was asleep does. Where it jumps backward, or begins anew as
//! that of a machine does, an end lies further ahead than any holder could have put it: such a
//! lease has ended.

use std::fmt;

use crate::database::{Transaction, Value, failed};
use crate::{Error, Result};

/// For how long a lease is taken, in milliseconds.
pub const LENGTH_MS: i64 = 30_000;

/// After how many milliseconds its holder renews it.
pub const RENEW_MS: i64 = 10_000;

/// Who holds a lease: random, so that a process never takes its predecessor's for its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Holder([u8; 16]);

impl Holder {
    /// A holder like no other.
    ///
    /// # Errors
    /// [`Error::Database`]: the system has no randomness to give.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| failed("name a holder of leases", error))?;
        Ok(Self(bytes))
    }
}

/// In hexadecimal digits.
impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Holder({self})")
    }
}

/// A lease, held or wished for.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// What may be done by one at a time.
    pub name: &'static str,
    /// Who wants to.
    pub holder: Holder,
}

impl Lease {
    /// Takes the lease where it is free, has ended, or is the holder's own; false where another
    /// holds it. All who take a lease of one name take it for equally long.
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
            "INSERT INTO lease (name, holder, until_ms) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE
             SET holder = excluded.holder, until_ms = excluded.until_ms
             WHERE lease.until_ms <= $4 OR lease.until_ms > $3
                OR lease.holder = excluded.holder",
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
            "UPDATE lease SET until_ms = $3
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

    /// Fails where the lease is not the holder's any more, so that nothing of this transaction
    /// happens. One that has ended and that nobody has taken is still the holder's: nobody else
    /// acts on it.
    ///
    /// # Errors
    /// [`Error::LeaseLost`]; those of the database.
    pub fn require(self, transaction: &mut dyn Transaction) -> Result<()> {
        let statement = "SELECT holder FROM lease WHERE name = $1";
        let holder = transaction.first(statement, &[Value::Text(self.name)], |row| row.bytes(0))?;
        match holder.is_some_and(|holder| holder == self.holder.0) {
            true => Ok(()),
            false => Err(Error::LeaseLost { job: self.name }),
        }
    }

    /// Gives the lease back, so that nobody has to wait for its end; another's stays.
    ///
    /// # Errors
    /// Those of the database.
    pub fn release(self, transaction: &mut dyn Transaction) -> Result<()> {
        transaction.execute(
            "DELETE FROM lease WHERE name = $1 AND holder = $2",
            &[Value::Text(self.name), Value::Bytes(&self.holder.0)],
        )?;
        Ok(())
    }
}

/// Who holds the lease of a name now; `None` where nobody does, or it has ended.
///
/// # Errors
/// Those of the database.
pub fn holder(
    transaction: &mut dyn Transaction,
    name: &str,
    now_ms: i64,
    length_ms: i64,
) -> Result<Option<Holder>> {
    let statement = "SELECT holder FROM lease \
                     WHERE name = $1 AND until_ms > $2 AND until_ms <= $3";
    let values = [
        Value::Text(name),
        Value::Int(now_ms),
        Value::Int(now_ms.saturating_add(length_ms)),
    ];
    let found = transaction.first(statement, &values, |row| row.bytes(0))?;
    let bytes = found.map(<[u8; 16]>::try_from).transpose();
    let bytes = bytes.map_err(|_| failed("read a lease", "Its holder is none of ours"))?;
    Ok(bytes.map(Holder))
}

/// Ends all leases; only for who knows that no other process lives that may hold one.
///
/// # Errors
/// Those of the database.
pub fn end_all(transaction: &mut dyn Transaction) -> Result<()> {
    transaction.execute("DELETE FROM lease", &[])?;
    Ok(())
}
