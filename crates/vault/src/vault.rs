//! The acts of a vault. Each checks who asks, stores what has to be stored, and commits: what is
//! told to the client is what the database holds.
//!
//! For an arrival: bytes durable but unknown, then object and leaf in one transaction, then the
//! answer. For what takes away: the leaf first, in the transaction of the act.
//!
//! Everything here blocks; the server calls it from threads made for that.

mod administration;
mod arrivals;
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
mod log;
mod many;
mod moments;
mod notices;
mod observation;
mod overview;
mod pages;
mod purge;
mod put;
mod read;
mod receipt;
mod refusals;
mod replacement;
mod scrub;
mod soundness;
mod storage;
mod usage;
mod wholeness;
mod witness;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;
use strongroom_model::{FileName, RepositoryPath};
use strongroom_store::{Bodies, BodyKey};

pub use administration::{DAILY_OBJECTS, Longer, NewToken, TokenDay, TokenText};
pub(crate) use administration::{FreshToken, agree_to_purge, insert_token};
pub use authentication::Principal;
pub(crate) use clock::confirm_clock_in;
pub use clock::{ReadClocks, Seen};
pub use due::PURGE_SHARE;
pub use examination::BodiesChecked;
pub(crate) use findings::LOG_BEHIND_MS;
pub use findings::{Channels, Demands, Finding};
pub use jobs::{Held, Job};
pub use log::{NextLog, OldLog};
pub use many::Hiding;
pub(crate) use notices::log_wrong;
pub use observation::{Observation, Observed, TokensObserved};
pub use overview::Overview;
pub use pages::Shown;
pub use purge::Purged;
pub use put::{SHORT_BYTES, Upload};
pub use read::{File, Lists};
pub use receipt::{
    Accepted, LARGEST_BYTES as LARGEST_RECEIPT_BYTES, RECEIPT_WAIT, ReceiptTaken, ReceiptUpload,
    WaitingReceipt,
};
pub use scrub::Scrubbed;
pub use soundness::GoesOn;
pub use wholeness::{Newest, Standing, StandingPage};

use crate::Result;
use crate::database::commits::{Commits, SettledCommits};
use crate::database::lease::Holder;
use crate::database::{Database, Transaction, no_answer};
use crate::records::leaves::{self, Act, Moment};
use crate::records::log::{self as identities, LogIdentity};
use crate::records::repositories::{self, Repository, unknown as unknown_repository};
use crate::rules::clock::{Drift, ProcessClock};
use crate::rules::purge::Keeping;

use authentication::Known;
use due::Looked;
use jobs::Leases;
use observation::DueCounts;
use purge::Purges;
use receipt::{Spool, TakenBack};
use refusals::Refused;
use replacement::Waiting;
use scrub::Readable;
use usage::Usage;

/// What a vault is told about how to work.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the log of a new vault is called: a name without spaces or `+`, as
    /// `vault.example.net/log`.
    pub origin: String,
    /// How long a new repository keeps things.
    pub keeping: Keeping,
    /// The room that uploads leave free.
    pub reserve_bytes: u64,
    /// The most bytes that an object may have.
    pub object_limit_bytes: u64,
    /// How long a receipt waits for others of its source, in all.
    pub receipt_wait: Duration,
    /// How many objects of a repository one run of the purge removes.
    pub purge_share: u64,
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
    /// Commits of small files.
    puts: SettledCommits,
    bodies: Arc<dyn Bodies>,
    /// Whether the bodies may be those of another vault.
    is_storage_doubted: AtomicBool,
    settings: Settings,
    /// Which log this process knows.
    log: LogIdentity,
    read_clocks: ReadClocks,
    /// The clock as this process knows it.
    clock: Mutex<ProcessClock>,
    /// What it has seen of the clocks beside it.
    drift: Mutex<Drift>,
    leases: Leases,
    known: Known,
    usage: Usage,
    refused: Refused,
    spool: Spool,
    taken_back: TakenBack,
    purged: purge::Total,
    looked: Looked,
    readable: Readable,
    purges: Purges,
    waiting: Waiting,
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
        let puts = SettledCommits::new(Arc::clone(&database), Arc::clone(&bodies))?;
        let (clock, drift) = clock::open(&*database, &commits, &read_clocks, &settings.origin)?;
        let origin = settings.origin.clone();
        let log = match database.look(identities::get)? {
            Some(log) => log,
            None => {
                commits.commit(move |transaction| identities::get_or_name(transaction, &origin))?
            }
        };
        Ok(Self {
            shared: Arc::new(Shared {
                database,
                commits,
                puts,
                bodies,
                is_storage_doubted: AtomicBool::new(false),
                settings,
                log,
                read_clocks,
                clock: Mutex::new(clock),
                drift: Mutex::new(drift),
                leases: Leases::new(holder),
                known: Known::default(),
                usage: Usage::default(),
                refused: Refused::default(),
                spool: Spool::default(),
                taken_back: TakenBack::default(),
                purged: purge::Total::default(),
                looked: Looked::default(),
                readable: Readable::default(),
                purges: Purges::default(),
                waiting: Waiting::default(),
                due_counts: DueCounts::default(),
            }),
        })
    }

    /// The database, for the jobs beside the acts.
    pub fn database(&self) -> &Arc<dyn Database> {
        &self.shared.database
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
        self.read(|transaction| repositories::must(transaction, path))
    }

    /// Reads one state of the database.
    pub(crate) fn read<T>(&self, work: impl FnMut(&mut dyn Transaction) -> Result<T>) -> Result<T> {
        self.shared.database.look(work)
    }

    /// The same for a page of a list, which nothing else waits for.
    fn read_list<T>(&self, mut work: impl FnMut(&mut dyn Transaction) -> Result<T>) -> Result<T> {
        let mut found = None;
        self.shared.database.read_list(&mut |transaction| {
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
