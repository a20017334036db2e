//! Sync, which is also healing: every copy gets what it lacks from a sibling.
//!
//! What a copy owes another is the difference between their listings, and nothing else is kept of
//! it: a sync that is interrupted at any moment is simply run again. On whole copies it costs
//! their listings and transfers nothing.
//!
//! What travels is checked against its name, and must decode: a right name proves nothing about
//! who wrote a file. `locks/` is never looked at.
//!
//! | is to be written | only where |
//! |---|---|
//! | a key | it was opened in this run, or a receipt names it; nobody removed it here; and the copy's vault does not hold it already, for an operator to admit |
//! | `config` | this copy has none, or bytes that are no config of this repository; and it has a key |
//! | a pack | its header decrypts |
//! | an index file | the copy has all packs that it names, in their right sizes |
//! | a snapshot | the copy has everything that it refers to, by its own index files |
//!
//! Keys come before `config`, which is what makes a folder a repository. Two configs that both
//! decrypt and differ are no damage: somebody has to say which is right.
//!
//! All packs are settled on every copy before the first index file is written, and all of these
//! before the first snapshot. A file is read once, however many copies lack it, so that copies
//! that are written at once go at the pace of the slowest; one that fails is left out at once.
//!
//! **Architecture invariant:** sync never removes a file, and replaces only bytes that are wrong.

mod barrier;
pub(crate) mod budget;
mod deliver;
mod divergence;
mod fetch;
pub(crate) mod incomplete;
mod lane;
mod plan;
mod report;
mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use strongroom_model::{FileName, Id};
use strongroom_repo::Repository;

pub use report::{Diverged, Junk, NotGiven, SyncProblem, SyncProblemKind, SyncReport, SyncedCopy};

use crate::Listing;
use crate::known::Lost;
use crate::progress::Progress;
use crate::session::{Cancel, CopyState, CopyStore, Session};
use crate::state::SeenFiles;
use run::Run;

/// A copy to bring up to date, as it was listed.
#[derive(Debug, Clone)]
pub struct SyncCopy {
    /// The copy.
    pub copy: CopyStore,
    /// What lies there.
    pub listing: Listing,
    /// Whether its `config` is the repository's.
    pub config_is_right: bool,
    /// Files that are in doubt there: they are read, and healed where they are wrong.
    pub doubts: BTreeSet<FileName>,
}

/// What to know besides the listings.
#[derive(Debug, Clone)]
pub struct SyncOptions {
    /// The most bytes of files in memory at a time, but for one file that has more.
    pub memory_bytes: u64,
    /// How many files are transferred at a time.
    pub transfers: usize,
    /// Key files that receipts name, or that a person has admitted.
    pub known_keys: BTreeSet<Id>,
    /// Key files that were removed on purpose: none of them travels, whatever names it.
    pub removed_keys: BTreeSet<Id>,
    /// For each copy by name, the keys that its vault holds and does not list until an operator
    /// admits them: they are there, and are not sent again.
    pub pending_keys: BTreeMap<String, BTreeSet<Id>>,
    /// For each copy by name, what it is known to have held.
    pub seen: BTreeMap<String, SeenFiles>,
    /// Files that records say were there; what no copy lists of them is lost.
    pub known_files: BTreeSet<FileName>,
    /// For snapshots that were just made, all files that they need: spares following their trees.
    pub needs: BTreeMap<Id, Vec<FileName>>,
    /// Snapshots that were just made, as they are stored: one that no copy could take yet is
    /// brought like one that another copy has.
    pub new_snapshots: BTreeMap<Id, Vec<u8>>,
    /// What to do with a copy from which somebody seems to have removed files on purpose.
    pub decision: Decision,
    /// Who is to know of what is replaced.
    pub before_heal: Option<BeforeHeal>,
}

/// Hears the name of a copy, and of a file that is wrong there.
pub type TellWrong = dyn Fn(&str, FileName) + Send + Sync;

/// Is told of what is wrong on a copy before that is replaced: the sync may die when it has.
#[derive(Clone)]
pub struct BeforeHeal(pub Arc<TellWrong>);

impl fmt::Debug for BeforeHeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BeforeHeal")
    }
}

/// What to do with a copy that seems to have been pruned by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Decision {
    /// Report it, and leave its packs, index files and snapshots alone.
    #[default]
    Ask,
    /// Bring back what it lacks.
    Heal,
}

impl Default for SyncOptions {
    fn default() -> Self {
        Self {
            memory_bytes: 256 << 20,
            transfers: 8,
            known_keys: BTreeSet::new(),
            removed_keys: BTreeSet::new(),
            pending_keys: BTreeMap::new(),
            seen: BTreeMap::new(),
            known_files: BTreeSet::new(),
            needs: BTreeMap::new(),
            new_snapshots: BTreeMap::new(),
            decision: Decision::Ask,
            before_heal: None,
        }
    }
}

/// The copies of a session from which somebody seems to have removed files on purpose; `seen` is, for
/// each copy by name, what it is known to have held.
pub(crate) fn diverged(
    session: &Session,
    seen: BTreeMap<String, SeenFiles>,
    cancel: &Cancel,
) -> Vec<Diverged> {
    let options = SyncOptions {
        seen,
        ..SyncOptions::default()
    };
    let progress = Progress::default();
    let copies = copies_of(session);
    let mut run = Run::new(&session.repository, copies, &options, &progress, cancel);
    run.find_divergence();
    run.findings.into_inner().diverged
}

/// The copies of a session that can be used, as they were listed.
pub(crate) fn copies_of(session: &Session) -> Vec<SyncCopy> {
    let ready = session.ready().map(|(copy, ready)| SyncCopy {
        copy: copy.clone(),
        listing: ready.listing.clone(),
        config_is_right: ready.config_is_right,
        doubts: ready.doubts.clone(),
    });
    ready.collect()
}

/// Brings every copy of a session up to date; those that failed are in the report as such.
///
/// The caller holds the session's locks.
pub fn sync_session(
    session: &Session,
    options: &SyncOptions,
    progress: &Progress,
    cancel: &Cancel,
) -> SyncReport {
    let copies = copies_of(session);
    let mut report = sync(&session.repository, copies, options, progress, cancel);
    for (position, copy) in session.copies.iter().enumerate() {
        if let CopyState::Failed(failure) = &copy.state {
            let failed = SyncedCopy::failed(&copy.copy, failure.clone());
            let position = position.min(report.copies.len());
            report.copies.insert(position, failed);
        }
    }
    let listed = report.copies.iter().map(|copy| {
        let is_listed = copy.failure.is_none() || !copy.listing.is_empty();
        let listing = is_listed.then_some(&copy.listing);
        (copy.name.as_str(), listing)
    });
    report.lost = Lost::among(&options.known_files, listed);
    report
}

/// Brings every copy up to date with all others.
///
/// The caller holds locks on them. What was removed between listing and locking is noticed where it
/// is read, and counts as lost. Where the user interrupts, the report says what came until then.
pub fn sync(
    repository: &Repository,
    copies: Vec<SyncCopy>,
    options: &SyncOptions,
    progress: &Progress,
    cancel: &Cancel,
) -> SyncReport {
    let mut run = Run::new(repository, copies, options, progress, cancel);
    let outcome = run.bring_all();
    run.into_report(outcome.is_err())
}
