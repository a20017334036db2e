//! From a configuration to an open vault.
//!
//! Each of the two storages goes with each of the two databases. On SQLite one process serves, and
//! holds its folder's lock; the commands beside it share the database, which keeps them apart. On
//! PostgreSQL any number of processes serve.
//!
//! What can go wrong: processes with one database and two storages, each of which would lack what
//! came through the other. The log lies with the storage, so a process that has another one finds
//! no log there, and does not start.
//! A storage on a network mount whose server is away, each look at which hangs: whoever serves waits
//! some seconds for it and goes on without, as with a bucket that says nothing. The folder with the
//! database and the keys has nothing to go on without: that is waited for, and told.
//! And a program that brings the schema forward beneath one of an older version, which would go on
//! to write what the new schema no longer means: it does not start while another serves.

use std::cmp::Ordering;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::time::{ClockId, Timespec, clock_gettime};
use strongroom_model::Secret;
use strongroom_store::{Bodies, LocalBodies, S3Bodies, S3Options};

use crate::beside::within;
use crate::config::{BucketConfig, DatabaseConfig, StorageConfig, VaultConfig};
use crate::database::lease;
use crate::database::migrations::{migrate, version, version_in};
use crate::database::postgres::Postgres;
use crate::database::sqlite::Sqlite;
use crate::database::{Database, Transaction};
use crate::passkeys::Passkeys;
use crate::people::People;
use crate::publication::{LogFiles, LogFolder};
use crate::records::log as identities;
use crate::records::{SCHEMA, leaves};
use crate::rules::clock::{Reading, SECOND_MS};
use crate::rules::purge::Keeping;
use crate::vault::{Job, PURGE_SHARE, RECEIPT_WAIT, ReadClocks, Settings};
use crate::{Error, Result, Vault, admin_token};

/// The folder of the first log, beside the bodies. Later ones have their number behind a sign that
/// no repository has in its name.
const LOG: &str = "log";

/// How long a start waits for its storage.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The longest address of a database.
const LONGEST_URL_BYTES: usize = 4096;

/// What keeps a second process from serving the same folder.
#[derive(Debug)]
pub struct ServingLock(#[expect(dead_code, reason = "held, never read")] File);

/// The people of a vault, whose passkeys are bound to its address.
///
/// # Errors
/// [`Error::Refused`] where the key of people cannot be used; [`Error::Local`].
pub fn people(config: &VaultConfig, vault: Vault) -> Result<People> {
    let key = admin_token::open_people(&config.data.join("keys"))?;
    let passkeys = config.public_url.as_ref().map(Passkeys::new).transpose();
    let passkeys = passkeys.unwrap_or_else(|error| {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "There are no passkeys");
        None
    });
    let people = People::new(vault, passkeys, key);
    Ok(people.protecting(config.protect.rules.clone()))
}

/// Where a vault's bytes lie.
#[derive(Clone, Debug)]
pub struct Storage {
    /// The bodies of its objects.
    pub bodies: Arc<dyn Bodies>,
    /// The files of its log.
    pub log: Arc<dyn LogFiles>,
    /// Whether it has said nothing in the time that whoever serves waits for it.
    pub is_silent: bool,
    logs: Logs,
}

/// Where logs lie.
#[derive(Clone, Debug)]
enum Logs {
    Folder(PathBuf),
    Bucket(Arc<S3Bodies>),
}

impl Storage {
    /// The files of a log, by its number.
    ///
    /// # Errors
    /// [`Error::Local`].
    pub fn log_of(&self, number: u64) -> Result<Arc<dyn LogFiles>> {
        self.logs.open(number)
    }
}

impl Logs {
    fn open(&self, number: u64) -> Result<Arc<dyn LogFiles>> {
        let name = name_of(number);
        Ok(match self {
            Self::Folder(folder) => Arc::new(LogFolder::open(folder.join(name))?),
            Self::Bucket(bodies) => Arc::new(bodies.files(&name)),
        })
    }
}

/// What a log is called, by its number.
fn name_of(number: u64) -> String {
    match number {
        1 => LOG.to_owned(),
        number => format!("{LOG}~{number}"),
    }
}

/// Opens the vault of a configuration for a command beside those who serve; a new one begins here.
///
/// The schema stays as it is: whoever serves works on the one that he knows, and brings it forward
/// himself when he starts.
///
/// # Errors
/// [`Error::OlderSchema`], [`Error::NewerSchema`]; those of database and storage.
pub fn open(config: &VaultConfig) -> Result<Vault> {
    Ok(open_as_it_is(config)?.0)
}

