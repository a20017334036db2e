//! From a configuration to an open vault.
//!
//! Who serves holds the folder's lock; the commands beside it share the database, which keeps them
//! apart.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use rustix::time::{ClockId, Timespec, clock_gettime};
use strongroom_store::LocalBodies;

use crate::config::{DatabaseConfig, StorageConfig, VaultConfig};
use crate::database::Database;
use crate::database::migrations::migrate;
use crate::database::sqlite::Sqlite;
use crate::records::SCHEMA;
use crate::rules::clock::{Reading, SECOND_MS};
use crate::rules::purge::Keeping;
use crate::vault::{ReadClocks, Settings};
use crate::{Error, Result, Vault};

/// What keeps a second process from serving the same folder.
#[derive(Debug)]
pub struct ServingLock(#[expect(dead_code, reason = "held, never read")] File);

/// Opens the vault of a configuration; a new one begins here.
///
/// # Errors
/// [`Error::Refused`] where the configuration asks for what is not built; those of database and
/// storage.
pub fn open(config: &VaultConfig) -> Result<Vault> {
    let StorageConfig::Folder(folder) = &config.storage else {
        return Err(Error::Refused {
            reason: "storage in a bucket is not built in this version; take [storage] out of \
                     vault.toml to keep objects in the vault's folder"
                .to_owned(),
        });
    };
    let bodies = LocalBodies::new(folder.join("repositories"));
    bodies.create()?;
    let database = open_database(config)?;
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
    let clocks = read_clocks()?;
    Vault::open(database, Arc::new(bodies), settings, clocks)
}

/// Makes sure that nobody else serves the folder.
///
/// # Errors
/// [`Error::Refused`] where somebody does.
pub fn lock(config: &VaultConfig) -> Result<ServingLock> {
    let path = config.data.join("serving.lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(Error::local(format!("open {}", path.display())))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(ServingLock(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Refused {
            reason: format!("another process serves {}", config.data.display()),
        }),
        Err(errno) => Err(Error::local(format!("lock {}", path.display()))(
            errno.into(),
        )),
    }
}

fn open_database(config: &VaultConfig) -> Result<Arc<dyn Database>> {
    let DatabaseConfig::File(path) = &config.database else {
        return Err(Error::Refused {
            reason: "a vault on PostgreSQL is not built in this version; take [database] out of \
                     vault.toml to keep a file in the vault's folder"
                .to_owned(),
        });
    };
    let database = Sqlite::open(path)?;
    migrate(&database, SCHEMA)?;
    Ok(Arc::new(database))
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
