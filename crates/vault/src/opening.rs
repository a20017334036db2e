//! From a configuration to an open vault.
//!
//! Each of the two storages goes with each of the two databases. On SQLite one process serves, and
//! holds its folder's lock; the commands beside it share the database, which keeps them apart. On
//! PostgreSQL any number of processes serve.
//!
//! What can go wrong: processes with one database and two storages, each of which would lack what
//! came through the other. The log lies with the storage, so a process that has another one finds
//! no log there, and does not start.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use rustix::time::{ClockId, Timespec, clock_gettime};
use strongroom_model::Secret;
use strongroom_store::{Bodies, LocalBodies, S3Bodies, S3Options};

use crate::config::{BucketConfig, DatabaseConfig, StorageConfig, VaultConfig};
use crate::database::migrations::migrate;
use crate::database::postgres::Postgres;
use crate::database::sqlite::Sqlite;
use crate::database::{Database, Transaction};
use crate::publication::{LogFiles, LogFolder};
use crate::records::{SCHEMA, leaves};
use crate::rules::clock::{Reading, SECOND_MS};
use crate::rules::purge::Keeping;
use crate::vault::{ReadClocks, Settings};
use crate::{Error, Result, Vault};

/// The folder of the log, beside the bodies.
const LOG: &str = "log";

/// The longest address of a database.
const LONGEST_URL_BYTES: usize = 4096;

/// What keeps a second process from serving the same folder.
#[derive(Debug)]
pub struct ServingLock(#[expect(dead_code, reason = "held, never read")] File);

/// Where a vault's bytes lie.
#[derive(Clone, Debug)]
pub struct Storage {
    /// The bodies of its objects.
    pub bodies: Arc<dyn Bodies>,
    /// The files of its log.
    pub log: Arc<dyn LogFiles>,
}

/// Opens the vault of a configuration; a new one begins here.
///
/// # Errors
/// Those of database and storage.
pub fn open(config: &VaultConfig) -> Result<Vault> {
    Ok(open_with_storage(config)?.0)
}

/// Opens the vault of a configuration, and hands over its storage.
///
/// # Errors
/// As [`open`].
pub fn open_with_storage(config: &VaultConfig) -> Result<(Vault, Storage)> {
    let database = open_database(config)?;
    let storage = open_storage(config, &*database)?;
    let milliseconds = |period: strongroom_model::Period| {
        i64::try_from(period.duration().as_millis()).unwrap_or(i64::MAX)
    };
    let settings = Settings {
        origin: origin(config),
        keeping: Keeping {
            retention_ms: milliseconds(config.retention),
            grace_ms: milliseconds(config.grace),
        },
        reserve_bytes: config.reserve.bytes(),
        object_limit_bytes: config.object_size.bytes(),
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
        .map_err(Error::local(format!("open {}", path.display())))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(ServingLock(file))),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Refused {
            reason: format!(
                "another process serves {}; several processes need a PostgreSQL in [database]",
                config.data.display()
            ),
        }),
        Err(errno) => Err(Error::local(format!("lock {}", path.display()))(
            errno.into(),
        )),
    }
}

fn open_database(config: &VaultConfig) -> Result<Arc<dyn Database>> {
    let authorities = config.database_ca_file.as_deref();
    let database: Arc<dyn Database> = match &config.database {
        DatabaseConfig::File(path) => Arc::new(Sqlite::open(path)?),
        DatabaseConfig::Postgres(url) => Arc::new(Postgres::open(url, authorities)?),
        DatabaseConfig::PostgresFile(path) => {
            Arc::new(Postgres::open(&read_url(path)?, authorities)?)
        }
    };
    migrate(&*database, SCHEMA)?;
    Ok(database)
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

fn open_storage(config: &VaultConfig, database: &dyn Database) -> Result<Storage> {
    match &config.storage {
        StorageConfig::Folder(folder) => {
            let bodies = LocalBodies::new(folder.join("repositories"));
            bodies.create()?;
            Ok(Storage {
                bodies: Arc::new(bodies),
                log: Arc::new(LogFolder::open(folder.join(LOG))?),
            })
        }
        StorageConfig::Bucket(bucket) => {
            let bodies = S3Bodies::new(s3_options(bucket, &config.data))?;
            if is_new(database)? {
                // Later a bucket that is not there is a wrong name, or a loss.
                bodies.create()?;
            }
            Ok(Storage {
                log: Arc::new(bodies.files(LOG)),
                bodies: Arc::new(bodies),
            })
        }
    }
}

/// How to reach a bucket; account and, at Amazon's, region come from the environment, the files of
/// Amazon's programs, or the machine's role.
fn s3_options(bucket: &BucketConfig, data: &Path) -> S3Options {
    S3Options {
        spool: Some(data.to_owned()),
        prefix: bucket.prefix.clone().unwrap_or_default(),
        region: bucket.region.clone(),
        path_style: bucket.endpoint.is_some(),
        endpoint: bucket.endpoint.clone(),
        ..S3Options::new(bucket.bucket.as_str())
    }
}

/// Whether a database has not seen anything yet.
fn is_new(database: &dyn Database) -> Result<bool> {
    let mut is_new = false;
    database.read(&mut |transaction: &mut dyn Transaction| {
        is_new = leaves::head(transaction)?.leaves == 0;
        Ok(())
    })?;
    Ok(is_new)
}

/// What the log of a new vault is called.
fn origin(config: &VaultConfig) -> String {
    format!("{}/strongroom", host(config))
}

/// The host that browsers use, or a name that says that there is none.
fn host(config: &VaultConfig) -> String {
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