/// As [`open`], and hands over its storage.
///
/// # Errors
/// As [`open`].
pub fn open_as_it_is(config: &VaultConfig) -> Result<(Vault, Storage)> {
    let database = connect(config)?;
    let found = schema_version(config, &*database)?;
    let known = known_schema();
    match found.cmp(&known) {
        // Nobody works on an empty one.
        Ordering::Less if found == 0 => migrate(&*database, SCHEMA)?,
        Ordering::Less => return Err(Error::OlderSchema { found, known }),
        Ordering::Greater => return Err(Error::NewerSchema { found, known }),
        Ordering::Equal => {}
    }
    let storage = open_storage(config, &*database, None)?;
    with_storage(config, database, storage)
}

/// Opens the vault of a configuration for whoever serves it and for nobody else, and hands over its
/// storage; brings the schema up to date. A folder of the storage that says nothing is waited for
/// for [`PATIENCE`]. `at` is told what is waited for without an end, and `None` where that is past.
///
/// # Errors
/// [`Error::OlderServes`], [`Error::NewerSchema`]; those of database and storage.
pub fn open_with_storage(
    config: &VaultConfig,
    at: &dyn Fn(Option<String>),
) -> Result<(Vault, Storage)> {
    let database_is = match &config.database {
        DatabaseConfig::File(path) => format!("the database {}", path.display()),
        DatabaseConfig::Postgres(_) | DatabaseConfig::PostgresFile(_) => "PostgreSQL".to_owned(),
    };
    at(Some(database_is.clone()));
    let database = connect(config)?;
    refuse_beneath_others(config, &*database)?;
    migrate(&*database, SCHEMA)?;
    at(None);
    let storage = open_storage(config, &*database, Some(PATIENCE))?;
    at(Some(database_is));
    let opened = with_storage(config, database, storage)?;
    at(None);
    Ok(opened)
}

/// How many steps the schema of this program has.
pub(crate) fn known_schema() -> i64 {
    i64::try_from(SCHEMA.len()).unwrap_or(i64::MAX)
}

/// How many steps the schema of a database has taken; 0 for an empty one.
///
/// # Errors
/// Those of the database.
pub(crate) fn schema_version(config: &VaultConfig, database: &dyn Database) -> Result<i64> {
    version(database, tables(config))
}

/// Counts the tables called `schema_version`, in the words of a database's kind.
const fn tables(config: &VaultConfig) -> &'static str {
    match config.database {
        DatabaseConfig::File(_) => {
            "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'"
        }
        DatabaseConfig::Postgres(_) | DatabaseConfig::PostgresFile(_) => {
            "SELECT COUNT(*) FROM information_schema.tables \
             WHERE table_schema = current_schema() AND table_name = 'schema_version'"
        }
    }
}

/// Refuses to bring a schema forward while a process serves that works on the one before. On SQLite
/// whoever serves holds the folder's lock, so that nobody else does.
fn refuse_beneath_others(config: &VaultConfig, database: &dyn Database) -> Result<()> {
    if matches!(config.database, DatabaseConfig::File(_)) {
        return Ok(());
    }
    let known = known_schema();
    // Both are of one moment: whoever has brought it forward since takes no lease before.
    database.read(&mut |transaction: &mut dyn Transaction| {
        let found = version_in(transaction, tables(config))?;
        if found == 0 || found >= known {
            return Ok(());
        }
        let now_ms = transaction.lease_ms()?;
        for job in [Job::Clock, Job::Log] {
            let holder = lease::holder(transaction, job.name(), now_ms, lease::LENGTH_MS)?;
            if holder.is_some() {
                return Err(Error::OlderServes { found, known });
            }
        }
        Ok(())
    })
}

fn with_storage(
    config: &VaultConfig,
    database: Arc<dyn Database>,
    storage: Storage,
) -> Result<(Vault, Storage)> {
    let settings = Settings {
        origin: origin(config),
        keeping: Keeping {
            retention_ms: config.retention.milliseconds(),
            grace_ms: config.grace.milliseconds(),
        },
        reserve_bytes: config.reserve.bytes(),
        object_limit_bytes: config.object_size.bytes(),
        receipt_wait: RECEIPT_WAIT,
        purge_share: PURGE_SHARE,
    };
    let bodies = Arc::clone(&storage.bodies);
    let vault = Vault::open(database, bodies, settings, read_clocks()?)?;
    Ok((vault, storage))
}

/// Makes sure that nobody else serves the folder; `None` on PostgreSQL, where others may.
///
/// # Errors
/// [`Error::Refused`] where somebody does.
pub fn lock(config: &VaultConfig) -> Result<Option<ServingLock>> {
    if !matches!(config.database, DatabaseConfig::File(_)) {
        return Ok(None);
    }
    let path = config.data.join("serving.lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(Error::of_vault(format!("open {}", path.display())))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(ServingLock(file))),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Refused {
            reason: format!(
                "another process serves {}; several processes need a PostgreSQL in [database]",
                config.data.display()
            ),
        }),
        Err(errno) => Err(Error::of_vault(format!("lock {}", path.display()))(
            errno.into(),
        )),
    }
}

