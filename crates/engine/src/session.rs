//! One run on one repository: its copies listed, its key opened, its locks held.
//!
//! Every copy is looked at by a thread of its own, and each look ends in time ([`Looking`]), whatever
//! the copy does; a store without time limits of its own is behind a
//! [`PatientStore`](strongroom_store::PatientStore). A copy that fails here is left out with its reason and the run
//! goes on with the others.

mod flaws;
mod guarded;
mod hidden;
mod keys;
mod locks;
mod looking;
mod open;
mod own_locks;
mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use parking_lot::Mutex;
use strongroom_model::{FileName, Id};
use strongroom_repo::Repository;
use strongroom_store::{Store, is_remote};
use zeroize::Zeroizing;

use crate::listing::Listing;
use crate::removals::{Keeper, Removals};
use crate::state::{Predecessor, RepositoryState};
use crate::{Error, Result};

pub use flaws::{Flaw, FlawProblem};
pub use keys::{KeyNotGiven, TriedKeys};
pub(crate) use locks::LOCKED_HINT;
pub use locks::{LockReport, LockState, LockTimes, Locks, read_locks};
pub use looking::Looking;
pub(crate) use looking::{Begun, begin_each};
pub(crate) use open::{Look, look_at};
pub use open::{open, open_behind, open_remembering};
pub use own_locks::OwnLocks;
pub use places::Places;
pub use strongroom_model::chain;

/// The time of this host, as a parameter.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A copy by its name and where it is.
#[derive(Debug, Clone)]
pub struct CopyStore {
    /// The name in the configuration.
    pub name: String,
    /// The place.
    pub store: Arc<dyn Store>,
    /// Whether it is on this machine, so that reading from it is cheap.
    pub is_local: bool,
}

impl CopyStore {
    /// Whether it is behind a server, each answer of which is waited for, also on this machine.
    pub(crate) fn is_behind_server(&self) -> bool {
        is_remote(self.store.location())
    }
}

/// Who runs, where, and how to stop it.
#[derive(Clone)]
pub struct Environment {
    /// The time.
    pub clock: Clock,
    /// The host's name, as snapshots and locks carry it.
    pub hostname: String,
    /// The user's name.
    pub username: String,
    /// Set when the user interrupts.
    pub cancel: Cancel,
}

/// A wish to stop, shared by all threads of a run.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

/// An open repository with its copies.
#[derive(Debug)]
pub struct Session {
    /// The repository.
    pub repository: Repository,
    /// All copies of the configuration, in its order.
    pub copies: Vec<SessionCopy>,
    /// How long a look at a copy may take.
    pub looking: Looking,
    /// When its locks are renewed.
    pub lock_times: LockTimes,
    /// What was found out about their places when they were locked last.
    pub places: Places,
    /// What records say was removed; none of it is in the listing of any copy.
    pub removals: Arc<Removals>,
    /// Where this machine keeps records; `None` where it remembers nothing.
    pub(crate) keeper: Option<Keeper>,
    /// Which locks are ours.
    pub(crate) own_locks: OwnLocks,
    /// Files among the locks that are none, and were told, each with its copy: a run locks more
    /// than once, and looks twice each time.
    pub(crate) told_junk: Arc<Mutex<BTreeSet<(String, Id)>>>,
    /// The copy from which the key was opened, by its name; `None` where it came from none.
    pub(crate) opened_from: Option<String>,
    /// The copy whose hidden versions opened the repository, by its name, where nothing in sight did: an
    /// alarm.
    pub opened_behind: Option<String>,
    /// The copies that were tried before that one, by their names, and why they did not open.
    pub(crate) passed_over: BTreeMap<String, String>,
    /// The repositories that were seen on the copies before the one that is in sight there, and that
    /// nobody has accepted as given up: an alarm. None where nothing is remembered.
    pub predecessors: Vec<Predecessor>,
}

/// A copy within a run.
#[derive(Debug, Clone)]
pub struct SessionCopy {
    /// The copy.
    pub copy: CopyStore,
    /// What was found.
    pub state: CopyState,
}

