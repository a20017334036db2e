//! SQLite: one file in the data folder, for a vault of one process.
//!
//! Its log is written ahead and synchronised at every commit, so that what was answered survives a
//! loss of power. One connection writes, a few read beside it, each on the state that it found
//! when it began; lists have connections of their own.
//!
//! What can go wrong: a file that belongs to another program (refused by its application id), and
//! one that another process of ours is writing to (waited for).

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags, TransactionBehavior};
use rustix::time::{ClockId, clock_gettime};

use crate::database::guarded::{Fault, Guarded, Statements, Stop};
use crate::database::pool::Pool;
use crate::database::{Database, Row, Value, Work, dialect, failed};
use crate::{Error, Result, durable};

/// Says in the header of the file whose it is: "SRVt".
const APPLICATION_ID: i64 = 0x5352_5674;

/// How long to wait for another process that writes.
const BUSY_LIMIT: Duration = Duration::from_secs(20);

/// How long to wait before a lock is asked for again that SQLite does not wait for by itself.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// How many may read at once.
const READERS: usize = 4;

/// How many may read lists at once, beside those.
const LIST_READERS: usize = 2;

/// How many prepared statements each connection keeps.
const STATEMENTS: usize = 128;

/// What every connection begins with. The file of the log shrinks again after a burst.
const SESSION: &str = "
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA journal_size_limit = 67108864;
";

/// A database in one file.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    writer: Mutex<Connection>,
    readers: Pool<Connection>,
    list_readers: Pool<Connection>,
}

impl Sqlite {
    /// Opens a database, or makes an empty one that nobody but its owner can read.
    ///
    /// # Errors
    /// [`Error::Database`]: the file cannot be opened, is no database, or another program's.
    pub fn open(path: &Path) -> Result<Self> {
        create(path).map_err(|error| cannot_open(path, error))?;
        let mut writer = connect(path)?;
        claim(&mut writer).map_err(|reason| cannot_open(path, reason))?;
        Ok(Self {
            path: path.to_owned(),
            writer: Mutex::new(writer),
            readers: Pool::new(READERS),
            list_readers: Pool::new(LIST_READERS),
        })
    }

    fn read_from(
        &self,
        readers: &Pool<Connection>,
        read: impl FnOnce(&Connection) -> Result<()>,
    ) -> Result<()> {
        readers.with(|place| match place {
            Some(connection) => read(connection),
            None => read(place.insert(connect_to_read(&self.path)?)),
        })
    }
}

impl Database for Sqlite {
    fn write(&self, work: &mut Work<'_>) -> Result<()> {
        transact(&self.writer.lock(), "BEGIN IMMEDIATE", work)
    }

    fn read(&self, work: &mut Work<'_>) -> Result<()> {
        self.read_from(&self.readers, |connection| {
            transact(connection, "BEGIN DEFERRED", work)
        })
    }

    fn read_one(&self, work: &mut Work<'_>) -> Result<()> {
        self.read_from(&self.readers, |connection| run(connection, work))
    }

    fn read_list(&self, work: &mut Work<'_>) -> Result<()> {
        self.read_from(&self.list_readers, |connection| {
            transact(connection, "BEGIN DEFERRED", work)
        })
    }
}

fn transact(connection: &Connection, begin: &str, work: &mut Work<'_>) -> Result<()> {
    let transaction =
        Begun::new(connection, begin).map_err(|error| failed("begin a transaction", error))?;
    run(connection, work)?;
    transaction
        .commit()
        .map_err(|error| failed("commit", error))
}

fn run(connection: &Connection, work: &mut Work<'_>) -> Result<()> {
    Guarded::run(Bare(connection), work).map_err(|stop| match stop {
        Stop::Own(error) => error,
        Stop::Fault(fault) => fault.into_error("commit"),
    })
}

/// A transaction that has begun, and is rolled back where it is dropped.
///
/// The driver's own plans its beginning and its end anew each time, which costs as much as a short
/// one does in all.
struct Begun<'c>(&'c Connection);

impl<'c> Begun<'c> {
    fn new(connection: &'c Connection, begin: &str) -> rusqlite::Result<Self> {
        connection.prepare_cached(begin)?.raw_execute()?;
        Ok(Self(connection))
    }

    fn commit(self) -> rusqlite::Result<()> {
        self.0.prepare_cached("COMMIT")?.raw_execute().map(drop)
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        // Also where the commit has failed; some failures have ended it already.
        if !self.0.is_autocommit() {
            let _ = self.0.execute_batch("ROLLBACK");
        }
    }
}

/// Makes the file where it is missing, durably, as SQLite would let everybody read it.
fn create(path: &Path) -> io::Result<()> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(file) => {
            durable::sync(&file)?;
            durable::sync_folder_of(path)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connect = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_LIMIT)?;
        connection.execute_batch(SESSION)?;
        // Else a statement in whose plan a partial index could have a part is planned anew for each
        // value that is bound, which costs ten times as much as what it does.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(connection)
    };
    connect().map_err(|error: rusqlite::Error| cannot_open(path, error))
}

fn connect_to_read(path: &Path) -> Result<Connection> {
    let connection = connect(path)?;
    connection
        .execute_batch("PRAGMA query_only = ON")
        .map_err(|error| cannot_open(path, error))?;
    Ok(connection)
}