/// Opens the database of a configuration, whatever its schema is.
///
/// # Errors
/// Those of the database.
pub(crate) fn connect(config: &VaultConfig) -> Result<Arc<dyn Database>> {
    let authorities = config.database_ca_file.as_deref();
    Ok(match &config.database {
        DatabaseConfig::File(path) => Arc::new(Sqlite::open(path)?),
        DatabaseConfig::Postgres(url) => Arc::new(Postgres::open(url, authorities)?),
        DatabaseConfig::PostgresFile(path) => {
            Arc::new(Postgres::open(&read_url(path)?, authorities)?)
        }
    })
}

/// The first line of a file.
fn read_url(path: &Path) -> Result<Secret> {
    let failed = || Error::local(format!("read the database's address in {}", path.display()));
    let text = std::fs::read_to_string(path).map_err(failed())?;
    let url = text.lines().next().unwrap_or_default().trim();
    if url.is_empty() || url.len() > LONGEST_URL_BYTES {
        return Err(failed()(std::io::ErrorKind::InvalidData.into()));
    }
    Ok(Secret::new(url))
}

/// Opens the storage; where there is a patience, a folder that says nothing is not waited for longer.
fn open_storage(
    config: &VaultConfig,
    database: &dyn Database,
    patience: Option<Duration>,
) -> Result<Storage> {
    let log = database.look(identities::get)?;
    let number = log.map_or(1, |log| log.number);
    match &config.storage {
        StorageConfig::Folder(folder) => open_folder(folder, number, patience),
        StorageConfig::Bucket(bucket) => {
            let bodies = Arc::new(S3Bodies::new(s3_options(bucket, config))?);
            if is_new(database)? {
                // Later a bucket that is not there is a wrong name, or a loss.
                bodies.create()?;
            }
            let logs = Logs::Bucket(Arc::clone(&bodies));
            Ok(Storage {
                bodies,
                log: logs.open(number)?,
                is_silent: false,
                logs,
            })
        }
    }
}

fn open_folder(folder: &Path, number: u64, patience: Option<Duration>) -> Result<Storage> {
    let bodies = Arc::new(LocalBodies::new(folder.join("repositories")));
    let log = Arc::new(LogFolder::new(folder.join(name_of(number))));
    let make = {
        let (bodies, log) = (Arc::clone(&bodies), Arc::clone(&log));
        move || -> Result<()> {
            bodies.create()?;
            log.create()
        }
    };
    let made = match patience {
        None => Some(make()),
        Some(patience) => within(patience, make)?,
    };
    let is_silent = made.is_none();
    made.transpose()?;
    if is_silent {
        tracing::warn!(
            folder = %folder.display(),
            "The folder of the storage does not answer; where it is on a network mount, see to its \
             server"
        );
    }
    Ok(Storage {
        bodies,
        log,
        is_silent,
        logs: Logs::Folder(folder.to_owned()),
    })
}

/// How to reach a bucket; account and, at Amazon's, region come from the environment, the files of
/// Amazon's programs, or the machine's role.
fn s3_options(bucket: &BucketConfig, config: &VaultConfig) -> S3Options {
    S3Options {
        spool: Some(config.data.clone()),
        // The database may lie there.
        spool_reserve_bytes: config.reserve.bytes(),
        prefix: bucket.prefix.clone().unwrap_or_default(),
        region: bucket.region.clone(),
        path_style: bucket.endpoint.is_some(),
        endpoint: bucket.endpoint.clone(),
        ..S3Options::new(bucket.bucket.as_str())
    }
}

/// Whether a database has not seen anything yet.
fn is_new(database: &dyn Database) -> Result<bool> {
    Ok(database.look(leaves::head)?.leaves == 0)
}

/// What the log of a new vault is called.
fn origin(config: &VaultConfig) -> String {
    format!("{}/strongroom", host(config))
}

/// The host that browsers use, or a name that says that there is none.
pub fn host(config: &VaultConfig) -> String {
    let host = config.public_url.as_ref().map(|url| url.host());
    host.unwrap_or_else(|| "vault.invalid".to_owned())
}

/// The system's clocks.
fn read_clocks() -> Result<ReadClocks> {
    let path = "/proc/sys/kernel/random/boot_id";
    let boot = std::fs::read_to_string(path).map_err(Error::local(format!("read {path}")))?;
    let boot = boot.trim().to_owned();
    Ok(ReadClocks::new(move || Reading {
        boot: boot.clone(),
        boottime_ms: milliseconds(clock_gettime(ClockId::Boottime)),
        wall_ms: milliseconds(clock_gettime(ClockId::Realtime)),
    }))
}

fn milliseconds(time: Timespec) -> i64 {
    let seconds_ms = time.tv_sec.saturating_mul(SECOND_MS);
    seconds_ms.saturating_add(time.tv_nsec / 1_000_000)
}
