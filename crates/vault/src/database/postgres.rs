//! PostgreSQL: for several vaults that share the load.
//!
//! Whoever writes takes one advisory lock first, so that writers follow each other between
//! processes too, and each sees what all before it did. Reading goes on beside them.
//!
//! What can go wrong:
//! - the server restarts, or another takes its place: work is done again on a new connection;
//! - the connection is lost while it commits. The next connection looks whether the mark of that
//!   transaction is there, so that nothing is done twice, and nothing is lost that was answered;
//! - a process stands still while it holds the lock: the server ends its transaction after
//!   seconds, and the others go on;
//! - a pooler between us that shares connections among transactions: connect past it.

mod bare;
mod mark;
mod server;

use std::fmt;
use std::path::Path;

use ::postgres::{Client, IsolationLevel, Transaction};
use parking_lot::Mutex;
use strongroom_model::Secret;

use crate::database::guarded::{Guarded, Stop};
use crate::database::pool::Pool;
use crate::database::{Database, Work, failed};
use crate::{Error, Result};

use bare::{Bare, Prepared, fault};
use mark::Mark;
use server::{Role, Server};

/// How many may read at once.
const READERS: usize = 4;

/// How often work is done before a passing fault is taken for a lasting one.
const ATTEMPTS: usize = 5;

/// A database on a server.
pub struct Postgres {
    server: Server,
    /// Which row of marks is this one's.
    process: Mark,
    writer: Mutex<Option<Session>>,
    readers: Pool<Session>,
}

impl Postgres {
    /// Connects to the server that a URL names, `postgres://user:password@host/database`.
    ///
    /// With `sslmode=require` the server must show a certificate for its name that one of the
    /// authorities vouches for: those of a PEM file, or else those that browsers trust. Without it
    /// nothing is encrypted, which suits a socket, loopback, or a network of one's own.
    ///
    /// # Errors
    /// [`Error::Database`]; the password is never in it.
    pub fn open(url: &Secret, authorities: Option<&Path>) -> Result<Self> {
        let server = Server::parse(url, authorities)?;
        let writer = server.connect(Role::Writer)?;
        let database = Self {
            server,
            process: Mark::random()?,
            writer: Mutex::new(Some(writer)),
            readers: Pool::new(READERS),
        };
        database.examine()?;
        let mut writer = database.writer.lock();
        database.persist(&mut writer, Role::Writer, &mut Session::make_marks)?;
        drop(writer);
        Ok(database)
    }

    /// Refuses a server that cannot keep what we store.
    fn examine(&self) -> Result<()> {
        let (mut encoding, mut version, mut syncs) = (String::new(), 0, String::new());
        self.read(&mut |transaction| {
            transaction.query(
                "SELECT current_setting('server_encoding'),
                        CAST(current_setting('server_version_num') AS BIGINT),
                        current_setting('fsync')",
                &[],
                &mut |row| {
                    (encoding, version, syncs) = (row.text(0)?, row.int(1)?, row.text(2)?);
                    Ok(())
                },
            )
        })?;
        if encoding != "UTF8" {
            let reason = format!("It is encoded as {encoding}, and must be as UTF8");
            return Err(failed("use this database", reason));
        }
        if version < 13_00_00 {
            return Err(failed(
                "use this server",
                "PostgreSQL 13 or newer is needed",
            ));
        }
        if syncs != "on" {
            tracing::warn!(
                "PostgreSQL runs with fsync=off: a loss of power takes what was acknowledged"
            );
        }
        Ok(())
    }

    /// Does work, again where it failed through no fault of its own.
    fn persist(
        &self,
        place: &mut Option<Session>,
        role: Role,
        attempt: &mut dyn FnMut(&mut Session) -> Result<(), Stop>,
    ) -> Result<()> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let session = match place {
                Some(session) => session,
                None => place.insert(self.server.connect(role)?),
            };
            let fault = match attempt(session) {
                Ok(()) => return Ok(()),
                Err(Stop::Own(error)) => return Err(error),
                Err(Stop::Fault(fault)) => fault,
            };
            if fault.is_passing {
                // Whatever it was, a new connection has none of it.
                *place = None;
            }
            if !fault.is_passing || attempts == ATTEMPTS {
                return Err(fault.into_error("commit"));
            }
            tracing::debug!(reason = fault.reason, "a transaction is done again");
        }
    }
}

impl Database for Postgres {
    fn write(&self, work: &mut Work<'_>) -> Result<()> {
        let mut doubtful = None;
        let outcome = self.persist(&mut self.writer.lock(), Role::Writer, &mut |session| {
            session.write(work, self.process, &mut doubtful)
        });
        outcome.map_err(|error| match (doubtful, error) {
            (Some(_), Error::Database { action, reason }) => Error::Database {
                action,
                reason: format!("{reason}; whether it did so after all is not known"),
            },
            (_, error) => error,
        })
    }

    fn read(&self, work: &mut Work<'_>) -> Result<()> {
        self.readers
            .with(|place| self.persist(place, Role::Reader, &mut |session| session.read(work)))
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// A connection.
struct Session {
    client: Client,
    prepared: Prepared,
}

impl Session {
    fn begin(&mut self, is_writing: bool) -> Result<(Transaction<'_>, &mut Prepared), Stop> {
        // Who writes: each statement sees what was committed before it began, and so, behind the
        // lock, all. Who reads: all statements see the same.
        let level = match is_writing {
            true => IsolationLevel::ReadCommitted,
            false => IsolationLevel::RepeatableRead,
        };
        let begun = self
            .client
            .build_transaction()
            .isolation_level(level)
            .read_only(!is_writing)
            .start();
        let transaction = begun.map_err(|error| Stop::Fault(fault(&error)))?;
        Ok((transaction, &mut self.prepared))
    }

    /// Does work that writes, for a process. `doubtful` is the transaction of which it is not
    /// known whether it was committed.
    fn write(
        &mut self,
        work: &mut Work<'_>,
        process: Mark,
        doubtful: &mut Option<Mark>,
    ) -> Result<(), Stop> {
        let (mut transaction, prepared) = self.begin(true)?;
        let mut bare = Bare::new(&mut transaction, prepared);
        if let Some(earlier) = *doubtful {
            bare.wait_for_writers()?;
            let was_committed = bare.was_committed(process, earlier)?;
            *doubtful = None;
            if was_committed {
                return Ok(());
            }
        }
        let mark = Mark::random().map_err(Stop::Own)?;
        bare.enter(process, mark)?;
        Guarded::run(bare, work)?;
        transaction.commit().map_err(|error| {
            let fault = fault(&error);
            if fault.is_passing {
                *doubtful = Some(mark);
            }
            Stop::Fault(fault)
        })
    }

    fn make_marks(&mut self) -> Result<(), Stop> {
        let (mut transaction, prepared) = self.begin(true)?;
        Bare::new(&mut transaction, prepared).make_marks()?;
        let committed = transaction.commit();
        committed.map_err(|error| Stop::Fault(fault(&error)))
    }

    /// Does work that reads; there is nothing to commit.
    fn read(&mut self, work: &mut Work<'_>) -> Result<(), Stop> {
        let (mut transaction, prepared) = self.begin(false)?;
        Guarded::run(Bare::new(&mut transaction, prepared), work)
    }
}