/// Makes sure that the file is ours before anything in it is changed.
fn claim(connection: &mut Connection) -> Result<(), String> {
    let claim = |connection: &mut Connection| {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (owner, tables): (i64, i64) = transaction.query_row(
            "SELECT application_id, (SELECT COUNT(*) FROM sqlite_schema)
             FROM pragma_application_id",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let is_ours = owner == APPLICATION_ID || (owner == 0 && tables == 0);
        if is_ours && owner == 0 {
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        }
        transaction.commit()?;
        Ok(is_ours)
    };
    let is_ours = claim(connection).map_err(|error: rusqlite::Error| error.to_string())?;
    if !is_ours {
        return Err("It belongs to another program".to_owned());
    }
    // Where two processes do that at once, one is told at once that the file is locked.
    let until = Instant::now() + BUSY_LIMIT;
    let mode: String = loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)) {
            Err(error) if is_busy(&error) && Instant::now() < until => {
                thread::park_timeout(BUSY_PAUSE)
            }
            mode => break mode.map_err(|error| error.to_string())?,
        }
    };
    if mode != "wal" {
        return Err("Its file system has no shared memory, as network file systems do".to_owned());
    }
    Ok(())
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

fn cannot_open(path: &Path, reason: impl std::fmt::Display) -> Error {
    failed(&format!("open {}", path.display()), reason)
}

/// The statements of a connection.
struct Bare<'c>(&'c Connection);

impl Bare<'_> {
    fn prepare(&self, text: &str, values: &[Value<'_>]) -> Result<CachedStatement<'_>, Fault> {
        let mut statement = self.0.prepare_cached(text).map_err(fault)?;
        let mut used = 0;
        for place in 1..=statement.parameter_count() {
            // To SQLite `$2` is a name like any other, and not the second value.
            let number = statement
                .parameter_name(place)
                .and_then(|name| name.strip_prefix('$')?.parse::<usize>().ok());
            let value = number.and_then(|number| values.get(number.checked_sub(1)?));
            used = used.max(number.unwrap_or(0));
            match value {
                None => return Err(wrong_count()),
                Some(Value::Null) => statement.raw_bind_parameter(place, rusqlite::types::Null),
                Some(Value::Int(number)) => statement.raw_bind_parameter(place, number),
                Some(Value::Text(text)) => statement.raw_bind_parameter(place, text),
                Some(Value::Bytes(bytes)) => statement.raw_bind_parameter(place, bytes),
            }
            .map_err(fault)?;
        }
        if used == values.len() {
            Ok(statement)
        } else {
            Err(wrong_count())
        }
    }
}

impl Statements for Bare<'_> {
    fn execute(&mut self, statement: &str, values: &[Value<'_>]) -> Result<u64, Fault> {
        let mut statement = self.prepare(statement, values)?;
        let mut rows = statement.raw_query();
        while rows.next().map_err(fault)?.is_some() {}
        Ok(self.0.changes())
    }

    fn query(
        &mut self,
        statement: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<()>,
    ) -> Result<(), Stop> {
        let mut statement = self.prepare(statement, values).map_err(Stop::Fault)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(|error| Stop::Fault(fault(error)))? {
            each(row).map_err(Stop::Own)?;
        }
        Ok(())
    }

    fn define(&mut self, statements: &str) -> Result<(), Fault> {
        self.0
            .execute_batch(&dialect::for_sqlite(statements))
            .map_err(fault)
    }

    /// All processes that share a file are on one machine.
    fn lease_ms(&mut self) -> Result<i64, Stop> {
        let time = clock_gettime(ClockId::Boottime);
        let seconds_ms = time.tv_sec.saturating_mul(1_000);
        Ok(seconds_ms.saturating_add(time.tv_nsec / 1_000_000))
    }
}

impl Row for rusqlite::Row<'_> {
    fn int(&self, column: usize) -> Result<i64> {
        value(self, column, |value| value.as_i64().ok())
    }

    fn maybe_int(&self, column: usize) -> Result<Option<i64>> {
        value(self, column, |value| value.as_i64_or_null().ok())
    }

    fn text(&self, column: usize) -> Result<String> {
        value(self, column, |value| value.as_str().ok().map(str::to_owned))
    }

    fn bytes(&self, column: usize) -> Result<Vec<u8>> {
        value(self, column, |value| Some(strictly_bytes(value)?.to_vec()))
    }

    fn maybe_bytes(&self, column: usize) -> Result<Option<Vec<u8>>> {
        value(self, column, |value| match value {
            ValueRef::Null => Some(None),
            value => Some(Some(strictly_bytes(value)?.to_vec())),
        })
    }
}

fn value<T>(
    row: &rusqlite::Row<'_>,
    column: usize,
    read: impl FnOnce(ValueRef<'_>) -> Option<T>,
) -> Result<T> {
    row.get_ref(column)
        .ok()
        .and_then(read)
        .ok_or_else(|| failed("read a row", format!("Column {column} is of another type")))
}

/// The driver would take a text for bytes too.
fn strictly_bytes(value: ValueRef<'_>) -> Option<&[u8]> {
    match value {
        ValueRef::Blob(bytes) => Some(bytes),
        _ => None,
    }
}

fn wrong_count() -> Fault {
    Fault {
        reason: "The statement takes another number of values".to_owned(),
        is_passing: false,
    }
}

/// Nothing passes by itself here: one that was busy has been waited for.
fn fault(error: rusqlite::Error) -> Fault {
    Fault {
        reason: error.to_string(),
        is_passing: false,
    }
}
