//! Verify: whether every stored byte is what its name says, on every copy.
//!
//! A file's name is the SHA-256 of its bytes, so that the password is not needed. With the key,
//! junk under a right name is told as well, and with [`Depth::Decoded`] the faults of a bad
//! writer: identical bytes on every copy mean that such a fault is on every copy.
//!
//! **Architecture invariant:** nothing is ever written, not even a lock. So other hosts may write
//! and prune meanwhile: what is not there any more when its turn comes, or not there yet on a
//! sibling, is looked for again in a second listing before it is called missing.
//!
//! Copies are read at once; one that cannot be reached any more is left out from there on, with
//! its reason.

pub(crate) mod closure;
mod compare;
pub(crate) mod content;
mod decode;
mod lockstep;
mod reading;
mod report;
mod rows;
mod scan;
mod share;
pub(crate) mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::sync::Arc;

use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::Repository;

pub use report::{Problem, ProblemKind, VerifiedCopy, VerifyReport};
pub use share::Share;

use crate::progress::Progress;
use crate::removals::Removals;
use crate::session::{Begun, Cancel, CopyFailure, CopyStore, Look, Looking, begin_each, look_at};
use crate::state::FileNames;
use crate::{Listing, Result};
use compare::odd_sizes;
use reading::Reading;
use scan::{Scan, Scanned};

/// How closely files are looked at.
#[derive(Debug, Clone, Copy)]
pub enum Depth<'a> {
    /// Names, sizes, and whatever else can be seen without a password.
    Stored,
    /// Also whether keys, index files, snapshots and locks are what they claim to be, and whether
    /// every pack that an index names is there.
    Opened(&'a Repository),
    /// Also every blob: decrypted, decompressed, hashed, compared with index and header; every
    /// tree; and everything that each snapshot refers to.
    Decoded(&'a Repository),
}

/// What to verify besides.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Which packs are read.
    pub share: Share,
    /// The SHA-256 of `config`, where a receipt tells it.
    pub config: Option<Id>,
    /// Key files that receipts name.
    pub known_keys: BTreeSet<Id>,
    /// For each copy by name, the keys that its vault holds and does not list until an operator
    /// admits them: they are not missing where the copy lists another.
    pub pending_keys: BTreeMap<String, BTreeSet<Id>>,
    /// Files that records say were there; what no copy lists of them is lost.
    pub known_files: BTreeSet<FileName>,
    /// What was removed on purpose: wherever it still lies, it is neither read nor missed.
    pub removals: Arc<Removals>,
    /// The same without the password: what the state folder has noted as removed on purpose.
    pub removed: FileNames,
}

impl VerifyOptions {
    /// Whether a copy's vault holds a key that it does not list yet.
    pub(crate) fn is_pending(&self, copy: &str, name: FileName) -> bool {
        let pending = self.pending_keys.get(copy);
        name.kind() == FileType::Keys
            && pending.is_some_and(|keys| name.id().is_some_and(|id| keys.contains(&id)))
    }

    /// Takes out of a listing what was removed on purpose.
    pub(crate) fn take_removed(&self, listing: &mut Listing) {
        listing.take_removed(&self.removals);
        for kind in [FileType::Snapshots, FileType::Index, FileType::Data] {
            if let Some(files) = listing.of_mut(kind) {
                files.take(|id| self.removed.contains(FileName::new(kind, id)));
            }
        }
    }
}

/// A verify whose copies are being listed: the time to find out what it needs to know of them.
pub struct Verifying<'a> {
    copies: &'a [CopyStore],
    looking: Looking,
    looks: Begun<Look>,
    progress: &'a Progress,
}

impl<'a> Verifying<'a> {
    /// Begins to list all copies.
    pub fn begin(copies: &'a [CopyStore], progress: &'a Progress, cancel: &Cancel) -> Self {
        progress.begin("list", None, None);
        Self {
            copies,
            looking: Looking::until(cancel),
            looks: begin_each(copies, look_at),
            progress,
        }
    }

    /// Reads them.
    ///
    /// # Errors
    /// Where the user interrupts. Everything else is part of the report.
    pub fn run(self, depth: Depth<'_>, options: &VerifyOptions) -> Result<VerifyReport> {
        let looks = self.looking.found(self.copies, self.looks);
        read(
            self.copies,
            looks,
            depth,
            options,
            self.progress,
            &self.looking,
        )
    }
}

/// Verifies all copies.
///
/// # Errors
/// Where the user interrupts. Everything else is part of the report.
pub fn verify(
    copies: &[CopyStore],
    depth: Depth<'_>,
    options: &VerifyOptions,
    progress: &Progress,
    cancel: &Cancel,
) -> Result<VerifyReport> {
    Verifying::begin(copies, progress, cancel).run(depth, options)
}

/// Reads copies that were listed, or could not be.
fn read(
    copies: &[CopyStore],
    mut looks: Vec<std::result::Result<Look, CopyFailure>>,
    depth: Depth<'_>,
    options: &VerifyOptions,
    progress: &Progress,
    looking: &Looking,
) -> Result<VerifyReport> {
    let cancel = &looking.cancel;
    cancel.check()?;
    for look in looks.iter_mut().flatten() {
        options.take_removed(&mut look.listing);
    }
    let listings: Vec<_> = looks.iter().flatten().map(|look| &look.listing).collect();
    let odd = odd_sizes(&listings);
    let mut scans = Vec::new();
    for (copy, look) in copies.iter().zip(looks) {
        let look = look.map(|look| Scan::new(look, depth, options.share, &odd));
        scans.push((copy, look));
    }
    let ready = scans.iter().filter_map(|(_, scan)| scan.as_ref().ok());
    let (files, bytes) = ready
        .map(Scan::expected)
        .fold((0, 0), |sum, more| (sum.0 + more.0, sum.1 + more.1));
    progress.begin("verify", Some(files), Some(bytes));
    let begin = |scan| Reading::new(scan, progress, cancel);
    let readings: Vec<_> = scans
        .iter()
        .map(|(copy, scan)| (copy, scan.as_ref().map(begin)))
        .collect();
    let reachable = readings
        .iter()
        .filter_map(|(_, reading)| reading.as_ref().ok());
    let mut packs_read = rows::read(&reachable.collect::<Vec<_>>())?.into_iter();
    cancel.check()?;
    let mut scanned = Vec::new();
    for (copy, reading) in readings {
        scanned.push(match reading {
            Ok(reading) => reading.finish(packs_read.next().unwrap_or_default())?,
            Err(failure) => Scanned::failed(copy, failure),
        });
    }
    compare::report(scanned, depth, options, looking)
}

/// Calls `work` for every item at once.
fn each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if let [only] = items {
        return vec![work(only)];
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = items
            .iter()
            .map(|item| scope.spawn(|| work(item)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    })
}
