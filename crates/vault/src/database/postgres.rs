//! PostgreSQL: for several vaults that share the load.
//!
//! Whoever writes takes one advisory lock first, so that writers follow each other between
//! processes too, and each sees what all before it did. Reading goes on beside them.
//!
//! What can go wrong:
//! - the server restarts, or another takes its place: work is done again on a new connection;
//! - the server is away, or stands still: after a time whoever needs it is told so at once;
//! - the connection is lost while it commits. The next connection looks whether the mark of that
//!   transaction is there, so that nothing is done twice, and nothing is lost that was answered;
//! - a process stands still while it holds the lock: the server ends its transaction after
//!   seconds, and the others go on;
//! - a pooler between us that shares connections among transactions: connect past it.

mod bare;
mod connection;
mod mark;
mod server;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use strongroom_model::Secret;

use crate::database::guarded::{Fault, Guarded, Stop};
use crate::database::pool::Pool;
use crate::database::{Database, Work, failed};
use crate::{Error, Result};

use bare::Bare;
use connection::{Connection, Session};
use mark::Mark;
use server::{Role, Server};

/// How many may read at once.
const READERS: usize = 4;

/// How many may read lists at once, beside those.
const LIST_READERS: usize = 2;

/// After how long without a word a server counts as away.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often work is done before a passing fault is taken for a lasting one.
const ATTEMPTS: usize = 5;

/// Each statement sees what was committed before it began, and so, behind the lock, all.
const TO_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// All statements see the same.
const TO_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// A database on a server.
pub struct Postgres {
    server: Arc<Server>,
    /// Which row of marks is this one's.
    process: Mark,
    writer: Mutex<Option<Session>>,
    readers: Pool<Session>,
    list_readers: Pool<Session>,
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
        Self::open_with(url, authorities, PATIENCE)
    }

    /// The same, for a server that counts as away after `patience` without a word.
    ///
    /// # Errors
    /// As [`Postgres::open`].
    pub fn open_with(url: &Secret, authorities: Option<&Path>, patience: Duration) -> Result<Self> {
        let server = Server::parse(url, authorities, patience)?;
        let writer = server.connect(Role::Writer)?;
        let database = Self {
            server,
            process: Mark::random()?,
            writer: Mutex::new(Some(writer)),
            readers: Pool::new(READERS),
            list_readers: Pool::new(LIST_READERS),
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

    fn read_from(&self, readers: &Pool<Session>, work: &mut Work<'_>) -> Result<()> {
        readers.with(|place| self.persist(place, Role::Reader, &mut |session| session.read(work)))
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
            // A connection that is open tells nothing: it may stand still.
            self.server.check()?;
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
        self.read_from(&self.readers, work)
    }

    fn read_list(&self, work: &mut Work<'_>) -> Result<()> {
        self.read_from(&self.list_readers, work)
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// A transaction that has begun; undone where it is dropped before it was committed.
struct Begun<'c> {
    connection: &'c Connection,
    is_ended: bool,
}

impl Begun<'_> {
    fn commit(mut self) -> Result<(), Fault> {
        self.is_ended = true;
        self.connection.run("COMMIT")
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if !self.is_ended {
            // A connection that cannot even do this is of no more use, and says so when asked.
            let _ = self.connection.run("ROLLBACK");
        }
    }
}

impl Session {
    /// Begins a transaction.
    fn begin(&mut self, how: &str) -> Result<(Bare<'_>, Begun<'_>), Stop> {
        // The transaction before may have been given more.
        self.connection.set_hurried(true);
        self.connection.run(how).map_err(Stop::Fault)?;
        let begun = Begun {
            connection: &self.connection,
            is_ended: false,
        };
        let bare = Bare::new(&self.connection, &mut self.prepared);
        Ok((bare, begun))
    }

    /// Does work that writes, for a process. `doubtful` is the transaction of which it is not
    /// known whether it was committed.
    fn write(
        &mut self,
        work: &mut Work<'_>,
        process: Mark,
        doubtful: &mut Option<Mark>,
    ) -> Result<(), Stop> {
        let (mut bare, begun) = self.begin(TO_WRITE)?;
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
        begun.commit().map_err(|fault| {
            if fault.is_passing {
                *doubtful = Some(mark);
            }
            Stop::Fault(fault)
        })
    }

    fn make_marks(&mut self) -> Result<(), Stop> {
        let (mut bare, begun) = self.begin(TO_WRITE)?;
        bare.make_marks()?;
        begun.commit().map_err(Stop::Fault)
    }

    /// Does work that reads; there is nothing to commit.
    fn read(&mut self, work: &mut Work<'_>) -> Result<(), Stop> {
        let (bare, _begun) = self.begin(TO_READ)?;
        Guarded::run(bare, work)
    }
}