/// What was found of a copy when the run began.
#[derive(Debug, Clone)]
pub enum CopyState {
    /// It can be used.
    Ready(Box<ReadyCopy>),
    /// It cannot.
    Failed(CopyFailure),
}

/// A copy that can be used.
#[derive(Debug, Clone)]
pub struct ReadyCopy {
    /// What lies there, without what records say was removed.
    pub listing: Listing,
    /// What lies there still, although records say that it was removed.
    pub removed: Vec<RemovedFile>,
    /// Whether its `config` is the repository's, byte for byte. Where not, `sync` mends it.
    pub config_is_right: bool,
    /// Files that are listed and, as far as is known, wrong there, or not given when they were
    /// asked for. Nothing is built on them until somebody has read them right.
    pub doubts: BTreeSet<FileName>,
}

/// A file that lies on a copy although a record says that it was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemovedFile {
    /// The file.
    pub name: FileName,
    /// Its size as stored.
    pub size_bytes: u64,
}

/// Why a copy cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyFailure {
    /// What is wrong, as people read it.
    pub reason: String,
    /// The next step, where there is one.
    pub hint: Option<String>,
    /// Which kind of failure, for the exit status.
    pub kind: CopyFailureKind,
}

/// The kinds of failure that the program tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyFailureKind {
    /// There is no repository.
    NoRepository,
    /// The password does not fit.
    WrongPassword,
    /// Somebody else holds an exclusive lock.
    Locked,
    /// It has no place for removal records, as a server that knows restic's folders alone.
    NoPlace,
    /// It cannot be reached, read or written.
    Other,
}

/// The password of the repository.
pub type Password = Zeroizing<Vec<u8>>;

impl Session {
    /// A repository with its copies; its locks are noted nowhere yet.
    pub fn new(repository: Repository, copies: Vec<SessionCopy>, looking: Looking) -> Self {
        Self {
            repository,
            copies,
            looking,
            lock_times: LockTimes::default(),
            places: Places::default(),
            removals: Arc::default(),
            keeper: None,
            own_locks: OwnLocks::default(),
            told_junk: Arc::default(),
            opened_from: None,
            opened_behind: None,
            passed_over: BTreeMap::new(),
            predecessors: Vec::new(),
        }
    }

    /// The copies that can be used, with what lies there.
    pub fn ready(&self) -> impl Iterator<Item = (&CopyStore, &ReadyCopy)> {
        self.copies.iter().filter_map(|copy| match &copy.state {
            CopyState::Ready(ready) => Some((&copy.copy, ready.as_ref())),
            CopyState::Failed(_) => None,
        })
    }

    /// Notes the locks of this run in the state folder, so that after a kill the next run knows
    /// them at once.
    pub fn note_locks_in(&mut self, memory: RepositoryState) {
        self.own_locks = OwnLocks::kept_in(memory);
    }

    /// Marks a copy as failed, from here on.
    pub fn fail(&mut self, name: &str, failure: CopyFailure) {
        for copy in self.copies.iter_mut().filter(|copy| copy.copy.name == name) {
            copy.state = CopyState::Failed(failure.clone());
        }
    }

    /// Says which files of a copy are in doubt.
    pub fn doubt(&mut self, name: &str, doubts: BTreeSet<FileName>) {
        let copy = self.copies.iter_mut().find(|copy| copy.copy.name == name);
        if let Some(CopyState::Ready(ready)) = copy.map(|copy| &mut copy.state) {
            ready.doubts = doubts;
        }
    }

    /// Lists every copy anew without what records say by now, from what was listed before.
    pub fn settle_removals(&mut self) {
        for copy in &mut self.copies {
            if let CopyState::Ready(ready) = &mut copy.state {
                ready.obey(&self.removals);
            }
        }
    }

