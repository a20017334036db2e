//! The acts of a vault. Each checks who asks, stores what has to be stored, and commits: what is
//! told to the client is what the database holds.
//!
//! For an arrival: bytes durable but unknown, then object and leaf in one transaction, then the
//! answer. For what takes away: the leaf first, in the transaction of the act.
//!
//! Everything here blocks; the server calls it from threads made for that.

mod administration;
mod authentication;
mod clock;
mod deletion;
mod due;
mod examination;
mod findings;
mod foresight;
mod jobs;
mod leftover;
mod lock;
mod observation;
mod overview;
mod purge;
mod put;
mod read;
mod receipt;
mod refusals;
mod scrub;
mod soundness;
mod usage;
mod wholeness;

use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_model::{FileName, RepositoryPath};
use strongroom_store::{Bodies, BodyKey};

pub use administration::{Longer, NewToken, TokenText};
pub use authentication::Principal;
pub use clock::ReadClocks;
pub use examination::BodiesChecked;
pub use findings::Finding;
pub use jobs::{Held, Job};
pub use observation::{Observation, Observed, TokensObserved};
pub use overview::Overview;
pub use purge::Purged;
pub use put::Upload;
pub use read::{File, Lists};
pub use receipt::{Accepted, LARGEST_BYTES as LARGEST_RECEIPT_BYTES, ReceiptUpload};
pub use scrub::Scrubbed;
pub use soundness::GoesOn;
pub use wholeness::{Newest, Standing, StandingPage};

use crate::database::commits::Commits;
use crate::database::lease::Holder;
use crate::database::{Database, Transaction};
use crate::records::leaves::{self, Act, Moment};
use crate::records::repositories::{self, Repository};
use crate::rules::clock::ProcessClock;
use crate::rules::purge::Keeping;
use crate::{Error, Result};

use authentication::Known;
use due::Looked;
use jobs::Leases;
use observation::DueCounts;
use purge::Purges;
use refusals::Refused;
use usage::Usage;

/// What a vault is told about how to work.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What its log is called: a name without spaces or `+`, as `vault.example.net/log`.
    pub origin: String,
    /// How long a new repository keeps things.
    pub keeping: Keeping,
    /// The room that uploads leave free.
    pub reserve_bytes: u64,
    /// The most bytes that an object may have.
    pub object_limit_bytes: u64,
}

/// A vault that is open. Clones are the same vault.
#[derive(Clone, Debug)]
pub struct Vault {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    database: Arc<dyn Database>,
    commits: Commits,
    bodies: Arc<dyn Bodies>,
    settings: Settings,
    read_clocks: ReadClocks,
    /// The clock as this process knows it.
    clock: Mutex<ProcessClock>,
    leases: Leases,
    known: Known,
    usage: Usage,
    refused: Refused,
    purged: purge::Total,
    looked: Looked,
    purges: Purges,
    due_counts: DueCounts,
}

impl Vault {
    /// Opens the vault of a database, whose tables must be there, and of a storage. A new one
    /// begins here.
    ///
    /// # Errors
    /// Those of the database.
    pub fn open(
        database: Arc<dyn Database>,
        bodies: Arc<dyn Bodies>,
        settings: Settings,
        read_clocks: ReadClocks,
    ) -> Result<Self> {
        let holder = Holder::random()?;
        let read_clocks = read_clocks.of_run(holder);
        let commits = Commits::new(Arc::clone(&database))?;
        let clock = clock::open(&*database, &commits, &read_clocks, &settings.origin)?;
        Ok(Self {
            shared: Arc::new(Shared {
                database,
                commits,
                bodies,
                settings,
                read_clocks,
                clock: Mutex::new(clock),
                leases: Leases::new(holder),
                known: Known::default(),
                usage: Usage::default(),
                refused: Refused::default(),
                purged: purge::Total::default(),
                looked: Looked::default(),
                purges: Purges::default(),
                due_counts: DueCounts::default(),
            }),
        })
    }

    /// The database, for the jobs beside the acts.
    pub fn database(&self) -> &Arc<dyn Database> {
        &self.shared.database
    }

    /// What its log is called.
    pub fn origin(&self) -> &str {
        &self.shared.settings.origin
    }

    /// Does work in a transaction, together with what else is committed.
    ///
    /// # Errors
    /// Those of the work and of the database.
    pub(crate) fn commit<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut dyn Transaction) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.shared.commits.commit(work)
    }

    fn repository(&self, path: &RepositoryPath) -> Result<Repository> {
        let found = self.read(|transaction| repositories::get(transaction, path))?;
        found.ok_or_else(|| unknown_repository(path))
    }

    /// Reads one state of the database.
    fn read<T>(&self, mut work: impl FnMut(&mut dyn Transaction) -> Result<T>) -> Result<T> {
        let mut found = None;
        self.shared.database.read(&mut |transaction| {
            found = Some(work(transaction)?);
            Ok(())
        })?;
        found.ok_or_else(no_answer)
    }

    fn body_key(&self, path: &RepositoryPath, name: FileName, generation: u32) -> BodyKey {
        BodyKey {
            repository: path.clone(),
            name,
            generation,
        }
    }
}

/// What a leaf says of a file.
fn told(
    repository: &RepositoryPath,
    name: FileName,
    bytes: u64,
    token: Option<&str>,
) -> leaves::File {
    leaves::File {
        repository: repository.clone(),
        file: name.to_string(),
        bytes,
        token: token.map(str::to_owned),
    }
}

fn unknown_repository(path: &RepositoryPath) -> Error {
    Error::Unknown {
        what: "repository",
        name: path.to_string(),
    }
}

fn no_answer() -> Error {
    Error::Database {
        action: "answer".to_owned(),
        reason: "the work was not done".to_owned(),
    }
}

/// Makes a repository where there is none; tells whether it did.
fn ensure_repository(
    transaction: &mut dyn Transaction,
    moment: Moment,
    path: &RepositoryPath,
    keeping: Keeping,
    token: Option<&str>,
) -> Result<bool> {
    if repositories::get(transaction, path)?.is_some() {
        return Ok(false);
    }
    repositories::insert(transaction, path, keeping)?;
    let act = Act::Repository {
        repository: path.clone(),
        token: token.map(str::to_owned),
        retention_s: keeping.retention_ms / 1000,
        grace_s: keeping.grace_ms / 1000,
    };
    leaves::append(transaction, moment, &act)?;
    Ok(true)
}