    /// Takes note that a copy is locked: its newer listing, and a store that looks at the lock. The
    /// listing has all that lies there, until records are looked at.
    pub(crate) fn lock(&mut self, name: &str, listing: Listing, store: Arc<dyn Store>) {
        let copy = self.copies.iter_mut().find(|copy| copy.copy.name == name);
        if let Some(copy) = copy
            && let CopyState::Ready(ready) = &mut copy.state
        {
            copy.copy.store = store;
            ready.listing = listing;
            ready.removed.clear();
        }
    }

    /// Fails where nothing may be removed: another repository was on a copy before this one, and what
    /// this one does not need may be all that is left of it.
    ///
    /// # Errors
    /// [`Error::NothingRemoved`].
    pub fn check_removal(&self) -> Result<()> {
        match self.predecessors.first() {
            None => Ok(()),
            Some(first) => Err(Error::NothingRemoved {
                reason: first.to_string(),
                hint: first.hint(),
            }),
        }
    }

    /// What to say where not one copy can be used.
    pub fn no_copy(&self) -> Error {
        no_copy(&self.copies)
    }

    /// The short name of the repository, for messages.
    pub fn id(&self) -> Id {
        self.repository.config().id
    }
}

impl ReadyCopy {
    /// Whether a file is there, in this size where one is given, and not in doubt.
    pub fn holds(&self, name: FileName, size_bytes: Option<u64>) -> bool {
        let files = self.listing.of(name.kind());
        let listed = files
            .zip(name.id())
            .and_then(|(files, id)| files.size_bytes(id));
        listed.is_some_and(|listed| size_bytes.is_none_or(|expected| expected == listed))
            && !self.doubts.contains(&name)
    }
}

impl Cancel {
    /// Asks everybody to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Fails where somebody asked.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(Error::Interrupted);
        }
        Ok(())
    }

    /// The flag itself, for stores that wait.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

impl CopyFailure {
    /// One of which nobody knows a next step.
    pub(crate) fn other(reason: String) -> Self {
        Self {
            reason,
            hint: None,
            kind: CopyFailureKind::Other,
        }
    }

    /// Whether a copy did without a record only since it has no place for any: that lies in what
    /// it is, and no run can mend it.
    pub fn is_for_want_of_place(&self) -> bool {
        self.kind == CopyFailureKind::NoPlace
    }

    /// A failure of the store.
    pub fn of_store(error: &strongroom_store::Error) -> Self {
        Self {
            reason: chain(error),
            hint: error.hint(),
            kind: CopyFailureKind::Other,
        }
    }

    /// A failure of the format.
    pub fn of_repo(error: &strongroom_repo::Error) -> Self {
        let kind = match error {
            strongroom_repo::Error::NoRepository { .. } => CopyFailureKind::NoRepository,
            strongroom_repo::Error::WrongPassword { .. } => CopyFailureKind::WrongPassword,
            _ => CopyFailureKind::Other,
        };
        Self {
            reason: chain(error),
            hint: error.hint(),
            kind,
        }
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("hostname", &self.hostname)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

fn no_copy(copies: &[SessionCopy]) -> Error {
    let failures: Vec<_> = copies
        .iter()
        .filter_map(|copy| match &copy.state {
            CopyState::Failed(failure) => Some((copy.copy.name.clone(), failure)),
            CopyState::Ready(_) => None,
        })
        .collect();
    let location = |name: &str| {
        let copy = copies.iter().find(|copy| copy.copy.name == name);
        copy.map_or_else(String::new, |copy| copy.copy.store.location().to_owned())
    };
    let all = |kind| !failures.is_empty() && failures.iter().all(|(_, f)| f.kind == kind);
    match failures.first() {
        Some((name, failure)) if all(CopyFailureKind::Locked) => Error::Locked {
            copy: name.clone(),
            lock: failure.reason.clone(),
        },
        Some((name, _)) if all(CopyFailureKind::NoRepository) => {
            Error::Repo(strongroom_repo::Error::NoRepository {
                location: location(name),
            })
        }
        _ => Error::NoCopy {
            reasons: failures
                .iter()
                .map(|(name, failure)| format!("{name}: {}", failure.reason))
                .collect(),
        },
    }
}
